"""How long ``import ttc`` takes in a fresh interpreter: the median of 20, beside one that imports nothing."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

REPEATS = 20


def seconds(statement: str) -> float:
    """Wall time of one fresh interpreter that runs a statement."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - began


def main() -> None:
    for statement in ("pass", "import ttc", "import ttc; ttc.solve", "import ttc; ttc.VLLMServer"):
        seconds(statement)  # fills the page cache and writes the bytecode
        times = [seconds(statement) for _ in range(REPEATS)]
        print(f"{statement:28} median {statistics.median(times):.3f} s, min {min(times):.3f} s over {REPEATS}")


if __name__ == "__main__":
    main()
