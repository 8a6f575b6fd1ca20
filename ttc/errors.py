"""Every error that ``ttc`` raises on purpose.

::

    TTCError
    ├── ConfigurationError (ValueError)       a name, parameter or file is wrong: nothing was called yet
    │   ├── UnknownName (LookupError)         no strategy, verifier, suite ... of that name; says the nearest
    │   └── SandboxUnavailable                this machine cannot jail a program, so none is run
    ├── BudgetExhausted                       the ledger can never grant what a call needs
    ├── ModelError                            a call to the model failed
    │   ├── ServerUnreachable (ConnectionError)   nothing answers at the URL, or it stopped answering
    │   ├── RequestRejected (ValueError)      the server refused the request (4xx): not retried
    │   │   └── ContextOverflow               the prompt and max_tokens do not fit the model's context
    │   └── BadResponse                       an answer that cannot be read: HTML, truncated JSON, no choices
    ├── LaunchError (RuntimeError)            the vLLM server that we start did not come up
    ├── MissingExtra (ImportError)            an optional package is not installed; names the extra
    └── RunError                              a run directory is missing, locked, or of another version
        └── RunStopped                        a run came to a stop as it was asked to, and can be resumed

Each message says what was wrong, where, and what to do. The command line prints it as one line and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BadResponse",
    "BudgetExhausted",
    "ConfigurationError",
    "ContextOverflow",
    "LaunchError",
    "MissingExtra",
    "ModelError",
    "RequestRejected",
    "RunError",
    "RunStopped",
    "SandboxUnavailable",
    "ServerUnreachable",
    "TTCError",
    "UnknownName",
]


class TTCError(Exception):
    """Root of all errors raised on purpose."""


class ConfigurationError(TTCError, ValueError):
    """A name, a parameter or a file is wrong; raised before any call is made."""


class UnknownName(ConfigurationError, LookupError):
    """No ``what`` is registered under ``name``; the message names the nearest and lists all."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        super().__init__(f"unknown {what} '{name}'.{hint} Known: {', '.join(known) or 'none'}.")


class SandboxUnavailable(ConfigurationError):
    """This machine cannot jail a program, so none is run; names what is missing and the flag that would permit it."""


class BudgetExhausted(TTCError):
    """The ledger can never grant what a call needs."""


class ModelError(TTCError):
    """A call to the model failed.

    Attributes:
        status: the HTTP status that the server answered, if it answered.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ServerUnreachable(ModelError, ConnectionError):
    """Nothing answers at the URL, or it stopped answering."""


class RequestRejected(ModelError, ValueError):
    """The server refused the request (a 4xx other than 408 and 429); never retried."""

    def __init__(self, message: str, *, status: int | None = 400) -> None:
        super().__init__(message, status=status)


class ContextOverflow(RequestRejected):
    """Prompt and ``max_tokens`` together do not fit the model's context."""


class BadResponse(ModelError):
    """The server answered something that cannot be read as a completion."""


class LaunchError(TTCError, RuntimeError):
    """The vLLM server that we started did not come up; the message carries its last log lines."""


class MissingExtra(TTCError, ImportError):
    """An optional package is missing."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package '{package}': pip install 'ttc-compute[{extra}]'")


class RunError(TTCError):
    """A run directory is missing, locked by another process, damaged, or of another version."""


class RunStopped(RunError):
    """A run was asked to stop: what was under way has come back and is kept, and the run can be resumed."""
