"""What the tests of all strategies share: the strategies themselves, what a model says to them, and how to read it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import anyio.lowlevel

from ttc import registry
from ttc.budget import Price
from ttc.ledger import Ledger
from ttc.tool import ToolResult
from ttc.types import Outcome, Query

POLICIES = Path(__file__).parent / "policies"

SPECS = [
    "single",
    "majority:n=7",
    "majority:n=9,stop=beta,wave=3",
    "majority:n=9,stop=window,window=2,certain=false",
    "majority:n=7,weights=log_odds",
    "majority:n=7,weights=score,stop=confidence,window=2,wave=2",
    "best_of_n:n=5",
    "best_of_n:n=5,weighted=false",
    "best_of_n:n=5,wave=2",
    "short_m_at_k:k=6,m=2",
    "deep_conf:n=9,warmup=3,eta=50,window=2,wave=2",
    "knockout:n=6,k=3",
    "league:n=5,k=3",
    "swiss:n=5,rounds=3,k=1",
    "knockout:n=3,k=1,each=(majority:n=3)",
    "revision:chains=3,length=3",
    "revision:length=2,each=(knockout:n=2,k=1)",
    "budget_forcing:thinking=16,answer_tokens=48",
    "budget_forcing:thinking=30,waits=2,answer_tokens=48,server=true",
    "converge:step=8,patience=2,thinking=40,answer_tokens=48",
    "adaptive:probe=3",
    "adaptive:probe=3,hard=(knockout:n=6)",
    f"adaptive:policy={POLICIES / 'learned_stop.toml'}",
    f"adaptive:policy={POLICIES / 'more_thinking.toml'}",
    f"adaptive:policy={POLICIES / 'knockout.toml'}",
    "program_of_thought:n=5,tool=last_number",
    "program_of_thought:n=3,repair=2,tool=last_number",
    "beam:n=6,m=3,step_tokens=24,max_steps=4",
    "beam:n=4,m=2,separator=none,step_tokens=9,max_steps=4,choice=best",
    "dvts:n=6,m=2,step_tokens=24,max_steps=4",
    "lookahead:n=4,m=2,step_tokens=24,max_steps=4",
    "best_first:n=14,m=2,wave=2,step_tokens=24,max_steps=4",
    "mcts:n=14,m=2,wave=2,step_tokens=24,max_steps=4",
    "particle_filter:n=4,step_tokens=24,max_steps=4",
    "particle_filter:n=4,separator=none,step_tokens=9,max_steps=4,resampling=multinomial,ess=0.5",
    "ab_mcts:n=7,wave=3",
    "ab_mcts:n=14,wave=4,nodes=steps,step_tokens=24,max_steps=4",
]

#: takes the first finishers, by definition; tests/strategies/test_short_m_at_k.py shows what that selects for
RACES = "short_m_at_k"


class LastWord:
    """The last word is the answer."""

    name = "last_word"
    cue = " answer:"

    def extract(self, text: str) -> str | None:
        word = (text.split() or [""])[-1]
        return word if word.isdigit() else None

    def concludes(self, text: str) -> bool:
        return self.extract(text) is not None

    def key(self, answer: str) -> str:
        return answer

    def equivalent(self, a: str, b: str) -> bool:
        return a == b


class LastNumber:
    """A tool that costs nothing: it returns the last word of a text, and cannot do with a text of an even length."""

    name = "last_number"

    async def run(self, text: str, query: Query) -> ToolResult:
        await anyio.lowlevel.checkpoint()
        said = text.split()
        return ToolResult("", "an even length") if len(said) % 2 == 0 else ToolResult(said[-1])


# Strategies name their tool; those that need a sandbox are tested where it is.
registry._entries("tool")["last_number"] = EntryPoint("last_number", f"{__name__}:LastNumber", "ttc.tools")

PRICE = Price(prompt=1.0, generated=2.0, cached=0.5)
QUERY = Query.of("2+5?", answer_type=LastWord())


def said(seed: int, choices: Sequence[str] = ()) -> str:
    """What the model says to a seed: one of the choices, or up to forty words with an answer behind them."""
    draw = random.Random(seed)
    if choices:
        return draw.choice(choices)
    return " ".join(["so"] * draw.randint(1, 40) + [draw.choice("77735")])


def in_steps(seed: int, text: str) -> str:
    """What a model says that is asked for steps: often one that does not answer yet stands before the rest."""
    draw = random.Random(seed ^ 5)
    return " ".join(["so"] * draw.randint(1, 12)) + f"\n\n{text}" if draw.random() < 0.7 else text


def judged_by(spec: str) -> str:
    """A verifier for a strategy: with calls of its own where there are comparisons as well, else without any."""
    return "judge" if "k=" in spec else "self_certainty"


def assert_last_proposal(outcome: Outcome) -> None:
    """The outcome is the last proposal, and nothing where there was none."""
    if outcome.checkpoints:
        assert outcome.answer == outcome.checkpoints[-1].answer
    else:
        assert outcome.answer is None


def assert_kept(ledger: Ledger) -> None:
    """No limit of its budget was exceeded."""
    budget, spent = ledger.budget, ledger.spent
    assert budget.generated_tokens is None or spent.generated <= budget.generated_tokens
    assert budget.total_tokens is None or spent.total <= budget.total_tokens
    assert budget.calls is None or sum(ledger.calls.values()) <= budget.calls
    assert budget.dollars is None or ledger.dollars <= budget.dollars * (1 + 1e-9)


def assert_nothing_is_promised(ledger: Ledger) -> None:
    """Every lease came back, and nobody waits for one."""
    assert (ledger._leased_generated, ledger._leased_prompt, ledger._leased_calls) == (0, 0, 0)
    assert ledger._held_generated == 0
    assert all(promised == [0, 0] for promised in ledger._priced.values())
    assert not ledger._waiting
