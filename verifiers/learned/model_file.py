"""What is kept of a learned verifier: coefficients with their names and what they were learned from, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pydantic
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ttc.errors import ConfigurationError
from ttc.logistic import sigmoid
from ttc.verifiers.learned.features import FEATURES, Features

__all__ = ["Coefficient", "HeldOut", "LearnedModel", "Training"]


class Coefficient(BaseModel):
    """What one feature counts: ``weight * (value - mean) / sd``, and ``missing`` where it is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    mean: float
    sd: float = Field(gt=0)
    weight: float
    missing: float = 0.0


class HeldOut(BaseModel):
    """How good it was on problems that it had not been trained on: each was predicted by a fit on the others.

    Attributes:
        folds: the problems were split into, by their hash.
        samples: that were predicted.
        auc: P(a right sample scores above a wrong one), over the pairs that one fit predicted, those of a fold.
        auc_se: its standard error, clustered on problems.
        auc_within: the same among the samples of one query, which is what choosing one of them lives by; None where no
            query had both.
        brier: mean squared error of the probability.
        brier_base: that of always saying the mean.
        calibration: by tenth of the predictions, (mean prediction, share of right ones, samples).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    folds: int
    samples: int
    auc: float
    auc_se: float
    auc_within: float | None
    brier: float
    brier_base: float
    calibration: tuple[tuple[float, float, int], ...]


class Training(BaseModel):
    """What it was learned from.

    Attributes:
        samples: with an answer.
        right: of them.
        sources: runs or files.
        problems: hashes of the ids of the problems.
        ridge: how much the coefficients were shrunk.
        held_out: how good it was on problems that it had not seen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    samples: int
    right: int
    sources: tuple[str, ...]
    problems: frozenset[str]
    ridge: float
    held_out: HeldOut

    @pydantic.field_serializer("problems")
    def _in_order(self, problems: frozenset[str]) -> list[str]:
        return sorted(problems)


class LearnedModel(BaseModel):
    """Coefficients of a logistic regression, by the names of the features; data and no code."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["ttc learned verifier"] = "ttc learned verifier"
    version: Literal[1] = 1
    intercept: float
    coefficients: tuple[Coefficient, ...]
    training: Training

    @pydantic.field_validator("coefficients")
    @classmethod
    def _known(cls, coefficients: tuple[Coefficient, ...]) -> tuple[Coefficient, ...]:
        for c in coefficients:
            if c.name not in FEATURES:
                raise ValueError(f"unknown feature '{c.name}'. Known: {', '.join(FEATURES)}")
        return coefficients

    def probabilities(self, rows: Sequence[Features]) -> NDArray[np.float64]:
        """Return P(right) of each row of features."""
        z = np.full(len(rows), self.intercept)
        for c in self.coefficients:
            values = [row.get(c.name) for row in rows]
            z += [c.missing if v is None else c.weight * (v - c.mean) / c.sd for v in values]
        return sigmoid(z)

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            ConfigurationError: it cannot be written there.
        """
        path = path.absolute()
        temporary = path.with_name(f".{path.name}.new")
        try:
            temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from None

    @classmethod
    def read(cls, path: Path) -> LearnedModel:
        """Read what :meth:`write` wrote.

        Raises:
            ConfigurationError: it cannot be read, or holds something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ConfigurationError(
                f"learned verifier {path} cannot be read: {error.strerror}; 'ttc learn RUN --out {path}' makes one"
            ) from None
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            said = first["msg"].removeprefix("Value error, ")
            raise ConfigurationError(
                f"learned verifier {path}: {where}: {said}; 'ttc learn RUN --out {path}' makes one"
            ) from None
