"""What is private is taken out of facts, by what it is called and by what it looks like; the rest stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ttc.evals.publication.scrubbing import Scrubber, secrets_of_environment


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("api_key", False), ("apikey", False), ("Authorization", False), ("hf_token", False), ("client_secret", False),
        ("password", False), ("max_tokens", True), ("total_tokens", True), ("tokenizer", True), ("key", True),
        ("sample_seed", True), ("thinking_tokens", True), ("strategies", True),
    ],
)  # fmt: skip
def test_fields_are_told_by_their_names(name: str, kept: bool) -> None:
    assert (Scrubber().data({"a": [{name: "some-value"}]})["a"][0][name] == "some-value") is kept


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("http://me:pass@host/x", "http://host/x"),
        ("see https://token@host", "see https://host"),
        ("mail me@host", "mail me@host"),
        ("/home/ada/data.jsonl", "~/data.jsonl"),
        ("gsm8k:path=/Users/ada/x.jsonl,n=4", "gsm8k:path=~/x.jsonl,n=4"),
        ("/root/.cache/ttc", "~/.cache/ttc"),
        ("the /roots of 4", "the /roots of 4"),
        ("/homework/3", "/homework/3"),
        ("key sk-abcdefghijklmnop1234", "key (removed)"),
        ("hf_abcdefghijklmnopqrst", "(removed)"),
        ("sk-short, task-abcdefghijklmnopqrstuv", "sk-short, task-abcdefghijklmnopqrstuv"),
        ("Bearer abcdef123456", "(removed)"),
    ],
)
def test_texts_lose_passwords_keys_and_homes(text: str, clean: str) -> None:
    assert Scrubber().text(text) == clean


@pytest.mark.parametrize("value", [None, 3, 0.5, True, [], {}])
def test_what_is_no_text_stays(value: Any) -> None:
    assert Scrubber().data({"x": value}) == {"x": value}
    assert Scrubber().data({"api_key": value})["api_key"] == ("(removed)" if value not in (None, [], {}) else value)


def test_addresses_of_servers_are_left_out() -> None:
    scrubber = Scrubber()
    found = scrubber.data({"base_url": "http://u:hunter2hunter2@in.house", "models": [{"url": "http://x"}]})
    assert found == {"base_url": None, "models": [{"url": None}]}
    assert scrubber.leaks(b"... hunter2hunter2 ...")
    assert not scrubber.leaks(b"in.house")


def test_what_was_taken_out_is_looked_for_everywhere() -> None:
    scrubber = Scrubber(["from-the-environment"])
    scrubber.data({"flags": ["--api-key", "on-the-command-line"], "extra": {"api_key": {"deep": "inside-of-it"}}})
    for secret in ("from-the-environment", "on-the-command-line", "inside-of-it"):
        assert scrubber.leaks(f"a model says {secret}.".encode())
        assert secret not in scrubber.text(f"so {secret}")


def test_the_home_of_whoever_publishes_is_none_of_a_readers_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/export/people/ada"))
    assert Scrubber().page("in /export/people/ada/x and /export/people/adam") == "in ~/x and /export/people/adam"


def test_secrets_of_the_environment_are_told_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "A_TOKEN": "abcdefgh1",
        "B_KEY": "short",
        "C_KEY": "/etc/ssl/key.pem",
        "D": "abcdefgh2",
    }.items():
        monkeypatch.setenv(name, value)
    found = secrets_of_environment()
    assert "abcdefgh1" in found
    assert not {"short", "/etc/ssl/key.pem", "abcdefgh2"} & found
