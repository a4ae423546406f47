"""The receptive field: what one value of a tensor sees of the image."""

from dataclasses import dataclass

import keras
from keras import layers

from cnnzoo.graph.keras_internals import graph_nodes
from cnnzoo.graph.layer_kinds import WHOLE_IMAGE, Pair, window


@dataclass(frozen=True)
class Field:
    """What one value sees of the image, and how far its neighbour's field is shifted.

    Attributes:
        size: Height and width in pixels; None for the whole image.
        step: Vertical and horizontal shift, in pixels.
    """

    size: Pair | None = (1, 1)
    step: Pair = (1, 1)

    def through(self, size: Pair | None, step: Pair) -> "Field":
        """The field after a window of this size and stride."""
        seen = None
        if self.size is not None and size is not None:
            added = _pairs(size, self.step, rule=lambda window, step: (window - 1) * step)
            seen = _pairs(self.size, added, rule=lambda field, more: field + more)
        return Field(seen, _pairs(self.step, step, rule=lambda a, b: a * b))


def _pairs(*pairs, rule) -> Pair:
    """A rule for numbers, applied to heights and to widths."""
    height, width = (rule(*sides) for sides in zip(*pairs, strict=True))
    return height, width


def receptive_fields(model: keras.Model) -> dict[int, Field]:
    """The field of each tensor, by its id."""
    fields: dict[int, Field] = {}
    for node in graph_nodes(model):
        field = _joined([fields[id(tensor)] for tensor in node.input_tensors])
        op = node.operation
        if isinstance(op, (*WHOLE_IMAGE, layers.Dense)):
            field = field.through(None, (1, 1))
        elif isinstance(op, keras.Model):
            inside = receptive_fields(op)
            for tensor, inner in zip(node.outputs, op.outputs, strict=True):
                seen = inside[id(inner)]
                fields[id(tensor)] = field.through(seen.size, seen.step)
            continue
        elif frame := window(op):
            size, step = frame
            spread = getattr(op, "dilation_rate", (1, 1))
            size = _pairs(size, spread, rule=lambda k, d: (k - 1) * d + 1)
            field = field.through(size, step)
        fields.update({id(tensor): field for tensor in node.outputs})
    return fields


def _joined(fields: list[Field]) -> Field:
    """The field of a value that is made from several."""
    if not fields:
        return Field()
    sizes = [field.size for field in fields]
    steps = _pairs(*(field.step for field in fields), rule=lambda *s: max(s))
    known = [size for size in sizes if size is not None]
    whole = len(known) < len(sizes)
    return Field(None if whole else _pairs(*known, rule=lambda *s: max(s)), steps)
