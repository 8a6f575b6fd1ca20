"""Programs that a model wrote, run in a jail, and judged by another process than the one that runs them."""

from ttc.verifiers.code.extraction import extract_code
from ttc.verifiers.code.safety import allow_unsafe
from ttc.verifiers.code.sandbox import Sandbox, shared_sandbox
from ttc.verifiers.code.verdicts import Execution, Limits, Observation, Status, TestResult

__all__ = [
    "Execution",
    "Limits",
    "Observation",
    "Sandbox",
    "Status",
    "TestResult",
    "allow_unsafe",
    "extract_code",
    "shared_sandbox",
]
