"""Which weights a model has: the revision of its hub snapshot, or a hash of the files themselves."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

__all__ = ["hub_revision", "revision_in", "weights_of"]

_FILES = (".safetensors", ".bin", ".gguf", ".pt", ".pth")
_WHOLE = 16 << 30
"""Files of more bytes than this are not read whole: that would take minutes before the first call."""
_END = 1 << 20
_SNAPSHOT = re.compile(r"snapshots/([0-9a-f]{40})(?:/|$)")


def weights_of(path: str, *, revision: str | None = None) -> dict[str, Any] | None:
    """Say which weights a server that was started here serves.

    Args:
        path: what it was given: a folder, a file or a hub id.
        revision: the revision that it was asked for, of a hub id.

    Returns:
        ``{"revision": ...}`` of a hub snapshot, or ``{"digest": ..., "bytes": ..., "how": ...}``; None where neither
        can be had.
    """
    if found := revision_in(path):
        return {"revision": found}
    place = Path(path)
    if place.exists():
        return _digest(place)
    found = hub_revision(path, revision=revision)
    return {"revision": found} if found else None


def revision_in(path: str) -> str | None:
    """Return the revision that a path into the hub's cache names, if it is one."""
    found = _SNAPSHOT.search(path)
    return found[1] if found else None


def hub_revision(name: str, *, revision: str | None = None) -> str | None:
    """Return the commit of the snapshot that this machine's hub cache holds of a model, if it holds one."""
    if revision and re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    folder = cache / f"models--{name.replace('/', '--')}"
    try:
        commit = (folder / "refs" / (revision or "main")).read_text().strip()
    except OSError:
        return None
    return commit if (folder / "snapshots" / commit).is_dir() else None


def _digest(place: Path) -> dict[str, Any] | None:
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.suffix in _FILES and p.is_file())
    total = sum(file.stat().st_size for file in files)
    if not files:
        return None
    whole = total <= _WHOLE
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        name = file.name if place.is_file() else file.relative_to(place).as_posix()
        digest.update(f"{name}\x1f{file.stat().st_size}\x1f".encode())
        with file.open("rb") as raw:
            if whole:
                while block := raw.read(_END):
                    digest.update(block)
            else:
                digest.update(raw.read(_END))
                raw.seek(max(0, file.stat().st_size - _END))
                digest.update(raw.read(_END))
    how = "blake2b of the files" if whole else "blake2b of names, sizes, and the first and last MiB of each file"
    return {"digest": digest.hexdigest(), "bytes": total, "how": how}
