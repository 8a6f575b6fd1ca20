"""What a server says of itself: versions, fingerprints of tokenizer and template, and how it was started here."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from ttc.errors import ConfigurationError
from ttc.models.machine import gpus, hardware, packages
from ttc.models.server_facts import ServerFacts, ask_facts, one_of, without_credentials
from ttc.models.started import StartedServer, forget_started, note_started, started_at, without_secrets
from ttc.models.vllm_server import VLLMServer
from ttc.models.weights import hub_revision, revision_in, weights_of
from ttc.testing import FakeServer

pytestmark = pytest.mark.anyio

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTC_CACHE", str(tmp_path / "cache"))


async def facts_of(**options: Any) -> ServerFacts:
    async with FakeServer(**options) as server, VLLMServer(server.url) as model:
        return await model.facts()


async def asked(pages: dict[str, Any]) -> ServerFacts:
    async def get(path: str) -> Any:
        return pages.get(path)

    async def post(path: str, body: Any) -> Any:
        answer = pages.get(path)
        return answer(body) if callable(answer) else answer

    return await ask_facts("http://user:pw@far.example:8000", "m", get=get, post=post)


async def test_version_and_context_are_the_servers_own() -> None:
    facts = await facts_of(version="0.32.0", context=4096)
    assert (facts.version, facts.context) == ("0.32.0", 4096)


async def test_what_nobody_says_is_unknown_and_never_guessed() -> None:
    facts = (await facts_of(tokenize=False)).to_json()
    unknown = {"version", "root", "weights", "tokenizer", "template", "dated", "dtype", "flags", "settings", "hardware"}
    assert set(facts["unknown"]) == unknown | {"packages"}
    assert all(facts[name] is None for name in facts["unknown"])


async def test_the_same_tokenizer_and_template_have_the_same_fingerprints() -> None:
    one, other = await facts_of(vocabulary="v"), await facts_of(vocabulary="v")
    assert one.tokenizer == other.tokenizer is not None
    assert one.template == other.template is not None
    assert one.tokenizer != one.template


async def test_another_tokenizer_has_another_fingerprint() -> None:
    one, other = await facts_of(vocabulary="v"), await facts_of(vocabulary="w")
    assert one.tokenizer != other.tokenizer
    assert one.template != other.template


async def test_another_template_has_another_fingerprint_and_the_same_tokenizer() -> None:
    one, other = await facts_of(), await facts_of(opens_thought=True)
    assert one.tokenizer == other.tokenizer
    assert one.template != other.template


@pytest.mark.parametrize(
    ("form", "dated"), [("Today Date: %d %b %Y", True), ("Date: %Y-%m-%d", True), ("Cutoff: December 2023", False)]
)
async def test_a_template_that_writes_the_date_is_known_by_it(form: str, dated: bool) -> None:
    strings = [*datetime.now(UTC).strftime(form).replace(" ", " Ġ").split(" "), "hello"]
    facts = await asked({"/tokenize": {"tokens": [1, 2], "token_strs": strings}})
    assert facts.dated is dated


async def test_of_a_server_in_development_mode_only_what_tells_on_results_is_kept() -> None:
    info = {
        "vllm_config": {
            "model_config": {"dtype": "torch.bfloat16", "seed": 0, "hf_token": "hf_secret", "revision": COMMIT},
            "cache_config": {"enable_prefix_caching": True},
        },
        "vllm_env": {"VLLM_BATCH_INVARIANT": True, "VLLM_SOMETHING": "private"},
        "system_env": {"gpu_models_and_configuration": "GPU 0: H100", "torch_version": "2.13.0"},
    }
    facts = await asked({"/server_info?config_format=json": info})
    assert facts.dtype == "bfloat16"
    assert facts.settings == {"seed": 0, "enable_prefix_caching": True, "batch_invariant": True}
    assert facts.weights == {"revision": COMMIT}
    assert facts.hardware == {"gpus": "GPU 0: H100"}
    assert "secret" not in str(facts)
    assert "private" not in str(facts)


async def test_a_root_inside_the_hubs_cache_names_its_revision() -> None:
    root = f"/data/hub/models--a--b/snapshots/{COMMIT}"
    facts = await asked({"/v1/models": {"data": [{"id": "m", "root": root, "max_model_len": 9}]}})
    assert facts.weights == {"revision": COMMIT}
    assert facts.root == root


async def test_no_password_of_a_url_is_kept() -> None:
    assert (await asked({})).base_url == "http://far.example:8000"
    assert without_credentials("https://me:secret@host/path?key=1#x") == "https://host/path"


def test_servers_of_one_model_must_be_the_same() -> None:
    a, b = ServerFacts(base_url="http://a", tokenizer="x"), ServerFacts(base_url="http://b", tokenizer="y")
    with pytest.raises(ConfigurationError, match=r"http://a and http://b are not the same model: their tokenizer"):
        one_of([a, b])
    assert one_of([a, ServerFacts(base_url="http://c")]) is a


# -- started here ------------------------------------------------------------------------------------------------------


def note(port: int = 8123, pid: int | None = None, **options: Any) -> None:
    settings: dict[str, Any] = {"model": "m", "path": "/nowhere", "flags": ["--dtype", "float32"], "environment": {}}
    note_started(port, pid=pid or os.getpid(), **settings | options)


def test_a_server_that_was_started_here_is_found_by_its_address() -> None:
    note()
    found = started_at("http://127.0.0.1:8123")
    assert isinstance(found, StartedServer)
    assert found.flag("--dtype") == "float32"
    assert started_at("http://localhost:8124") is None
    assert started_at("http://elsewhere:8123") is None


def test_a_server_that_is_gone_is_not_found() -> None:
    note()
    forget_started(8123, pid=os.getpid() + 1)  # another's note stays
    assert started_at("http://127.0.0.1:8123")
    forget_started(8123, pid=os.getpid())
    assert started_at("http://127.0.0.1:8123") is None


def test_a_later_process_of_the_same_number_is_no_server(tmp_path: Path) -> None:
    note()
    file = tmp_path / "cache" / "servers" / "8123.json"
    file.write_bytes(orjson.dumps({**orjson.loads(file.read_bytes()), "started": 1}))
    assert started_at("http://127.0.0.1:8123") is None


def test_a_damaged_note_is_none(tmp_path: Path) -> None:
    note()
    (tmp_path / "cache" / "servers" / "8123.json").write_text("{")
    assert started_at("http://127.0.0.1:8123") is None


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (["--api-key", "s3cret", "--dtype", "auto"], ["--api-key", "***", "--dtype", "auto"]),
        (["--api-key", "s3cret", "another", "--seed", "1"], ["--api-key", "***", "***", "--seed", "1"]),
        (["--hf-token=s3cret"], ["--hf-token=***"]),
        (["--ssl-keyfile-password", "s3cret"], ["--ssl-keyfile-password", "***"]),
        (["--max-num-batched-tokens", "4096"], ["--max-num-batched-tokens", "4096"]),
    ],
)
def test_keys_on_a_command_line_are_left_out(flags: list[str], kept: list[str]) -> None:
    assert without_secrets(flags) == kept


def test_of_the_environment_only_what_tells_on_results_is_noted() -> None:
    note(environment={"VLLM_BATCH_INVARIANT": "1", "VLLM_API_KEY": "s", "HOME": "/home/me", "HF_TOKEN": "s"})
    found = started_at("http://127.0.0.1:8123")
    assert found is not None
    assert found.environment == {"VLLM_BATCH_INVARIANT": "1"}


async def test_a_server_that_was_started_here_tells_flags_weights_and_hardware(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")
    async with FakeServer(model="m") as server, VLLMServer(server.url) as model:
        note(int(server.url.rpartition(":")[2]), path=str(tmp_path / "model"), environment={"OMP_NUM_THREADS": "2"})
        facts = await model.facts()
    assert facts.flags == ("--dtype", "float32")
    assert facts.dtype == "float32"
    assert facts.weights is not None
    assert facts.weights["bytes"] == 7
    assert facts.settings == {"environment": {"OMP_NUM_THREADS": "2"}}
    assert facts.hardware == hardware()
    assert facts.packages == packages()


# -- weights and machine -----------------------------------------------------------------------------------------------


def weights(folder: Path, content: bytes = b"w", name: str = "model.safetensors") -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    (folder / "config.json").write_text(str(time.time()))
    found = weights_of(str(folder))
    assert found is not None
    return found


def test_weights_are_known_by_what_is_in_their_files(tmp_path: Path) -> None:
    one = weights(tmp_path / "a")
    assert one == weights(tmp_path / "b")
    assert one["how"] == "blake2b of the files"
    assert one["digest"] != weights(tmp_path / "a", b"v")["digest"]


def test_large_weights_are_known_by_their_ends_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ttc.models.weights._WHOLE", 3)
    one, other = weights(tmp_path / "a", b"abcdef"), weights(tmp_path / "b", b"abcdeg")
    assert "first and last MiB" in one["how"]
    assert one["digest"] != other["digest"]


def test_a_folder_without_weights_tells_nothing(tmp_path: Path) -> None:
    assert weights_of(str(tmp_path)) is None
    assert weights_of("some/model") is None


def test_a_hub_model_is_known_by_its_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--org--name"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    assert hub_revision("org/name") is None  # named, and not there
    (folder / "snapshots" / COMMIT).mkdir(parents=True)
    assert weights_of("org/name") == {"revision": COMMIT}
    assert weights_of(str(folder / "snapshots" / COMMIT)) == {"revision": COMMIT}
    assert hub_revision("org/name", revision="v2") is None
    assert revision_in("/models/snapshots/abc") is None


def test_hardware_is_what_this_machine_tells() -> None:
    found = hardware()
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0
    assert set(found) == {"processor", "architecture", "cores", "memory_gib", "gpus"}


def test_gpus_are_listed_by_their_own_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559 MiB, 580.1'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert gpus() == ["NVIDIA H100 80GB HBM3, 81559 MiB, 580.1"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert gpus() is None  # a tool that fails tells nothing: not that there is none
