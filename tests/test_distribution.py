"""What is published installs in a clean environment and works there: wheel, sdist, and a wheel made of the sdist."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import uv

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = ["ttc", "strategies", "verifiers", "evals", "pyproject.toml", "README.md", "LICENSE"]


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def build(source: Path, out: Path, *what: str) -> list[Path]:
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, *what, source, cwd=source)
    return sorted(out.iterdir())


@dataclass(frozen=True)
class Built:
    wheel: Path
    sdist: Path
    wheel_of_sdist: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Wheel and sdist of a copy of the sources, so that nothing is written beside them."""
    folder = tmp_path_factory.mktemp("distribution")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    (wheel,) = build(source, folder / "wheel", "--wheel")
    sdist, wheel_of_sdist = sorted(build(source, folder / "both"), key=lambda p: p.suffix)
    return Built(wheel, sdist, wheel_of_sdist)


@dataclass(frozen=True)
class Clean:
    """A virtual environment that holds the wheel and what it requires, and nothing of the sources."""

    folder: Path

    def python(self, code: str) -> str:
        # A folder of its own to run in: from the repository's, `import ttc` would find the sources.
        return run(self.folder / "bin" / "python", "-I", "-W", "error", "-c", code, cwd=self.folder)


@pytest.fixture(scope="module")
def clean(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Clean:
    folder = tmp_path_factory.mktemp("clean") / "venv"
    uv_bin = uv.find_uv_bin()
    run(uv_bin, "venv", "--quiet", "--python", sys.executable, folder, cwd=ROOT)
    install = [uv_bin, "pip", "install", "--quiet", "--no-config", "--python", folder / "bin" / "python"]
    env = {**os.environ, "UV_HTTP_TIMEOUT": "20"}
    online = subprocess.run([str(x) for x in (*install, built.wheel)], env=env, capture_output=True, text=True)
    if online.returncode:
        print(f"requirements taken from this environment, since none could be downloaded: {online.stderr.strip()}")
        run(*install, "--no-deps", built.wheel, cwd=ROOT)
        (site,) = folder.glob("lib/python*/site-packages")
        # The path alone: a .pth behind it (that of an editable install) is not read.
        (site / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Clean(folder)


def members(archive: Path) -> set[str]:
    """The files of an archive, without its own metadata."""
    if archive.suffix == ".whl":
        names = set(zipfile.ZipFile(archive).namelist())
    else:
        with tarfile.open(archive) as tar:
            names = {m.name.partition("/")[2] for m in tar.getmembers() if m.isfile()}
    return {n for n in names if ".dist-info/" not in n and ".egg-info/" not in n}


def expected() -> set[str]:
    """What a wheel must hold: every module and data file of every room, under its import path."""
    files = {"ttc/py.typed"}
    for package in PYPROJECT["tool"]["setuptools"]["packages"]:
        folder = ROOT / PYPROJECT["tool"]["setuptools"]["package-dir"].get(package, package.replace(".", "/"))
        patterns = ["*.py", *PYPROJECT["tool"]["setuptools"]["package-data"].get(package, [])]
        files |= {f"{package.replace('.', '/')}/{f.name}" for pattern in patterns for f in folder.glob(pattern)}
    return files


def test_the_wheel_holds_every_module_and_nothing_else(built: Built):
    assert members(built.wheel) == expected()


def test_a_wheel_made_of_the_sdist_is_the_same(built: Built):
    assert members(built.wheel_of_sdist) == members(built.wheel)


def test_the_sdist_holds_what_is_needed_to_build(built: Built):
    held = members(built.sdist)
    assert {"pyproject.toml", "README.md", "LICENSE", "strategies/__init__.py", "evals/suite.py"} <= held
    assert not {name for name in held if name.startswith(("ttc/strategies/", "ttc/verifiers/", "ttc/evals/"))}


def test_every_room_imports_in_a_clean_environment(clean: Clean):
    code = (
        "import ttc, ttc.strategies, ttc.verifiers, ttc.evals, ttc.cli\n"
        "for room in (ttc, ttc.strategies, ttc.verifiers, ttc.evals, ttc.cli): print(room.__file__)\n"
    )
    files = clean.python(code).splitlines()
    assert len(files) == 5
    assert all(Path(file).is_relative_to(clean.folder) for file in files)


def test_every_name_of_the_front_door_opens_without_extras(clean: Clean):
    clean.python("import ttc\nfor name in ttc.__all__: getattr(ttc, name)\nassert ttc.__version__")


def test_declared_names_load_without_extras(clean: Clean):
    code = (
        "from ttc import registry\n"
        "for what in ('strategy', 'verifier', 'comparator', 'answer type', 'suite', 'tool', 'allocation'):\n"
        "    for name in registry.names(what): registry.load(what, name); print(what, name)\n"
    )
    declared = PYPROJECT["project"]["entry-points"]
    assert len(clean.python(code).splitlines()) == sum(len(group) for group in declared.values())


def test_data_files_are_installed(clean: Clean):
    code = (
        "from importlib.resources import files\n"
        "assert files('ttc').joinpath('py.typed').is_file()\n"
        "assert files('ttc.evals.suites').joinpath('tiny_code.jsonl').read_text()\n"
        "print(files('ttc.evals.report').joinpath('page.html.j2').read_text()[:200])\n"
    )
    assert clean.python(code).strip()


def test_the_command_line_helps(clean: Clean):
    shown = run(clean.folder / "bin" / "ttc", "--help", cwd=clean.folder, NO_COLOR="1", TERM="dumb")
    assert "Usage" in shown
    for command in ("up", "solve", "eval", "report", "list"):
        assert command in shown
