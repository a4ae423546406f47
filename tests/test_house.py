"""The order of rooms that `docs/extending.md` shows, the sizes, and the names."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

import cnnzoo

ROOT = Path(cnnzoo.__file__).parent
TREES = {path: ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}
PACKAGES = [path for path in TREES if path.name == "__init__.py"]
# From the ground up: a room imports only rooms before it. `__main__` is the door.
ROOMS = (
    *("errors", "layer_names", "system", "graph", "layers", "spec", "models", "fast"),
    "calibration",
    *("metadata", "data", "weights", "zoo", "evaluation", "inference", "saving"),
    "visualization",
    *("explain", "deploy", "train", "ensemble", "scale", "transfer", "__init__", "cli"),
    "__main__",
)
SHORT = {
    *("layers/axes.py", "layers/initializers.py", "graph/layer_kinds.py"),
    "system/text.py",
}
LEVEL = {"models": 22, "transfer": 18, ".": 9}  # files of a folder; elsewhere 12
LAYER = re.compile(
    r"predictions|(aux|stage)(\d+_\w*)?|(head|stem|preprocess)_(?!input)\w*"
)


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Modules that each module imports, also within functions."""
    graph = grimp.build_graph("cnnzoo")
    return {m: graph.find_modules_directly_imported_by(m) for m in graph.modules}


def test_rooms_import_downwards_on_ten_floors(imports):
    TopologicalSorter(imports).prepare()  # raises CycleError
    floor = dict.fromkeys(ROOMS, 1)
    room = {m: [*m.split("."), "__init__"][1] for m in imports}
    for module in sorted(imports, key=lambda module: ROOMS.index(room[module])):
        for below in {room[other] for other in imports[module]} - {room[module]}:
            assert ROOMS.index(below) < ROOMS.index(room[module]), (module, below)
            floor[room[module]] = max(floor[room[module]], 1 + floor[below])
    assert max(floor[name] for name in ROOMS[:-1]) <= 10


def test_sizes_of_files_functions_and_folders():
    for path, tree in TREES.items():
        lines = len(path.read_text().splitlines())
        short = path.stem in ("__init__", "__main__") or place(path) in SHORT
        assert (0 if short else 30) <= lines <= 300, place(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, (place(path), node.name)
    for folder in {path.parent for path in TREES}:
        files = {path for path in folder.glob("*.py") if path.stem != "__init__"}
        assert len(files) <= LEVEL.get(place(folder), 12), place(folder)
    assert len([path for path in PACKAGES if path.parent.parent == ROOT]) <= 16


@pytest.mark.parametrize("package", PACKAGES, ids=place)
def test_no_module_bears_a_public_name_of_its_package(package: Path):
    assigned = [node for node in TREES[package].body if isinstance(node, ast.Assign)]
    lists = [n.value for n in assigned if "__all__" in ast.dump(n)]
    if package.parent == ROOT:  # the names stand in its stub
        public = set(cnnzoo.__all__)
    else:
        public = set().union(*map(ast.literal_eval, lists))
    modules = {path.stem for path in package.parent.iterdir()}
    assert not modules & public - {"train", "transfer"}  # public modules


def test_layer_names_have_one_home():
    for path, tree in TREES.items():
        if place(path).startswith(("layer_names", "models/", "weights/sources/")):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not LAYER.fullmatch(node.value), (place(path), node.value)


def test_every_error_is_public():
    tree = TREES[ROOT / "errors.py"]
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    assert classes <= set(cnnzoo.__all__)
