"""Named arrays into a built model: all of them, or none."""

from pathlib import Path

import keras

from cnnzoo.weights import formats


def load_archive(model: keras.Model, path: str | Path) -> None:
    """Puts the weights of a `.keras` file into a model of the same graph.

    Layers are matched by name. The model changes only after every array was read.

    Raises:
        FileNotFoundError: there is no such file.
        WeightFileError: the file is damaged or does not fit; the model is unchanged.
    """
    variables = {
        f"{layer.name}/{i}": variable
        for layer in model.layers
        for i, variable in enumerate(layer.weights)
    }
    with formats.open_archive(path) as archive:
        expected = {name: tuple(v.shape) for name, v in variables.items()}
        arrays = formats.read_arrays(archive, expected)
    for name, variable in variables.items():
        variable.assign(arrays[name])
