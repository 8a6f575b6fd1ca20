"""``ttc reproduce``: stored samples of a run, drawn again and held beside."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ttc.cli.completion import run_names
from ttc.cli.connection import DEFAULT_URL, connect
from ttc.cli.interrupts import run_interruptibly
from ttc.cli.learn import run_named
from ttc.cli.printable import one_line
from ttc.errors import ConfigurationError

if TYPE_CHECKING:
    from ttc.evals.reproduction import Reproduction
    from ttc.models.base import LiveModel

__all__ = ["reproduce_command"]


def reproduce_command(
    run: Annotated[str, typer.Argument(help="A run, by name or path.", autocompletion=run_names)],
    k: Annotated[int, typer.Option("-k", min=1, help="Samples to draw again.")] = 20,
    base_url: Annotated[
        list[str] | None,
        typer.Option(
            envvar="TTC_BASE_URL",
            help="The server to ask; by default the run's own. Of several models one for each, in the run's order.",
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Its name there; by default the one it had then.")] = None,
    up: Annotated[str | None, typer.Option(help="Start a server for this model first, e.g. smollm2.")] = None,
    concurrency: Annotated[str, typer.Option(help="Calls under way at a time, each in turn.")] = "1,64",
    seed: Annotated[int, typer.Option(help="Chooses the samples.")] = 0,
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Draw samples of a run again, alone and among many, and say how many come out the same to the byte.

    Nothing is written into the run's store; what was found is kept beside it, in reproduction.json.
    """
    from ttc.evals.reproduction import reproduce

    directory = run_named(runs, run)
    counts = _numbers(concurrency)

    def tell(done: int, total: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else "\r"
            print(f"ttc: {done} of {total} calls are back", end=end, file=sys.stderr, flush=True)

    async def work() -> Reproduction:
        async with AsyncExitStack() as stack:
            models = await _connected(stack, directory, base_url or [], up, named=model)
            return await reproduce(directory, models, k=k, concurrency=counts, seed=seed, on_progress=tell)

    found = run_interruptibly(work, lambda: "ttc: interrupted: nothing was written")
    if json:
        sys.stdout.write(found.to_json().decode())
        sys.stdout.flush()
    else:
        _show(found, directory)


async def _connected(
    stack: AsyncExitStack, directory: Path, base_urls: list[str], up: str | None, *, named: str | None
) -> dict[str, LiveModel]:
    """Connect to the models of a run, where they were served then, or where it is said now."""
    from ttc.evals.model_cards import models_of
    from ttc.evals.run_card import read_card

    card = read_card(directory)
    known = models_of(card)
    if (up or named) and len(known) > 1:
        raise ConfigurationError(
            f"run '{directory.name}' asked {', '.join(known)}: leave --model and --up out; each is looked for where it "
            "was served then, or give --base-url once for each, in this order"
        )
    if len(base_urls) not in (0, len(known)):
        raise ConfigurationError(
            f"run '{directory.name}' asked {', '.join(known)}: give --base-url once for each, in this order, and not "
            f"{len(base_urls)} times"
        )
    urls = dict(zip(known, base_urls, strict=False))
    starts = {one.get("name") or one.get("model"): one for one in card["config"].get("models") or ()}
    models: dict[str, LiveModel] = {}
    for name, model in known.items():
        config = starts.get(name) or card["config"]
        start = up if up or name in urls else config.get("up")
        server: dict[str, Any] = model.get("server") or {}
        url: str = urls.get(name) or config.get("base_url") or server.get("base_url") or DEFAULT_URL
        models[name] = await stack.enter_async_context(connect(url, named or model.get("served") or name, up=start))
    return models


def _show(found: Reproduction, directory: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in (
        "calls in flight",
        "drawn again",
        "same to the byte",
        "failed",
        "first difference, share of tokens",
    ):
        table.add_column(heading, justify="right")
    for at_a_time in found.matching:
        shares = sorted(
            row.share_of_tokens
            for row in found.redrawn
            if row.concurrency == at_a_time and row.share_of_tokens is not None
        )
        middle = f"median {shares[len(shares) // 2]:.0%}, first {shares[0]:.0%}" if shares else ""
        same, failed = found.matching[at_a_time], found.failed[at_a_time]
        table.add_row(str(at_a_time), str(found.samples), str(same), str(failed or ""), middle)
    console.print(table)
    parted = [row for row in found.redrawn if row.character is not None]
    for row in parted[:5]:
        console.print(
            Text(
                f"{one_line(row.query, 40)} {row.kind} {row.index}, {row.concurrency} in flight: parts at character "
                f"{row.character} ({row.share_of_tokens or 0:.0%} of the tokens)",
                style="dim",
            )
        )
    if len(parted) > 5:
        console.print(Text(f"... and {len(parted) - 5} more in {directory / 'reproduction.json'}", style="dim"))
    kinds = ", ".join(f"{n} {kind}" for kind, n in found.kinds.items())
    console.print(Text(f"{found.samples} of {found.of} samples ({kinds}); {found.generated:,} tokens generated"))
    if found.left_out:
        left = "; ".join(f"{n:,} since {why}" for why, n in found.left_out.items())
        console.print(Text(f"left out: {left}", style="dim"))
    if found.counted_by != "tokenizer":
        console.print(Text("shares of tokens are estimates: the server counts none", style="dim"))
    for line in found.servers:
        console.print(Text(one_line(line, 200), style="yellow"))
    console.print(Text(found.verdict, style="bold"), soft_wrap=True)


def _numbers(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise ConfigurationError(f"--concurrency {text}: give whole numbers from 1, e.g. 1,64")
    return list(dict.fromkeys(found))
