"""What to do with a query, by its class and by how hard it seems: a table that a person can read and change.

A policy is two files: ``policy.toml`` with the table, and beside it ``policy.json`` with what was fitted and where all
of it comes from. :mod:`ttc.adaptive.policy_file` reads and writes them.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Self, cast

from pydantic import Field, StrictBool, StrictFloat, StrictInt, field_serializer, field_validator, model_validator

from ttc.adaptive.classes import DEFAULT, AnyClasses, ClassOf
from ttc.adaptive.policy_rows import (
    Escalation,
    Estimation,
    Expected,
    MisplacedValue,
    Name,
    PolicyPart,
    Row,
    rounded,
)
from ttc.adaptive.provenance import Provenance, SourcePool, hashes_of
from ttc.errors import ConfigurationError
from ttc.seeds import problem_hash, prompt_hash
from ttc.types import Query, digest

__all__ = [
    "DEFAULT",
    "VERSION",
    "Escalation",
    "Estimation",
    "Expected",
    "Policy",
    "Provenance",
    "Row",
    "SourcePool",
    "check_for",
    "hashes_of",
]

VERSION = 1
"""Of the files: another one is read by force alone."""


class Policy(PolicyPart):
    """A table of rows, with what is needed to find the row of a query.

    The fields down to ``rows`` stand in the TOML file, the others in the JSON file beside it.
    """

    version: StrictInt = Field(default=VERSION, ge=1, description="of the file")
    model: str = Field(default="", description="the served name that it was tuned for; empty: any")
    made: date = Field(description="the day")
    unit: Name = Field(default="thinking tokens", description="what its costs are in")
    rate: Annotated[StrictFloat, Field(ge=0), rounded(4)] = Field(
        default=0.0, description="the going rate: the accuracy that one more of them has to bring"
    )
    calibrated: StrictBool = Field(description="false: a prior that was tuned on nothing")
    classes: AnyClasses | None = Field(default=None, description="how queries are sorted; without: all are 'default'")
    difficulty: Estimation = Field(default=Estimation(), description="how difficulty is estimated")
    rows: tuple[Row, ...] = Field(
        validation_alias="row", serialization_alias="row", min_length=1, description="what to do"
    )

    estimator: dict[str, Any] | None = Field(default=None, description="the fitted estimator")
    stops: dict[str, dict[str, Any]] = Field(default_factory=dict, description="learned stops, by name")
    confidence: dict[str, Any] | None = Field(
        default=None, description="by stop, what says P(the answer that stands is right)"
    )
    hashes: frozenset[str] = Field(default=frozenset(), description="of the problems that it was tuned on")
    provenance: Provenance | None = Field(default=None, description="where it comes from")
    tuned: str = Field(default="", description="digest of the table as it was written first; empty: not yet")

    @field_validator("classes", mode="before")
    @classmethod
    def _by_their_fields(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "kind" in value:
            return value  # pyright: ignore[reportUnknownVariableType]  # whatever the file holds
        given = cast("dict[str, Any]", value)
        for kind in ("tags", "rules"):
            if kind in given:
                return {**given, "kind": kind}
        raise ValueError('give tags = ["family"], or rules = [{ name = "proofs", matches = "prove" }]')

    @field_serializer("hashes")
    def _sorted(self, hashes: frozenset[str]) -> list[str]:
        return sorted(hashes)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.calibrated and not (self.provenance and self.hashes):
            raise MisplacedValue(
                ("calibrated",),
                "the file beside it that says what it was tuned on is missing; without it: calibrated = false",
            )
        kind = self.difficulty.estimator
        if self.estimator is None and kind in ("prompt", "verifier"):
            raise MisplacedValue(("difficulty", "estimator"), f"estimator '{kind}' was not fitted: tune the policy")
        for k, row in enumerate(self.rows):
            for place, stop in (("stop",), row.stop), (("escalate", "stop"), row.escalate.stop if row.escalate else ""):
                if stop and stop not in self.stops:
                    known = ", ".join(sorted(self.stops)) or "none"
                    raise MisplacedValue(("row", k, *place), f"there is no learned stop '{stop}'. Known: {known}")
            if not row.strategy and not self.difficulty.probe:
                raise MisplacedValue(
                    ("row", k, "strategy"), "without a probe there is no answer to return: name a strategy"
                )
        self._check_ranges()
        return self

    def _check_ranges(self) -> None:
        """Make sure that each class has a row for every difficulty, and no two."""
        places: dict[str, list[tuple[tuple[float, float], int]]] = {}
        for k, row in enumerate(self.rows):
            places.setdefault(row.query_class, []).append((row.difficulty, k))
        for name, ranges in places.items():
            edge = 0.0
            for (low, high), k in sorted(ranges):
                if low != edge:
                    said = f"{low:g} to {min(edge, high):g} is covered twice"
                    if low > edge:
                        said = f"no row covers {edge:g} to {low:g}"
                    raise MisplacedValue(("row", k, "difficulty"), f"class '{name}': {said}")
                edge = high
            if edge != 1.0:
                raise MisplacedValue(
                    ("row", max(ranges)[1], "difficulty"), f"class '{name}': no row covers {edge:g} to 1"
                )
            if self.difficulty.estimator == "none" and len(ranges) > 1:
                raise MisplacedValue(
                    ("row", ranges[1][1], "difficulty"),
                    f"class '{name}' has {len(ranges)} rows, and estimator 'none' tells no difficulties apart",
                )
        if DEFAULT not in places:
            raise MisplacedValue(("row",), f'no row has class = "{DEFAULT}", which any other query falls back to')

    @classmethod
    def read(cls, path: Path | str, *, force: bool = False) -> Policy:
        """Read ``policy.toml`` and the file beside it.

        Args:
            path: of the TOML file.
            force: read a file of another version, as far as it can be understood.

        Raises:
            ConfigurationError: a file cannot be read or holds something else; names file, line and field.
        """
        from ttc.adaptive.policy_file import read_policy

        return read_policy(Path(path), force=force)

    def write(self, path: Path | str) -> None:
        """Write the TOML file, and beside it the JSON file with the same stem; each whole or not at all.

        Raises:
            ConfigurationError: they cannot be written there, or what was fitted is no plain data.
        """
        from ttc.adaptive.policy_file import write_policy

        write_policy(self, Path(path))

    @classmethod
    def prior(
        cls,
        *,
        probe: int = 4,
        medium: str = "majority:n=8",
        hard: str = "majority:n=16,stop=beta",
        tokens: int = 32_000,
    ) -> Policy:
        """The cold start: a few samples first, and their agreement decides. Tuned on nothing, so it is capped.

        Agreement says how sure a model is, and is no calibrated probability.

        Args:
            probe: samples drawn first.
            medium: the strategy for queries of which half the samples agree.
            hard: the strategy for the others.
            tokens: generated tokens at the most for a hard query after its probe; half of it for a medium one.
        """
        return cls(
            made=date.today(),
            calibrated=False,
            difficulty=Estimation(probe=probe),
            rows=(
                Row(
                    query_class=DEFAULT,
                    difficulty=(0.0, 0.5),
                    strategy=hard,
                    budget=f"generated_tokens={tokens}",
                ),
                Row(
                    query_class=DEFAULT,
                    difficulty=(0.5, 0.9),
                    strategy=medium,
                    budget=f"generated_tokens={max(1, tokens // 2)}",
                ),
                Row(query_class=DEFAULT, difficulty=(0.9, 1.0), strategy=""),
            ),
        )

    @property
    def label(self) -> str:
        """What every place that shows it says: what it was tuned on, and whether it is calibrated at all."""
        n = self.provenance.problems if self.provenance else 0
        said = f"tuned on {n:,} problem{'s' if n != 1 else ''}"
        if not self.calibrated:
            said = f"uncalibrated: {f'{said} without verdicts' if n else 'a prior that was tuned on nothing'}"
        return said + (", and edited by hand since" if self.edited else "")

    @property
    def edited(self) -> bool:
        """Whether its table is no longer the one that was tuned: then what is expected was measured of another."""
        from ttc.adaptive.policy_file import table_digest

        return bool(self.tuned) and self.tuned != table_digest(self)

    def digest(self) -> str:
        """Hash all that it does: the table, and what was fitted."""
        from ttc.adaptive.policy_file import table_digest

        classes = self.classes.model_dump(mode="json") if self.classes is not None else None
        return digest([table_digest(self), classes, self.estimator, self.stops, self.confidence])

    def class_of(self, query: Query) -> ClassOf:
        """Return the class of a query, and whether there are rows for it; where there are none, why."""
        if self.classes is None:
            return ClassOf(DEFAULT)
        found = self.classes.look_up(query)
        if found.known and all(row.query_class != found.name for row in self.rows):
            return ClassOf(DEFAULT, False, f"the policy has no rows for class '{found.name}'")
        return found

    def row_for(self, query_class: str, p: float | None) -> tuple[Row, bool]:
        """Return the row of a query, and whether its class is known; an unknown one has the default rows.

        Args:
            query_class: of the query.
            p: estimate of P(one sample is correct); None where the estimator is ``none``.

        Raises:
            ValueError: p is no probability, or is None where the class has several rows.
        """
        known = any(row.query_class == query_class for row in self.rows)
        rows = [row for row in self.rows if row.query_class == (query_class if known else DEFAULT)]
        if p is None and len(rows) == 1:
            return rows[0], known
        if p is None or not 0 <= p <= 1:
            raise ValueError(f"P(one sample is correct) must be given from 0 to 1, and is {p}")
        found = [row for row in rows if row.difficulty[0] <= p < row.difficulty[1]]
        return (found or [max(rows, key=lambda row: row.difficulty)])[0], known

    def tuned_on(self, problem: str) -> bool:
        """Whether the problem of this query id was among those that it was tuned on."""
        return problem_hash(problem) in self.hashes

    def tuned_on_query(self, query: Query) -> bool:
        """Whether this query was among the problems that it was tuned on: by its id, or by what it asks."""
        asked = query.prompt
        return self.tuned_on(query.id) or (bool(asked.strip()) and prompt_hash(asked) in self.hashes)


def check_for(policy: Policy, *, model: str, force: bool = False) -> tuple[str, ...]:
    """Refuse a policy of another version or for another model.

    Args:
        policy: as it was read.
        model: the name that is served; of a fleet its names, joined by ``+``.
        force: use it all the same.

    Returns:
        With force, what is wrong, as warnings.

    Raises:
        ConfigurationError: says why. A row that asks for a model which is not there is refused with force as well.
    """
    wrong: list[str] = []
    if policy.version != VERSION:
        wrong.append(f"the policy is of version {policy.version}, and this ttc knows version {VERSION}")
    if policy.model and policy.model != model:
        wrong.append(
            f"the policy was tuned for model '{policy.model}', and '{model}' is served: "
            "what it takes for easy may be hard here"
        )
    if wrong and not force:
        raise ConfigurationError(f"{'; '.join(wrong)}. Tune one ('ttc tune'), or use it all the same: --force-policy")
    asked = {"the probe": policy.difficulty.model}
    for k, row in enumerate(policy.rows, 1):
        asked |= {f"row {k}": row.model, f"the escalation of row {k}": row.escalate.model if row.escalate else ""}
    for what, name in asked.items():
        if name and name not in {model, *model.split("+")}:
            raise ConfigurationError(
                f"{what} of the policy asks for model '{name}', and there is only {model}: serve it too, in a Fleet, "
                "or change the policy"
            )
    return tuple(f"{said}; it is used by force" for said in wrong)
