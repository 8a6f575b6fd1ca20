"""Filling a template of the page: everything escaped, a policy that names its own style and scripts by their hash."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from ttc.errors import MissingExtra

__all__ = ["fill", "script_data", "source"]


def source(*names: str) -> str:
    """Return the text of files that stand beside this one, one after the other."""
    here = files("ttc.evals.report")
    return "\n".join(here.joinpath(name).read_text("utf-8") for name in names)


def fill(template: str, *, values: Mapping[str, Any], scripts: Sequence[str] = (), data: Any = None) -> str:
    """Fill a template.

    Args:
        template: its file.
        values: what the template names; all of it is escaped.
        scripts: sources that run in this order; a page without any forbids all.
        data: what the scripts read, as JSON.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    environment = _environment()
    # Imported late: markupsafe comes with jinja2.
    from markupsafe import Markup

    style = source("page.css")
    return environment.get_template(template).render(
        **values,
        style=Markup(style),
        style_hash=_hash(style),
        scripts=[Markup(script) for script in scripts],
        script_hashes=[_hash(script) for script in scripts],
        data=Markup(script_data(data)),
    )


@cache
def _environment() -> Any:
    try:
        from jinja2 import DictLoader, Environment, StrictUndefined
    except ImportError:
        raise MissingExtra("jinja2", "report", "writing a page") from None
    templates = {name: source(name) for name in ("page.html.j2", "part.html.j2", "table.html.j2", "comparison.html.j2")}
    return Environment(
        loader=DictLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _hash(text: str) -> str:
    """Return the hash by which the policy allows an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def script_data(data: Any) -> str:
    """Write JSON that stays data inside a script element: no ``<`` can end it, no ``&`` be read as a reference."""
    raw = orjson.dumps(data).decode()
    for sign in "<>&\u2028\u2029":
        raw = raw.replace(sign, f"\\u{ord(sign):04x}")
    return raw
