"""What compute buys: cost curves of fixed N, what a policy saves against them, and what an oracle of difficulty would.

Pure functions on arrays: replayed paths in, plain numbers out. Means are taken over the orders of a problem first, then
over problems; intervals resample groups of problems. Costs are realised ones, in the one unit of the pool.
"""

from ttc.evals.economics.curves import CostCurve
from ttc.evals.economics.intervals import Interval, intervals
from ttc.evals.economics.oracle import OracleFrontier, oracle_bin_policy
from ttc.evals.economics.paths import Measured, Paths, PolicyResult, fixed_curve, measure
from ttc.evals.economics.tables import ratios_table
from ttc.evals.economics.verdict import Ratios, compare

__all__ = [
    "CostCurve",
    "Interval",
    "Measured",
    "OracleFrontier",
    "Paths",
    "PolicyResult",
    "Ratios",
    "compare",
    "fixed_curve",
    "intervals",
    "measure",
    "oracle_bin_policy",
    "ratios_table",
]
