"""Preparation of a model for training: compilation, labels and batches."""

from dataclasses import replace
from warnings import warn

import keras
import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from cnnzoo.data.arrays import Source
from cnnzoo.data.batches import Batches
from cnnzoo.data.pipeline import align_labels, make_model_inputs
from cnnzoo.errors import DatasetError, UsageError
from cnnzoo.graph.data_format import channels_first, to_channels_last
from cnnzoo.layer_names import PREDICTIONS
from cnnzoo.metadata import geometry_of, metadata_of
from cnnzoo.train import losses
from cnnzoo.train.finetuning import layerwise_lr_decay
from cnnzoo.train.recipe import Recipe, check_recipe

WARM_UP = 0.05  # share of all steps in which the rate of a cosine schedule increases
# Small variables, which do not overfit.
NOT_DECAYED = ["bias", "gamma", "beta", "alpha"]


def prepare(
    model: keras.Model, recipe: Recipe, train: Source, validation: Source
) -> tuple[Batches, tuple]:
    """Compiles the model; returns its training batches and validation inputs.

    The validation inputs are (images, labels) or (batches, None).

    Raises:
        UsageError: Values of the recipe are out of range or do not fit.
        DatasetError: The labels do not fit the classifier.
    """
    check_classes(model, train)
    take_value_range(model, train)
    loss = compile_model(model, recipe, len(train))
    inputs = make_inputs(model, loss, recipe, train, validation)
    _warn_of_empty_classes(train)
    return inputs


def compile_model(model: keras.Model, recipe: Recipe, images: int) -> keras.Loss | str:
    """Compiles the model with stock Keras objects; returns its loss.

    Every classifier gets the loss, with the weight of its AuxHead; the first also gets
    an accuracy metric.

    Args:
        model: Model to compile.
        recipe: Training recipe.
        images: Number of training images.

    Raises:
        UsageError: Values of the recipe are out of range or do not fit.
    """
    check_recipe(recipe)
    blended = recipe.mixup is not None
    loss = losses.choose(model, recipe.loss, recipe.loss_options, blended=blended)
    optimizer = _optimizer(recipe, recipe.steps(images))
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
    heads = metadata_of(model).spec.aux_heads
    loss_of_image = losses.per_image(loss, recipe.loss_options)

    def metrics(*more: str) -> list:
        mean = keras.metrics.MeanMetricWrapper(loss_of_image, name=losses.MEAN_LOSS)
        return [mean, *more]

    model.compile(
        optimizer,
        [loss] * len(model.outputs),
        loss_weights=[1.0, *(head.loss_weight for head in heads)],
        metrics=[metrics("accuracy"), *(metrics() for _ in heads)],
    )
    return loss


def make_inputs(
    model: keras.Model,
    loss: keras.Loss | str,
    recipe: Recipe,
    train: Source,
    validation: Source,
) -> tuple[Batches, tuple]:
    """The training batches, and (images, labels) or (batches, None) for validation.

    Raises:
        DatasetError: The labels do not fit the classifier.
        UsageError: Files are read, and the image size of the model is not fixed.
    """
    names = names_for(model, train)

    def inputs(source: Source, *, shuffle: bool) -> tuple:
        source = align_labels(source, names).with_geometry(geometry_of(model))
        return make_model_inputs(
            losses.targets(source, loss, model.outputs[0].shape[-1]),
            to_channels_last(model, model.input_shape[1:]),
            recipe.images_per_step(len(train)),
            steps=recipe.steps_per_epoch if shuffle else None,
            augment=recipe.augment if shuffle else None,
            preprocessing=metadata_of(model).outside,
            mixup=recipe.mixup if shuffle else None,
            channels_first=channels_first(model),
            outputs=len(model.outputs),
            shuffle=shuffle,
            seed=recipe.seed,
        )

    train_batches, _ = inputs(train, shuffle=True)
    return train_batches, inputs(validation, shuffle=False)


def names_for(model: keras.Model, train: Source) -> tuple[str, ...]:
    """The class names of a model, or those of its training images if it has none."""
    return metadata_of(model).class_names or tuple(train.class_names)


def take_value_range(model: keras.Model, train: Source) -> None:
    """Gives a model the range of values of its training images, if they have one."""
    if train.geometry:
        geometry = train.with_geometry(geometry_of(model)).geometry
        model.cnnzoo = replace(metadata_of(model), geometry=geometry)


def class_weights(recipe: Recipe, train: Source) -> dict[int, float] | None:
    """Weight of each class in the loss, as `fit` takes it; None for equal weights."""
    if recipe.class_weights is None:
        return None
    labels = np.asarray(train.labels)
    labels = labels.argmax(1) if labels.ndim > 1 else labels  # of one-hot rows
    classes = np.unique(labels)
    weights = compute_class_weight(recipe.class_weights, classes=classes, y=labels)
    return dict(zip(classes.tolist(), weights.tolist(), strict=True))


def monitored(model: keras.Model) -> str:
    """Keras's name of the loss by which the best epoch is chosen.

    It is the loss of the main classifier, since auxiliary ones only help the training.
    """
    return (
        "val_loss" if len(model.outputs) == 1 else f"val_{PREDICTIONS}_{losses.MEAN_LOSS}"
    )


def check_classes(model: keras.Model, train: Source) -> None:
    """Checks that the classifier fits the data.

    Raises:
        UsageError: The model has no classifier.
        DatasetError: The model has another number of classes than the data.
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


def _warn_of_empty_classes(train: Source) -> None:
    """Warns of classes without images."""
    numbers = np.asarray(train.labels).tolist()
    if none := sorted(set(range(len(train.class_names))) - set(numbers)):
        warn(
            f"{len(none)} of {len(train.class_names)} classes have no training image, "
            f"such as {train.class_names[none[0]]!r}",
            UserWarning,
            stacklevel=4,
        )


def _optimizer(recipe: Recipe, steps: int) -> keras.Optimizer:
    """The optimizer, with its schedule for this number of steps per epoch."""
    optimizer = keras.optimizers.get(recipe.optimizer)
    rate = recipe.learning_rate
    rate = float(optimizer.learning_rate) if rate is None else rate
    if recipe.schedule == "cosine":
        warm_up = round(WARM_UP * recipe.epochs * steps)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warm_up else rate,
            recipe.epochs * steps - warm_up,
            warmup_target=rate if warm_up else None,
            warmup_steps=warm_up,
        )
    options: dict = {}
    if recipe.momentum is not None:
        options = {"momentum": recipe.momentum, "nesterov": True}
    if recipe.weight_decay is not None:  # otherwise AdamW keeps its default
        options["weight_decay"] = recipe.weight_decay
    optimizer = type(optimizer)(rate, **options)
    optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return optimizer
