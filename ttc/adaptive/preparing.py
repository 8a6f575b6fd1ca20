"""What of a pool can be tuned on: problems that were judged, with as many samples as the others have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from ttc.errors import ConfigurationError
from ttc.pools import Pool

__all__ = ["Prepared", "prepared", "score_cost"]

JUDGES = ("judge", "reward")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pool to tune on, and what was left out of it, in words."""

    pool: Pool
    notes: tuple[str, ...]


def prepared(pool: Pool) -> Prepared:
    """Leave out what would be taken for something else.

    A problem that nobody judged would count as hopeless, and one with few samples would make all others as narrow.

    Raises:
        ConfigurationError: nobody judged any of it.
    """
    notes: list[str] = []
    judged = [p for p in pool.problems if len(p) and p.accuracy is not None]
    if not judged:
        raise ConfigurationError(f"pool '{pool.name}' holds no verdicts: nothing says what is right")
    if without := len(pool) - len(judged):
        notes.append(
            f"{without} of the {len(pool)} problems of pool {pool.name} have no verdicts: they are left out "
            "(--gold-free estimates them)"
        )
    usual = median(len(p) for p in judged)
    wide = [p for p in judged if 2 * len(p) >= usual]
    if narrow := len(judged) - len(wide):
        notes.append(
            f"{narrow} of the {len(pool)} problems of pool {pool.name} have fewer than half of the usual "
            f"{usual:g} samples: they are left out"
        )
    found = replace(pool, problems=tuple(wide))
    if found.width < usual:
        notes.append(
            f"pool {pool.name} is tuned at {found.width} samples a problem, which all have; the usual is {usual:g}"
        )
    answers = sum(a is not None for p in wide for a in p.answers)
    unknown = sum(a is not None and a not in verdicts for p in wide for verdicts in (p.verdicts(),) for a in p.answers)
    if unknown:
        notes.append(f"{unknown} of the {answers} answers of pool {pool.name} have no verdict: they count as wrong")
    return Prepared(found, tuple(notes))


def score_cost(pools: Sequence[Pool]) -> tuple[float, str]:
    """Mean tokens that a verifier's own calls take per score, as far as recording says; and what it does not say.

    They are those of calls of kind judge and reward to the same model. Tokens of other models' servers (``reward@prm``)
    are never added to them.
    """
    tokens = sum(pool.cost.get(kind, 0.0) for pool in pools for kind in JUDGES)
    scored = sum(s is not None for pool in pools for p in pool.problems for row in p.scores.values() for s in row)
    foreign = sorted({kind for pool in pools for kind in pool.cost if "@" in kind})
    note = f"what {', '.join(foreign)} took is not in the costs: it is of another model" if foreign else ""
    if not any(pool.cost for pool in pools):
        note = "what scoring costs was not recorded, and is not in the costs"
    return tokens / scored if scored else 0.0, note
