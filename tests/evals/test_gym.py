"""The generators come without pycosat and without the warnings of a first import."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("reasoning_gym") is None, reason="reasoning-gym not installed")

SCRIPT = """
import sys, importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "pycosat" else find(name, *rest)
from ttc.evals.suites.gym import create_dataset
print(create_dataset("chain_sum", size=3, seed=1)[0]["answer"], "pycosat" in sys.modules)
"""


def test_it_imports_without_pycosat_and_with_warnings_as_errors(tmp_path: Path) -> None:
    # an empty folder for bytecode: everything is compiled anew, as on the first import
    command = [sys.executable, "-W", "error::SyntaxWarning", "-X", f"pycache_prefix={tmp_path}", "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "False"


def test_the_same_seed_gives_the_same_entries() -> None:
    from ttc.evals.suites.gym import create_dataset

    first, again, other = [
        [entry["question"] for entry in islice(create_dataset("chain_sum", size=5, seed=seed), 5)] for seed in (1, 1, 2)
    ]
    assert first == again != other
