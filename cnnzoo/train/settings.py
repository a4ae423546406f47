"""What a training is asked for."""

from dataclasses import asdict, dataclass, fields, replace

from cnnzoo.data.augment import Augment
from cnnzoo.train.precision import Precision


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        epochs: passes over the training images, at most.
        batch_size: images a step.
        optimizer: a Keras name.
        learning_rate: None for the optimiser's own.
        loss: a Keras name; None for the cross-entropy that fits the classifier.
        patience: epochs without a better validation loss before training stops; the
            learning rate is halved after a third of them.
        seed: of the order of image folders and of `augment`; set Keras's own with
            `keras.utils.set_random_seed`.
        augment: how training images change at random; validation images go through
            what normalises, alone.
        precision: "float32", "bfloat16", or "auto" for bfloat16 where this machine gains
            by it. What is saved is float32.
    """

    epochs: int = 10
    batch_size: int = 128
    optimizer: str = "adam"
    learning_rate: float | None = None
    loss: str | None = None
    patience: int = 9
    seed: int = 0
    augment: Augment | None = None
    precision: str = "auto"

    def told(self, chosen: Precision) -> dict:
        """The settings as JSON has them, with the precision that was chosen.

        Of the augmentation, what differs from none.
        """
        plain = asdict(replace(self, augment=None, precision=chosen.name))
        augment = self.augment and _differing(self.augment)
        return {**plain, "augment": augment, "bfloat16_gain": chosen.gain}


def _differing(augment: Augment) -> dict:
    values = {field.name: getattr(augment, field.name) for field in fields(augment)}
    return {
        name: value if isinstance(value, int | float | str | tuple) else str(value)
        for name, value in values.items()
        if value != getattr(Augment(), name)
    }
