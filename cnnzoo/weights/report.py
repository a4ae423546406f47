"""What a load did, tensor by tensor."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LoadReport:
    """What `load_weights` did with every tensor.

    Attributes:
        model: the model's name.
        source: what the numbers came from: a file, or a model.
        loaded: each tensor of the model and what the source calls it, such as
            ("stage1_conv1/kernel", "block1_conv1/kernel").
        cast: those whose numbers changed their type, and the type they had.
        skipped: tensors of heads that the source has and the model was built without.
    """

    model: str
    source: str
    loaded: tuple[tuple[str, str], ...]
    cast: tuple[tuple[str, str], ...] = ()
    skipped: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.model}: {len(self.loaded)} tensors from {self.source}"
        if self.cast:
            types = ", ".join(sorted({dtype for _, dtype in self.cast}))
            text += f"; {len(self.cast)} cast from {types}"
        if self.skipped:
            text += f"; skipped {', '.join(self.skipped)}"
        return text
