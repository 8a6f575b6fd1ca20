"""What the sandbox is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from ttc.errors import ConfigurationError
from ttc.verifiers.code.frames import Status

__all__ = ["Execution", "Limits", "Observation", "Status", "TestResult"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use.

    Args:
        seconds: wall-clock time per test, and for the import of the program.
        total_seconds: wall-clock time for all tests of one call; what is left then is a ``timeout``.
        memory_mb: address space of each process, in MiB.
        output_bytes: of standard output; a program that writes more is ended.
    """

    seconds: float = 4.0
    total_seconds: float = 20.0
    memory_mb: int = 1024
    output_bytes: int = 65536

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.total_seconds > 0 and self.output_bytes > 0):
            raise ConfigurationError(f"{self}: every limit is a number above 0")
        if self.memory_mb < 64:
            raise ConfigurationError(f"memory_mb={self.memory_mb}: an interpreter needs 64 MiB before it runs anything")


@dataclass(frozen=True, slots=True)
class TestResult:
    """How one test ended; ``detail`` says what was expected and found, in at most 1,000 bytes."""

    __test__ = False  # pytest collects classes of this name

    status: Status
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the test passed."""
        return self.status == "passed"


@dataclass(frozen=True, slots=True)
class Observation:
    """The value of an expression as a text that equal values share; what was raised instead unless ``passed``."""

    status: Status
    value: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """How a program ended, what it wrote to standard output (capped), and the end of its standard error."""

    status: Status
    stdout: str = ""
    error: str = ""
