"""The public names, the signatures, the import."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import cnnzoo
from cnnzoo import errors
from cnnzoo.graph.keras_internals import init_empty_weights
from cnnzoo.models.catalog import SPECS
from cnnzoo.zoo.options import BuildOptions

ROOT = Path(__file__).resolve().parent.parent
NAMES = [n for n in cnnzoo.__all__ if hasattr(getattr(cnnzoo, n), "__signature__")]
NAMES.remove("build")


def catalog_name(builder: str) -> str:
    return next(
        name
        for name in SPECS
        if name.replace("_", "") == builder.lower().replace("_", "")
    )


def test_every_public_name_exists():
    for name in cnnzoo.__all__:
        assert getattr(cnnzoo, name) is not None
    assert set(cnnzoo.__all__) <= set(dir(cnnzoo))
    with pytest.raises(AttributeError, match="has no attribute 'VGG15'"):
        getattr(cnnzoo, "VGG15")  # noqa: B009


def test_every_common_network_has_a_builder():
    spoken_for = {catalog_name(n) for n in NAMES if n != "GoogLeNet"}
    only_by_name = re.compile(
        r".*_(paper|v1_5|two_dense|separable|torchvision|timm|mnist|cifar10)"
        "|googlenet_bn|bn_inception"
    )
    silent = set(SPECS) - spoken_for
    assert [name for name in silent if not only_by_name.fullmatch(name)] == []
    assert cnnzoo.GoogLeNet is cnnzoo.InceptionV1


@pytest.mark.parametrize("name", NAMES)
def test_signature_and_docstring(name):
    builder = getattr(cnnzoo, name)
    parameters = inspect.signature(builder).parameters
    shared = list(inspect.signature(BuildOptions).parameters)
    assert list(parameters)[: len(shared)] == shared
    keras_own = list(inspect.signature(keras.applications.VGG16).parameters)
    assert shared[: len(keras_own)] == keras_own
    assert parameters["weights"].default is None
    info = cnnzoo.model_info(
        "inception_v1" if name == "GoogLeNet" else catalog_name(name)
    )
    doc = inspect.getdoc(builder)
    assert doc is not None
    assert builder.__name__ == ("InceptionV1" if name == "GoogLeNet" else name)
    assert f"{info.parameters:,} parameters" in doc
    assert info.paper is None or info.paper.url in doc
    assert info.differences in doc


def test_own_options_are_those_of_the_family():
    assert len(NAMES) > 40
    shared = inspect.signature(BuildOptions).parameters
    for name in NAMES:
        parameters = inspect.signature(getattr(cnnzoo, name)).parameters
        own = SPECS[catalog_name(getattr(cnnzoo, name).__name__)].own_options
        assert [p for p in parameters.values() if p.name not in shared] == [*own.values()]


def test_help_describes_every_argument():
    for function in (cnnzoo.build, cnnzoo.VGG16):
        doc = inspect.getdoc(function) or ""
        for name in inspect.signature(BuildOptions).parameters:
            assert f"    {name}: " in doc


def test_every_error_is_public():
    public = {name for name, error in vars(errors).items() if inspect.isclass(error)}
    assert {name for name in public if name.endswith("Error")} <= set(cnnzoo.__all__)


def test_features_is_a_function():
    from cnnzoo import Feature, features

    assert inspect.isfunction(features)
    assert inspect.isclass(Feature)


def test_builders_build():
    with init_empty_weights():
        # by place, as with keras.applications
        model = cnnzoo.LeNetGAP(True, None, None, (28, 28, 3), None, 4)
        assert model.output_shape == (None, 4)
        assert model.count_params() == 61_706 + 2 * 5 * 5 * 6 - 6 * 85
        old = cnnzoo.LeNet5(subsampling="trainable", activation="tanh")
        assert old.count_params() == 61_706 + 2 * 6 + 2 * 16
        assert cnnzoo.VGG13(include_top=False).count_params() == 9_404_992


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("num_classes", "did you mean 'classes'"),
        ("pretrained", "did you mean 'weights'"),
        ("in_chans", "did you mean 'input_shape'"),
        ("weight_decays", "did you mean 'weight_decay'"),
        ("depth", "known: activation, "),
    ],
)
def test_an_unknown_option_names_the_one_that_is_meant(word, meant):
    message = f"unknown option of vgg16 '{word}'; {meant}"
    with pytest.raises(cnnzoo.UsageError, match=message):
        cnnzoo.VGG16(**{word: 1})  # pyright: ignore
    with pytest.raises(cnnzoo.UsageError, match=message):
        cnnzoo.build("vgg16", **{word: 1})  # pyright: ignore


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Resnet18", "ResNet18"),
        ("resnet_50_v2", "ResNet50V2"),
        ("Googlenet", "GoogLeNet"),
        ("load_weight", "load_weights"),
    ],
)
def test_an_unknown_name_names_the_one_that_is_meant(name, meant):
    with pytest.raises(AttributeError, match=f"'{name}'; did you mean '{meant}'"):
        getattr(cnnzoo, name)
    dunder = "__wrapped__"
    with pytest.raises(AttributeError, match=rf"has no attribute '{dunder}'$"):
        getattr(cnnzoo, dunder)


QUIET_IMPORT = """
import sys
before = set(sys.modules)
import cnnzoo
assert cnnzoo.__version__
new = {name.split(".")[0] for name in set(sys.modules) - before}
assert new - sys.stdlib_module_names == {"cnnzoo", "lazy_loader"}, new
cnnzoo.list_models, cnnzoo.UsageError
assert "keras" not in sys.modules
"""


@pytest.mark.parametrize("flags", [["-I"], ["-O"], ["-W", "error"]])
def test_importing_has_no_side_effect(flags, tmp_path):
    result = subprocess.run(
        [sys.executable, *flags, "-c", QUIET_IMPORT],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path / "none")},
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
