"""bfloat16: chosen by a rule, kept out of the head and out of files."""

import json
from pathlib import Path
from zipfile import ZipFile

import keras
import numpy as np
import pytest
from parity import randomise
from scipy.stats import binomtest
from short_runs import halves
from training import fit

import cnnzoo
from cnnzoo.data.arrays import Images
from cnnzoo.data.mnist import load_mnist
from cnnzoo.system import runtime
from cnnzoo.train import mixed_precision
from cnnzoo.train.recipe import Recipe


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return cnnzoo.build("very_small_vgg", classes=2, include_preprocessing=True)


def policies(model: keras.Model) -> dict[str, str]:
    return {layer.name: layer.dtype_policy.name for layer in model.layers}


def test_unknown():
    with pytest.raises(cnnzoo.UsageError, match="unknown precision 'bfloat61'; did you"):
        mixed_precision.resolve("bfloat61")


@pytest.mark.parametrize(
    ("device", "vendor", "flags", "precision"),
    [
        ("cpu", "GenuineIntel", "avx512f avx512_bf16 amx_bf16 amx_tile", "bfloat16"),
        ("cpu", "GenuineIntel", "avx2 avx512f avx512_bf16", "float32"),
        ("cpu", "AuthenticAMD", "avx2 avx512f avx512_bf16", "bfloat16"),
        ("cpu", "AuthenticAMD", "avx2", "float32"),
        ("cpu", "", "", "float32"),
        ("gpu", "AuthenticAMD", "avx2", "bfloat16"),
    ],
)
def test_auto_depends_on_the_machine(
    monkeypatch, tmp_path: Path, device: str, vendor: str, flags: str, precision: str
):
    facts = tmp_path / "cpuinfo"
    core = f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: {flags}\n\n"
    facts.write_text(2 * core)
    cpu = runtime.processor(facts)
    assert (cpu.vendor, cpu.flags) == (vendor, set(flags.split()))
    monkeypatch.setattr(mixed_precision, "device_facts", lambda: {"device": device})
    monkeypatch.setattr(mixed_precision, "processor", lambda: cpu)
    assert mixed_precision.resolve("auto") == precision
    assert mixed_precision.resolve("float32") == "float32"
    assert mixed_precision.resolve("bfloat16") == "bfloat16"


def test_a_system_that_does_not_describe_its_cpu(tmp_path: Path):
    assert runtime.processor(tmp_path / "none") == runtime.Processor()


def test_layers_of_a_run():
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = policies(model)
    with mixed_precision.running(model, "bfloat16"):
        inside = policies(model)
        computed = model.get_layer("stage1_conv1")(np.ones((1, 28, 28, 1))).dtype
        with mixed_precision.as_saved(model):
            assert policies(model) == before
        assert policies(model) == inside
    assert policies(model) == before == dict.fromkeys(before, "float32")
    assert computed == "bfloat16"
    low = {name for name, policy in inside.items() if policy == "mixed_bfloat16"}
    assert "stage1_conv1" in low
    assert "stage4_conv3_bn" in low
    assert not {"images", "head_flatten", "head_dense1", "predictions"} & low
    assert not [name for name in low if name.startswith("preprocess_")]


def test_layers_are_restored_after_an_error():
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy")
    randomise(model)
    x, y = halves(4, side=28).images, np.zeros(4)
    before = model.evaluate(x, y, verbose=0)

    def interrupted():
        with mixed_precision.running(model, "bfloat16"):
            assert model.evaluate(x, y, verbose=0) != before
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert set(policies(model).values()) == {"float32"}
    assert model.evaluate(x, y, verbose=0) == before


def test_run(tmp_path: Path):
    """A run in bfloat16 learns, and leaves a float32 model in memory and in the file."""
    model, data = network(), halves(side=28)
    recipe = Recipe(epochs=2, batch_size=24, precision="bfloat16")
    history = fit(model, data, data, tmp_path, recipe)
    assert history["loss"][-1] < history["loss"][0]
    environment = json.loads((tmp_path / "run.json").read_text())["environment"]
    assert environment["precision"] == "bfloat16"
    with ZipFile(tmp_path / "model.keras") as archive:
        assert b"bfloat16" not in archive.read("config.json")
    assert all(weight.dtype == "float32" for weight in model.weights)
    x = data.images.astype(np.float32)
    y = model.predict(x, verbose=0)
    expected = keras.ops.convert_to_numpy(model(x))  # in float32, but for the last bits
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), y, atol=1e-6)


# What it costs in accuracy --------------------------------------------------------------


def accuracy_after_two_epochs(name: str, train: Images, test: Images) -> float:
    """SmallVGG's on the digits held out, 0 to 1; its rate falls to 0, to end at rest."""
    keras.utils.set_random_seed(0)
    model = cnnzoo.build("small_vgg", include_preprocessing=True)
    steps = 2 * -(-len(train) // 128)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    with mixed_precision.running(model, name):
        model.fit(train.images, train.labels, batch_size=128, epochs=2, verbose=0)
    x, y = test.images, test.labels
    return model.evaluate(x, y, batch_size=256, verbose=0, return_dict=True)["accuracy"]


@pytest.mark.proof
def test_bfloat16_is_as_accurate(data_folder: Path):
    """Its accuracy lies in the 95 % interval (Wilson's) of what float32 reaches."""
    digits = load_mnist("train", data_folder / "mnist.npz")
    # A CPU without bfloat16 needs half an hour for all others.
    test, train = digits.take(np.arange(6_000)), digits.take(np.arange(6_000, 18_000))
    float32, bfloat16 = (
        accuracy_after_two_epochs(name, train, test) for name in ("float32", "bfloat16")
    )
    correct = binomtest(round(float32 * len(test)), len(test))
    interval = correct.proportion_ci(method="wilson")
    assert float32 > 0.97
    assert interval.low <= bfloat16 <= interval.high
