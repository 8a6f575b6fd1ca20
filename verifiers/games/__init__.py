"""Numbers games (Countdown, the 24 game): a state, a checker of moves, an exact solver. No text is evaluated as code.

``state`` is the game, ``expression`` and ``reading`` read what a text says, ``solver`` knows whether the target can
still be reached, ``countdown`` is the verifier, ``answer_type`` the answer, and ``player`` moves by lot.
"""

from ttc.verifiers.games.answer_type import CountdownAnswer
from ttc.verifiers.games.countdown import Countdown
from ttc.verifiers.games.expression import read_expression, solves
from ttc.verifiers.games.player import RandomPlayer
from ttc.verifiers.games.reading import read_puzzle, read_step
from ttc.verifiers.games.solver import reachable, solution
from ttc.verifiers.games.state import Puzzle, State, Step

__all__ = [
    "Countdown",
    "CountdownAnswer",
    "Puzzle",
    "RandomPlayer",
    "State",
    "Step",
    "reachable",
    "read_expression",
    "read_puzzle",
    "read_step",
    "solution",
    "solves",
]
