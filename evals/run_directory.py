"""The directory of a run: where it is, who may write it, and files that are whole or not there."""

from __future__ import annotations

import difflib
import fcntl
import os
import re
from pathlib import Path
from typing import IO

from ttc.errors import ConfigurationError, RunError

__all__ = ["CARD", "STORE", "find_run", "lock", "refuse_network_disk", "resolve", "write_file"]

STORE = "store.sqlite"
"""The file that makes a directory a run."""

CARD = "run.json"
"""The file that says what a run is of."""

_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "beegfs", "gpfs", "fuse.sshfs"})


def resolve(runs: Path, run_id: str) -> Path:
    """Return the directory of a run under ``runs``.

    Raises:
        ConfigurationError: the id is not a plain name, so that it could lead elsewhere.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", run_id):
        raise ConfigurationError(
            f"run id '{run_id}': use up to 128 letters, digits, '.', '_' and '-', the first one a letter or a digit"
        )
    return Path(runs) / run_id


def find_run(runs: Path, run: str) -> Path:
    """Return the directory of a run that is there: by its name in ``runs``, or by a path to it.

    Raises:
        ConfigurationError: the name is not a plain one.
        RunError: there is no such run; names the nearest. Or it has lost its store.
    """
    path = Path(run)
    by_path = "/" in run or (path / STORE).is_file()
    if run and (path.is_absolute() or (by_path and not (runs / run / STORE).is_file())):
        path = path.absolute()
        runs, run = path.parent, path.name
    directory = resolve(runs, run)
    if (directory / STORE).is_file():
        return directory
    if (directory / CARD).is_file():
        raise RunError(
            f"run '{run}' in {runs} has its card ({CARD}) and no store ({STORE}): what it had paid for is gone; put "
            "the store back, or do the run again under another name"
        )
    known = sorted(p.parent.name for p in runs.glob(f"*/{STORE}"))
    if not known:
        raise RunError(
            f"there is no run '{run}': the folder '{runs}' holds no run; 'ttc eval' makes one, --runs looks elsewhere"
        )
    near = difflib.get_close_matches(run, known, n=1, cutoff=0.4)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise RunError(f"there is no run '{run}' in {runs}.{hint} There: {', '.join(known[-8:])}.")


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a temporary one, fsync, rename, fsync of the directory."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def lock(directory: Path) -> IO[str]:
    """Take the lock of a run; it is held until the file is closed, or its process is gone.

    Raises:
        RunError: names the process that holds it.
    """
    file = open(directory / "lock", "a+", encoding="utf-8")  # noqa: SIM115 -- held until the store is closed
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise RunError(
            f"run '{directory.name}' is being written by process {owner}: wait for it, or choose another --run-id"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def refuse_network_disk(directory: Path) -> None:
    """Refuse a disk where locks and the shared memory of SQLite's log are not safe.

    Raises:
        RunError: the directory is on a network file system.
    """
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return  # no /proc: nothing to tell by
    here = f"{directory.resolve()}/"
    _, kind = max(((m, k) for m, k in mounts if here.startswith(f"{m.rstrip('/')}/")), default=("", ""), key=_length)
    if kind in _NETWORK:
        raise RunError(
            f"{directory} is on a network disk ({kind}), where a run's store is not safe: pass --runs on a local one"
        )


def _length(mount: tuple[str, str]) -> int:
    """The longest mount point above a path is the one that holds it."""
    return len(mount[0])
