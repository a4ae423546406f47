"""Pictures and reports: valid files that show what they should."""

import io
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import cnnzoo
from cnnzoo.cli import demo
from cnnzoo.data.arrays import Images
from cnnzoo.data.mnist import load_embedded
from cnnzoo.evaluation import ClassReport, Evaluation, evaluate_probabilities
from cnnzoo.graph.keras_internals import graph_nodes
from cnnzoo.train.recipe import Recipe
from cnnzoo.visualization import accuracy, figures
from cnnzoo.visualization.graphviz import plot
from cnnzoo.visualization.html import Section, render_page
from cnnzoo.zoo import sketch


def size(picture: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(picture)) as image:
        image.load()
        return image.size


@pytest.mark.parametrize("name", cnnzoo.list_models())
def test_stages_of_every_network(name):
    text = figures.stages(sketch(name), "svg").decode()
    for label, shape in cnnzoo.model_info(name).stages:
        assert f"<!-- {label} -->" in text
        assert f"<!-- {'x'.join(map(str, shape))} -->" in text
    assert f"{cnnzoo.model_info(name).parameters:,} parameters" in text


def test_more_stages_make_a_wider_picture():
    five, three = (
        size(figures.stages(sketch("vgg16"))),
        size(figures.stages(sketch("mlp"))),
    )
    assert five[0] > three[0] > 300
    assert figures.stages(
        sketch("resnet18", include_top=False, input_shape=(None, None, 3))
    )


@pytest.mark.parametrize("classes", [2, 30])
def test_confusion_and_curves(classes):
    counts = np.arange(classes * classes).reshape(classes, classes)
    rows = tuple(ClassReport(f"class {i}", 0.5, 0.5, 0.5, 3) for i in range(classes))
    none = np.zeros((0, classes))
    result = Evaluation(7, 0.5, rows, counts, none, np.zeros(0, int), none)
    assert min(size(figures.confusion(result))) > 300
    history = {
        "loss": [1.0, float("nan")],
        "accuracy": [0.1, 0.2],
        "val_loss": [2.0, 1.0],
    }
    assert size(figures.learning_curves(history))[0] > 800


def test_errors_and_where_the_error_lies():
    """Wilson's interval of 15 errors in 10,000, as tables have it; the surest first."""
    labels = np.arange(10_000) % 2
    predictions = np.eye(2)[labels]
    predictions[:15] = 1 - predictions[:15]
    predictions[3] = 0.4, 0.6
    labels[3] = 0
    source = Images(np.zeros((10_000, 4, 4, 1), np.uint8), labels, ("even", "odd"))
    result = evaluate_probabilities(predictions, labels, source.class_names)
    assert result.errors == 15
    assert result.error_interval == pytest.approx((0.0909, 0.2473), abs=1e-4)
    assert result.most_confident_errors(99).tolist() == [*range(3), *range(4, 15), 3]
    assert size(figures.misclassified(source, result))[0] > 300
    right = evaluate_probabilities(np.eye(2)[labels], labels, source.class_names)
    assert right.errors == 0
    assert size(figures.misclassified(source, right)) == (660, 110)
    assert size(figures.label_errors(source, right)) == (660, 110)


def test_names_of_networks_cover_nothing():
    """They stand right, left, above and below their points, as there is room."""
    points = [accuracy.Point(f"net{i}", 10 + i, 0.9, 0.01, i > 2) for i in range(5)]
    assert size(accuracy.accuracy_by_cost(points, cost="ms", title="x"))[0] > 500
    figure = Figure()
    axes = figure.add_subplot(xscale="log", xlim=(5, 50), ylim=(80, 100))
    accuracy._name_points(figure, axes, points)
    boxes = [name.get_window_extent() for name in axes.texts]
    assert [name.get_text() for name in axes.texts] == [point.name for point in points]
    for number, box in enumerate(boxes):
        assert not box.count_overlaps(boxes[:number])
        assert all(axes.bbox.contains(*corner) for corner in box.corners())


def test_gallery():
    pictures = np.zeros((9, 6, 6, 1), np.uint8)
    one, two = (size(figures.gallery(pictures[:n], ["x"] * n)) for n in (8, 9))
    assert one[0] == two[0]
    assert two[1] == 2 * one[1]


FAKE_DOT = '#!/bin/sh\nfor last; do :; done\nexec /bin/cat "$last"\n'


@pytest.fixture
def fake_dot(tmp_path, monkeypatch):
    """A program `dot` that returns the source of the graph instead of a picture."""
    program = tmp_path / "bin" / "dot"
    program.parent.mkdir()
    program.write_text(FAKE_DOT)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


def test_plot_gives_graphviz_every_layer(tmp_path, fake_dot):
    model = sketch("inception_v1")
    assert plot(model, tmp_path / "a.svg", names=True, shapes=True, rankdir="LR") is True
    source = (tmp_path / "a.svg").read_text()
    assert all(operation.name in source for operation in model.operations)
    assert "rankdir=LR" in source
    assert "(None, 14, 14, 480)" in source
    edges = sum(len(node.input_tensors) for node in graph_nodes(model))
    assert source.count(" -> ") == edges
    plot(model, tmp_path / "b.svg")
    assert "stage1_block1_3x3" not in (tmp_path / "b.svg").read_text()


def test_plot_draws_the_stages_where_graphviz_fails(tmp_path, fake_dot):
    (tmp_path / "bin" / "dot").write_text("#!/bin/sh\nexit 6\n")
    assert plot(sketch("vgg11"), tmp_path / "a.svg") is False
    assert "stage5" in (tmp_path / "a.svg").read_text()


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz's program dot")
@pytest.mark.parametrize("name", ["vgg16", "resnet18", "inception_v1"])
def test_plot_with_the_real_graphviz(tmp_path, name):
    assert plot(sketch(name), tmp_path / "a.svg", shapes=True, names=True) is True
    text = (tmp_path / "a.svg").read_text()
    assert text.count('class="node"') == len(sketch(name).operations)


class Page(HTMLParser):
    """Counts tags and checks that they close."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_is_one_file_and_escapes():
    rows = [("<b>", 1), ("y", 2)]
    picture = figures.gallery(np.zeros((1, 4, 4, 1)), ["x"])
    sections = [
        Section("A & B", "text <i>", ("h", "k"), rows, [(picture, 'a "picture"')]),
        Section("empty"),
    ]
    text = render_page("<title>", "lead", sections)
    page = Page(text)
    assert page.open == []
    assert (page.seen.count("tr"), page.seen.count("img")) == (3, 1)
    assert "<b>" not in text
    assert "&lt;title&gt;" in text
    assert re.findall(r'(?:src|href)="(?!data:)', text) == []


def test_the_demo_in_a_small_form(tmp_path, monkeypatch, capsys):
    """One epoch on few digits writes every file, and the report has the metrics."""
    few = {split: load_embedded(split).split(0.05, 0)[1] for split in ("train", "test")}
    monkeypatch.setattr(demo, "load_embedded", few.__getitem__)
    monkeypatch.setattr(demo, "RECIPE", replace(demo.RECIPE, epochs=1))
    assert isinstance(demo.RECIPE, Recipe)
    result = demo.run(tmp_path)
    text = capsys.readouterr().out
    assert f"accuracy {100 * result.accuracy:.2f} %, error" in text
    assert re.search(r"y \d of 500 together, \d\.\d\d %; alone small_vgg \d,", text)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        *(
            "model.keras",
            "history.json",
            "curves.png",
            "confusion.png",
            "misclassified.png",
        ),
        *("checkpoints", ".lock", "run.json", "log.txt"),
        *(
            "digit.png",
            "report.html",
            *(f"{name}.png" for name in demo.DRAWN),
        ),
    }
    for name in names - {".lock"}:
        assert str(tmp_path / name) in text
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"accuracy {100 * result.accuracy:.2f} %" in page
    assert Page(page).seen.count("img") == 8
    assert page.count("<tr>") == 1 + len(cnnzoo.list_models())
