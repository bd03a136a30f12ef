"""The rooms of mwall/: which may import which, what the pure ones must not know, and no late imports.

Read from the source, not from a run: after the chroot nothing can be imported, so
an import inside a function would fail in a worker only, and only on the day it is met.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

MWALL = Path(__file__).parent.parent / "mwall"
FILES = sorted(MWALL.rglob("*.py"))

# Each room with those it may import beside itself.
PURE = ("smtp", "dns", "message", "config", "policy")
ROOMS = {
    "smtp": (),
    "dns": (),
    "message": ("smtp",),
    "config": ("smtp", "message"),
    "policy": ("smtp", "dns", "message", "config"),
    "shared": PURE,
    "worker": (*PURE, "shared"),
    "master": (*PURE, "shared", "worker"),
    "program": (*PURE, "shared", "worker", "master"),
}
# Time, answers and octets of files come into the pure rooms as arguments.
OUTSIDE_WORLD = {"asyncio", "logging", "os", "pathlib", "select", "selectors", "socket", "subprocess", "time"}
MAX_LINES = 400


def imports_of(node: ast.AST) -> Iterator[str]:
    """The full name of each module that an import statement at `node` may load."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def is_call_of_importer(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("__import__", "import_module")


@pytest.fixture(params=FILES, ids=lambda file: str(file.relative_to(MWALL)))
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes(), str(file))


def room_of(file: Path) -> str:
    return file.relative_to(MWALL).parts[0]


def test_every_room_is_known() -> None:
    assert {room_of(file) for file in FILES} - {"__init__.py"} == set(ROOMS)


def test_imports_only_rooms_above(file: Path, tree: ast.Module) -> None:
    if file.parent == MWALL:
        return
    room = room_of(file)
    named = [name for node in ast.walk(tree) for name in imports_of(node)]
    assert [name for name in named if name.startswith(".")] == [], "imports are written in full"
    rooms = {name.split(".")[1] for name in named if name.startswith("mwall.")}
    assert rooms <= {room, *ROOMS[room]}


def test_pure_rooms_know_no_outside_world(file: Path, tree: ast.Module) -> None:
    modules = {name.split(".")[0] for node in ast.walk(tree) for name in imports_of(node)}
    assert "email" not in modules, "the standard library's email takes seconds on hostile headers"
    if room_of(file) in PURE:
        assert not modules & OUTSIDE_WORLD


def test_imports_stand_at_the_top(tree: ast.Module) -> None:
    late = [ast.unparse(node) for node in ast.walk(tree) if is_call_of_importer(node)]
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            late += [ast.unparse(node) for node in ast.walk(function) if any(imports_of(node))]
    assert late == []


def test_files_are_short(file: Path) -> None:
    assert len(file.read_bytes().splitlines()) < MAX_LINES
