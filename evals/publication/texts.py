"""What a publication says of itself: how to use it, how to cite it, and whose its texts are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ttc.evals.summary import Summary
from ttc.pools import Pool

__all__ = ["About", "citation", "notice", "read_me", "replay_program"]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the texts name.

    Attributes:
        run: name of the run.
        models: that answered.
        suites: their specs, with licence and source where the suite says them.
        date: when the run was started, ``2026-11-28``; empty where the card does not say.
        ttc: the version that made it.
        problems: that were solved.
        strategies: that were run, without their ``n``.
        pools: their files, one for each model that has one.
        samples: of each problem in the first pool at the least.
        tokens: mean generated tokens of its samples.
        authors: names.
        left_out: what is not in it, and why.
    """

    run: str
    models: tuple[str, ...]
    suites: tuple[tuple[str, str, str], ...]
    date: str
    ttc: str
    problems: int
    strategies: tuple[str, ...]
    pools: tuple[str, ...]
    samples: int
    tokens: float
    authors: tuple[str, ...]
    left_out: tuple[str, ...]

    @classmethod
    def of(
        cls,
        card: Mapping[str, Any],
        summary: Summary,
        pools: Mapping[str, Pool],
        *,
        authors: tuple[str, ...],
        left_out: tuple[str, ...],
    ) -> About:
        """Gather what the texts name."""
        told: list[tuple[str, dict[str, Any]]] = [(s["spec"], s.get("info") or {}) for s in card["suites"]]
        pool = next(iter(pools.values()), None)
        drawn = [tokens for problem in pool.problems for tokens in problem.generated] if pool else []
        return cls(
            run=str(card.get("run_id") or "a run"),
            models=tuple(card.get("models") or [card["model"]]),
            suites=tuple((spec, str(i.get("licence", "")), str(i.get("source", ""))) for spec, i in told),
            date=str(card.get("started", ""))[:10],
            ttc=str(card.get("ttc", "unknown")),
            problems=summary.problems.get("all", 0),
            strategies=tuple(dict.fromkeys(c.strategy for c in summary.curves)),
            pools=tuple(pools),
            samples=min((len(p) for p in pool.problems), default=0) if pool else 0,
            tokens=sum(drawn) / len(drawn) if drawn else 0.0,
            authors=authors,
            left_out=left_out,
        )

    @property
    def title(self) -> str:
        """The run in a line."""
        return f"{', '.join(self.models)} on {', '.join(spec for spec, _, _ in self.suites)}"


_FILES = {
    "run_card.json": "the run card: models, weights, tokenizer, server, hardware, sampling, seeds, suites",
    "summary.json": "every number of the page: points, intervals, comparisons",
    "timings.json": "what depends on the clock",
    "report.html": "the page, self-contained; open it in a browser",
    "figures/curves.png": "accuracy against thinking tokens (and curves.svg)",
    "figures/cost.png": "where the tokens went (and cost.svg)",
    "data/points.csv": "the points of the curves, with intervals and costs",
    "data/comparisons.csv": "paired differences to `single` and to `majority`",
    "replay.py": "a strategy of one's own on the pool",
    "reproduction.json": "which samples came out again when they were drawn anew (`ttc reproduce`)",
    "NOTICE.md": "whose the texts are",
    "CITATION.cff": "how to cite it",
    "SHA256SUMS": "the files' hashes",
}


def read_me(about: About, files: Mapping[str, bytes]) -> str:
    """Say what is in it, how to redraw the figures, and how to replay a strategy."""
    made = {*files, "README.md", "NOTICE.md", "CITATION.cff", "SHA256SUMS", *(["replay.py"] if about.pools else ())}
    told = dict.fromkeys(about.pools, "the samples, graded: strategies run on it without a model") | _FILES
    rows = "\n".join(f"| `{name}` | {what} |" for name, what in told.items() if name in made)
    strategies = ", ".join(f"`{name}`" for name in about.strategies)
    text = f"""# {about.title}

A run of [ttc](https://pypi.org/project/ttc-compute/) {about.ttc}: {about.problems:,} problems, {strategies}.

| file | |
|---|---|
{rows}

The commands below run in this folder on any machine. Once ttc is there, they need no model and no network.

```bash
pip install 'ttc-compute[report,tune]'
```

## Redraw the figures

From `summary.json` alone:

```bash
ttc report --from . --out redrawn
```
"""
    if about.pools:
        text += _replay(about)
    if about.left_out:
        text += "\n## What is not in it\n\n" + "\n".join(f"- {why}" for why in about.left_out) + "\n"
    return text


def _replay(about: About) -> str:
    sizes = ",".join(str(n) for n in (1, 2, 4, 8, 16, 32, 64) if n <= about.samples)
    budget = max(1, round(about.tokens * about.samples / 2))
    pool = about.pools[0]
    return f"""
## Replay a strategy

`{pool}` holds {about.samples} samples of each problem, or more. Strategies that draw whole samples run on it as on a
server, in any number of orders:

```bash
ttc pool stats {pool}
ttc pool curves {pool} -s majority:stop=never --budgets {sizes} --png replayed.png
```

A strategy of your own is a class; `replay.py` holds one to start from:

```bash
python replay.py
```

A policy is tuned on the pool, here for a mean of {budget:,} tokens a query:

```bash
ttc tune {pool} --budget {budget} --out policy.toml
```
"""


def replay_program(pool: str) -> str:
    """Return a program that replays a strategy of one's own on the pool of this file name."""
    return '''"""A strategy of one's own on the samples of this run: no model is asked."""

from __future__ import annotations

from typing import ClassVar

import anyio
from pydantic import Field

from ttc import Query, Session, Strategy
from ttc.evals.recordings.replayed_curves import replayed_curves
from ttc.pool_files import read_pool


class Agreement(Strategy):
    """Draw one sample after the other until two agree. Costs 2 to n calls, one at a time."""

    prefix_valid: ClassVar[bool] = True
    cost: ClassVar[str] = "2 to n calls, one after the other"

    n: int = Field(8, ge=1, description="samples at the most")

    async def solve(self, query: Query, session: Session) -> None:
        """Remember the answers, and stop at the first one that comes again."""
        seen: set[str] = set()
        async with session.sample(n=self.n, wave=1) as samples:
            async for candidate in samples:
                session.propose(candidate)
                if candidate.answer is None:
                    continue
                key = query.answer_type.key(candidate.answer)
                if key in seen:
                    session.stop_early("two samples agree")
                    break
                seen.add(key)


async def main() -> None:
    """Replay it beside the vote, and print what both bring."""
    pool = read_pool("POOL")
    width = min(len(problem) for problem in pool.problems)
    summary = await replayed_curves(pool, [Agreement(n=width), f"majority:n={width}"], orders=8)
    for curve in summary.curves:
        if curve.group == "all":
            for point in curve.points:
                right, low, high = (f"{100 * share:.1f}" for share in (point.accuracy, point.low, point.high))
                cost = point.cost["generated"]
                print(f"{point.strategy} {point.setting}: {right}% [{low}, {high}], {cost:.1f} tokens")


anyio.run(main)
'''.replace("POOL", pool)


def citation(about: About) -> str:
    """Write the file that GitHub and Zenodo read, in the Citation File Format 1.2.0; strings as JSON, which is YAML."""
    authors = about.authors or (f"The authors of {about.run}",)
    lines = [
        "cff-version: 1.2.0",
        "message: If you use these samples or figures, please cite them as below.",
        "type: dataset",
        f"title: {_quoted(f'{about.title}: accuracy per thinking token')}",
        "authors:",
        *(f"  - name: {_quoted(name)}" for name in authors),
        *([f"date-released: {_quoted(about.date)}"] if about.date else []),
        "keywords:",
        *(f"  - {_quoted(word)}" for word in ("test-time compute", *about.models)),
        "references:",
        "  - type: software",
        "    title: ttc-compute",
        f"    version: {_quoted(about.ttc)}",
        "    authors:",
        '      - name: "The authors of ttc"',
    ]
    return "\n".join(lines) + "\n"


def notice(about: About) -> str:
    """Say whose the texts in it are, and what to look at before they are given on."""
    rows = "\n".join(
        f"| `{spec}` | {licence or 'not said'} | {source or 'not said'} |" for spec, licence, source in about.suites
    )
    models = ", ".join(about.models)
    return f"""# Whose the texts are

**Model outputs.** Answers, and thoughts where they were kept, were written by {models}. The licence or the terms of
that model say what may be done with them, training other models among it: look there before you use or pass them on.
They are data of an experiment. They may be wrong or offensive, or repeat what the model was trained on.

**Problems.** They come from these suites, under their own licences:

| suite | licence | source |
|---|---|---|
{rows}

**Measurements.** Whoever published this folder grants what they may in the numbers, figures and the run card; a licence
of theirs is to stand beside this file.
"""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
