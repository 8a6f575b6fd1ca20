"""Lines of a JSONL file, gzipped or not, one at a time; a broken file is named with the line where it breaks."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ttc.errors import ConfigurationError

__all__ = ["Line", "numbered_lines"]


class Line(NamedTuple):
    """A line of a file.

    Attributes:
        number: counted from one.
        raw: without its end.
        whole: whether it has an end: the last one has none where writing was broken off.
    """

    number: int
    raw: bytes
    whole: bool


def numbered_lines(path: Path) -> Iterator[Line]:
    """Read the lines that are not blank, one at a time.

    Raises:
        ConfigurationError: there is no such file, or it cannot be read to its end.
    """
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                if raw.strip():
                    yield Line(number, raw.rstrip(b"\r\n"), raw.endswith(b"\n"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path}: this is a folder; name a file in it") from None
    except EOFError:
        raise ConfigurationError(
            f"{path}: the gzip file is cut off behind line {number}: it was not written to its end; make it again"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ConfigurationError(f"{path}: this is no gzip file behind line {number} ({error})") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror or error})") from None
