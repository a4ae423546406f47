"""The plan of rooms, held against the code: `docs/extending.md` shows it."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import cnnzoo

ROOT = Path(cnnzoo.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# From the ground up: a room imports only rooms before it.
ROOMS = (
    *("errors", "layer_names", "system", "graph", "layers", "spec", "models", "fast"),
    *("metadata", "data", "weights", "zoo", "inference", "saving", "visualization"),
    *("explain", "deploy", "train", "ensemble", "scale", "transfer", "__init__", "cli"),
    "__main__",
)
SHARED = {"layers/axes.py", "layers/initializers.py"}  # what several files need
SHORT = {"__init__.py", "__main__.py", "graph/layer_kinds.py", *SHARED}
LEVEL = {"models": 22, "transfer": 18, "": 9}  # files of a folder; elsewhere 12
LAYER = re.compile(r"predictions|(head|aux\d+|stage\d+|stem|preprocess)_(?!input)\w*")
DRAWN = re.compile(r"(head_|aux|stage|stem_|preprocess_)")  # how an f-string may begin


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module(dotted: str) -> Path | None:
    path = ROOT.joinpath(*dotted.split(".")[1:])
    return next(
        (p for p in (path.with_suffix(".py"), path / "__init__.py") if p in FILES), None
    )


def imports(path: Path) -> set[Path]:
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {module(a.name) for a in node.names if a.name.startswith("cnnzoo")}
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cnnzoo"):
            parts = {a.name: module(f"{node.module}.{a.name}") for a in node.names}
            found |= set(parts.values())
            found |= {module(str(node.module))} if None in parts.values() else set()
    return found - {None, path}


def ends_in_circle(path: Path, open_: tuple[Path, ...], over: set[Path]) -> list[str]:
    if path in open_:
        return [*map(place, open_[open_.index(path) :]), place(path)]
    circle: list[str] = []
    for other in sorted(imports(path) - over):
        circle = circle or ends_in_circle(other, (*open_, path), over)
    over.add(path)
    return circle


def test_rooms_import_downwards_and_in_no_circle():
    assert {room(path) for path in FILES} <= set(ROOMS)
    up = [
        f"{place(path)} imports {place(other)}"
        for path in FILES
        for other in imports(path)
        if ROOMS.index(room(other)) > ROOMS.index(room(path))
    ]
    assert not up
    over: set[Path] = set()
    assert not [c for path in FILES if (c := ends_in_circle(path, (), over))]


def test_ten_floors():
    floor: dict[str, int] = {}
    for name in ROOMS[:-1]:  # __main__ is the door to cli
        below = {room(o) for p in FILES if room(p) == name for o in imports(p)} - {name}
        floor[name] = 1 + max((floor[other] for other in below), default=0)
    assert max(floor.values()) <= 10, floor


def test_sizes_of_files_functions_and_folders():
    for path in FILES:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        short = path.name == "__init__.py" or place(path) in SHORT
        assert (0 if short else 30) <= lines <= 300, place(path)
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 60, f"{place(path)}: {node.name} has {length} lines"
    for folder in {path.parent for path in FILES}:
        files = [
            path for path in FILES if path.parent == folder and path.stem != "__init__"
        ]
        assert len(files) <= LEVEL.get(folder.relative_to(ROOT).as_posix().strip("."), 12)
    assert len({path.parent for path in FILES if path.parent.parent == ROOT}) <= 16


@pytest.mark.parametrize(
    "package", [p for p in FILES if p.name == "__init__.py"], ids=place
)
def test_no_module_bears_a_public_name_of_its_package(package: Path):
    assigned = [n for n in tree(package).body if isinstance(n, ast.Assign)]
    names = [set(ast.literal_eval(n.value)) for n in assigned if "__all__" in ast.dump(n)]
    modules = {path.stem for path in package.parent.glob("*.py")}
    modules |= {path.name for path in package.parent.iterdir() if path.is_dir()}
    assert not modules & set().union(*names) - {"train", "transfer"}  # which are modules


def test_private_keras_and_layer_names_have_one_home():
    for path in FILES:
        own, where = room(path), place(path)
        docs = {
            id(node.value) for node in ast.walk(tree(path)) if isinstance(node, ast.Expr)
        }
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and re.match(r"_(?!_)", node.attr):
                mine = isinstance(node.value, ast.Name) and node.value.id in (
                    "self",
                    "cls",
                )
                assert mine or own == "fast" or where == "graph/keras_internals.py", (
                    where,
                    node.attr,
                )
            if own in ("layer_names", "models") or where.startswith("weights/sources/"):
                continue
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in docs
            ):
                assert not LAYER.fullmatch(node.value), (where, node.value)
            if isinstance(node, ast.JoinedStr) and isinstance(
                node.values[0], ast.Constant
            ):
                assert not DRAWN.fullmatch(str(node.values[0].value)), (
                    where,
                    ast.unparse(node),
                )


def test_every_error_is_public():
    classes = {
        n.name for n in tree(ROOT / "errors.py").body if isinstance(n, ast.ClassDef)
    }
    assert classes <= set(cnnzoo.__all__)
