"""A stand-alone process that parses programs, so that a parser which runs wild can do no harm. It runs none of them.

It is run by its path, and knows nothing of ``ttc``. From standard input it reads a JSON list of ``[source, goes on]``,
and writes one digit for each as it is done: 1 where it parses, or where it goes on and some continuation may parse.
One that takes more than its second of the CPU, or all the memory, ends the process: it is the one without a digit.
"""

from __future__ import annotations

import ast
import codeop
import json
import resource
import signal
import sys
import warnings

__all__ = ["main", "parses"]

_SECONDS = 1.0
_MEMORY = 1 << 30
_WHOLE = ast.PyCF_ONLY_AST
# How codeop knows an unfinished statement: with these the parser says whether it failed for want of more.
_SO_FAR: int = _WHOLE | vars(codeop)["PyCF_ALLOW_INCOMPLETE_INPUT"] | vars(codeop)["PyCF_DONT_IMPLY_DEDENT"]


def main() -> None:
    """Parse what standard input brings."""
    programs = json.load(sys.stdin)  # all of it, so that whoever writes is never left with a broken pipe
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for source, goes_on in programs:
        signal.setitimer(signal.ITIMER_PROF, _SECONDS)  # nothing handles the signal: it ends the process
        sys.stdout.write(str(int(parses(source, goes_on=goes_on))))
        sys.stdout.flush()


def parses(source: str, *, goes_on: bool) -> bool:
    """Whether a source parses, or where it goes on is the beginning of one that does. Its lines are whole.

    What is nested too deep for Python counts as wrong.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes, which would go to standard error
        try:
            compile(source, "<program>", "exec", flags=_SO_FAR if goes_on else _WHOLE, dont_inherit=True)
        except SyntaxError as error:
            if goes_on and "unterminated triple-quoted" in error.msg:
                # It is open at the end, which hides an error before it. So what stands before it counts.
                before = source.split("\n")[: (error.lineno or 1) - 1]
                return len(before) <= source.count("\n") and parses("".join(f"{s}\n" for s in before), goes_on=True)
            return goes_on and "incomplete input" in error.msg
        except (ValueError, RecursionError, MemoryError):  # null bytes, lone surrogates, depth
            return False
    return True


if __name__ == "__main__":
    main()
