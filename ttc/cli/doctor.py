"""``ttc doctor``: what a server really does."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import anyio
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ttc.errors import ServerUnreachable

if TYPE_CHECKING:
    from ttc.models.doctor import Diagnosis, Finding

__all__ = ["doctor"]


def doctor(
    url: Annotated[str, typer.Argument(help="Such as http://127.0.0.1:8000/v1.")] = "http://127.0.0.1:8000/v1",
    *,
    model: Annotated[str | None, typer.Option(help="Which of its models; the first when left out.")] = None,
    api_key: Annotated[str | None, typer.Option(envvar="OPENAI_API_KEY", help="Sent as a bearer token.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Try a server: model, context, reasoning, usage fields, log probabilities, seeds, caching, cancelling."""
    from ttc.models.doctor import examine

    diagnosis = anyio.run(partial(examine, url, model=model, api_key=api_key))
    if json_:
        print(diagnosis.to_json())
    if not diagnosis.reachable:
        raise ServerUnreachable(diagnosis.findings[0].note + ". Start one with 'ttc up'.")
    if not json_:
        _show(diagnosis)


def _show(diagnosis: Diagnosis) -> None:
    table = Table(title=Text(diagnosis.base_url), title_justify="left", show_edge=False)
    table.add_column("what")
    table.add_column("found")
    table.add_column("because", overflow="fold")
    for finding in diagnosis.findings:
        table.add_row(finding.name.replace("_", " "), _value(finding), Text(finding.note))
    console = Console()
    console.print(table)
    console.print(
        f"{diagnosis.requests} requests, {diagnosis.prompt_tokens:,} prompt and {diagnosis.generated_tokens:,} "
        f"generated tokens, {diagnosis.seconds:.1f} s",
        highlight=False,
    )


def _value(finding: Finding) -> Text:
    from ttc.models.doctor import UNKNOWN

    value = finding.value
    if isinstance(value, bool):
        return Text("yes", "green") if value else Text("no", "red")
    if value == UNKNOWN:
        return Text("unknown", "yellow")
    return Text("\n".join(value) if isinstance(value, list) else str(value))
