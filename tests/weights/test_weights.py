"""load_weights() and save_weights(): accepted and refused files."""

import os
import re
import shutil
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
from parity import randomise

import cnnzoo
from cnnzoo.errors import UnsafeFileError
from cnnzoo.weights.formats.keras_archive import WEIGHTS_MEMBER
from cnnzoo.weights.loading import load_weights, save_weights
from cnnzoo.weights.matching import match_tensors
from cnnzoo.weights.sources.keras_applications import NameMap, name_map
from cnnzoo.weights.sources.name_tables import NameTable, name_tables
from cnnzoo.weights.tensors import of_model
from cnnzoo.zoo import build, find, sketch

ROWS = 3  # classes of the model in the files


def network(**options) -> keras.Model:
    """Convolutions, BN and dense layers, small."""
    if options.get("include_top", True):
        options = {"classes": ROWS, **options}
    return build("simple_cnn", filters=(3, 4), dense=(5,), batch_norm=True, **options)


@pytest.fixture(scope="module")
def source() -> keras.Model:
    model = network()
    randomise(model)
    return model


@pytest.fixture(scope="module")
def files(source, tmp_path_factory) -> dict[str, Path]:
    """The model in every form, by a short name."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {
        "new": save_weights(source, folder / "a.weights.h5"),
        "archive": cnnzoo.save(source, folder / "b.keras"),
        "old": folder / "c.h5",
    }
    source.save(paths["old"])
    paths["old weights"] = folder / "d.h5"
    with h5py.File(paths["old"]) as whole, h5py.File(folder / "d.h5", "w") as alone:
        weights = whole["model_weights"]
        for name in weights:  # as save_weights wrote it before Keras 3
            whole.copy(weights[name], alone)
        for name, value in weights.attrs.items():
            alone.attrs[name] = value
    return paths


@cache
def target() -> keras.Model:
    """A model for loads that fail."""
    return network()


def same(first: keras.Model, second: keras.Model) -> bool:
    pairs = zip(first.get_weights(), second.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def altered(path: Path, tmp_path: Path, change) -> Path:
    """A copy of an HDF5 file, changed by `change(file)`."""
    copy = Path(shutil.copy(path, tmp_path / path.name))
    with h5py.File(copy, "r+") as file:
        change(file)
    return copy


def refused(
    path: str | Path | keras.Model, message: str, error: type = cnnzoo.WeightFileError
) -> None:
    """Asserts an error in one sentence, and an unchanged model."""
    model = target()
    before = model.get_weights()
    with pytest.raises(error, match=message) as caught:
        load_weights(model, path)
    assert len(str(caught.value)) <= 1000
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# What is taken ------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["new", "archive", "old", "old weights"])
def test_every_form(source, files, form):
    model = network()
    report = load_weights(model, files[form])
    assert same(model, source)
    assert [ours for ours, _ in report.loaded] == [
        f"{layer.name}/{weight.name}"
        for layer in model.layers
        for weight in layer.weights
    ]
    assert report.cast == report.skipped == ()
    assert str(report) == f"simple_cnn: 16 tensors from {files[form]}"
    again = network(weights=files[form])
    assert same(again, source)


def test_a_model(source):
    model = network(name="other")
    report = load_weights(model, source)
    assert same(model, source)
    assert str(report) == "other: 16 tensors from the model 'simple_cnn'"
    assert report.loaded[0] == ("stage1_conv1/kernel", "stage1_conv1/kernel")


def test_keras_reads_what_save_weights_wrote(source, files):
    model = network()
    model.load_weights(files["new"])
    assert same(model, source)


def test_a_name_with_dots_and_a_failed_write(source, tmp_path, monkeypatch):
    path = save_weights(source, tmp_path / "run 1.5 best.weights.h5")
    before = path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", full)
    with pytest.raises(cnnzoo.SaveError, match="No space left on device"):
        save_weights(source, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(
        cnnzoo.UsageError, match=r"\.safetensors; got m\.h5, so name it m\.w"
    ):
        save_weights(source, "m.h5")


@pytest.mark.parametrize("form", ["new", "archive", "old"])
def test_a_model_without_top_skips_the_heads(source, files, form):
    model = network(include_top=False)
    report = load_weights(model, files[form])
    assert {name.split("/")[0] for name in report.skipped} == {
        "head_dense1",
        "predictions",
    }
    assert len(report.loaded) == len(model.weights)
    assert str(report).endswith(f"; skipped {', '.join(report.skipped)}")
    expected = source.get_layer("stage1_conv2").get_weights()
    np.testing.assert_array_equal(model.get_layer("stage1_conv2").kernel, expected[0])


def test_auxiliary_heads_are_skipped_or_asked_for():
    options = {"classes": 4, "input_shape": (224, 224, 3)}
    plain = sketch("inception_v1", **options)
    helped = sketch("inception_v1", aux_heads=True, **options)
    _, skipped, *_ = match_tensors(plain, of_model(helped))
    assert {t.name.split("_")[0] for t in skipped} == {"aux1", "aux2"}
    with pytest.raises(
        cnnzoo.WeightFileError,
        match=r"aux1_\w+/kernel is missing; .* it has no auxiliary classifiers, so load "
        "it into a model built with aux_heads=False",
    ):
        match_tensors(helped, of_model(plain))


def test_the_small_stem_takes_the_same_weights():
    paper = sketch("resnet18", input_shape=(64, 64, 3))
    small = sketch("resnet18", input_shape=(32, 32, 3), stem="small")
    pairs, skipped, *_ = match_tensors(small, of_model(paper))
    assert len(pairs) == len(paper.weights)
    assert skipped == []


@pytest.mark.parametrize("form", ["new", "old"])
@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_other_floats_are_cast(source, files, form, dtype, tmp_path):
    place = {"new": "layers/conv2d/vars/0", "old": KERNEL}[form]
    numpys = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype

    def narrow(file):
        values = file[place][()].astype(numpys)
        del file[place]
        file[place] = values
        if dtype == "bfloat16":
            file[place].attrs["dtype"] = dtype

    path = altered(files[form], tmp_path, narrow)
    model = network()
    report = load_weights(model, path)
    assert report.cast == (("stage1_conv1/kernel", dtype),)
    assert f"1 cast from {dtype}" in str(report)
    kernel = source.get_layer("stage1_conv1").kernel.numpy()
    expected = kernel.astype(numpys).astype("float32")
    np.testing.assert_array_equal(model.get_layer("stage1_conv1").kernel, expected)


def test_names_in_pieces(source, files, tmp_path):
    """Attributes hold 64 kB, so large models have their names in pieces."""

    def cut(file):
        attributes = file["model_weights"].attrs
        names = attributes["layer_names"]
        del attributes["layer_names"]
        attributes["layer_names0"], attributes["layer_names1"] = names[:5], names[5:]

    model = network()
    load_weights(model, altered(files["old"], tmp_path, cut))
    assert same(model, source)


def test_layers_go_by_name_not_by_place(source, files, tmp_path):
    """The file of Keras counts layers; the names that stand beside are what tells."""

    def swap(file):
        file["layers/x"] = file["layers/conv2d"]
        del file["layers/conv2d"]
        file["layers/conv2d_7"] = file["layers/x"]
        del file["layers/x"]

    model = network()
    load_weights(model, altered(files["new"], tmp_path, swap))
    assert same(model, source)


# What is refused ----------------------------------------------------------------------

KERNEL = "model_weights/stage1_conv1/stage1_conv1/kernel"


def test_other_classes(files):
    model = network(dropout=0.0)
    assert model.output_shape == (None, ROWS)
    other = build("simple_cnn", filters=(3, 4), dense=(5,), batch_norm=True, classes=9)
    before = other.get_weights()
    with pytest.raises(
        cnnzoo.WeightFileError,
        match=r"predictions/kernel has shape \(5, 3\), not \(5, 9\); .*its classifier "
        "has 3 outputs, so build the model with as many classes, or with include_top=F",
    ):
        load_weights(other, files["new"])
    for old, new in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_source_without_top(tmp_path):
    path = save_weights(network(include_top=False), tmp_path / "bare.weights.h5")
    refused(
        path,
        r"head_dense1/kernel is missing; .*it has no such top, so build with "
        "include_top=False",
    )


def test_another_network(files):
    with pytest.raises(
        cnnzoo.WeightFileError, match=r"does not fit lenet5, .*options that it was saved"
    ):
        load_weights(build("lenet5"), files["new"])
    stranger = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
    refused(
        stranger,
        r"the model 'sequential\w*' does not fit simple_cnn, .* \(18 differences\)",
    )
    vgg = sketch("vgg16", include_top=False)
    resnet = sketch("resnet50", include_top=False)
    with pytest.raises(cnnzoo.WeightFileError, match="stage1_conv1/kernel is missing"):
        match_tensors(vgg, of_model(resnet))


def test_another_network_whose_layers_fit(tmp_path):
    """CaffeNet has LRN at other places, but all its kernels have the same shapes."""
    options = {"input_shape": (67, 67, 3), "include_top": False}
    alexnet, caffenet = build("alexnet", **options), build("caffenet", **options)
    path = cnnzoo.save(alexnet, tmp_path / "alexnet.keras")
    before = [weight.numpy() for weight in caffenet.weights]
    for source in (alexnet, path):
        with pytest.raises(
            cnnzoo.WeightFileError,
            match=r"holds the weights of alexnet, and caffenet is caffenet, .*"
            "build alexnet instead",
        ):
            load_weights(caffenet, source)
    for weight, value in zip(caffenet.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)
    own = build(replace(find("caffenet"), name="own"), **options)
    assert len(load_weights(own, alexnet).loaded) == 10  # a Spec of one's own may


@pytest.mark.parametrize("source", [None, 5, ["a.keras"]])
def test_invalid_sources(source):
    refused(source, "a state dict or the path of a file; got a", cnnzoo.UsageError)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.txt", r"ends in \.keras or \.h5 or .* or \.onnx or \.pth .*; got '.*a\.txt'"),
        ("a", "a file of weights ends in"),
    ],
)
def test_unknown_endings(tmp_path, name, message):
    refused(tmp_path / name, message, cnnzoo.UsageError)
    with pytest.raises(cnnzoo.UsageError, match="simple_cnn has no weights 'a"):
        network(weights=str(name))


def test_no_file(tmp_path):
    refused(tmp_path / "none.h5", r"there is no file .*none\.h5", FileNotFoundError)


def test_paths_that_are_not_files(tmp_path):
    folder = tmp_path / "folder.weights.h5"
    folder.mkdir()
    refused(folder, "is a folder; expected a file of weights")
    pipe = tmp_path / "pipe.h5"
    os.mkfifo(pipe)
    refused(pipe, "is not an ordinary file; expected a file of weights")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is not a weight file: it has 0 bytes and starts with b''; get it again"),
        (b"<!DOCTYPE html>", r"holds no weights; it is a web page, so download the file"),
        (b"PK\x03\x04", r"is not a readable \.keras archive"),
    ],
)
def test_other_content(tmp_path, content, message):
    path = tmp_path / "m.weights.h5"
    path.write_bytes(content)
    refused(path, message)


def test_the_format_is_recognised_by_content(source, files, tmp_path):
    for form, name in (("new", "x.keras"), ("archive", "y.h5"), ("old", "z.weights.h5")):
        model = network()
        load_weights(model, shutil.copy(files[form], tmp_path / name))
        assert same(model, source)


@pytest.mark.parametrize("form", ["new", "old"])
@pytest.mark.parametrize("keep", [100, 0.5, -1, -2000])
def test_cut_files(files, form, keep, tmp_path):
    content = files[form].read_bytes()
    path = tmp_path / "cut.h5"
    path.write_bytes(content[: int(keep * len(content)) if keep == 0.5 else keep])
    refused(
        path,
        r"cut\.h5 is not a readable HDF5 file; it was cut or damaged, so get it again",
    )


def replaced(place: str, **dataset):
    def change(file):
        del file[place]
        file.create_dataset(place, **dataset)

    return change


def assigned(place: str, value):
    def change(file):
        del file[place]
        file[place] = value

    return change


def external_storage(file):
    del file[NEW]
    file.create_dataset(NEW, (3, 3, 1, 3), "float32", external=[("/etc/passwd", 0, 108)])


def virtual(file):
    del file[NEW]
    layout = h5py.VirtualLayout((3, 3, 1, 3), "float32")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3, 3, 1, 3))
    file.create_virtual_dataset(NEW, layout)


def group_for_array(file):
    del file[NEW]
    file.create_group(NEW)


def named_twice(file):
    group = file["layers/conv2d_1/vars"]
    group.attrs["name"] = "stage1_conv1"


def long_name(file):
    file["layers/conv2d/vars"].attrs["name"] = "y" * 10_000


def nested(file):
    file["layers/conv2d/layers/dense/vars/0"] = np.zeros(2, "float32")


def another_kind(file):
    file.move("layers/conv2d", "layers/depthwise_conv2d")


def not_finite(file):
    file[NEW][0, 0, 0, :2] = np.nan


def too_large(file):
    values = file[NEW][()].astype("float64")
    values[0, 0, 0, 0] = 1e300
    del file[NEW]
    file[NEW] = values


NEW, LAST = "layers/conv2d/vars/0", "layers/dense_1/vars/0"
SHAPE = (3, 3, 1, 3)
ELSEWHERE = "data outside itself for 'stage1_conv1/0'; expected numbers in the file"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (assigned(NEW, h5py.ExternalLink("/etc/passwd", "/x")), ELSEWHERE),
        (assigned(NEW, h5py.SoftLink("/layers/conv2d_1/vars/0")), ELSEWHERE),
        (assigned("layers", h5py.SoftLink("/x")), "data outside itself for 'layers'"),
        (external_storage, ELSEWHERE),
        (virtual, ELSEWHERE),
        (named_twice, "holds two layers named 'stage1_conv1'"),
    ],
)
def test_traps(files, tmp_path, change, message):
    refused(altered(files["new"], tmp_path, change), message, UnsafeFileError)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced(NEW, shape=SHAPE, dtype="float32"), "fewer bytes of stage1_conv1/0"),
        (
            replaced(NEW, shape=SHAPE, dtype="float32", chunks=(3, 3, 1, 1)),
            "stores fewer bytes",
        ),
        (
            replaced(NEW, shape=(10**9,), dtype="float32", compression="gzip"),
            "stores fewer bytes",
        ),
        (replaced(NEW, data=np.zeros((3, 3, 3, 1), "float32")), r"\(3, 3, 3, 1\), not"),
        (replaced(NEW, data=np.zeros(SHAPE, "int8")), "kernel has type int8, not a flo"),
        (replaced(NEW, data=np.zeros(SHAPE, "complex64")), "type complex64, not a float"),
        (replaced(NEW, data=np.zeros(SHAPE, "S4")), r"type \|S4, not a float"),
        (replaced(NEW, data=np.float32(1)), r"has shape \(\), not \(3, 3, 1, 3\)"),
        (replaced(LAST, data=np.float32(1)), r"predictions/kernel has shape \(\), not"),
        (group_for_array, "has no array 'stage1_conv1/0' but a group"),
        (assigned("layers/conv2d/vars", np.zeros(2)), "an array where layers stand"),
        (long_name, r"y+/0 is not in the model \(4 differences\)|kernel is missing"),
        (nested, r"layers/conv2d/layers/dense/0 is not in the model \(1 differences\)"),
        (another_kind, "stage1_conv1/0 is of a depthwise_conv2d, not of a conv2d"),
        (not_finite, "has 2 values in stage1_conv1/0 that are not finite numbers"),
        (too_large, "has 1 values in stage1_conv1/0 that are not finite numbers"),
        (lambda file: file.clear(), "holds no weights that Keras saved"),
        (lambda file: file["layers/conv2d/vars"].attrs.create("name", 3), "is not text"),
    ],
)
def test_altered_new_files(files, tmp_path, change, message):
    refused(altered(files["new"], tmp_path, change), message)


def attribute(name: str, value, group: str = "model_weights"):
    def change(file):
        file[group].attrs[name] = value

    return change


CONV = "model_weights/stage1_conv1"
PATHS = [f"stage1_conv1/{name}" for name in ("kernel", "bias")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (attribute("layer_names", ["x"]), "not a readable HDF5 file"),
        (attribute("layer_names", [b"\xff\xfe"]), "not a readable HDF5 file"),
        (
            attribute("layer_names", np.arange(3)),
            "attribute 'layer_names' that is not te",
        ),
        (attribute("layer_names", np.zeros(0)), "stage1_conv1/kernel is missing"),
        (attribute("weight_names", PATHS[:1], CONV), "stage1_conv1/bias is missing"),
        (
            attribute("weight_names", PATHS[::-1], CONV),
            "stage1_conv1/bias stands where stage1_conv1/kernel is expected",
        ),
        (
            attribute("weight_names", [*PATHS, PATHS[0]], CONV),
            "stage1_conv1/kernel is not in the model",
        ),
        (attribute("weight_names", ["../x"], CONV), "not a readable HDF5 file"),
        (
            assigned(KERNEL, h5py.ExternalLink("a.h5", "/x")),
            "data outside itself for 'st",
        ),
        (
            replaced(KERNEL, shape=SHAPE, dtype="float32"),
            "fewer bytes of stage1_conv1/ke",
        ),
        (lambda file: file.move("model_weights", "x"), "holds no weights that Keras"),
    ],
)
def test_altered_old_files(files, tmp_path, change, message):
    refused(altered(files["old"], tmp_path, change), message)


def test_an_attribute_that_would_crash_hdf5(files, tmp_path):
    """One byte of the type of a text, and h5py would follow a pointer to nowhere."""

    def mark(file):
        file["layers/conv2d/vars"].attrs["name"] = "stage1_conv1"

    path = altered(files["new"], tmp_path, mark)
    content = path.read_bytes()
    text = b"\x19\x01\x01\x00\x10\x00\x00\x00"  # a text of any length, 16 bytes, UTF-8
    assert text in content
    path.write_bytes(content.replace(text, b"\x19\xff" + text[2:]))
    refused(path, "'name' that is not text")


@pytest.mark.parametrize("form", ["new", "archive"])
def test_a_heap_that_hdf5_would_read_forever(files, form, tmp_path):
    """The first of its objects is free space of no length."""
    path = Path(shutil.copy(files[form], tmp_path / files[form].name))
    content = bytearray(path.read_bytes())
    first = content.index(b"GCOL") + 16
    content[first : first + 16] = bytes(16)
    if form == "archive":
        start = content.index(b"\x89HDF")
        with zipfile.ZipFile(files[form]) as archive:
            size = archive.getinfo(WEIGHTS_MEMBER).file_size
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(WEIGHTS_MEMBER, bytes(content[start : start + size]))
    else:
        path.write_bytes(content)
    refused(path, "holds a heap of texts without an end; it was cut or damaged")


@pytest.mark.parametrize("form", ["new", "old"])
@pytest.mark.parametrize("seed", range(40))
def test_damage_is_one_kind_of_error(source, files, form, seed, tmp_path):
    """A plain file has no checksum, so numbers may differ; nothing else may happen."""
    content = bytearray(files[form].read_bytes())
    rng = np.random.default_rng(seed)
    for _ in range(3):
        content[rng.integers(len(content))] = rng.integers(256)
    path = tmp_path / "damaged.h5"
    path.write_bytes(content)
    model = target()
    before = model.get_weights()
    try:
        load_weights(model, path)
    except cnnzoo.WeightFileError:
        assert all(map(np.array_equal, before, model.get_weights()))
    else:
        assert all(np.isfinite(weight).all() for weight in model.get_weights())


# Layers that keras.applications only counts -------------------------------------------


ANSWERS = NameTable("", (), (("predictions", "answers"),))


def counted(*names: str) -> keras.Model:
    """Convolutions one by one, and beside them a branch with the last of these names."""
    *chain, beside = names
    x = images = keras.Input((4, 4, 1))
    for name in chain:
        x = keras.layers.Conv2D(1, 1, name=name)(x)
    x = keras.layers.Add()([x, keras.layers.Conv2D(1, 1, name=beside)(images)])
    x = keras.layers.Flatten()(x)
    return keras.Model(images, keras.layers.Dense(1, name="predictions")(x))


ABC = ("stem_a", "stem_c", "stem_b")


def test_counted_names():
    name_map, ours = NameMap("X", ANSWERS), counted(*ABC)
    numbers = ["conv2d_9", "conv2d_10", "conv2d_11"]
    norms = ["batch_normalization", "batch_normalization_1", "batch_normalization_2"]
    names = name_map.names(ours, [*numbers, *norms], "it")
    assert [names[name] for name in ABC] == numbers
    assert [names[f"{name}_bn"] for name in ABC] == norms
    assert names["predictions"] == "answers"
    assert "head_dense1" not in names
    assert name_map.layers(ours) == names.keys()
    for wrong in (
        numbers[:2] + norms,
        [*numbers, *norms[1:], "batch_normalization_4"],
        ["conv2d", *numbers, *norms],
        ["conv2d_7", *numbers[1:], *norms],
    ):
        with pytest.raises(
            cnnzoo.WeightFileError, match=r"layers named \w+_N, and ke.*X has 3, numb"
        ):
            name_map.names(ours, wrong, "it")


def test_counted_layers_of_a_head_behind():
    theirs = [f"{k}_{i}" for k in ("conv2d", "batch_normalization") for i in (3, 4, 5)]
    names = NameMap("X", ANSWERS).names(counted("stem_a", "stem_b"), theirs, "it")
    assert (names["stem_a"], names["stem_b_bn"]) == ("conv2d_3", "batch_normalization_4")
    assert set(names) == {"stem_a", "stem_b", "stem_a_bn", "stem_b_bn", "predictions"}
    assert name_map("vgg16").names(counted("stage1_conv1", "stage1_conv2"), theirs, "it")


def test_every_line_of_the_name_tables_names_a_layer():
    golden = Path(__file__).parents[1] / "golden"
    for table in name_tables():
        texts = [(golden / f"{name}.txt").read_text() for name in table.networks]
        layers = [line.partition(" ")[0] for text in texts for line in text.splitlines()]
        for pattern, _ in table.rules:
            either = f"{pattern}|{pattern.removesuffix('_bn')}"
            found = filter(re.compile(either).fullmatch, layers)
            assert "aux" in pattern or any(found), (table.family, pattern)


def test_a_spec_of_ones_own_has_no_name_map():
    mine = sketch(replace(find("vgg16"), name="mine"), include_top=False)
    theirs = sketch("vgg16", include_top=False)
    pairs, *_ = match_tensors(mine, of_model(theirs))
    assert len(pairs) == 26


def test_what_a_trunk_lacks_is_no_head(tmp_path):
    """Slopes of PReLU, which are as small as a head's tensors."""
    prelu = cnnzoo.build("lenet_gap", activation="prelu")
    path = cnnzoo.save_weights(prelu, tmp_path / "prelu.weights.h5")
    with pytest.raises(cnnzoo.WeightFileError, match=r"conv_act.* is not in the model"):
        cnnzoo.build("lenet_gap", include_top=False, weights=path)
