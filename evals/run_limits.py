"""The limits of a whole run: tokens of each model, dollars of all. What earlier processes spent counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ttc.budget import Budget, Price
from ttc.errors import BudgetExhausted, ConfigurationError
from ttc.evals.config import EvalConfig, total_of
from ttc.evals.records import UnitRecord
from ttc.evals.tournaments import events
from ttc.evals.units import Unit
from ttc.ledger import Ledger
from ttc.types import Outcome

__all__ = ["RunLimits"]


class RunLimits:
    """The ledgers that the queries of a run spend from.

    ``total_tokens`` limits each model by itself, since tokens of different models are never added up; where they are
    allocated, each strategy of each model has them all, as if it ran alone. ``max_dollars`` limits everything.

    Attributes:
        option: what to give more of, once something ran out.
    """

    def __init__(self, config: EvalConfig, prices: Mapping[str, Price | None], units: Iterable[Unit]) -> None:
        """Make the ledgers.

        Raises:
            ConfigurationError: dollars are limited, and a model has no price.
        """
        self._config = config
        self._prices = prices
        self._dollars: Ledger | None = None
        self.option = ""
        if config.max_dollars is not None:
            if without := [name for name, price in prices.items() if price is None]:
                raise ConfigurationError(
                    f"a limit in dollars needs the price of every model, and '{without[0]}' has none: give --price "
                    "PROMPT/GENERATED, dollars per million tokens, once for each"
                )
            self._dollars = Ledger(Budget(dollars=config.max_dollars), price=next(iter(prices.values())))
        self._totals: dict[tuple[str, str], Ledger] = {}
        if config.total_tokens is not None:
            for key in dict.fromkeys(map(self._key, units)):
                self._totals[key] = total_of(config, prices[key[0]], parent=self._dollars)

    def of(self, unit: Unit) -> Ledger | None:
        """What a unit spends from, where anything is limited."""
        return self._totals.get(self._key(unit), self._dollars)

    def charge(self, unit: Unit, record: UnitRecord) -> None:
        """Count what an earlier process spent on a unit.

        Raises:
            BudgetExhausted: that is more than the limits are now.
        """
        total = self.of(unit)
        if total is None:
            return
        for kind, usage in record.outcome.usage.items():
            total.pay(kind, usage, price=self._prices[unit.model])
        for ledger in total.chain():
            spent, budget = ledger.spent, ledger.budget
            if budget.total_tokens is not None and spent.generated + spent.prompt_tokens > budget.total_tokens:
                raise self._spent(ledger)
            if budget.dollars is not None and ledger.dollars > budget.dollars:
                raise self._spent(ledger)

    def refuse_cut(self, unit: Unit, outcome: Outcome) -> None:
        """Make sure that no limit of the run cut a unit, rather than the unit's own budget.

        Where tokens are allocated, being cut is what is meant.

        Raises:
            BudgetExhausted: the unit is no result.
        """
        cut = outcome.ended_by == "budget" or any(e.get("finish") == "cut" for e in events(outcome.trace, "sample"))
        if not cut or (total := self.of(unit)) is None:
            return
        ledgers = [x for x in total.chain() if self._config.allocate is None or x is self._dollars]
        for ledger in reversed(ledgers):  # the outer one first: what is left within it is no more than it has
            left = ledger.left(price=self._prices[unit.model])
            if left is None or left < self._config.sampling.max_tokens:
                raise self._spent(ledger)
        if ledgers and not self._config.budget and self._config.allocate is None:
            raise self._spent(ledgers[0])  # nothing else could have cut it

    def _key(self, unit: Unit) -> tuple[str, str]:
        return unit.curve if self._config.allocate is not None else (unit.model, "")

    def _spent(self, ledger: Ledger) -> BudgetExhausted:
        """Say what ran out."""
        self.option = "--max-dollars N" if ledger is self._dollars else "--total-tokens N"
        if ledger is self._dollars:
            return BudgetExhausted(f"the ${self._config.max_dollars:g} of the run are spent")
        return BudgetExhausted(f"the {self._config.total_tokens} tokens of the run are spent")
