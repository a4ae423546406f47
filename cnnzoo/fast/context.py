"""Whether a layer is called to learn."""

import keras


def learning(layer: keras.layers.Layer) -> bool:
    """Whether the call under way was made with `training=True`.

    Keras passes that on only to layers whose `call` asks for it, and tells the others in
    a private attribute, which is read here and nowhere else.
    """
    return bool(getattr(layer._get_call_context(), "training", None))
