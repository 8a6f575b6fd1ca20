"""``ttc learn``: a verifier from samples that were graded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import orjson
import typer

from ttc.cli.completion import answer_type_names
from ttc.cli.out_file import refuse_unwritable

if TYPE_CHECKING:
    from ttc.verifiers.learned import LearnedModel

__all__ = ["learn", "run_named"]


def learn(
    sources: Annotated[
        list[str],
        typer.Argument(help="Runs by name or path, or JSONL files of recorded samples.", metavar="RUN|FILE..."),
    ],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    answer: Annotated[
        str,
        typer.Option(help="The answer type of recorded samples; runs know theirs.", autocompletion=answer_type_names),
    ] = "text",
    ridge: Annotated[float, typer.Option(help="How much coefficients are shrunk.", min=1e-6)] = 1.0,
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Learn a verifier from graded samples: logistic regression on their length, confidence and votes.

    What is printed was predicted on problems that the fit had not seen. Use the file as --verifier learned:path=FILE.
    """
    # Late: runs need the store, and the fit needs numpy.
    from ttc.evals.learning import Row, rows_of_run, train_learned
    from ttc.evals.recordings.samples import rows_of_records

    refuse_unwritable(out)
    rows: list[Row] = []
    for source in sources:
        path = Path(source)
        if path.suffix in (".jsonl", ".json", ".gz") or path.is_file():
            rows += rows_of_records(path, answer_type=answer)
        else:
            rows += anyio.run(rows_of_run, run_named(runs, source))
    model = train_learned(rows, sources=sources, ridge=ridge)
    model.write(out)
    if json:
        facts = model.training.model_dump(mode="json", exclude={"problems"})
        facts |= {"problems": len(model.training.problems), "intercept": model.intercept}
        coefficients = [c.model_dump(mode="json") for c in model.coefficients]
        print(
            orjson.dumps({"out": str(out), **facts, "coefficients": coefficients}, option=orjson.OPT_INDENT_2).decode()
        )
        return
    for line in report(model):
        print(line)
    print(f"written to {out}: use it as --verifier learned:path={out}")


def run_named(runs: Path, source: str) -> Path:
    """Return the directory of a run that is given by name, or by a path to it.

    Raises:
        ConfigurationError: the name is not a plain one.
        RunError: there is no such run.
    """
    from ttc.evals.run_directory import find_run  # late: whoever names no run does not load it

    return find_run(runs, source)


def report(model: LearnedModel) -> list[str]:
    """What was learned, in lines: figures on held-out problems, coefficients, calibration."""
    t, h = model.training, model.training.held_out
    within = "" if h.auc_within is None else f", {h.auc_within:.3f} among the samples of a query"
    return [
        f"{t.samples} answers to {len(t.problems)} problems, {t.right / t.samples:.1%} of them right",
        f"on held-out problems ({h.folds} folds): AUC {h.auc:.3f} (SE {h.auc_se:.3f}){within}; "
        f"Brier {h.brier:.4f} against {h.brier_base:.4f} of always saying the mean",
        "calibration there, predicted/right: " + "  ".join(f"{p:.2f}/{r:.2f}" for p, r, _ in h.calibration),
        "coefficients, per standard deviation: " + "  ".join(f"{c.name} {c.weight:+.2f}" for c in model.coefficients),
    ]
