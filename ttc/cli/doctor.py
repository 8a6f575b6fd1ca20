"""``ttc doctor``: what a server really does."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import anyio
import typer
from rich.console import Console
from rich.table import Table

from ttc.errors import ServerUnreachable
from ttc.models.doctor import UNKNOWN, Diagnosis, Finding, examine

__all__ = ["doctor"]


def doctor(
    url: Annotated[str, typer.Argument(help="Such as http://127.0.0.1:8000/v1.")] = "http://127.0.0.1:8000/v1",
    *,
    model: Annotated[str | None, typer.Option(help="Which of its models; the first when left out.")] = None,
    api_key: Annotated[str | None, typer.Option(envvar="OPENAI_API_KEY", help="Sent as a bearer token.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Try a server: model, context, reasoning, usage fields, log probabilities, seeds, caching, cancelling."""
    diagnosis = anyio.run(partial(examine, url, model=model, api_key=api_key))
    if json_:
        print(diagnosis.to_json())
    if not diagnosis.reachable:
        raise ServerUnreachable(diagnosis.findings[0].note + ". Start one with 'ttc up'.")
    if not json_:
        _show(diagnosis)


def _show(diagnosis: Diagnosis) -> None:
    table = Table(title=diagnosis.base_url, title_justify="left", show_edge=False)
    table.add_column("what")
    table.add_column("found")
    table.add_column("because", overflow="fold")
    for finding in diagnosis.findings:
        table.add_row(finding.name.replace("_", " "), _value(finding), finding.note)
    console = Console()
    console.print(table)
    console.print(
        f"{diagnosis.requests} requests, {diagnosis.prompt_tokens:,} prompt and {diagnosis.generated_tokens:,} "
        f"generated tokens, {diagnosis.seconds:.1f} s",
        highlight=False,
    )


def _value(finding: Finding) -> str:
    value = finding.value
    if isinstance(value, bool):
        return "[green]yes[/]" if value else "[red]no[/]"
    if value == UNKNOWN:
        return "[yellow]unknown[/]"
    return "\n".join(value) if isinstance(value, list) else str(value)
