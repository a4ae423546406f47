"""Initializers, in spellings that two layers can share."""

import keras

Initializer = str | dict | keras.Initializer  # as Keras takes it


def normal(stddev: float) -> dict:
    """A normal distribution, in Keras's spelling.

    An instance would draw its seed when its module is imported, and so change what a
    network draws after `keras.utils.set_random_seed`.
    """
    return {"class_name": "RandomNormal", "config": {"stddev": stddev}}


def constant(value: float) -> dict:
    """One number for all, in Keras's spelling."""
    return {"class_name": "Constant", "config": {"value": value}}


def fresh(initializer: Initializer) -> Initializer:
    """A copy: Keras draws the same numbers twice from an instance without a seed."""
    if isinstance(initializer, str | dict):
        return initializer
    config = initializer.get_config() if hasattr(initializer, "clone") else {}
    return initializer.clone() if config.get("seed", 0) is None else initializer
