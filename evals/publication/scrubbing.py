"""What of a run may not be published: keys, passwords, where its servers are, and whose folders it was made in.

Facts are scrubbed as data, not as text, so that what models wrote stays as it is. At the end every file of a
publication is looked through for what was taken out, and for every secret that the environment holds.

"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from ttc.models.started import without_secrets

__all__ = ["Scrubber", "secrets_of_environment"]

_SECRET_KEY = re.compile(
    r"(api|access|auth|private|secret)[_-]?key|(^|[_-])(token|secret|password|passwd|credentials?|authorization)$",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}|\bhf_[A-Za-z0-9]{16,}|\bgh[pousr]_[A-Za-z0-9]{16,}|\bBearer\s+[\w.~+/=-]{8,}"
)
_WITH_USER = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<user>[^/\s@\"']+)@")
_HOME = re.compile(r"(?:/home/[^/\s:\"']+|/Users/[^/\s:\"']+|/root)(?=$|[/\s:\"',;)\]}])")
_WHERE = frozenset({"base_url", "base_urls", "url", "urls"})
_REMOVED = "(removed)"
_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
_LEAST = 8
"""Characters of a secret that is looked for: shorter ones stand in any text by chance."""


def secrets_of_environment() -> set[str]:
    """Return the values of variables that are named like secrets, and are none of the words that stand anywhere."""
    found = {value.strip() for name, value in os.environ.items() if _VARIABLE.search(name)}
    return {value for value in found if len(value) >= _LEAST and not value.startswith("/") and not value.isdigit()}


class Scrubber:
    """Takes out of plain data what may not be published, and remembers what it was.

    Attributes:
        secrets: texts that may stand in no file.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.secrets = set(secrets)
        self._home = str(Path.home()).rstrip("/")

    def data(self, value: Any, *, name: str = "") -> Any:
        """Return data without secrets, addresses of servers and home folders; mappings and lists all the way down."""
        if isinstance(value, Mapping):
            fields = cast("Mapping[Any, Any]", value)
            return {self.text(str(key)): self._field(str(key), inner) for key, inner in fields.items()}
        if isinstance(value, list | tuple):
            entries = cast("list[Any]", value)
            if name == "flags" and all(isinstance(entry, str) for entry in entries):
                entries = self._flags(entries)
            return [self.data(entry) for entry in entries]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """Return one text without secrets and home folders."""

        def user(found: re.Match[str]) -> str:
            self._remember(unquote(found["user"].partition(":")[2]))
            return found["scheme"]

        def key(found: re.Match[str]) -> str:
            self._remember(found[0].removeprefix("Bearer").strip())
            return _REMOVED

        text = _SECRET_TEXT.sub(key, _WITH_USER.sub(user, text))
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, _REMOVED)
        return self.page(text)

    def page(self, text: str) -> str:
        """Return a text without home folders; that of models may stand in it, so nothing else is looked for."""
        if len(self._home) > 1:
            text = re.sub(re.escape(self._home) + r"(?=$|[/\s:\"',;)\]}&<])", "~", text)
        return _HOME.sub("~", text)

    def leaks(self, content: bytes) -> bool:
        """Whether a secret stands in the bytes of a file."""
        return any(secret.encode() in content for secret in self.secrets)

    def _field(self, name: str, value: Any) -> Any:
        if _SECRET_KEY.search(name) and value not in (None, "", [], {}):
            self._collect(value)
            return _REMOVED
        if name in _WHERE:
            self._collect_addresses(value)
            return None
        return self.data(value, name=name)

    def _flags(self, flags: list[str]) -> list[str]:
        kept = without_secrets(flags)
        for before, after in zip(flags, kept, strict=True):
            if before != after:
                self._remember(before.partition("=")[2] if before.startswith("-") else before)
        return kept

    def _collect(self, value: Any) -> None:
        if isinstance(value, str):
            self._remember(value)
        elif isinstance(value, Mapping):
            for inner in cast("Mapping[Any, Any]", value).values():
                self._collect(inner)
        elif isinstance(value, list | tuple):
            for inner in cast("list[Any]", value):
                self._collect(inner)

    def _collect_addresses(self, value: Any) -> None:
        for url in cast("list[Any]", value) if isinstance(value, list | tuple) else [value]:
            if isinstance(url, str) and (password := urlsplit(url).password):
                self._remember(unquote(password))

    def _remember(self, secret: str) -> None:
        if len(secret) >= _LEAST and secret != _REMOVED and not set(secret) <= {"*"}:
            self.secrets.add(secret)
