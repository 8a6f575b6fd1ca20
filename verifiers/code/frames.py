"""What a checker tells the parent: frames of a fixed form, which are read without parsing anything."""

from __future__ import annotations

import struct
from typing import Literal, get_args

__all__ = ["CODES", "HEAD", "LOADED", "LONGEST_TEXT", "Status"]

Status = Literal["passed", "failed", "error", "timeout", "memory", "crashed"]
"""How a test, an expression or a program ended.

``passed``; ``failed``: an assertion does not hold, or the output is another one; ``error``: an exception, or an exit
code that is not 0; ``timeout``; ``memory``: MemoryError; ``crashed``: the process ended or answered with junk.
"""

CODES: tuple[Status, ...] = get_args(Status)
"""A status is sent as its place in here."""

HEAD = struct.Struct("!iBI")
"""The head of a frame: the test's number, the code of its status, the length of the text that follows."""

LOADED = -1
"""The number in the frame that says how the import of the candidate went, the first of all."""

LONGEST_TEXT = 1 << 16
"""Bytes; a frame that announces more is none."""
