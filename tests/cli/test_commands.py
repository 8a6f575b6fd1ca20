"""What all commands have in common: JSON for machines, names for the shell to complete, and a light start."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import click
import pytest
import typer

from ttc import registry
from ttc.cli import app, completion, main


def commands(group: Any, *, of: str = "") -> dict[str, click.Command]:
    """All commands by name; those of a group by both names, as ``policy show``."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        found |= commands(command, of=f"{name} ") if hasattr(command, "commands") else {f"{of}{name}": command}
    return found


COMMANDS = commands(typer.main.get_group(app))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_json(name: str) -> None:
    assert "--json" in {option for p in COMMANDS[name].params for option in p.opts}


@pytest.mark.parametrize(
    ("command", "parameter", "kind"),
    [
        ("eval", "suites", "suite"),
        ("eval", "strategy", "strategy"),
        ("eval", "verifier", "verifier"),
        ("eval", "comparator", "comparator"),
        ("solve", "strategy", "strategy"),
        ("solve", "verifier", "verifier"),
        ("solve", "comparator", "comparator"),
        ("solve", "answer", "answer type"),
        ("learn", "answer", "answer type"),
        ("grade", "suite", "suite"),
        ("grade", "answer_type", "answer type"),
        ("verify", "suite", "suite"),
        ("duplicates", "suite", "suite"),
        ("duplicates", "others", "suite"),
    ],
)
def test_the_shell_completes_the_names_that_may_stand_there(command: str, parameter: str, kind: str) -> None:
    context = click.Context(COMMANDS[command])
    (wanted,) = [p for p in COMMANDS[command].params if p.name == parameter]
    for start in ("", registry.names(kind)[0][:2]):
        offered = [item.value for item in wanted.shell_complete(context, start)]
        assert offered == [name for name in registry.names(kind) if name.startswith(start)]


def test_a_name_that_is_not_there_completes_to_nothing() -> None:
    assert completion.verifier_names("no such") == []


def test_the_command_line_starts_without_what_only_some_commands_need() -> None:
    code = "import sys, ttc.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    late = ("aiohttp", "numpy", "matplotlib", "ttc.evals", "ttc.verifiers", "ttc.models.doctor")
    assert [m for m in done.stdout.split() if any(m == name or m.startswith(f"{name}.") for name in late)] == []


def test_a_mistake_is_one_line_whose_control_characters_reach_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ttc", "policy", "show", "no\x1b[31m\x07where.toml"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("ttc: ")
    assert "no\ufffd[31m\ufffdwhere.toml" in said
    assert "\x1b" not in said
