"""How to train, as data."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

from cnnzoo.data.augment import Augment


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        epochs: passes over the training images, at most.
        batch_size: images a step.
        optimizer: a Keras name.
        learning_rate: None for the optimiser's own.
        momentum: Nesterov's, of "sgd"; None for none.
        schedule: "plateau" halves the learning rate where the validation loss stands
            still for a third of `patience`; "cosine" lets it fall to 0 at the last step,
            along half a cosine, after it has risen in the first twentieth of all steps.
        layer_decay: by which the learning rate falls a stage, from the classifier towards
            the image; None for one rate.
        weight_decay: what a step takes from every weight, in parts of the learning rate
            and of the weight; None for none.
        start_decay: the penalty on what weights are away from where they began, as
            `keras.regularizers.L2` takes it; None for none.
        class_weights: "balanced" gives every class the same weight in the loss.
        mixup: the alpha of mixup, which blends images and their classes; None for none.
            See `cnnzoo.data.transforms.mixup`.
        averaging: what a step keeps of the running average of the weights, such as
            0.999; the averages are what is judged and saved. None for no averages.
        loss: a Keras name; None for the cross-entropy that fits the classifier.
        patience: epochs without a better validation loss before training stops; None
            trains all epochs.
        seed: of the order of images and of `augment`; set Keras's own with
            `keras.utils.set_random_seed`.
        augment: how training images change at random; validation images stay as they are.
        precision: "float32", "bfloat16", or "auto" for bfloat16 where this machine gains
            by it. What is saved is float32.
    """

    epochs: int = 10
    batch_size: int = 128
    optimizer: str = "adam"
    learning_rate: float | None = None
    momentum: float | None = None
    schedule: Literal["plateau", "cosine"] = "plateau"
    layer_decay: float | None = None
    weight_decay: float | None = None
    start_decay: float | None = None
    class_weights: Literal["balanced"] | None = None
    mixup: float | None = None
    averaging: float | None = None
    loss: str | None = None
    patience: int | None = 9
    seed: int = 0
    augment: Augment | None = None
    precision: str = "auto"

    def to_dict(self) -> dict:
        """The recipe as JSON has it; of the augmentation, what differs from none."""
        augment = self.augment and differing(self.augment)
        return {**asdict(replace(self, augment=None)), "augment": augment}


# Large batches, a rate that falls to 0, and averages. The ranges are those of the best of
# three pilots, judged by training images: docs/mnist.md.
MNIST = Recipe(
    epochs=18,
    batch_size=128,
    learning_rate=2e-3,
    schedule="cosine",
    averaging=0.999,
    patience=None,
    augment=Augment(
        rotation_range=20,
        shear_range=15,
        zoom_range=0.15,
        width_shift_range=0.15,
        height_shift_range=0.15,
    ),
)
# He et al. 2015, section 4.2, with a smoother schedule and the weight decay of
# https://github.com/chenyaofo/pytorch-cifar-models, 5e-4. Keras takes it beside the
# momentum, not through it, where it counts ten times.
CIFAR10 = Recipe(
    epochs=100,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.1,
    momentum=0.9,
    schedule="cosine",
    weight_decay=5e-3,
    patience=None,
    augment=Augment(
        width_shift_range=5,  # whole pixels, 4 to both sides
        height_shift_range=5,
        horizontal_flip=True,
        fill_mode="constant",
    ),
)
RECIPES = {
    # https://github.com/kkweon/mnist-competition, which does not tell its epochs.
    "mnist_kkweon": Recipe(
        epochs=100,
        batch_size=32,
        patience=30,
        augment=Augment(
            rotation_range=30,
            shear_range=0.1,
            zoom_range=0.1,
            width_shift_range=0.2,
            height_shift_range=0.2,
        ),
    ),
    "mnist": MNIST,
    # For SmallResNet, which learns more slowly and gains nothing by bfloat16 where others
    # do; its pilots are in docs/mnist.md, too.
    "mnist_small_resnet": replace(
        MNIST,
        learning_rate=1e-3,
        precision="float32",
        augment=Augment(
            rotation_range=15,
            shear_range=10,
            zoom_range=0.1,
            width_shift_range=0.1,
            height_shift_range=0.1,
        ),
    ),
    "cifar10": CIFAR10,
    # What "cifar10" misses on a JPEG copy of the images is overfitting (1.6 % of what it
    # learnt, 12.5 % of the rest), so images are blended and weights averaged.
    "cifar10_mixup": replace(
        CIFAR10,
        epochs=80,
        mixup=0.5,
        averaging=0.999,
        precision="bfloat16",  # 1.8 times faster on a CPU with such units
    ),
}
"""By the name that the command line takes."""


def mnist_recipe_name(network: str) -> str:
    """The name of the recipe that trained the package's MNIST weights of a network."""
    return "mnist_small_resnet" if network == "small_resnet" else "mnist"


def differing(augment: Augment) -> dict:
    """What of an augmentation differs from none, as JSON has it."""
    values = {field.name: getattr(augment, field.name) for field in fields(augment)}
    return {
        name: value if isinstance(value, int | float | str | tuple) else named(value)
        for name, value in values.items()
        if value != getattr(Augment(), name)
    }


def named(value: object) -> str:
    """A function's name, since its address is another in the next process."""
    return getattr(value, "__qualname__", None) or str(value)
