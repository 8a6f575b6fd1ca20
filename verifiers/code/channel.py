"""Length-prefixed JSON between the checker and the candidate, over one end of a socket pair."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

__all__ = ["Channel", "Gone", "read_all", "write_all"]

_LENGTH = struct.Struct("!I")
_LONGEST = 64 * 1024 * 1024


class Gone(Exception):
    """The other side has ended, or wrote what is no message."""


class Channel:
    """One end of a conversation. ``receive`` and ``send`` raise Gone when the other end is closed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, message: Any) -> None:
        """Write one message; what ``json.dumps`` raises for it is raised before a byte is written."""
        body = json.dumps(message, separators=(",", ":")).encode()
        if len(body) > _LONGEST:
            raise ValueError(f"a message of {len(body)} bytes is too long")
        try:
            write_all(self._descriptor, _LENGTH.pack(len(body)) + body)
        except OSError as error:
            raise Gone(str(error)) from error

    def receive(self) -> Any:
        """Wait for one message."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        if length > _LONGEST:
            raise Gone("a message that is too long")
        try:
            return json.loads(self._read(length))
        except (ValueError, RecursionError) as error:
            raise Gone(f"not a message: {type(error).__name__}") from error

    def _read(self, length: int) -> bytes:
        parts: list[bytes] = []
        while length:
            try:
                part = os.read(self._descriptor, min(length, 1 << 20))
            except OSError as error:
                raise Gone(str(error)) from error
            if not part:
                raise Gone("closed")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


def read_all(descriptor: int) -> bytes:
    """Everything until the other end is closed."""
    parts: list[bytes] = []
    while part := os.read(descriptor, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, however many calls it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
