"""Makes the package's digits from all of MNIST.

    CNNZOO_DATA=folder python tools/make_digits.py

reads `mnist.npz` (in Keras's layout) from that folder and writes `test.npz` and
`train.npz` to `cnnzoo/data/digits`. The same input gives the same bytes.
"""

import io
import os
import zipfile
from pathlib import Path

import numpy as np

from cnnzoo.system.files import write_bytes

TARGET = Path(__file__).parent.parent / "cnnzoo" / "data" / "digits"
SEED = 1998
DIGITS_A_CLASS = 600


def choose(labels: np.ndarray) -> np.ndarray:
    """Chooses 600 digits per class; returns ascending positions, (6000,) uint16."""
    rng = np.random.default_rng(SEED)
    chosen = [
        rng.choice(np.flatnonzero(labels == label), DIGITS_A_CLASS, replace=False)
        for label in range(10)
    ]
    return np.sort(np.concatenate(chosen)).astype(np.uint16)


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    """Packs arrays as an `.npz` whose bytes depend on the arrays alone.

    LZMA would be a seventh smaller, but some builds of Python cannot read it.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # Unix on every system, for equal bytes
            data = io.BytesIO()
            np.lib.format.write_array(data, array, allow_pickle=False)
            archive.writestr(member, data.getvalue(), compresslevel=9)
    return content.getvalue()


def main() -> None:
    """Writes both files."""
    with np.load(Path(os.environ["CNNZOO_DATA"]) / "mnist.npz") as mnist:
        index = choose(mnist["y_train"])
        train = {
            "images": mnist["x_train"][index],
            "labels": mnist["y_train"][index],
            "index": index,
        }
        test = {"images": mnist["x_test"], "labels": mnist["y_test"]}
    write_bytes(TARGET / "train.npz", pack(train))
    write_bytes(TARGET / "test.npz", pack(test))


if __name__ == "__main__":
    main()
