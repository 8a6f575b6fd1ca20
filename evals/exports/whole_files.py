"""Several files that are all there, or of which none is new."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ttc.errors import RunError

__all__ = ["whole_files"]


@contextmanager
def whole_files(folder: Path, names: Sequence[str]) -> Generator[list[Path]]:
    """Give temporary paths to write to; at the end of the block each takes its name, after an error none does.

    All are on the disk (fsync) before the first takes its name, and their names are when the block is left.

    Args:
        folder: where they belong.
        names: what they are to be called.

    Raises:
        RunError: they cannot be written.
    """
    temporary = [folder / f".{name}.{os.getpid()}" for name in names]
    try:
        yield temporary
        for path in temporary:
            _sync(path)
        for path, name in zip(temporary, names, strict=True):
            os.replace(path, folder / name)
        _sync(folder)
    except OSError as error:
        raise RunError(f"nothing was exported, {folder} cannot be written: {error.strerror or error}") from error
    finally:
        for path in temporary:
            path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
