"""save() and load(): saved content, refused files, no partial results."""

import io
import json
import shutil
import zipfile
from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest

import cnnzoo
from cnnzoo.errors import UnsafeFileError
from cnnzoo.inference import probabilities
from cnnzoo.weights.formats.keras_archive import METADATA_MEMBER, WEIGHTS_MEMBER
from cnnzoo.weights.loading import load_weights
from cnnzoo.zoo import build, find


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small network's file and its model."""
    keras.utils.set_random_seed(7)
    model = build("lenet5", classes=3, include_preprocessing=True)
    model.cnnzoo = replace(model.cnnzoo, class_names=("a", "b", "ü"))
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    return cnnzoo.save(model, path), model


def members(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path, content: dict[str, bytes]):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def with_metadata(saved, tmp_path, **changes):
    content = members(saved[0])
    metadata = {**json.loads(content[METADATA_MEMBER]), **changes}
    return written(
        tmp_path / "other.keras",
        {**content, METADATA_MEMBER: json.dumps(metadata).encode()},
    )


def with_weights(saved, tmp_path, change):
    """The file with its HDF5 member changed by `change(h5py.File)`."""
    content = members(saved[0])
    buffer = io.BytesIO(content[WEIGHTS_MEMBER])
    with h5py.File(buffer, "r+") as file:
        change(file)
    return written(
        tmp_path / "other.keras", {**content, WEIGHTS_MEMBER: buffer.getvalue()}
    )


def test_everything_is_kept(saved):
    path, model = saved
    again = cnnzoo.load(path)
    assert again.cnnzoo == model.cnnzoo
    assert again.cnnzoo.class_names == ("a", "b", "ü")
    for old, new in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vgg11", {"include_top": False, "pooling": "max", "input_shape": (40, 33, 2)}),
        ("resnet18", {"include_top": False, "input_shape": (None, None, 3)}),
        ("mlp", {"depth": 1, "width": 9, "activation": "tanh", "dropout": 0.5}),
        (
            "simple_cnn",
            {"filters": (4, 4), "dense": (), "batch_norm": True, "name": "me"},
        ),
        ("lenet5", {"subsampling": "trainable", "classifier_activation": None}),
        ("lenet_gap", {"classes": 2, "classifier_activation": "sigmoid"}),
        ("lenet_gap", {"preprocessing": "samplewise", "include_preprocessing": True}),
        ("lenet_gap", {"weight_decay": 1e-3, "activation": "prelu"}),
    ],
)
def test_options_are_kept(name, options, tmp_path):
    model = build(name, **options)
    again = cnnzoo.load(cnnzoo.save(model, tmp_path / "m.keras"))
    assert again.cnnzoo.options == model.cnnzoo.options
    assert again.cnnzoo.preprocessing == model.cnnzoo.preprocessing
    assert again.name == model.name
    assert [layer.get_config() for layer in again.layers if "act" in layer.name] == [
        layer.get_config() for layer in model.layers if "act" in layer.name
    ]
    for old, new in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_weights_of_a_file(saved):
    path, model = saved
    again = build("lenet5", classes=3, weights=path)
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


def test_weights_of_another_graph_change_nothing(saved):
    path, _ = saved
    model = build("lenet5", classes=4)
    before = model.get_weights()
    with pytest.raises(
        cnnzoo.WeightFileError,
        match=r"does not fit lenet5, which is unchanged: predictions/kernel has shape "
        r"\(84, 3\), not \(84, 4\); predictions/bias .* \(2 differences\); its "
        r"classifier has 3 outputs, so build the model with as many classes",
    ):
        load_weights(model, path)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("inside", [False, True])
def test_a_spec_of_ones_own_is_loaded_by_its_graph(tmp_path, inside):
    spec = replace(find("lenet_gap"), name="mine")
    model = build(spec, include_preprocessing=inside, preprocessing="tf")
    path = cnnzoo.save(model, tmp_path / "mine.keras")
    again = build(spec, weights=path)
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])
    loaded = cnnzoo.load(path)
    assert loaded.cnnzoo.spec.family == "adopted"
    digits = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1))
    np.testing.assert_array_equal(
        probabilities(loaded, digits),
        probabilities(model, digits),
    )


class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs


def test_a_class_of_ones_own_loads_into_a_model_that_has_it(tmp_path):
    def model():
        images = keras.Input((6, 6, 1), name="images")
        x = keras.layers.Flatten(name="flat")(Doubled(name="own")(images))
        x = keras.layers.Dense(2, activation="softmax", name="last")(x)
        return cnnzoo.adopt(keras.Model(images, x))

    trained, again = model(), model()
    path = cnnzoo.save(trained, tmp_path / "own.keras")
    with pytest.raises(
        cnnzoo.WeightFileError,
        match=r"has the class .*Doubled.*pass it to cnnzoo\.adopt, and load the file",
    ):
        cnnzoo.load(path)
    load_weights(again, path)
    np.testing.assert_array_equal(again.get_weights()[0], trained.get_weights()[0])


def test_numpys_numbers_are_kept(tmp_path):
    labels = np.arange(3)
    model = build(
        "simple_cnn",  # pyright: ignore
        filters=np.array([4, 4]),
        classes=labels.max() + 1,
        dropout=np.float32(0.5),  # pyright: ignore
    )
    again = cnnzoo.load(cnnzoo.save(model, tmp_path / "m.keras"))
    assert again.cnnzoo.options == model.cnnzoo.options
    assert again.output_shape == (None, 3)


def test_a_model_on_the_users_layers_is_not_rebuilt_without_them(tmp_path):
    images = keras.Input((28, 28, 1))
    scaled_layer = keras.layers.Rescaling(1 / 255)
    scaled = scaled_layer(images)
    model = build("lenet_gap", input_tensor=scaled)
    path = cnnzoo.save(model, tmp_path / "m.keras")
    again = build("lenet_gap", input_tensor=scaled, weights=path)
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])
    assert [layer.name for layer in cnnzoo.load(path).layers][1] == scaled_layer.name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_name": "Lambda"}, "has the class keras.layers.Lambda,"),
        ({"class_name": ""}, "has the class keras.layers.,"),
        ({"config": {"activation": "pkg>Own"}}, "has the class pkg>Own,"),
        ({"class_name": "TFSMLayer"}, "has the class keras.layers.TFSMLayer,"),
        (
            {"class_name": "function", "module": "builtins"},
            "the class builtins.function,",
        ),
        (
            {"class_name": "get_file", "module": "keras.utils"},
            "the class keras.utils.get_file,",
        ),
        ({"class_name": "__lambda__"}, "the class keras.layers.__lambda__,"),
        (
            {"registered_name": "other>Dense"},
            "the class keras.layers.Dense as other>Dense",
        ),
        ({"module": None}, "the class None.Dense,"),
        ({"config": {"units": 10**9}}, "needs 40,000,000,000; it was damaged"),
        ({"config": {"units": "x"}}, "describes a network that this version does not"),
    ],
)
def test_graphs_that_load_does_not_build(tmp_path, changes, message):
    images = keras.Input((3, 3, 1))
    x = keras.layers.Dense(2)(keras.layers.Flatten()(images))
    path = cnnzoo.save(cnnzoo.adopt(keras.Model(images, x)), tmp_path / "m.keras")
    content = members(path)
    config = json.loads(content["config.json"])
    layer = config["config"]["layers"][-1]
    inner = {**layer["config"], **changes.get("config", {})}
    layer |= {**changes, "config": inner}
    layer.pop("build_config")
    content["config.json"] = json.dumps(config).encode()
    with pytest.raises(cnnzoo.WeightFileError, match=message) as caught:
        cnnzoo.load(written(tmp_path / "other.keras", content))
    assert len(str(caught.value)) <= 1000


@pytest.mark.parametrize("config", [b"", b"[]", b'{"config": 3}', b'{"config": {}}'])
def test_a_graph_that_is_none(tmp_path, config):
    images = keras.Input((3, 3, 1))
    model = cnnzoo.adopt(keras.Model(images, keras.layers.Flatten()(images)))
    content = members(cnnzoo.save(model, tmp_path / "m.keras"))
    content["config.json"] = config
    with pytest.raises(cnnzoo.WeightFileError, match=r"no functional|does not build"):
        cnnzoo.load(written(tmp_path / "other.keras", content))


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_archive_is_one_kind_of_error(saved, tmp_path, seed):
    """Flipped bits in a compressed archive are refused with a reason, or harmless."""
    path = tmp_path / "packed.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members(saved[0]).items():
            archive.writestr(name, data)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    start = 0 if seed % 2 else len(content) - 400  # the table of contents is at the end
    content[rng.integers(start, len(content))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    model = build("lenet5", classes=3)
    before = model.get_weights()
    try:
        load_weights(model, path)
    except cnnzoo.WeightFileError:
        expected = before
    else:
        expected = saved[1].get_weights()
    for old, new in zip(expected, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_save_refuses(tmp_path):
    model = build("lenet_gap")
    with pytest.raises(
        cnnzoo.UsageError, match=r"ends in \.keras; got .*name it m\.keras"
    ):
        cnnzoo.save(model, tmp_path / "m.h5")
    images = keras.Input((4,))
    stranger = keras.Model(images, keras.layers.Dense(1)(images), name="stranger")
    with pytest.raises(cnnzoo.UsageError, match="'stranger' does not come from cnnzoo"):
        cnnzoo.save(stranger, tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_keeps_the_old_file(saved, tmp_path, monkeypatch):
    path = shutil.copy(saved[0], tmp_path / "m.keras")
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="No space left on device"):
        cnnzoo.save(saved[1], path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.keras"):
        cnnzoo.load(tmp_path / "none.keras")


@pytest.mark.parametrize("keep", [0, 100, 0.5, -1])
def test_a_cut_file(saved, tmp_path, keep):
    content = saved[0].read_bytes()
    size = int(keep * len(content)) if isinstance(keep, float) else keep
    path = tmp_path / "cut.keras"
    path.write_bytes(content[:size])
    with pytest.raises(cnnzoo.WeightFileError, match="exists but is not a readable"):
        cnnzoo.load(path)


def test_a_flipped_bit(saved, tmp_path):
    content = bytearray(saved[0].read_bytes())
    content[len(content) // 2] ^= 4
    path = tmp_path / "flipped.keras"
    path.write_bytes(content)
    with pytest.raises(cnnzoo.WeightFileError, match="Bad CRC-32"):
        cnnzoo.load(path)


def test_a_file_of_plain_keras(saved, tmp_path):
    content = members(saved[0])
    del content[METADATA_MEMBER]
    path = written(tmp_path / "plain.keras", content)
    with pytest.raises(cnnzoo.WeightFileError, match=r"cnnzoo\.save did not write it"):
        cnnzoo.load(path)
    assert build("lenet5", classes=3, weights=path).count_params() > 0
    path.write_bytes(b"x" * 40)
    with pytest.raises(
        cnnzoo.WeightFileError, match=r"another kind: .*that cnnzoo\.identify names, or"
    ):
        cnnzoo.load(path)


def test_a_file_without_weights(saved, tmp_path):
    content = members(saved[0])
    del content[WEIGHTS_MEMBER]
    path = written(tmp_path / "empty.keras", content)
    with pytest.raises(cnnzoo.WeightFileError, match=r"no member model\.weights\.h5"):
        cnnzoo.load(path)
    with pytest.raises(cnnzoo.WeightFileError, match=r"no member model\.weights\.h5"):
        build("lenet5", classes=3, weights=path)


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all"])
def test_weights_that_are_not_hdf5(saved, tmp_path, content):
    path = written(
        tmp_path / "bad.keras",
        {**members(saved[0]), WEIGHTS_MEMBER: content.ljust(300_000, b"x")},
    )
    with pytest.raises(cnnzoo.WeightFileError, match="is not a readable HDF5 file"):
        cnnzoo.load(path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (b"", "is not a JSON object"),
        (b"[1]", "not a JSON object.* found a list"),
        (b"[" * 100_000, "is not a JSON object"),
        (b"null", "not a JSON object.* found a NoneType"),
    ],
)
def test_damaged_metadata(saved, tmp_path, metadata, message):
    path = written(tmp_path / "c.keras", {**members(saved[0]), METADATA_MEMBER: metadata})
    with pytest.raises(cnnzoo.WeightFileError, match=message):
        cnnzoo.load(path)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"format": 2}, cnnzoo.WeightFileError, "has format 2: expected 1, which this"),
        ({"format": None}, cnnzoo.WeightFileError, "has format None: expected 1"),
        ({"name": "vgg99"}, cnnzoo.WeightFileError, "'vgg99', which this version"),
        ({"name": ["vgg16"]}, cnnzoo.WeightFileError, "which this version does not have"),
        ({"options": []}, cnnzoo.WeightFileError, "which this version does not have"),
        (
            {"options": {"weights": "/etc/passwd"}},
            UnsafeFileError,
            "the option 'weights'",
        ),
        ({"options": {"input_tensor": 1}}, UnsafeFileError, "the option 'input_tensor'"),
        (
            {"options": {"classes": 10**8}, "class_names": None},
            cnnzoo.WeightFileError,
            "it was damaged or alt",
        ),
        (
            {"options": {"classes": -1}},
            cnnzoo.WeightFileError,
            "does not build .*classes",
        ),
        (
            {"options": {"classes": 4}, "class_names": None},
            cnnzoo.WeightFileError,
            "does not fit|altered",
        ),
        (
            {"preprocessing": {"order": "rgb", "x": 1}},
            cnnzoo.WeightFileError,
            "not build",
        ),
        ({"preprocessing": "caffe"}, cnnzoo.WeightFileError, "does not build"),
        (
            {"class_names": ["a"]},
            cnnzoo.WeightFileError,
            "not build .* got 1 class_names",
        ),
        ({"class_names": 5}, cnnzoo.WeightFileError, "does not build"),
        ({"frozen": 5}, cnnzoo.WeightFileError, "has the frozen layers 5; expected a"),
        ({"frozen": ["x"]}, cnnzoo.WeightFileError, r"the frozen layers \['x'\]; exp"),
    ],
)
def test_altered_metadata(saved, tmp_path, changes, error, message):
    if "options" in changes and isinstance(changes["options"], dict):
        own = json.loads(members(saved[0])[METADATA_MEMBER])["options"]
        changes = {**changes, "options": {**own, **changes["options"]}}
    path = with_metadata(saved, tmp_path, **changes)
    with pytest.raises(error, match=message) as caught:
        cnnzoo.load(path)
    assert len(str(caught.value)) <= 1000


def test_two_archive_members_with_the_same_name(saved, tmp_path):
    path = shutil.copy(saved[0], tmp_path / "two.keras")
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(path, "a") as archive,
    ):
        archive.writestr(METADATA_MEMBER, b"{}")
    with pytest.raises(UnsafeFileError, match="two members of one name"):
        cnnzoo.load(path)


def test_a_member_far_too_large(saved, tmp_path):
    content = members(saved[0])
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**content, METADATA_MEMBER: b" " * (2 << 20)}.items():
            archive.writestr(name, data)
    with pytest.raises(UnsafeFileError, match="of 2,097,152 bytes; expected at most"):
        cnnzoo.load(path)


def test_a_member_packed_by_a_method_without_a_limit(saved, tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        for name, data in members(saved[0]).items():
            archive.writestr(name, data)
    with pytest.raises(UnsafeFileError, match="packed by another method"):
        cnnzoo.load(path)


KERNEL = "layers/conv2d/vars"


def drop(file):
    del file[KERNEL]["0"]


def add(file):
    file[KERNEL]["7"] = np.zeros(3, "float32")


def integers(file):
    shape = file[KERNEL]["0"].shape
    del file[KERNEL]["0"]
    file[KERNEL]["0"] = np.zeros(shape, "int8")


def external(file):
    del file[KERNEL]["0"]
    file[KERNEL]["0"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft(file):
    file["layers/other"] = file["layers/conv2d"]
    del file["layers/conv2d"]
    file["layers/conv2d"] = h5py.SoftLink("/layers/other")


def renamed(file):
    file[KERNEL].attrs["name"] = "stage9_conv"


def unstored(file):
    del file[KERNEL]["0"]
    file[KERNEL].create_dataset("0", (5, 5, 1, 6), "float32")  # declared, never written


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (drop, cnnzoo.WeightFileError, "stage1_conv/kernel is missing"),
        (add, cnnzoo.WeightFileError, "stage1_conv/7 is not in the model"),
        (integers, cnnzoo.WeightFileError, "stage1_conv/kernel has type int8, not"),
        (external, UnsafeFileError, "data outside itself for 'stage1_conv/0'"),
        (soft, UnsafeFileError, "data outside itself for 'conv2d'"),
        (renamed, cnnzoo.WeightFileError, "stage1_conv/kernel is missing"),
        (unstored, cnnzoo.WeightFileError, "stores fewer bytes"),
    ],
)
def test_altered_weights(saved, tmp_path, change, error, message):
    path = with_weights(saved, tmp_path, change)
    with pytest.raises(error, match=message):
        cnnzoo.load(path)


def test_float64_is_cast(saved, tmp_path):
    def widen(file):
        values = file[KERNEL]["0"][()].astype("float64")
        del file[KERNEL]["0"]
        file[KERNEL]["0"] = values

    again = cnnzoo.load(with_weights(saved, tmp_path, widen))
    np.testing.assert_array_equal(again.get_weights()[0], saved[1].get_weights()[0])


def test_a_file_has_no_optimizer(tmp_path):
    """Adam has two numbers per weight; the model itself stays as it is compiled."""
    model = cnnzoo.build("mlp", width=64)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.zeros((2, 28, 28, 1)), np.zeros(2), verbose=0)
    optimizer = model.optimizer
    path = cnnzoo.save(model, tmp_path / "m.keras")
    assert path.stat().st_size < 1.2 * 4 * model.count_params() + 50_000
    assert model.compiled
    assert model.optimizer is optimizer
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
        assert keras.saving.load_model(path).compiled
