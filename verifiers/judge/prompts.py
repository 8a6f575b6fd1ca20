"""Text that a judge is shown: material between marks that it cannot forge, with no control token in it."""

from __future__ import annotations

import re

from ttc.seeds import hashed

__all__ = ["LONGEST", "MARKS", "fit_ends", "inert", "shown"]

LONGEST = 4000
"""Characters of a problem, a solution or a step that a judge is shown."""

MARKS = (
    "Answer with one digit: 1 certainly wrong, 2 probably wrong, 3 cannot tell, 4 probably correct, 5 certainly "
    "correct."
)
"""What the digits mean that a judge may answer with."""

#: how control tokens of open models begin: <|im_end|>, </s>, DeepSeek's <｜User｜>; Mistral's [INST] and [control_8],
#: GLM's [gMASK], EXAONE's [|endofturn|], BERT's [unused1]; MiniMax's ]~b] and [e~[. Tokenizers that normalise to NFKC
#: read the wide and the small forms of the brackets as the plain ones.
_SPECIAL = re.compile(
    r"[<\uff1c\ufe64](?=[|\uff5c/\uff0f]?[A-Za-z_|\uff5c])"
    r"|[\[\uff3b](?=[|\uff5c]|/?g?[A-Z][A-Z_0-9]+[\]\uff3d]|control_\d|unused\d|e~)"
    r"|\](?=~)"
)

#: what is not seen and what some tokenizers drop, so that it could part a control token until they do: control
#: characters other than tab and line end, zero-width and direction marks, tag characters, lone surrogates
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)


def inert(text: str, *, limit: int = LONGEST) -> str:
    """Make candidate text safe to show to a judge: no special token survives, and no more than ``limit`` characters.

    ``<|im_end|>`` in plain text becomes a control token in the prompt; a space behind its bracket prevents that, and
    of those in square brackets likewise. The end of a long text is kept, since that is where answers stand.
    """
    text = _UNSEEN.sub("", text).strip()
    if len(text) > limit:
        text = "[...] " + text[-limit:]
    return _SPECIAL.sub(r"\g<0> ", text)


def fit_ends(text: str, *, limit: int = LONGEST) -> str:
    """Make a problem safe to show: like :func:`inert`, but of a long one the start and the end are kept.

    What is asked may stand at either.
    """
    text = _UNSEEN.sub("", text).strip()
    if len(text) > limit:
        text = f"{text[: limit // 2]}\n[...]\n{text[-(limit // 2) :]}"
    return _SPECIAL.sub(r"\g<0> ", text)


def shown(frame: str, **material: str) -> str:
    """Put material into a question, each piece between marks of its own, which no piece contains.

    Args:
        frame: the question, with ``{name}`` for each piece, in the order of ``material``.
        material: the pieces by name, inert already. The marks of a piece follow from it and from those before it, so
            that equal questions are equal to the letter (a recorded call answers again), and those that begin alike
            share what the server has cached.
    """
    placed: dict[str, str] = {}
    before: list[str] = []
    for name, piece in material.items():
        before.append(piece)
        mark, tries = "", 0
        # Of a text that was made to hold its own mark, as of any that does by chance, the next mark is taken.
        while not mark or any(mark in other for other in material.values()):
            mark = f"{hashed(tries, name, *before, bits=32):08x}"
            tries += 1
        placed[name] = f"{mark}\n{piece}\n{mark}"
    return frame.format(**placed)
