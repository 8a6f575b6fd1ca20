"""What all tree searches share: waves, steps, answers that are forced, and what happens when something runs out."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from tests.strategies.conftest import LastWord
from ttc.budget import Budget
from ttc.errors import BadResponse, ConfigurationError
from ttc.models.base import Meter
from ttc.models.scripted import Scripted
from ttc.models.virtual_clock import run as on_a_clock
from ttc.session import Session
from ttc.solve import solve, solve_many
from ttc.steps import Solution
from ttc.types import Candidate, Outcome, Query, Request, Sample, Sampling, Usage

QUERY = Query.of("2+5?", answer_type=LastWord())
SAMPLING = Sampling(force_answer=4)


@dataclass
class Longer:
    """A step scorer that likes long steps, and counts what it is asked."""

    name: str = "longer"
    logprobs: int = 0
    asked: list[list[Solution]] = field(default_factory=list[list[Solution]])

    async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
        return [0.5 for _ in candidates]

    async def score_steps(
        self, query: Query, solutions: Sequence[Solution], session: Session
    ) -> Sequence[Sequence[float]]:
        self.asked.append(list(solutions))
        return [[min(1.0, len(s.steps[i].split()) / 20) for i in s.unscored] for s in solutions]


def shown(request: Request) -> str:
    """What a continuation goes on from."""
    return str(request.messages[-1]["content"]) if request.continue_final else ""


def counting(steps: int) -> Callable[[Request], Sample]:
    """A model whose solutions have so many steps; the k-th continuation of anything has k more words."""

    def reply(request: Request) -> Sample:
        if request.max_tokens == 4 and not request.until:
            return Sample(text=" 7")
        done = shown(request).count("step")
        words = "step " + "so " * request.index
        if done + 1 < steps:
            return Sample(text=words.strip(), finish="step")
        return Sample(text=words + str(5 + request.index))

    return reply


@pytest.mark.anyio
async def test_steps_grow_into_a_solution_and_each_is_scored_once() -> None:
    model, scorer = Scripted(counting(3)), Longer()
    outcome = await solve(QUERY, "beam:n=4,m=2", model, verifier=scorer)
    assert (outcome.answer, outcome.ended_by) == ("6", "finished")
    assert outcome.text == "step so so so\n\nstep so\n\nstep so 6"
    assert [len(r) for r in ([r for r in model.requests if shown(r).count("step") == d] for d in range(3))] == [4, 4, 4]
    assert [len(wave) for wave in scorer.asked] == [4, 4, 4]
    assert all(len(s.unscored) == 1 for wave in scorer.asked for s in wave)
    assert scorer.asked[2][0].steps[0] == "step so so so"
    assert len(scorer.asked[2][0].samples) == 3
    assert outcome.candidate is not None
    assert outcome.candidate.score == 0.15
    assert outcome.calls == {"generate": 12}


@pytest.mark.anyio
async def test_a_continuation_is_one_of_the_assistants_own_message_up_to_the_separator() -> None:
    model = Scripted(counting(2))
    await solve(QUERY, "beam:n=2,m=2", model, verifier=Longer())
    first, then = model.requests[0], model.requests[2]
    assert (first.until, first.continue_final, first.force) == (("\n\n",), False, None)
    assert (then.until, then.continue_final) == (("\n\n",), True)
    assert list(then.messages) == [*QUERY.messages, {"role": "assistant", "content": "step so\n\n"}]
    assert (first.max_tokens, then.max_tokens) == (256, 256)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("separator", "until", "behind"), [("\\n", ("\n",), "\n"), (";", (";",), ";"), ("none", (), "")]
)
async def test_what_ends_a_step_is_a_word_or_its_tokens(separator: str, until: tuple[str, ...], behind: str) -> None:
    def reply(request: Request) -> Sample:
        if shown(request):
            return Sample(text=" 7")
        return Sample(text="so so", finish="step" if request.until else "stop")

    model = Scripted(reply)
    outcome = await solve(QUERY, f"beam:n=1,m=1,separator={separator},step_tokens=2", model, verifier=Longer())
    assert model.requests[0].until == until
    assert model.requests[0].max_tokens == 2
    if until:
        assert shown(model.requests[1]) == "so so" + behind
        assert outcome.answer == "7"


@pytest.mark.anyio
async def test_a_step_that_reached_its_tokens_goes_on_where_it_stopped() -> None:
    def reply(request: Request) -> str:
        return " and 7" if shown(request) else "so " * 9

    model = Scripted(reply)
    outcome = await solve(QUERY, "beam:n=1,m=1,step_tokens=3", model, verifier=Longer())
    assert shown(model.requests[1]) == "so so so"
    assert outcome.text == "so so so and 7"


@pytest.mark.anyio
async def test_a_step_that_ends_with_the_answer_ends_the_solution() -> None:
    model = Scripted(lambda _: Sample(text="it is 7", finish="step"))
    outcome = await solve(QUERY, "beam:n=2,m=1", model, verifier=Longer())
    assert outcome.answer == "7"
    assert len(model.requests) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("finish", ["step", "stop"])
async def test_a_model_that_has_nothing_to_add_is_done(finish: str) -> None:
    """Servers that do not tell which stop sequence it was end every text as if it were a step."""

    def reply(request: Request) -> Sample:
        return Sample(text="" if shown(request) else "I say 7 so", finish=finish if shown(request) else "step")  # pyright: ignore[reportArgumentType]

    model, scorer = Scripted(reply), Longer()
    query = replace(QUERY, answer_type=replace_word())
    outcome = await solve(query, "beam:n=1,m=1", model, verifier=scorer)
    assert outcome.answer == "so"
    assert len(model.requests) == (2 if finish == "stop" else 3)
    assert [list(s.unscored) for wave in scorer.asked for s in wave] == [[0], *([[]] * (len(model.requests) - 1))]


def replace_word() -> LastWord:
    """Any last word is an answer, but only a digit is one that marks itself."""

    class AnyWord(LastWord):
        def extract(self, text: str) -> str | None:
            return (text.split() or [None])[-1]

        def concludes(self, text: str) -> bool:
            return text.strip().endswith("!")

    return AnyWord()


@pytest.mark.anyio
async def test_solutions_without_end_are_given_up_and_an_answer_is_forced() -> None:
    model = Scripted(counting(99))
    outcome = await solve(QUERY, "beam:n=2,m=2,max_steps=3", model, verifier=Longer(), sampling=SAMPLING)
    assert outcome.answer == "7"
    assert outcome.candidate is not None
    assert outcome.candidate.sample.forced
    assert outcome.ended_by == "finished"
    assert shown(model.requests[-1]) == "step so\n\nstep so\n\nstep so answer:"  # the best of the last wave
    assert len(model.requests) == 7


@pytest.mark.anyio
@pytest.mark.parametrize("tokens", range(5, 60, 3))
async def test_a_tree_that_the_budget_ends_has_kept_enough_for_an_answer(tokens: int) -> None:
    model = Scripted(counting(99))
    outcome = await solve(
        QUERY,
        "beam:n=4,m=2,step_tokens=8",
        model,
        verifier=Longer(),
        sampling=SAMPLING,
        budget=Budget(generated_tokens=tokens),
    )
    assert outcome.ended_by == "budget"
    assert outcome.generated_tokens <= tokens
    if tokens > 12:
        assert outcome.answer == "7"


@pytest.mark.anyio
@pytest.mark.parametrize("budget", [Budget(calls=5), Budget(total_tokens=60), Budget(calls=9, total_tokens=300)])
async def test_calls_and_prompts_are_kept_back_as_well(budget: Budget) -> None:
    model = Scripted(counting(99))
    outcome = await solve(
        QUERY, "beam:n=4,m=2,step_tokens=8", model, verifier=Longer(), sampling=SAMPLING, budget=budget
    )
    assert (outcome.answer, outcome.ended_by) == ("7", "budget")
    assert sum(outcome.calls.values()) <= (budget.calls or 99)
    assert outcome.total_usage.total <= (budget.total_tokens or 999)


@pytest.mark.anyio
async def test_where_answers_are_not_marked_what_there_is_by_then_is_one() -> None:
    model = Scripted(lambda r: Sample(text="on and on", finish="step"))
    outcome = await solve("Tell me", "beam:n=2,m=2,max_steps=2", model, verifier=Longer())
    assert outcome.answer == "on and on\n\non and on"


@pytest.mark.anyio
async def test_an_equal_step_is_one_node_and_is_scored_once() -> None:
    model, scorer = Scripted(lambda r: Sample(text="so", finish="step") if not shown(r) else "7"), Longer()
    outcome = await solve(QUERY, "beam:n=4,m=4", model, verifier=scorer)
    assert [len(wave) for wave in scorer.asked] == [1, 1]
    grown = [event for event in outcome.trace if event["event"] == "grow"]
    assert [node["copies"] for event in grown for node in event["nodes"]] == [4, 4]
    assert len(model.requests) == 8


class Failing(Scripted):
    """Fails what goes on from a text, or everything."""

    everything = False

    async def call(self, request: Request, meter: Meter) -> list[Sample]:
        if request.until and (self.everything or request.continue_final):
            meter.start()
            meter.broke(generated=False)
            raise BadResponse("scripted failure")
        return await super().call(request, meter)


@pytest.mark.anyio
async def test_a_wave_that_fails_ends_the_search_with_what_there_is() -> None:
    model = Failing(counting(3))
    outcome = await solve(QUERY, "beam:n=4,m=2", model, verifier=Longer(), sampling=SAMPLING)
    assert (outcome.answer, outcome.ended_by) == ("7", "finished")
    assert any("4 calls failed" in warning for warning in outcome.warnings)
    model.everything = True
    outcome = await solve(QUERY, "beam:n=4,m=2", model, verifier=Longer(), sampling=SAMPLING)
    assert (outcome.ended_by, outcome.error) == ("all_calls_failed", "scripted failure")


class Charging(Longer):
    """Scores by a call of the model."""

    async def score_steps(
        self, query: Query, solutions: Sequence[Solution], session: Session
    ) -> Sequence[Sequence[float]]:
        for _ in solutions:
            await session.choose(QUERY.messages, ("Yes", "No"), kind="reward", max_tokens=1)
        return await super().score_steps(query, solutions, session)


@pytest.mark.anyio
async def test_where_scores_run_out_of_budget_the_best_of_what_is_known_answers() -> None:
    def reply(request: Request) -> Sample | str:
        return "Yes" if request.choices else counting(3)(request)

    outcome = await solve(
        QUERY, "beam:n=4,m=2", Scripted(reply), verifier=Charging(), sampling=SAMPLING, budget=Budget(calls=7)
    )
    assert (outcome.answer, outcome.ended_by) == ("7", "budget")
    assert outcome.calls == {"generate": 5, "reward": 2}


@pytest.mark.anyio
@pytest.mark.parametrize("calls", [5, 6, 7, 8])
@pytest.mark.parametrize("spec", ["beam:n=4,m=2,choice=best", "particle_filter:n=4", "dvts:n=4,m=2,choice=best"])
async def test_the_scores_that_were_paid_for_count(spec: str, calls: int) -> None:
    """Four whole answers at once, of which the first is the right one; the judge is asked about as many as there is
    budget for."""

    def reply(request: Request) -> Sample | str:
        if request.choices:
            good = "so 5" in str(request.messages)
            return Sample(text="Yes", first_choices=(("Yes", -0.01 if good else -9.0), ("No", -9.0 if good else -0.01)))
        return f"so {5 + request.index}"

    for seed in range(8):
        outcome = await solve(
            QUERY, spec, Scripted(reply), verifier="judge", sampling=SAMPLING, budget=Budget(calls=calls), seed=seed
        )
        assert outcome.answer == "5"
        assert outcome.calls == {"generate": 4, "judge": calls - 4}


@pytest.mark.anyio
async def test_a_verifier_without_steps_is_refused_before_anything_is_paid_for() -> None:
    class Whole:
        name, logprobs = "whole", 0

        async def score(self, query: Query, candidates: Sequence[Candidate], session: Session) -> Sequence[float]:
            return [0.5 for _ in candidates]

    model = Scripted(counting(2))
    with pytest.raises(ConfigurationError, match="beam needs a verifier that scores steps, and 'whole' does not"):
        await solve(QUERY, "beam", model, verifier=Whole())
    assert model.requests == []


@pytest.mark.anyio
async def test_what_passes_ends_the_search() -> None:
    class Exact(Longer):
        pass_fail = True

        async def score_steps(
            self, query: Query, solutions: Sequence[Solution], session: Session
        ) -> Sequence[Sequence[float]]:
            return [[float("7" in s.steps[i]) or 0.5 for i in s.unscored] for s in solutions]

    def reply(request: Request) -> Sample:
        return Sample(text="7" if request.index == 1 else "so", finish="stop" if request.index == 1 else "step")

    model = Scripted(reply)
    outcome = await solve(QUERY, "beam:n=4,m=2", model, verifier=Exact())
    assert (outcome.answer, outcome.ended_by) == ("7", "stopped_early")
    assert len(model.requests) == 4


@pytest.mark.anyio
@pytest.mark.parametrize(("choice", "answer"), [("weighted", "8"), ("best", "9"), ("majority", "8")])
async def test_the_answer_is_chosen_among_all_whole_solutions(choice: str, answer: str) -> None:
    texts = ["so so so 8", "so so so 8", "so so so so 9"]
    model = Scripted(lambda r: texts[r.index] if r.index else "so so 8")
    outcome = await solve(QUERY, f"beam:n=3,m=1,choice={choice}", model, verifier=Longer())
    assert outcome.answer == answer


@pytest.mark.anyio
async def test_the_trace_tells_every_node_and_what_became_of_it() -> None:
    outcome = await solve(QUERY, "beam:n=4,m=2", Scripted(counting(2)), verifier=Longer())
    first, second = (event for event in outcome.trace if event["event"] == "grow")
    assert [node["node"] for node in first["nodes"]] == [1, 2, 3, 4]
    assert first["nodes"][3] == {"node": 4, "parent": 0, "score": 0.2, "tokens": 4, "step": "step so so so"}
    assert sorted(first["pruned"]) == [1, 2]
    assert second["nodes"][1] | {"over": True, "answer": "6"} == second["nodes"][1]
    assert {node["parent"] for node in second["nodes"]} == {3, 4}
    assert second["tokens"] == outcome.generated_tokens


@pytest.mark.anyio
async def test_prompts_are_billed_with_every_step() -> None:
    def reply(request: Request) -> Sample:
        return counting(3)(request)

    outcome = await solve(QUERY, "beam:n=1,m=1", Scripted(reply), verifier=Longer())
    prompts = [2, 2 + 2, 2 + 3]  # words and one a message: the question, and the text so far
    assert outcome.total_usage == Usage(prompt_tokens=sum(prompts), answer_tokens=4)


@pytest.mark.anyio
async def test_the_cap_of_a_sample_is_that_of_a_whole_solution() -> None:
    model = Scripted(lambda r: Sample(text="so " * 9, finish="step"))
    outcome = await solve(
        QUERY, "beam:n=1,m=1,step_tokens=9", model, verifier=Longer(), sampling=Sampling(max_tokens=20, force_answer=0)
    )
    assert [r.max_tokens for r in model.requests] == [9, 9, 2]
    assert outcome.generated_tokens == 20
    assert (outcome.answer, outcome.ended_by) == (None, "finished")


def test_a_deadline_within_the_first_wave_leaves_time_for_an_answer() -> None:
    """On a clock that jumps: of two first steps the second one takes for ever."""

    async def solved() -> Outcome:
        model = Scripted(counting(99), latency=lambda r: 3600.0 if r.index and not r.continue_final else 1.0)
        return await solve(
            QUERY, "beam:n=2,m=2", model, verifier=Longer(), sampling=SAMPLING, budget=Budget(seconds=60)
        )

    outcome = on_a_clock(solved)
    assert (outcome.answer, outcome.ended_by) == ("7", "deadline")
    assert outcome.seconds < 60


@pytest.mark.anyio
@pytest.mark.parametrize("spec", ["beam:n=2,m=1", "dvts:n=2,m=1", "best_first", "particle_filter:n=2", "ab_mcts:n=2"])
@pytest.mark.parametrize("limit", ["total_tokens", "generated_tokens"])
async def test_a_budget_that_pays_for_a_sample_brings_an_answer(spec: str, limit: str) -> None:
    """Whatever its size: where it grows no tree a plain sample answers."""
    for much in range(22, 340, 9):
        outcome = await solve(
            QUERY,
            spec,
            Scripted(lambda r: "so so 7"),
            verifier=Longer(),
            sampling=Sampling(max_tokens=64),
            budget=Budget(**{limit: much}),
        )
        assert outcome.answer == "7", much


@pytest.mark.anyio
async def test_a_blank_line_between_lines_is_no_end() -> None:
    lines = ["Let me see.", "", "Two and five.", "", "", "The sum is 7"]

    def reply(request: Request) -> Sample:
        done = shown(request).count("\n")
        return Sample(text=lines[done], finish="step" if done < len(lines) - 1 else "stop")

    outcome = await solve(QUERY, "beam:n=1,m=1,separator=\\n", Scripted(reply), verifier=Longer())
    assert outcome.answer is None or outcome.answer == "7"
    lines[3:5] = [""]
    outcome = await solve(QUERY, "beam:n=1,m=1,separator=\\n", Scripted(reply), verifier=Longer())
    assert outcome.answer == "7"
    assert outcome.text == "\n".join(lines)
    grown = [node for event in outcome.trace if event["event"] == "grow" for node in event["nodes"]]
    assert [node["step"] for node in grown] == lines


@pytest.mark.anyio
@pytest.mark.parametrize("settings", ["max_steps=1", "max_steps=2,step_tokens=5", "separator=none,step_tokens=6"])
async def test_an_answer_that_is_marked_before_a_cap_counts(settings: str) -> None:
    query = Query.of("2+5?", answer_type="number")
    text = "so the answer is 7 . And so on and on and on"
    model = Scripted(lambda r: text if r.temperature else "9")
    outcome = await solve(
        query, f"beam:n=2,m=1,{settings}", model, verifier=Longer(), sampling=Sampling(max_tokens=10, force_answer=4)
    )
    assert outcome.answer == "7"
    assert outcome.candidate is not None
    assert not outcome.candidate.sample.forced


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("first", "rest"),
    [
        ("The answer is found in 2 steps.", "The answer is 7."),
        ("The answer is 4 more than 3.", "\\boxed{7}"),
    ],
)
@pytest.mark.parametrize("answer_type", ["number", "maths"])
async def test_a_step_that_only_looks_like_an_answer_does_not_end_a_solution(
    first: str, rest: str, answer_type: str
) -> None:
    model = Scripted(lambda r: Sample(text=rest if shown(r) else first, finish="step"))
    outcome = await solve(Query.of("2+5?", answer_type=answer_type), "beam:n=1,m=1", model, verifier=Longer())
    assert outcome.answer == "7"
    assert len(model.requests) == 2  # and one that does ends it


@pytest.mark.anyio
async def test_each_copy_of_an_answer_has_a_lot_among_equal_scores() -> None:
    sevens = 0
    for seed in range(100):
        model = Scripted(lambda r: "so 7" if r.index else "so 5")
        outcome = await solve(QUERY, "beam:n=10,m=1,choice=best", model, verifier=Longer(), seed=seed)
        sevens += outcome.answer == "7"
    assert 80 <= sevens <= 98  # nine of ten


@pytest.mark.anyio
async def test_what_one_tree_keeps_back_no_other_takes() -> None:
    outcomes = await solve_many(
        [replace(QUERY, id=f"q{i}") for i in range(6)],
        "beam:n=4,m=2,step_tokens=8",
        Scripted(counting(99), latency=lambda r: 0.001 * (r.seed % 3)),
        verifier=Longer(),
        sampling=SAMPLING,
        total=Budget(calls=60),
    )
    assert [outcome.answer for outcome in outcomes] == ["7"] * 6
    assert sum(sum(outcome.calls.values()) for outcome in outcomes) <= 60


@pytest.mark.anyio
async def test_thoughts_and_answer_of_one_step_are_not_glued_together() -> None:
    scorer = Longer()
    model = Scripted(lambda r: Sample(reasoning="x = 5", text="6 + 1 is 7"))
    await solve(QUERY, "beam:n=1,m=1", model, verifier=scorer)
    assert scorer.asked[0][0].steps == ("x = 5\n\n6 + 1 is 7",)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "spec",
    [
        "beam:n=6,m=3",
        "dvts:n=6,m=3",
        "lookahead:n=4,m=2,k=1",
        "best_first:n=40,m=3,wave=2",
        "mcts:n=40,m=3,wave=2",
        "ab_mcts:n=40,nodes=steps",
        "particle_filter:n=6",
    ],
)
async def test_the_trace_has_every_token_of_the_tree_copies_among_them(spec: str) -> None:
    def reply(request: Request) -> Sample:
        draw = random.Random(request.seed)
        return Sample(text=draw.choice(("so", "so so", "oh")), finish="step" if draw.random() < 0.8 else "stop")

    outcome = await solve(
        QUERY, f"{spec},max_steps=5", Scripted(reply), verifier=Longer(), sampling=Sampling(force_answer=0)
    )
    tokens, copies = dict[int, int](), dict[int, int]()
    for event in outcome.trace:
        if event["event"] == "grow":
            tokens |= {node["node"]: node["tokens"] for node in event["nodes"]}
            copies |= {node["node"]: node.get("copies", 1) for node in event["nodes"]} | event.get("again", {})
    generated = outcome.usage["generate"].generated
    assert sum(tokens[node] * copies[node] for node in tokens) == generated
    assert sum(copies.values()) == outcome.calls["generate"]
