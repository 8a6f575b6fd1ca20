"""The samples of a run that a server can be asked for again, each with the very request that brought it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from ttc.evals.call_keys import call_key
from ttc.evals.model_cards import models_of
from ttc.evals.records import request_from_json, sample_from_json
from ttc.evals.store_schema import reading
from ttc.types import Request, Sample

__all__ = ["StoredSample", "spread", "stored_samples"]


@dataclass(frozen=True, slots=True)
class StoredSample:
    """A sample of a run, with the very request that brought it.

    Attributes:
        query: which query asked.
        model: the run's name for the model.
        request: what was asked.
        sample: what came.
    """

    query: str
    model: str
    request: Request
    sample: Sample


def stored_samples(directory: Path, card: Mapping[str, Any]) -> tuple[list[StoredSample], dict[str, int]]:
    """Read the samples of a run that a server can be asked for again, and count those that it cannot, by why.

    Each is checked by its key: the request that is made again hashes to what the run kept it under.

    Raises:
        RunError: there is no run, or it is damaged or of another version.
    """
    found: list[StoredSample] = []
    left: Counter[str] = Counter()
    names = list(models_of(card))
    with reading(directory) as (connection, _):
        rows = connection.execute(
            "SELECT key, calls.content, query, kind, seed, position, finish, sample, logprobs, request "
            "FROM calls JOIN requests USING (content) ORDER BY calls.rowid"
        )
        for key, content, query, kind, seed, position, finish, raw, logprobs, asked in rows:
            sample = sample_from_json(raw)
            if why := _unfit(finish, sample, asked := orjson.loads(asked)):
                left[why] += 1
                continue
            request = request_from_json(asked, kind=kind, index=position, seed=seed, model=sample.model)
            if sample.logprobs:
                request = replace(request, logprobs=logprobs)
            model = next((name for name in names if call_key(name, request) == key), None)
            if model is None or request.content() != content:
                left["it was watched, ran in a race, or may not be replayed"] += 1
                continue
            found.append(StoredSample(query, model, request, sample))
    return found, dict(sorted(left.items()))


def _unfit(finish: str, sample: Sample, asked: Mapping[str, Any]) -> str:
    if finish in ("failed", "cancelled"):
        return f"the call {'failed' if finish == 'failed' else 'was cancelled'}"
    if finish in ("cut", "halted"):
        return "it was cut before its end"
    if sample.forced:
        return "its answer was forced, by a call of its own"
    return "it was drawn in a batch of several" if asked["n"] != 1 else ""


def spread(samples: Sequence[StoredSample], k: int, *, seed: int) -> list[StoredSample]:
    """Choose ``k`` samples by a seed, spread over the kinds of calls, and within a kind over the queries."""
    rng = random.Random(seed)
    kinds: dict[str, dict[str, list[StoredSample]]] = {}
    for i in rng.sample(range(len(samples)), len(samples)):
        one = samples[i]
        kinds.setdefault(f"{one.request.kind}\x1f{one.model}", {}).setdefault(one.query, []).append(one)
    hands = [_dealt(list(queries.values())) for _, queries in sorted(kinds.items())]
    return _dealt(hands)[:k]


def _dealt(hands: Sequence[list[StoredSample]]) -> list[StoredSample]:
    """One of each in turn, until none is left."""
    longest = max(map(len, hands), default=0)
    return [hand[i] for i in range(longest) for hand in hands if i < len(hand)]
