"""`.keras` archives: Keras's own members, and `cnnzoo.json`, which `save` adds."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from cnnzoo.errors import UnsafeFileError, WeightFileError
from cnnzoo.system import files
from cnnzoo.weights.tensors import WeightSource, damaged, pixel_notes, snake_case

FORMAT = 1  # of cnnzoo.json
MODEL_FILE = "model.keras"  # in the folder of a training
ZIP = b"PK"  # its first bytes
WEIGHTS_MEMBER = "model.weights.h5"
METADATA_MEMBER = "cnnzoo.json"
CONFIG_MEMBER = "config.json"
ELSE = (  # what to do with files of others
    "give it as weights to the network that cnnzoo.identify names, or load it with "
    "keras.saving.load_model, if it is Keras's, and pass the model to cnnzoo.adopt"
)
MAX_CONFIG = 1 << 24  # bytes; that of ResNet152 has some 500,000
MAX_METADATA = 1 << 20  # bytes; a thousand class names take some ten thousand
MAX_PACKED = 64 << 20  # bytes that may be packed in any ratio
MAX_RATIO = 10  # of compression; trained weights shrink by about a tenth
# Classes that only compute. Others of Keras run code or read files, such as Lambda,
# TFSMLayer, TorchModuleWrapper and StringLookup.
STOCK = re.compile(
    r"None\.__(ellipsis|keras_tensor|numpy|slice|tensor)__|keras\.DTypePolicy|"
    r"keras\.(constraints|initializers|regularizers|src\.ops\.(nn|numpy))\.[A-Z]\w*|"
    r"keras\.src\.ops\.core\.Cast|"
    r"keras\.src\.models\.functional\.Functional|keras\.layers\.(\w+2D(Transpose)?|ELU|"
    r"(?!Spectral)\w*(Dropout|Normalization|Noise|ReLU)|Activation|Add|Average|CenterCrop|Concatenate|"
    r"Dense|Flatten|Identity|InputLayer|Maximum|Minimum|Multiply|Permute|Random\w+|"
    r"Rescaling|Reshape|Resizing|Softmax|Subtract)|"
    r"cnnzoo\.layers\.lrn\.LocalResponseNormalization as cnnzoo>\w+"
)


@contextmanager
def open_archive(path: str | Path) -> Iterator[ZipFile]:
    """Opens a `.keras` file after a check of its table of contents.

    Raises:
        FileNotFoundError: The file does not exist.
        WeightFileError: The file is not a readable archive.
        UnsafeFileError: Two of its members have the same name.
    """
    check_file(path)
    with Path(path).open("rb") as file:
        start = file.read(8)
    if start and not start.startswith(ZIP):
        raise WeightFileError(
            f"{path} is a file of another kind: expected a .keras archive, found that it "
            f"starts with {start!r}; {ELSE}"
        )
    with _refusing_damage(path):
        archive = ZipFile(path)
    with archive:
        names = archive.namelist()
        if len(names) != len(set(names)):
            raise UnsafeFileError(
                f"{path} holds two members of one name; expected each once, so do not "
                "use it and get it again from where it was made"
            )
        yield archive


@contextmanager
def open_source(archive: ZipFile) -> Iterator[WeightSource]:
    """Opens the weights of an archive, which stay open for reading.

    Raises:
        WeightFileError: The archive has no weights, or is damaged.
        UnsafeFileError: The weights are far too large, or refer to another file.
    """
    from cnnzoo.weights.formats import hdf5

    path, network = str(archive.filename), None
    names, notes = _layers(archive)
    if METADATA_MEMBER in archive.namelist():  # which tells how pixels are prepared
        network, notes = read_metadata(archive).get("name"), ()
    content = _read_member(archive, WEIGHTS_MEMBER)
    where = f"{WEIGHTS_MEMBER} of {path}"
    with hdf5.open_tensors(content, where, names) as tensors:
        network = network if isinstance(network, str) else None
        yield WeightSource(path, tensors, network, notes=notes)


def _layers(archive: ZipFile) -> tuple[dict[str, str], tuple[str, ...]]:
    """The names of layers by their groups among the weights, and notes on pixels.

    Keras 3 up to 3.5 counts the layers of each class: "layers/conv2d_4". The config is
    read as data; no class of it is used.
    """
    from cnnzoo.weights.formats import hdf5

    names: dict[str, str] = {}
    notes = []

    def add(layers: list[dict], group: str) -> None:
        counts: Counter[str] = Counter()
        for layer in layers:
            if not isinstance(layer, dict):
                continue
            kind = snake_case(layer["class_name"])
            count, counts[kind] = counts[kind], counts[kind] + 1
            here = f"{group}/{kind}_{count}" if count else f"{group}/{kind}"
            names[here] = str(layer["config"].get("name", here))
            notes.extend(pixel_notes(kind, layer["config"]))
            add(layer["config"].get("layers", []), f"{here}/layers")

    if CONFIG_MEMBER in archive.namelist():
        content = _read_member(archive, CONFIG_MEMBER, MAX_CONFIG)
        with files.refusing_damage(damaged(archive.filename, "has a broken config")):
            config = files.parse_json(content).get("config", {})
            add(config.get("layers", []), hdf5.LAYERS)
    return names, tuple(notes)


def read_metadata(archive: ZipFile) -> dict:
    """Reads the metadata that `cnnzoo.save` added to the archive.

    Raises:
        WeightFileError: The metadata are missing, damaged or of another format.
    """
    path = archive.filename
    if METADATA_MEMBER not in archive.namelist():
        raise WeightFileError(
            f"{path} has no member {METADATA_MEMBER}, so cnnzoo.save did not write it; "
            f"{ELSE}"
        )
    where = f"{METADATA_MEMBER} of {path}"
    content = _read_member(archive, METADATA_MEMBER, MAX_METADATA)
    damaged = WeightFileError(f"{where} is not a JSON object; save the model again")
    with files.refusing_damage(damaged):
        metadata = files.parse_json(content)
    files.check_format(where, metadata, FORMAT, WeightFileError)
    return metadata


def read_graph(archive: ZipFile) -> dict[str, Any]:
    """Reads the config of a functional model of stock layers, for `from_config`.

    A config names classes, so each is compared with `STOCK` before Keras sees it. What
    the model was compiled with is left out.

    Raises:
        WeightFileError: The config is missing, damaged, or names another class.
        UnsafeFileError: The config is far too large.
    """
    path = archive.filename
    content = _read_member(archive, CONFIG_MEMBER, MAX_CONFIG)
    with files.refusing_damage(damaged(path, "describes no functional model")):
        config = files.parse_json(content)["config"]
        config["name"]  # a functional model has one
        names = [*_classes(config)]
    foreign = [name for name in names if not STOCK.fullmatch(name)]
    if foreign:
        raise WeightFileError(
            f"{path} has the class {foreign[0]:.200}, and load builds only stock layers "
            "that compute; build the model in your code, pass it to cnnzoo.adopt, and "
            "load the file by cnnzoo.load_weights"
        )
    return config


def _classes(value: object) -> Iterator[str]:
    """Yields every class in a config, with its module and its registered name.

    Text with ">" is one too: Keras takes registered names wherever a name may stand.
    """
    if isinstance(value, str) and ">" in value:
        yield value
    if isinstance(value, dict):
        if "class_name" in value:
            name, registered = value["class_name"], value.get("registered_name")
            known_as = "" if registered in (None, name) else f" as {registered}"
            yield f"{value.get('module')}.{name}{known_as}"
            value = {**value, "registered_name": None}
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _classes(item)


def member_size(archive: ZipFile, name: str) -> int:
    """Number of bytes of one member.

    Raises:
        WeightFileError: There is no member of that name.
    """
    if name not in archive.namelist():
        raise WeightFileError(
            f"{archive.filename} has no member {name}; save the model again"
        )
    return archive.getinfo(name).file_size


def model_file(path: Path) -> Path:
    """The path of a model: a file, or the one in the folder of a training.

    Raises:
        FileNotFoundError: The folder has none.
    """
    if not path.is_dir():
        return path
    if not (path / MODEL_FILE).exists():
        raise FileNotFoundError(
            f"{path} holds no {MODEL_FILE}: expected the folder of one training that "
            "has ended an epoch, or a .keras file; of a folder of several networks, name "
            "the folder of each, or in Python use train.members or Ensemble.load"
        )
    return path / MODEL_FILE


def check_file(path: str | Path) -> None:
    """Raises FileNotFoundError or WeightFileError if `path` is not a regular file."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no file {path}; check the name and the folder, and download what "
            "has an address first"
        )
    if not path.is_file():  # reading a pipe would wait for ever
        what = "a folder" if path.is_dir() else "not an ordinary file"
        raise WeightFileError(f"{path} is {what}; expected a file of weights")


def _read_member(archive: ZipFile, name: str, limit: int = MAX_PACKED) -> bytes:
    size = member_size(archive, name)
    if size > limit and size > MAX_RATIO * archive.getinfo(name).compress_size:
        raise UnsafeFileError(
            f"{archive.filename} has a member {name} of {size:,} bytes; expected at most "
            f"{limit:,} in so few packed bytes, so do not use the file"
        )
    if archive.getinfo(name).compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise UnsafeFileError(
            f"{archive.filename} has a member {name} that is packed by another method "
            "than those of .keras files, which no size limits, so do not use the file"
        )
    with _refusing_damage(archive.filename):
        return archive.read(name)


def _refusing_damage(path: object) -> AbstractContextManager[None]:
    found = "exists but is not a readable .keras archive"
    return files.refusing_damage(damaged(path, found))
