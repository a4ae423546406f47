"""Parts of phases: ridge_init, learning rates per stage, L2-SP, first layers."""

import keras
import numpy as np
import pytest
from transferring import CLASSES, TRAIN, weights_of

import cnnzoo
from cnnzoo import graph
from cnnzoo.spec import MODES
from cnnzoo.train.finetuning import l2_sp, layerwise_lr_decay
from cnnzoo.transfer.features.probes import ridge_init
from cnnzoo.transfer.phase_runner import layer_of
from cnnzoo.zoo import sketch


def test_the_ridge_regression_is_scikit_learns():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(90, 12)) * rng.uniform(0.1, 9, 12) + 3
    labels = (embeddings @ rng.normal(size=(12, 3))).argmax(1)
    layer = keras.layers.Dense(3)
    layer.build((None, 12))
    accuracy = ridge_init(layer, embeddings, labels)
    assert accuracy > 0.8
    logits = embeddings @ layer.get_weights()[0] + layer.get_weights()[1]
    scaled = (embeddings - embeddings.mean(0)) / (embeddings.std(0) * np.sqrt(12))
    targets = np.where(np.eye(3)[labels] > 0, 1.0, -1.0)
    fits = [
        Ridge(alpha=alpha).fit(scaled, targets).predict(scaled)
        for alpha in np.logspace(-3, 6, 19)
    ]
    ratios = [(logits / one).ravel() for one in fits]
    spread = [np.ptp(ratio) / abs(np.median(ratio)) for ratio in ratios]
    assert min(spread) < 1e-3  # it is one of them, times a factor
    assert 1 <= np.median(ratios[int(np.argmin(spread))]) <= 100


def test_early_stages_have_lower_learning_rates(source):
    def moved(decay: float | None) -> dict[str, np.ndarray]:
        keras.utils.set_random_seed(1)
        model = cnnzoo.reset_classifier(source, class_names=CLASSES)
        model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
        if decay is not None:
            layerwise_lr_decay(model, decay)
        before = weights_of(model)
        model.train_on_batch(TRAIN.images, TRAIN.labels)
        assert type(model.optimizer) is keras.optimizers.SGD
        trainable = {weight.path for weight in model.trainable_weights}
        now = weights_of(model)
        return {path: now[path] - before[path] for path in trainable}

    plain, slowed = moved(None), moved(0.5)
    factors = {}
    for path, step in plain.items():
        if path.endswith("kernel"):
            factors[path] = np.linalg.norm(slowed[path]) / np.linalg.norm(step)
    for path, factor in factors.items():
        expected = 0.5 if path.startswith("stage1") else 1.0
        assert factor == pytest.approx(expected, rel=0.02), path
    assert {path[:6] for path in factors} >= {"stage1", "stage2", "predic"}


def test_l2_sp_penalises_the_distance_from_the_start(source):
    model = cnnzoo.reset_classifier(source, class_names=CLASSES)
    first = model.get_layer(next(n.name for n in model.layers if n.weights))
    with l2_sp(model, 0.25):
        assert float(sum(model.losses)) == 0.0
        first.kernel.assign_add(np.full(first.kernel.shape, 2.0, "float32"))
        expected = 0.25 * 4.0 * np.prod(first.kernel.shape)
        assert float(sum(model.losses)) == pytest.approx(expected)
        model.get_layer("predictions").kernel.assign(
            model.get_layer("predictions").kernel + 1.0
        )
        assert float(sum(model.losses)) == pytest.approx(expected)
    assert model.losses == []
    with l2_sp(model, None):
        assert model.losses == []


def test_a_new_classifier_on_the_same_trunk(source):
    new = cnnzoo.reset_classifier(source, 7)
    assert new.output_shape == (None, 7)
    assert new.cnnzoo.options["include_preprocessing"]
    for layer in new.layers:
        if layer.weights and not layer.name.startswith(("head", "predictions")):
            old = source.get_layer(layer.name).get_weights()
            for one, other in zip(layer.get_weights(), old, strict=True):
                np.testing.assert_array_equal(one, other)
    with pytest.raises(cnnzoo.UsageError, match="pass classes= or class_names="):
        cnnzoo.reset_classifier(source)
    short = cnnzoo.reset_classifier(source, 3, cut="stage1_pool")
    with pytest.raises(cnnzoo.UsageError, match="ends before the layer"):
        cnnzoo.reset_classifier(short, 3, cut="stage2_pool")


def test_a_new_classifier_keeps_the_models_own_preprocessing():
    model = cnnzoo.build("lenet_gap", classes=3, preprocessing="tf")
    new = cnnzoo.reset_classifier(model, 2)
    assert new.cnnzoo.preprocessing == MODES["tf"] != model.cnnzoo.spec.preprocessing
    pixels = np.arange(784, dtype="float32").reshape(1, 28, 28, 1) % 256
    found, expected = (
        keras.Model(one.inputs[0], one.get_layer("features").output)(images)
        for one, images in ((new, pixels), (model, pixels / 127.5 - 1))
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_first_layers(source):
    weighted = [layer.name for layer in source.layers if layer.weights]
    assert layer_of(source, 3) == weighted[2]
    assert layer_of(source, 0) is None
    assert layer_of(source, "stage1_pool") == "stage1_pool"


def test_the_first_layers_of_a_network_with_branches():
    model = sketch("resnet18", input_shape=(64, 64, 3))
    weighted = [layer.name for layer in model.layers if layer.weights]
    assert layer_of(model, 2) == weighted[1]
    within = next(
        count
        for count in range(1, len(weighted))
        if not set(weighted[:count]) <= set(graph.ancestors(model, weighted[count - 1]))
    )
    with pytest.raises(cnnzoo.UsageError, match="leaves no branch open"):
        layer_of(model, within)
