"""A trace for people: what happened as a tree, a sentence an event, with the tokens that had been spent by then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ttc.cli.printable import one_line
from ttc.cli.search_view import show_search
from ttc.strategies.grown_tree import grown_trees, wave_said, without_step_calls

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["say", "show_trace", "tree_lines"]

Event = Mapping[str, Any]

TREES = 4
"""So many searches are drawn."""

ANSWER = 32
"""An answer is shortened to so many characters."""


def show_trace(trace: Sequence[Event], console: Console, answer: str | None = None) -> None:
    """Print a trace, and the trees of its searches with the way to the answer; on a terminal each takes a line."""
    from rich.text import Text

    console.print(Text("tokens  what happened", style="dim"))
    for tokens, guide, sentence in tree_lines(trace):
        name, _, rest = sentence.partition(" ")
        line = Text.assemble((f"{tokens:>6,}  {guide}", "dim"), (name, "bold"), f" {rest}" if rest else "")
        if console.is_terminal:
            line.truncate(console.width, overflow="ellipsis")
        console.print(line, soft_wrap=True)
    trees = grown_trees(trace)
    for tree in trees[:TREES]:
        console.print()
        show_search(tree, answer, console)
    if (more := len(trees) - TREES) > 0:
        console.print(f"\n{more} more searches are not drawn" if more > 1 else "\n1 more search is not drawn")


def tree_lines(trace: Sequence[Event], guide: str = "") -> Iterator[tuple[int, str, str]]:
    """Yield for every event, the outer one first, the tokens by then, the lines of the tree, and a sentence.

    What a judge said of each step of a wave by itself is left out: one sentence tells of all of them.
    """
    trace = without_step_calls(trace)
    for i, event in enumerate(trace):
        inner = event.get("events", ())
        if len(inner) == 1 and inner[0].get("event") == event.get("event"):
            event = inner[0]  # a branch that was opened for this one event
        last = i == len(trace) - 1
        yield int(event.get("tokens", 0)), guide + ("└─ " if last else "├─ "), say(event)
        yield from tree_lines(event.get("events", ()), guide + ("   " if last else "│  "))


def say(event: Event) -> str:
    """Say an event in a line; its first word is what it is. One that is not known is said with its facts."""
    name = str(event.get("event", ""))
    sentence = _SENTENCES.get(name)
    try:
        return one_line((sentence or _facts)(event))
    except (KeyError, TypeError, ValueError, IndexError):  # a third party's event of the same name
        return one_line(_facts(event))


def _short(answer: Any, length: int = ANSWER) -> str:
    """Shorten an answer to a line; that there is none is said."""
    return "no answer" if answer is None else one_line(str(answer), length)


def _count(answers: Iterable[Any]) -> str:
    """Say how often each answer is there: ``42 x3, 41``."""
    counts = Counter(_short(answer) for answer in answers)
    return ", ".join(f"{answer} x{n}" if n > 1 else answer for answer, n in counts.most_common())


_FINISHES = {
    "length": "reached its cap",
    "cut": "cut by the budget",
    "cancelled": "cancelled",
    "failed": "failed",
    "halted": "halted",
    "step": "a step",
}


def _sample(event: Event) -> str:
    kind: str = event.get("kind", "generate")
    name = "sample" if kind == "generate" else kind
    why: str = event["finish"]
    facts = [f"{event['generated']:,} tokens", *([_FINISHES.get(why, why)] if why != "stop" else [])]
    facts += ["answer forced"] * bool(event.get("forced"))
    facts += [_short(event["error"], 60)] if event.get("error") else []
    return f"{name} #{event['index']}: {_short(event['answer'])} ({', '.join(facts)})"


def _score(event: Event) -> str:
    return f"score #{event['index']}: {event['score']:.3f} by {event['by']} for {_short(event.get('answer'))}"


def _compare(event: Event) -> str:
    a, b = (_short(answer) for answer in event.get("answers", (f"#{event['a']}", f"#{event['b']}")))
    first, second, won = (a, b, event["won"]) if event["first"] == "a" else (b, a, 1 - event["won"])
    if won == 0.5:
        return f"compare {first} with {second}: no verdict"
    return f"compare {first} with {second}: the {'first' if won > 0.5 else 'second'} wins"


def _match(event: Event) -> str:
    met = next((e for e in event.get("events", ()) if e.get("event") == "compare"), None)
    won, played = event["points"], event["played"]
    if met is None:
        return f"match {event['number'] + 1} of stage {event['stage']}: not played"
    a, b = (_short(answer) for answer in met["answers"])
    if won * 2 < played:
        a, b, won = b, a, played - won
    outcome = "ties with" if won * 2 == played else "beats"
    return f"match {event['number'] + 1} of stage {event['stage']}: {a} {outcome} {b}, {won:g} to {played - won:g}"


def _stage(event: Event) -> str:
    return f"stage {event['stage']} is over, standing: {_count(event['standing']) or 'nobody'}"


def _tournament(event: Event) -> str:
    both = event["swap_pairs"]
    swaps = f"; both orders agree in {event['swap_consistent']} of {both} pairs" if both else ""
    return f"tournament over, {event['meetings']} comparisons{swaps}"


def _vote(event: Event) -> str:
    votes: list[str] = []
    for answer, count, *weight in event["classes"]:
        weighs = f" (weight {weight[0]:.3g})" if weight and weight[0] != count else ""
        votes.append(_short(answer) + (f" x{count}" if count > 1 else "") + weighs)
    return f"vote {', '.join(votes) or 'without a vote'}"


def _stop(event: Event) -> str:
    return f"stop after {event['samples']} samples: {event['why']}"


def _difficulty(event: Event) -> str:
    seems = "difficulty" if event["p"] is None else f"difficulty {event['p']:.2f} by {event['by']}"
    return f"{seems}, class {event['query_class']}: row {event['row']}, {event['strategy']} (policy {event['policy']})"


def _pace(event: Event) -> str:
    gain = "" if event["gain"] is None else f": to go on would bring {event['gain']:+.4f} net"
    return f"stop after {event['samples']} samples of the draw{gain}"


def _confidence(event: Event) -> str:
    verdict = "escalate" if event["confidence"] < event["below"] else "done"
    by = f" by {event['by']}" if event.get("by") else ""
    return f"confidence {event['confidence']:.2f}{by}, escalation below {event['below']:.2f}: {verdict}"


def _attempt(event: Event) -> str:
    return f"attempt #{event['number']} of chain #{event['chain']}: {_short(event['answer'])}"


def _seat(event: Event) -> str:
    return f"seat #{event['seat']} goes to {_short(event['answer'])}"


def _branch(event: Event) -> str:
    return f"branch {event['name']}" + (" (unfinished)" if event.get("unfinished") else "")


def _grow(event: Event) -> str:
    return f"grow {wave_said(event)}"


def _score_steps(event: Event) -> str:
    scores = [score for solution in event["scores"] for score in solution or ()]  # None: the budget refused it
    if not scores:
        return f"score_steps of no step by {event['by']}"
    low, high = min(scores), max(scores)
    span = f"{low:.3f}" if low == high else f"{low:.3f} to {high:.3f}"
    return f"score_steps of {len(scores):,} step{'s' * (len(scores) > 1)}: {span} by {event['by']}"


def _continue(event: Event) -> str:
    cue = f' behind "{_short(event["cue"])}"' if event.get("cue") else ""
    why: str = event["finish"]
    facts = [
        f"{event['added']:,} token{'s' * (event['added'] != 1)}{cue}",
        *([_FINISHES.get(why, why)] if why != "stop" else []),
    ]
    return f"continue #{event['index']}: {_short(event['answer'])} ({', '.join(facts)})"


def _force(event: Event) -> str:
    return f"force an answer out of node {event['node']:d}"


def _facts(event: Event) -> str:
    silent = ("event", "tokens", "events")
    said = {k: v for k, v in event.items() if k not in silent and not (v is None or v is False or v == "")}
    facts = [f"{k} {_fact(v)}" for k, v in said.items()]
    return f"{event.get('event', 'event')} {', '.join(facts)}"


def _fact(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_fact(v) for v in value) + "]"  # pyright: ignore[reportUnknownVariableType]
    return f"{value:.4g}" if isinstance(value, float) else _short(value, 60)


_SENTENCES: dict[str, Callable[[Event], str]] = {
    "sample": _sample,
    "score": _score,
    "compare": _compare,
    "match": _match,
    "stage": _stage,
    "tournament": _tournament,
    "vote": _vote,
    "stop": _stop,
    "difficulty": _difficulty,
    "pace": _pace,
    "confidence": _confidence,
    "attempt": _attempt,
    "seat": _seat,
    "branch": _branch,
    "grow": _grow,
    "score_steps": _score_steps,
    "continue": _continue,
    "force": _force,
}
