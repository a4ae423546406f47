"""A model made ready to train: compiled, its labels checked, its batches set up."""

from functools import partial

import keras
import numpy as np

from cnnzoo.data.arrays import Source
from cnnzoo.data.batches import Batches
from cnnzoo.data.pipeline import align_labels, make_model_inputs
from cnnzoo.errors import DatasetError, UsageError
from cnnzoo.graph.data_format import channels_first, to_channels_last
from cnnzoo.layer_names import PREDICTIONS
from cnnzoo.metadata import metadata_of
from cnnzoo.train import losses
from cnnzoo.train.finetuning import layerwise_lr_decay
from cnnzoo.train.recipe import Recipe
from cnnzoo.train.recipe_rules import check_recipe

WARM_UP = 0.05  # of all steps, in which a cosine's rate rises
# Of few numbers each, which do not overfit.
NOT_DECAYED = ["bias", "gamma", "beta", "alpha"]


def compiled(model: keras.Model, recipe: Recipe, images: int) -> keras.Loss | str:
    """Compiles the model with stock Keras objects; returns its loss.

    Every classifier gets the loss, weighted by its row; the first gets an accuracy.

    Args:
        images: how many a pass has.

    Raises:
        UsageError: Keras has no such optimiser or loss, or the loss does not fit.
    """
    check_recipe(recipe)
    loss = losses.choose(model, recipe.loss, blended=recipe.mixup is not None)
    optimizer = _optimizer(recipe, -(-images // recipe.batch_size))
    if len(model.outputs) == 1:
        model.compile(optimizer, loss, metrics=["accuracy"])
        if recipe.layer_decay is not None:
            layerwise_lr_decay(model, recipe.layer_decay)
        return loss
    if recipe.layer_decay is not None or recipe.class_weights:
        raise UsageError(
            f"{model.name!r} has auxiliary classifiers; layer_decay and "
            "class_weights are for a single one, so build it without them"
        )
    others = metadata_of(model).spec.aux_heads
    own = losses.per_image(loss)

    def figures(*more: str) -> list:
        return [keras.metrics.MeanMetricWrapper(own, name=losses.MEAN_LOSS), *more]

    model.compile(
        optimizer,
        [loss] * len(model.outputs),
        loss_weights=[1.0, *(other.loss_weight for other in others)],
        metrics=[figures("accuracy"), *(figures() for _ in others)],
    )
    return loss


def fed(
    model: keras.Model,
    loss: keras.Loss | str,
    recipe: Recipe,
    train: Source,
    validation: Source,
) -> tuple[Batches, tuple]:
    """The batches to learn from, and (images, labels) or (batches, None) to judge by.

    Raises:
        DatasetError: the labels do not fit the classifier.
        UsageError: files are to be read for a model of open size.
    """
    names = metadata_of(model).class_names or tuple(train.class_names)
    ready = partial(_fed, model, loss, recipe)
    learned, _ = ready(align_labels(train, names), shuffle=True)
    return learned, ready(align_labels(validation, names), shuffle=False)


def _fed(
    model: keras.Model,
    loss: keras.Loss | str,
    recipe: Recipe,
    source: Source,
    *,
    shuffle: bool,
):
    return make_model_inputs(
        losses.targets(source, loss, model.outputs[0].shape[-1]),
        to_channels_last(model, model.input_shape[1:]),
        recipe.batch_size,
        augment=recipe.augment if shuffle else None,
        preprocessing=metadata_of(model).outside,
        mixup=recipe.mixup if shuffle else None,
        channels_first=channels_first(model),
        outputs=len(model.outputs),
        shuffle=shuffle,
        seed=recipe.seed,
    )


def class_weights(recipe: Recipe, train: Source) -> dict[int, float] | None:
    """What each class counts in the loss, as `fit` takes it; None for all alike."""
    if recipe.class_weights is None:
        return None
    labels = np.asarray(train.labels)
    labels = labels.argmax(1) if labels.ndim > 1 else labels  # of rows with a single 1
    present, counts = np.unique(labels, return_counts=True)
    weights = counts.sum() / (len(present) * counts)
    return dict(zip(present.tolist(), weights.tolist(), strict=True))


def monitored(model: keras.Model) -> str:
    """Keras's name of the loss that the best epoch is chosen by.

    Auxiliary classifiers help the training and are not asked afterwards, so an epoch
    that serves them and not the main one is no better.
    """
    return (
        "val_loss" if len(model.outputs) == 1 else f"val_{PREDICTIONS}_{losses.MEAN_LOSS}"
    )


def check_classes(model: keras.Model, train: Source) -> None:
    """Raises:
    UsageError: the model has no classifier.
    DatasetError: it has another number of classes than the data.
    """
    options = metadata_of(model).options
    if not options["include_top"]:
        raise UsageError(
            f"model {model.name!r} has no classifier to train; build it with its top"
        )
    classes, found = options["classes"], len(train.class_names)
    if found != classes and train.labels is not None:
        raise DatasetError(
            f"the data have {found} classes and {model.name!r} {classes}; build it with "
            f"classes={found}"
        )


def _optimizer(recipe: Recipe, steps: int) -> keras.Optimizer:
    """Args:
    steps: of a pass.
    """
    optimizer = keras.optimizers.get(recipe.optimizer)
    rate = recipe.learning_rate
    rate = float(optimizer.learning_rate) if rate is None else rate
    if recipe.schedule == "cosine":
        rising = round(WARM_UP * recipe.epochs * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if rising else rate,
            recipe.epochs * steps - rising,
            warmup_target=rate if rising else None,
            warmup_steps=rising,
        )
    options: dict = {}
    if recipe.momentum is not None:
        options = {"momentum": recipe.momentum, "nesterov": True}
    if recipe.weight_decay is not None:  # which AdamW has by itself
        options["weight_decay"] = recipe.weight_decay
    optimizer = type(optimizer)(rate, **options)
    optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return optimizer
