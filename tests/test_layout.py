"""The house stays as DESIGN says: rooms, arrows between them, names, and a light front door."""

from __future__ import annotations

import ast
import builtins
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import ttc
import ttc.errors

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS: dict[str, str] = PYPROJECT["tool"]["setuptools"]["package-dir"]
ROOMS = {"ttc": ROOT / "ttc", **{f"ttc.{room}": ROOT / room for room in ("strategies", "verifiers", "evals")}}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module with its file; the links inside ttc/ are not followed, their targets come under their own name."""
    for package, folder in ROOMS.items():
        links = {p for p in folder.iterdir() if p.is_symlink()}
        for file in sorted(folder.rglob("*.py")):
            if not links.intersection(file.parents):
                parts = file.relative_to(folder).with_suffix("").parts
                yield ".".join((package, *parts)).removesuffix(".__init__"), file


MODULES = dict(modules())


def imports(name: str, file: Path) -> Iterator[str]:
    """Every module of ours that a file imports, at the top, in a function or for the type checker alone."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = ".".join(package.split(".")[: len(package.split(".")) + 1 - level]) if level else ""
                module = ".".join(filter(None, (base, module)))
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.Call(func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"), args=[first, *_]):
                if isinstance(first, ast.Constant):
                    yield str(first.value)
            case _:
                pass


# -- packaging -----------------------------------------------------------------------------------------------------


def test_every_package_is_declared_and_every_declared_one_exists():
    found = {name for name, file in MODULES.items() if file.name == "__init__.py"}
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == found


def test_every_folder_with_code_is_a_package():
    assert [f for f in MODULES.values() if not (f.parent / "__init__.py").exists()] == []


def test_packages_outside_ttc_say_where_they_are():
    for package in PYPROJECT["tool"]["setuptools"]["packages"]:
        room, _, inside = package.removeprefix("ttc").removeprefix(".").partition(".")
        if f"ttc.{room}" in ROOMS:
            assert FOLDERS[package] == "/".join(filter(None, (room, inside.replace(".", "/"))))


@pytest.mark.parametrize("room", ["strategies", "verifiers", "evals"])
def test_links_lead_to_the_rooms(room: str):
    link = ROOT / "ttc" / room
    assert link.is_symlink()
    assert link.resolve() == ROOT / room


ENTRY_POINTS = [
    (group, name)
    for group, entries in {
        **PYPROJECT["project"]["entry-points"],
        "console_scripts": PYPROJECT["project"]["scripts"],
    }.items()
    for name in entries
]


@pytest.mark.parametrize(("group", "name"), ENTRY_POINTS)
def test_declared_names_load(group: str, name: str):
    found = importlib.metadata.entry_points(group=group, name=name)
    ours = [e for e in found if e.value.startswith("ttc.")]
    assert ours, f"{group} {name} is declared but not installed: install again with `pip install -e .`"
    assert callable(ours[0].load())


# -- arrows --------------------------------------------------------------------------------------------------------

#: evals, cli, proxy, wrap -> strategies, verifiers, adaptive -> session -> models, budget -> types
STOREYS = [
    {"ttc.types", "ttc.request", "ttc.continuation", "ttc.answer_type", "ttc.errors", "ttc.registry", "ttc.seeds"}
    | {"ttc.steps"},
    {"ttc.budget"},
    {"ttc.ledger"},
    {"ttc.models"},
    {"core"},
    {"ttc.strategies", "ttc.verifiers", "ttc.adaptive"},
    {"ttc.evals", "ttc.wrap", "ttc.proxy"},
    {"ttc.cli"},
    {"ttc.__main__"},
]
#: rooms on one storey that may use each other
NEIGHBOURS = {("ttc.adaptive", "ttc.strategies"), ("ttc.strategies", "ttc.adaptive"), ("ttc.proxy", "ttc.wrap")}


def room_of(module: str) -> str:
    """The room that a module (or a name in one) belongs to."""
    two = ".".join(module.split(".")[:2])
    return two if any(two in storey for storey in STOREYS) else "core"


def storey_of(room: str) -> int:
    return next(i for i, storey in enumerate(STOREYS) if room in storey)


def wrong_arrows(name: str, targets: Iterator[str]) -> list[str]:
    """The imports that point upwards, or sideways into a room that is no neighbour."""
    here = room_of(name)
    wrong: list[str] = []
    for target in targets:
        there = room_of(target)
        if not target.startswith("ttc.") or here == there or (here, there) in NEIGHBOURS:
            continue
        if storey_of(there) > storey_of(here) or (storey_of(there) == storey_of(here) > 0):
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("name", [m for m in MODULES if m != "ttc"])
def test_arrows_point_one_way(name: str):
    assert wrong_arrows(name, imports(name, MODULES[name])) == []


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("ttc.session", "ttc.strategies.majority.Majority"),
        ("ttc.solve", "ttc.evals"),
        ("ttc.models.base", "ttc.session.Session"),
        ("ttc.models.base", "ttc.strategy"),
        ("ttc.budget", "ttc.models.base"),
        ("ttc.types", "ttc.budget.Budget"),
        ("ttc.strategies.majority", "ttc.evals.suite.Problem"),
        ("ttc.verifiers.judge", "ttc.strategies.vote"),
        ("ttc.evals.runner", "ttc.cli"),
    ],
)
def test_an_arrow_that_points_up_is_seen(name: str, target: str):
    assert wrong_arrows(name, iter([target])) == [target]


def test_imports_are_found_wherever_they_hide(tmp_path: Path):
    file = tmp_path / "spy.py"
    file.write_text(
        "import ttc.a\nfrom ttc import b\nfrom .c import d\nfrom ..e import f\n"
        "def g():\n    from ttc.h import i\n    import_module('ttc.j')\n"
    )
    assert set(imports("ttc.room.spy", file)) == {"ttc.a", "ttc.b", "ttc.room.c.d", "ttc.e.f", "ttc.h.i", "ttc.j"}


# -- names ---------------------------------------------------------------------------------------------------------


def test_no_module_is_named_after_nothing():
    vague = re.compile(r"(^|_)(util|utils|helper|helpers|manager|managers|handler|handlers|misc|common)(_|$)")
    assert [m for m in MODULES if any(vague.search(part) for part in m.split("."))] == []


def exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                names: list[str] = ast.literal_eval(value)
                return names
            case _:
                pass
    return None


def defined(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names.update((alias.asname or alias.name).partition(".")[0] for alias in aliases)
            case _:
                pass
    return names


@pytest.mark.parametrize("name", [m for m in MODULES if m != "ttc" and room_of(m) not in ("ttc.cli", "ttc.__main__")])
def test_public_modules_say_what_they_export(name: str):
    tree = ast.parse(MODULES[name].read_text())
    names = exported(tree)
    if MODULES[name].name == "__init__.py" and names is None:
        assert not [n for n in tree.body if not isinstance(n, ast.Expr)], "an __init__ with code says what it exports"
        return
    if names is None and any(ast.unparse(n).startswith("if __name__ ==") for n in tree.body):
        return  # a script: it is run and not imported
    assert names is not None, "no __all__"
    assert len(names) == len(set(names))
    assert set(names) <= defined(tree)


def test_the_front_door_opens_every_name():
    assert sorted(ttc.__all__) == ttc.__all__
    for name in ttc.__all__:
        assert getattr(ttc, name) is not None
    assert set(ttc.errors.__all__) <= set(ttc.__all__)
    assert set(ttc.__all__) <= set(dir(ttc))
    with pytest.raises(AttributeError, match="no attribute 'solv'"):
        getattr(ttc, "solv")  # noqa: B009  # a constant, so that pyright does not see it


def test_functions_are_not_hidden_by_the_modules_of_their_name():
    code = (
        "import ttc.solve, ttc.wrap, ttc\n"
        "from ttc.solve import solve\nfrom ttc.wrap import wrap\n"
        "assert ttc.solve is solve and ttc.wrap is wrap\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- errors --------------------------------------------------------------------------------------------------------


def error_classes() -> dict[str, type[Exception]]:
    return {
        name: value
        for name, value in vars(ttc.errors).items()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == "ttc.errors"
    }


def test_errors_exports_its_errors_and_nothing_else():
    assert sorted(error_classes()) == sorted(ttc.errors.__all__)


def test_the_error_tree_is_drawn_as_it_is():
    drawing = (ttc.errors.__doc__ or "").partition("::")[2]
    drawn: dict[str, type[Exception]] = {}
    parents: list[tuple[int, str]] = []
    for line in drawing.splitlines():
        found = re.match(r"(?P<branch>[ │├└─]*)(?P<name>[A-Z]\w+)(?: \((?P<also>\w+)\))?(?: {2,}|$)", line)
        if not found:
            continue
        name, depth = found["name"], len(found["branch"])
        drawn[name] = error_classes()[name]
        parents = [(d, p) for d, p in parents if d < depth]
        if parents:
            assert drawn[parents[-1][1]] in drawn[name].__bases__
        if found["also"]:
            assert issubclass(drawn[name], getattr(builtins, found["also"]))
        parents.append((depth, name))
    assert sorted(drawn) == sorted(ttc.errors.__all__)


# -- the front door is light ---------------------------------------------------------------------------------------


def test_import_ttc_loads_nothing_heavy():
    heavy = ["vllm", "torch", "transformers", "matplotlib", "aiohttp", "openai", "numpy", "sympy", "pydantic", "anyio"]
    code = (
        "import sys, time; began = time.perf_counter(); import ttc; took = time.perf_counter() - began\n"
        f"print([m for m in {heavy} if m in sys.modules]); print(f'import ttc: {{took * 1000:.1f}} ms')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded, took = done.stdout.splitlines()
    print(took)  # for information: a time is not a thing to assert
    assert loaded == "[]"


def test_solving_loads_no_engine():
    heavy = ["vllm", "torch", "transformers", "matplotlib", "openai", "sympy"]
    code = (
        "import sys, ttc; ttc.solve, ttc.VLLMServer, ttc.Session, ttc.Strategy\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
