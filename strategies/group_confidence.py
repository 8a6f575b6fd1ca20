"""How sure a model is over any stretch of a trace: a pure object that is told logprobs. It makes no model calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf

from ttc.confidence import token_confidence

__all__ = ["GroupConfidence"]


class GroupConfidence:
    """The lowest confidence of a trace over any ``window`` tokens in a row; told token by token, makes no model calls.

    That of a group is the mean over its tokens, see :func:`ttc.confidence.token_confidence`.
    """

    def __init__(self, window: int) -> None:
        self.tokens = 0
        self._window = window
        self._last: deque[float] = deque()
        self._sum = 0.0
        self._lowest = inf

    def add(self, rows: Sequence[Sequence[float]]) -> float:
        """Go on with the top-k log-probabilities of further tokens.

        Returns:
            The lowest confidence of a whole window so far; infinite before there is one.
        """
        for row in rows:
            if not row:
                continue
            confidence = token_confidence(row)
            self.tokens += 1
            self._sum += confidence
            self._last.append(confidence)
            if self.tokens > self._window:
                self._sum -= self._last.popleft()
            if self.tokens >= self._window and self._sum / self._window < self._lowest:
                self._lowest = self._sum / self._window
        return self._lowest

    @property
    def lowest(self) -> float | None:
        """That of a whole trace: shorter than the window it is one group, and without tokens it has none."""
        return None if not self.tokens else self._sum / self.tokens if self._lowest == inf else self._lowest
