"""The jailed process that runs the tests. It holds them and what they expect; the candidate is asked through a channel.

What it finds goes to the parent in frames of a fixed form, over a pipe that the candidate's process does not have.
"""

from __future__ import annotations

import ast
import traceback
from collections.abc import Callable
from typing import Any

from ttc.verifiers.code.canonical_text import canonical_text
from ttc.verifiers.code.channel import Channel, write_all
from ttc.verifiers.code.frames import CODES, HEAD, LOADED, Status
from ttc.verifiers.code.proxies import CandidateEnded, CandidateNames, Remote

__all__ = ["check"]

_LONGEST_DETAIL = 1000
_FILE = "<test>"


def check(channel: Channel, job: dict[str, Any], verdicts: int) -> None:
    """Run the job's tests, or evaluate its expressions, and report each on the descriptor ``verdicts``.

    The job has ``setup``, ``entry_point``, ``tests`` and ``longest`` (0 for tests; for expressions, the most characters
    of a value's text). It ends after the first test that the candidate does not survive: the parent goes on from there.
    """

    def report(number: int, status: Status, detail: str) -> None:
        text = detail.encode("utf-8", "replace")[: job["longest"] or _LONGEST_DETAIL]
        write_all(verdicts, HEAD.pack(number, CODES.index(status), len(text)) + text)

    remote = Remote(channel)
    names = CandidateNames(remote, job["entry_point"])
    namespace: dict[str, Any] = {"__builtins__": names, "__name__": "test"}
    status, detail = _outcome(remote, remote.loaded)
    if status == "passed":
        status, detail = _outcome(remote, lambda: _run(job["setup"], namespace, "<setup>"))
        detail = detail and f"in the setup: {detail}"
        namespace.pop(job["entry_point"], None)  # a prompt declares it; the one to be tested is the candidate's
        names.pop(job["entry_point"], None)  # nor is it a builtin: some problems ask for a function called sum
    report(LOADED, status, detail)
    if status != "passed":
        return
    for number, test in enumerate(job["tests"]):
        remote.last = ""
        remote.error = None
        if job["longest"]:
            status, detail = _value(remote, test, dict(namespace))
        else:
            status, detail = _outcome(remote, lambda: _run(test, dict(namespace), _FILE), test)  # noqa: B023
        report(number, status, detail)
        if status == "crashed":
            return


def _run(source: str, namespace: dict[str, Any], file: str) -> None:
    exec(compile(source, file, "exec", dont_inherit=True), namespace)


def _value(remote: Remote, expression: str, namespace: dict[str, Any]) -> tuple[Status, str]:
    found: list[str] = []

    def evaluate() -> None:
        value = eval(compile(expression.strip(), "<expression>", "eval", dont_inherit=True), namespace)
        found.append(canonical_text(value))

    status, detail = _outcome(remote, evaluate)
    if found:
        return status, found[0]
    return status, f"raises {detail.partition(':')[0]}" if status == "error" else detail


def _outcome(remote: Remote, run: Callable[[], None], source: str = "") -> tuple[Status, str]:
    try:
        run()
    except CandidateEnded as ended:
        return "crashed", str(ended)
    except MemoryError:
        return "memory", "out of memory"
    except AssertionError as error:
        if error is remote.error:
            return "error", f"AssertionError: {error}"
        return "failed", _explained(error, source, remote.last)
    except BaseException as error:
        name = "" if error is remote.error and type(error).__name__ == "CandidateLeft" else f"{type(error).__name__}: "
        return "error", f"{name}{error}" + (f" ({remote.last})" if remote.last else "")
    return "passed", ""


def _explained(error: AssertionError, source: str, last: str) -> str:
    """The assertion that failed, its message, and the last call with what it returned."""
    lines = [frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _FILE]
    text = ""
    for node in ast.walk(ast.parse(source)) if lines else ():
        if isinstance(node, ast.Assert) and node.lineno <= lines[-1] <= (node.end_lineno or node.lineno):
            text = f"assert {ast.get_source_segment(source, node.test) or ''}"[:400]
    return "; ".join(filter(None, (text, str(error)[:200], last)))
