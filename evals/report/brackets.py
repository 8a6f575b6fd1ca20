"""Tournaments of a trace laid out for reading: who met whom in which round, who went on, how all of them stood. Pure.

Knockout, league and Swiss tournament leave the same events: a ``match`` with its comparisons within, a ``stage`` with
who is still in, and a ``tournament`` at the end. Where nobody plays on after a defeat they are a bracket, else a table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["brackets", "without_brackets"]

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Match:
    """A pair that met: places and answers of the two, and of so many comparisons what the first one won."""

    stage: int
    a: int
    b: int
    answers: tuple[str | None, str | None]
    points: float
    played: int
    tokens: int

    @property
    def score(self) -> float:
        """What it is worth to ``a``: 1, 0, or 1/2 where it is tied."""
        return (1 + (self.points > self.played / 2) - (self.points < self.played / 2)) / 2


def brackets(trace: Sequence[Event], *, limit: int = 96) -> list[dict[str, Any]]:
    """Lay out the tournaments that a trace tells of.

    Args:
        trace: of an outcome.
        limit: matches that are shown of each, from the first round.

    Returns:
        Of each: ``name`` of the branch that held it (or empty), ``kind`` (``bracket`` or ``table``), ``said``: a
        sentence; ``rounds`` as ``[stage, matches, standing]``, a match as ``[a, answer, b, answer, points, played,
        who went on]`` (the last one of a bracket, where it is known),
        the standing as pairs of an answer and how many with it were still in; ``table`` as ``[place, answer, matches,
        wins, comparisons, points]``, the best first; ``left_out`` matches.
    """
    found: list[dict[str, Any]] = []
    for name, events in _tournaments(trace, ""):
        matches = [match for event in events if (match := _match(event)) is not None]
        if matches:
            found.append(_laid_out(name, matches, events, limit))
    return found


def without_brackets(trace: Sequence[Event]) -> list[Event]:
    """Return a trace without the events that :func:`brackets` shows, and within its branches too."""
    kept: list[Event] = []
    for event in trace:
        if _match(event) is not None or event.get("event") in ("stage", "tournament"):
            continue
        inner: Sequence[Event] = event.get("events", ())
        kept.append({**event, "events": without_brackets(inner)} if inner else event)
    return kept


def _tournaments(events: Sequence[Event], name: str) -> Iterator[tuple[str, Sequence[Event]]]:
    yield name, events
    for event in events:
        if event.get("event") != "match" and event.get("events"):
            yield from _tournaments(event["events"], str(event.get("name", name)))


def _match(event: Event) -> _Match | None:
    """Read a match; None where the event is none, or one of a third party that says less."""
    met: list[Event] = [e for e in event.get("events", ()) if e.get("event") == "compare" and "answers" in e]
    if event.get("event") != "match" or not met:
        return None
    first = met[0]
    # A place in the list of samples names a candidate; comparisons may name the two in either order.
    points = sum(float(e["won"]) if e["a"] == first["a"] else 1 - float(e["won"]) for e in met)
    return _Match(
        stage=int(event.get("stage", 1)),
        a=first["a"],
        b=first["b"],
        answers=(first["answers"][0], first["answers"][1]),
        points=points,
        played=len(met),
        tokens=int(event.get("tokens", 0)),
    )


def _laid_out(name: str, matches: Sequence[_Match], events: Sequence[Event], limit: int) -> dict[str, Any]:
    standing: dict[int, Sequence[str | None]] = {
        int(e.get("stage", 0)): e.get("standing", ()) for e in events if e.get("event") == "stage"
    }
    stages = sorted({m.stage for m in matches} | set(standing))
    kind = "bracket" if _is_bracket(matches) else "table"
    rounds: list[list[Any]] = []
    left = limit
    for stage in stages:
        mine = [m for m in matches if m.stage == stage]
        shown = mine[: max(0, left)]
        left -= len(shown)
        still = Counter(standing.get(stage, ())).most_common(12)
        later = {place for m in matches if m.stage > stage for place in (m.a, m.b)}
        on = [_went_on(m, later, list(standing.get(stage, ()))) if kind == "bracket" else None for m in shown]
        facts = [[*_fact(m), place] for m, place in zip(shown, on, strict=True)]
        rounds.append([stage, facts, [[answer, n] for answer, n in still]])
    return {
        "name": name,
        "kind": kind,
        "said": _said(matches, events),
        "rounds": rounds,
        "table": _table(matches)[:limit] if kind == "table" else [],
        "left_out": max(0, len(matches) - limit),
    }


def _went_on(m: _Match, later: set[int], standing: Sequence[str | None]) -> int | None:
    """Return who won: by points, or of a tie who is seen later, or whose answer alone still stands."""
    if m.score != 0.5:
        return m.a if m.score > 0.5 else m.b
    seen = [place for place in (m.a, m.b) if place in later]
    if len(seen) == 1:
        return seen[0]
    stand = [place for place, answer in zip((m.a, m.b), m.answers, strict=True) if [answer] == list(standing)]
    return stand[0] if len(stand) == 1 else None


def _fact(m: _Match) -> list[Any]:
    return [m.a, m.answers[0], m.b, m.answers[1], m.points, m.played]


def _is_bracket(matches: Sequence[_Match]) -> bool:
    """Whether everybody meets once a round, and nobody is seen after a defeat."""
    seen: set[tuple[int, int]] = set()
    lost: dict[int, int] = {}
    for m in matches:
        for place, score in ((m.a, m.score), (m.b, 1 - m.score)):
            if (m.stage, place) in seen:
                return False
            seen.add((m.stage, place))
            if score == 0:
                lost[place] = m.stage
    return all(stage <= lost.get(place, stage) for stage, place in seen)


def _table(matches: Sequence[_Match]) -> list[list[Any]]:
    rows: dict[int, list[Any]] = {}
    for m in matches:
        for place, answer, score, points in (
            (m.a, m.answers[0], m.score, m.points),
            (m.b, m.answers[1], 1 - m.score, m.played - m.points),
        ):
            row = rows.setdefault(place, [place, answer, 0, 0.0, 0, 0.0])
            row[2] += 1
            row[3] += score
            row[4] += m.played
            row[5] += points
    return sorted(rows.values(), key=lambda row: (-row[5] / row[4], row[0]))


def _said(matches: Sequence[_Match], events: Sequence[Event]) -> str:
    rounds, compared = len({m.stage for m in matches}), sum(m.played for m in matches)
    said = f"{_counted(len(matches), 'match', 'matches')} in {_counted(rounds, 'round')}, "
    said += f"{_counted(compared, 'comparison')}."
    for end in (e for e in events if e.get("event") == "tournament" and e.get("swap_pairs")):
        pairs = _counted(int(end["swap_pairs"]), "pair")
        said += f" {end['swap_consistent']:,} of {pairs} named the same winner in both orders."
    return said


def _counted(n: int, what: str, many: str = "") -> str:
    return f"{n:,} {what if n == 1 else many or what + 's'}"
