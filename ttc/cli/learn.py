"""``ttc learn``: a verifier from samples that were graded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

if TYPE_CHECKING:
    from ttc.verifiers.learned import LearnedModel

__all__ = ["learn"]


def learn(
    sources: Annotated[
        list[str], typer.Argument(help="Runs by name, or JSONL files of recorded samples.", metavar="RUN|FILE...")
    ],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    answer: Annotated[str, typer.Option(help="The answer type of recorded samples; runs know theirs.")] = "text",
    ridge: Annotated[float, typer.Option(help="How much coefficients are shrunk.", min=1e-6)] = 1.0,
    runs: Annotated[Path, typer.Option(help="Where run directories are.")] = Path("runs"),
) -> None:
    """Learn a verifier from graded samples: logistic regression on their length, confidence and votes.

    What is printed was predicted on problems that the fit had not seen. Use the file as --verifier learned:path=FILE.
    """
    # Late: runs need the store, and the fit needs numpy.
    from ttc.evals.learning import Row, rows_of_records, rows_of_run, train_learned
    from ttc.evals.run_directory import find_run

    rows: list[Row] = []
    for source in sources:
        path = Path(source)
        if path.suffix in (".jsonl", ".json", ".gz") or path.is_file():
            rows += rows_of_records(path, answer_type=answer)
        else:
            rows += anyio.run(rows_of_run, find_run(runs, source))
    model = train_learned(rows, sources=sources, ridge=ridge)
    model.write(out)
    for line in report(model):
        print(line)
    print(f"written to {out}: use it as --verifier learned:path={out}")


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
