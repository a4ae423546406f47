"""Data sets that Keras downloads if the caller asks for it: 60,000 small images each."""

from cnnzoo.errors import DatasetError

CLASS_NAMES = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "cifar10": (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
}
"""Names of the classes, in the order of the labels, by the name of the data set."""


def download_arrays(name: str, split: str, *, download: bool) -> tuple:
    """The images and labels of a split, "train" or "test", as Keras has them.

    Args:
        name: Name in `CLASS_NAMES`.
        download: Whether Keras may download them.

    Raises:
        DatasetError: `download` is False, or the download failed.
    """
    if not download:
        raise DatasetError(
            f"{name} is not in the package: pass --download, or in Python "
            f"open_source({name!r}, download=True) of cnnzoo.data.sources, by which "
            "Keras downloads it, or the path of its .npz or of a folder with IDX files"
        )
    import keras

    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises a bare one if the network fails
        raise DatasetError(
            f"cannot download {name} by way of Keras: expected its file, found "
            f"{str(error)[:300]}, so check the network or leave download off"
        ) from error
    return train if split == "train" else test
