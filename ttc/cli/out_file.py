"""Where a command writes its result: looked at before the work, since what was worked out would be lost after it."""

from __future__ import annotations

import os
from pathlib import Path

from ttc.errors import ConfigurationError

__all__ = ["refuse_unwritable"]


def refuse_unwritable(out: Path) -> None:
    """Make sure that ``--out`` can be written.

    Raises:
        ConfigurationError: it is a folder, or in one that is not there or may not be written.
    """
    folder = out.absolute().parent
    if out.is_dir():
        raise ConfigurationError(f"--out {out}: this is a folder; name a file in it")
    if not folder.is_dir():
        raise ConfigurationError(f"--out {out}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(f"--out {out}: the folder {folder} may not be written")
