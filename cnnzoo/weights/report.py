"""The report of `load_weights`, which names every tensor."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class LoadReport:
    """Report of `load_weights` on every tensor.

    Attributes:
        model: Name of the model.
        source: File or model that the weights came from.
        loaded: Name of each tensor of the model, and its name in the source, such as
            ("stage1_conv1/kernel", "block1_conv1/kernel").
        cast: Tensors that were converted to another type, and their type before.
        skipped: Tensors of heads that the source has and the model does not take.
        transformed: Tensors that were changed, and how, such as "transposed".
        new: Tensors of the head that the model keeps as they were.
        notes: What was recognised in the source, and what follows from it.
        sha256: Hash of the file; None for what is not one file.
    """

    model: str
    source: str
    loaded: tuple[tuple[str, str], ...]
    cast: tuple[tuple[str, str], ...] = ()
    skipped: tuple[str, ...] = ()
    transformed: tuple[tuple[str, str], ...] = ()
    new: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sha256: str | None = None

    @property
    def is_exact(self) -> bool:
        """Whether all weights have known names and their values, but for the layout."""
        channels = [c for _, c in self.transformed if c.endswith("channels")]
        known = ("names ", "taken from its entry ", "pixels as ")
        guesses = [note for note in self.notes if not note.startswith(known)]
        return not (self.new or channels or guesses)

    def __str__(self) -> str:
        text = f"{self.model}: {len(self.loaded)} tensors from {self.source}"
        if self.cast:
            types = ", ".join(sorted({dtype for _, dtype in self.cast}))
            text += f"; {len(self.cast)} cast from {types}"
        for change, count in Counter(change for _, change in self.transformed).items():
            text += f"; {count} {change}"
        if self.new:
            text += f"; new {', '.join(self.new)}"
        if self.skipped:
            text += f"; skipped {', '.join(self.skipped)}"
        return "; ".join((text, *self.notes))
