"""Turns a GGUF file into a folder that vLLM on a CPU can serve; run as ``python -m ttc.models.gguf DIR FILE TARGET``.

A process of its own, because it loads torch and half a gigabyte. It prints one JSON line per stage, ``{"stage": what
follows, "done": share of the whole already behind us}``; the shares are of the time measured for the bundled model.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def _say(stage: str, done: float) -> None:
    print(json.dumps({"stage": stage, "done": done}), flush=True)


def convert(source: str, file: str, target: str) -> None:
    """Write ``source/file`` as bfloat16 safetensors, with its tokenizer and chat template, into ``target``."""
    _say("loading transformers", 0.0)
    import torch
    import transformers

    library: Any = transformers  # its types are partial

    _say("reading the tokenizer", 0.25)
    tokenizer = library.AutoTokenizer.from_pretrained(source, gguf_file=file)
    _say("reading the weights", 0.6)
    model = library.AutoModelForCausalLM.from_pretrained(
        source,
        gguf_file=file,
        dtype=torch.bfloat16,
        quantization_config=library.GgufConfig(gguf_file=file, dequantize=True),
    )
    _say("writing", 0.95)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    _say("ready", 1.0)


if __name__ == "__main__":
    convert(*sys.argv[1:4])
