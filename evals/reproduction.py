"""Whether the samples of a run come out again: some of them are drawn anew, alone and among many, and held beside.

A seed fixes which token is taken, not the logits that it is taken from: those are sums whose order follows from what
else the server computes in the same step. So a sample may come out again to the byte when it is alone, and differ from
some token on when others are under way. The report says how often, and where. Nothing is written into the run's store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import orjson

from ttc.budget import Budget
from ttc.errors import ConfigurationError, RunError
from ttc.evals.model_cards import differing, model_cards, models_of
from ttc.evals.run_card import read_card
from ttc.evals.run_directory import write_file
from ttc.evals.stored_samples import StoredSample, spread, stored_samples
from ttc.ledger import Ledger
from ttc.models.base import LiveModel
from ttc.types import Sample

__all__ = ["CONCURRENCY", "FILE", "Redrawn", "Reproduction", "first_difference", "reproduce"]

FILE = "reproduction.json"
"""In the run's directory: what was found last."""

CONCURRENCY = (1, 64)
"""Calls under way at a time: alone, and among many."""

Progress = Callable[[int, int], None]
"""Told how many calls have come back, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrawn:
    """A sample that was drawn again.

    Attributes:
        query: which query asked.
        kind: of the call.
        index: its position among requests of equal content.
        seed: its seed.
        model: that answered.
        concurrency: calls that were under way at a time.
        same: text, thoughts and finish are the same to the byte; None where the call failed.
        finish: how it ended before, and now.
        character: the first one that differs; None where none does.
        share_of_characters: how much of the stored text comes before it.
        share_of_tokens: the same in tokens.
        error: why the call failed.
    """

    query: str
    kind: str
    index: int
    seed: int
    model: str
    concurrency: int
    same: bool | None
    finish: tuple[str, str]
    character: int | None = None
    share_of_characters: float | None = None
    share_of_tokens: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What came of drawing samples again.

    Attributes:
        run: name of the run.
        samples: that were drawn again.
        of: that could have been.
        left_out: samples that could not, by why.
        kinds: of those that were drawn, by kind of call.
        matching: by concurrency, how many are the same to the byte.
        failed: by concurrency, calls that failed.
        agreeing: how many came out the same at every concurrency, whatever the store holds.
        redrawn: each of them at each concurrency.
        servers: what differs between the servers of the run and those that answered, a line each.
        generated: tokens that it cost.
        counted_by: who counted tokens: ``tokenizer`` or ``estimate``.
    """

    run: str
    samples: int
    of: int
    left_out: Mapping[str, int]
    kinds: Mapping[str, int]
    matching: Mapping[int, int]
    failed: Mapping[int, int]
    agreeing: int
    redrawn: tuple[Redrawn, ...]
    servers: tuple[str, ...]
    generated: int
    counted_by: str

    @property
    def verdict(self) -> str:
        """What it means, in words."""
        k, counts = self.samples, self.matching
        alone, among = counts[min(counts)], counts[max(counts)]
        many = max(counts)
        if sum(self.failed.values()):
            return (
                f"{sum(self.failed.values())} calls failed, so nothing is concluded: look at the server, and try again"
            )
        if alone == among == k:
            return f"all {k} samples come out again to the byte, alone and with {many} in flight: the run reproduces"
        if alone == k:
            return (
                f"alone all {k} samples come out again to the byte, with {many} in flight {among}: what else is in the "
                "batch changes roundings, and with them tokens. Its statistics can be repeated, its single texts only "
                "alone"
            )
        if self.agreeing == k:
            return (
                f"the server repeats itself, alone and with {many} in flight, and only {alone} of {k} samples are "
                "those of the run: it is not served as it was then"
                + (": " + "; ".join(self.servers) if self.servers else ", and nothing that is known of it differs")
            )
        return (
            f"alone {alone} of {k} samples come out again to the byte, with {many} in flight {among}: the run drew "
            "them in batches whose roundings are not had again. Its statistics can be repeated, its single texts cannot"
        )

    def to_json(self) -> bytes:
        """Return everything as JSON, with the verdict."""
        plain: dict[str, Any] = orjson.loads(orjson.dumps(self, option=orjson.OPT_NON_STR_KEYS))
        return orjson.dumps({"verdict": self.verdict, **plain}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


async def reproduce(
    directory: Path,
    models: LiveModel | Mapping[str, LiveModel],
    *,
    k: int = 20,
    concurrency: Sequence[int] = CONCURRENCY,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Reproduction:
    """Draw stored samples of a run again, at each concurrency, and keep what came of it as :data:`FILE` beside the run.

    Where fewer samples are chosen than calls are to be under way, other samples of the run keep them company, and are
    not looked at.

    Args:
        directory: the run's.
        models: what answers: the model, or those of the run by its names for them.
        k: samples to draw again.
        concurrency: calls under way at a time.
        seed: chooses them.
        on_progress: told after each call.

    Raises:
        RunError: there is no run, or it holds no sample that a server could be asked for again.
        ConfigurationError: ``k`` or a concurrency below one, or a model of the run is missing.
    """
    if k < 1 or not concurrency or min(concurrency) < 1:
        raise ConfigurationError("draw at least one sample again, with at least one call under way at a time")
    card = await anyio.to_thread.run_sync(read_card, directory)
    fit, left_out = await anyio.to_thread.run_sync(stored_samples, directory, card)
    if not fit:
        raise RunError(f"run '{directory.name}' holds no sample that a server could be asked for again")
    names = list(models_of(card))
    by_name = dict(models) if isinstance(models, Mapping) else {names[0]: models}
    if missing := {one.model for one in fit} - by_name.keys():
        raise ConfigurationError(
            f"run '{directory.name}' was asked of {', '.join(sorted(missing))} too: give it as well"
        )
    chosen = spread(fit, k, seed=seed)
    company = _company(fit, chosen, max(concurrency), seed=seed)
    work = _Redrawing(by_name, on_progress, sum(len(chosen) + (len(company) if c > 1 else 0) for c in concurrency))
    rows: list[Redrawn] = []
    texts: list[list[tuple[str, str]]] = []
    for at_a_time in concurrency:
        drawn = await work.draw([*chosen, *(company if at_a_time > 1 else ())], at_a_time)
        new = drawn[: len(chosen)]
        rows += [await work.held_beside(old, now, at_a_time) for old, now in zip(chosen, new, strict=True)]
        texts.append([(s.reasoning, s.text) for s in new])
    found = Reproduction(
        run=directory.name,
        samples=len(chosen),
        of=len(fit),
        left_out=left_out,
        kinds=dict(sorted(Counter(one.request.kind for one in chosen).items())),
        matching={c: sum(r.same is True for r in rows if r.concurrency == c) for c in concurrency},
        failed={c: sum(r.same is None for r in rows if r.concurrency == c) for c in concurrency},
        agreeing=sum(len(set(of_it)) == 1 for of_it in zip(*texts, strict=True)),
        redrawn=tuple(rows),
        servers=tuple(await _servers(card, by_name)),
        generated=work.generated,
        counted_by=work.counted_by,
    )
    await anyio.to_thread.run_sync(write_file, directory / FILE, found.to_json())
    return found


def _company(
    fit: Sequence[StoredSample], chosen: Sequence[StoredSample], most: int, *, seed: int
) -> list[StoredSample]:
    """Who fills the batch up to ``most``: other samples of the run, and the same again where there are too few."""
    wanted = most - len(chosen)
    taken = set(map(id, chosen))
    others = [one for one in spread(fit, len(fit), seed=seed + 1) if id(one) not in taken] or list(chosen)
    return [others[i % len(others)] for i in range(max(0, wanted))]


async def _servers(card: Mapping[str, Any], models: Mapping[str, LiveModel]) -> list[str]:
    before, lines = models_of(card), list[str]()
    for name, now in (await model_cards(models)).items():
        server: Mapping[str, Any] = before[name]["server"] if name in before else {}
        for fact, (was, value) in differing(server, now["server"]).items():
            lines.append(f"{fact} of {name}: {was} then, {value} now")
    return lines


class _Redrawing:
    """Calls that are made again, and what they cost."""

    def __init__(self, models: Mapping[str, LiveModel], tell: Progress | None, total: int) -> None:
        self.models = models
        self.tell = tell
        self.total = total
        self.done = 0
        self.generated = 0
        self.counted_by = "tokenizer"

    async def draw(self, wanted: Sequence[StoredSample], at_a_time: int) -> list[Sample]:
        """Make the calls, so many at a time; those that fail come back as failed samples."""
        found: dict[int, Sample] = {}
        limiter = anyio.CapacityLimiter(at_a_time)

        async def one(i: int, stored: StoredSample) -> None:
            async with limiter:
                model = self.models[stored.model]
                (found[i],) = await model.complete(stored.request, Ledger(Budget()), lambda: True)
            self.done += 1
            self.generated += found[i].usage.generated
            if self.tell is not None:
                self.tell(self.done, self.total)

        try:
            async with anyio.create_task_group() as group:
                for i, stored in enumerate(wanted):
                    group.start_soon(one, i, stored)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [found[i] for i in range(len(wanted))]

    async def held_beside(self, stored: StoredSample, now: Sample, at_a_time: int) -> Redrawn:
        """Compare a sample with what the store holds, byte by byte."""
        old, request = stored.sample, stored.request
        row = Redrawn(
            query=stored.query,
            kind=request.kind,
            index=request.index,
            seed=request.seed,
            model=stored.model,
            concurrency=at_a_time,
            same=None,
            finish=(old.finish, now.finish),
            error=now.error,
        )
        if not now.ok:
            return row
        before, after = old.reasoning + old.text, now.reasoning + now.text
        at = first_difference(before, after)
        if at is None:
            return replace(row, same=(old.reasoning, old.finish) == (now.reasoning, now.finish))
        whole = await self._tokens(stored.model, before)
        part = await self._tokens(stored.model, before[:at])
        return replace(
            row,
            same=False,
            character=at,
            share_of_characters=at / len(before) if before else 0.0,
            share_of_tokens=min(1.0, part / whole) if whole else 0.0,
        )

    async def _tokens(self, model: str, text: str) -> int:
        count, by = await self.models[model].count_tokens(text)
        if by != "tokenizer":
            self.counted_by = by
        return count


def first_difference(before: str, after: str) -> int | None:
    """Return where two texts part: at the shorter one's end where the other goes on; None where they are equal."""
    if before == after:
        return None
    shorter = min(len(before), len(after))
    return next((i for i in range(shorter) if before[i] != after[i]), shorter)
