"""Tiny reward models with random, finite weights: made, saved as vLLM reads them, and computed without vLLM.

Run in a process of its own, since torch and transformers are large and warn a lot::

    python tiny_reward.py outcome FOLDER < texts.json    # chats (lists of messages) or plain texts
    python tiny_reward.py process FOLDER < texts.json

makes the model where FOLDER does not exist yet, and prints what transformers computes for each text, as JSON: its
number of ``tokens``, and the logits of the last token (``outcome``, one label) or of each marker (``process``, two
labels). ``process`` is of the architecture of Qwen2.5-Math-PRM.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["MARKER", "computed"]

MARKER = "<extra_0>"
# heads of 32: vLLM has no attention on a CPU for heads of 16
_SIZES = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}


def computed(kind: str, folder: Path, texts: list[Any]) -> list[dict[str, Any]]:
    """Make a model where there is none yet, and return what transformers computes for each text."""
    ran = subprocess.run(
        [sys.executable, __file__, kind, str(folder)], input=json.dumps(texts), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def main(kind: str, folder: Path) -> None:
    """Make, load and compute."""
    import torch
    import transformers

    from ttc.models.bundled import ensure_smollm2

    transformers.utils.logging.set_verbosity_error()
    if not folder.exists():
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(ensure_smollm2(lambda *_: None)))
        tokenizer.add_special_tokens({"additional_special_tokens": [MARKER]})
        sizes = _SIZES | {"vocab_size": len(tokenizer), "max_position_embeddings": 2048, "initializer_range": 0.3}
        torch.manual_seed(7)
        make_outcome(folder, sizes) if kind == "outcome" else make_process(folder, sizes)
        tokenizer.save_pretrained(str(folder))
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    score = load_outcome(folder) if kind == "outcome" else load_process(folder, tokenizer)
    found: list[dict[str, Any]] = []
    for text in json.load(sys.stdin):
        chat = not isinstance(text, str)
        words = tokenizer.apply_chat_template(text, tokenize=False) if chat else text
        ids = tokenizer(words, add_special_tokens=not chat, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            found.append({"tokens": ids.shape[1], "logits": score(ids)})
    print(json.dumps(found))


def make_outcome(folder: Path, sizes: dict[str, Any]) -> None:
    """Save a sequence classifier of one label."""
    from transformers import LlamaConfig, LlamaForSequenceClassification

    config = LlamaConfig(**sizes, num_labels=1, pad_token_id=None, tie_word_embeddings=False)
    LlamaForSequenceClassification(config).float().save_pretrained(str(folder))


def load_outcome(folder: Path) -> Any:
    """Return what computes the logits of the last token."""
    from transformers import LlamaForSequenceClassification

    model = LlamaForSequenceClassification.from_pretrained(str(folder)).float().eval()
    return lambda ids: model(ids).logits[0].tolist()


def make_process(folder: Path, sizes: dict[str, Any]) -> None:
    """Save a body with a head of two layers and two labels, under the names of Qwen2.5-Math-PRM."""
    from safetensors.torch import save_file
    from transformers import Qwen2Config, Qwen2Model

    config = Qwen2Config(**sizes, num_key_value_heads=4, tie_word_embeddings=False)
    body = {f"model.{name}": w for name, w in Qwen2Model(config).float().state_dict().items()}
    head = {f"score.{name}": w for name, w in process_head(config.hidden_size).state_dict().items()}
    config.architectures = ["Qwen2ForProcessRewardModel"]
    config.save_pretrained(str(folder))
    save_file({name: w.contiguous() for name, w in {**body, **head}.items()}, folder / "model.safetensors")


def load_process(folder: Path, tokenizer: Any) -> Any:
    """Return what computes the logits at each marker."""
    from safetensors.torch import load_file
    from transformers import Qwen2Config, Qwen2Model

    weights = load_file(folder / "model.safetensors")
    config = Qwen2Config.from_pretrained(str(folder))
    body, head = Qwen2Model(config).float().eval(), process_head(config.hidden_size)
    body.load_state_dict({k.removeprefix("model."): w for k, w in weights.items() if k.startswith("model.")})
    head.load_state_dict({k.removeprefix("score."): w for k, w in weights.items() if k.startswith("score.")})
    marker = tokenizer.convert_tokens_to_ids(MARKER)
    return lambda ids: head(body(ids).last_hidden_state)[ids == marker].tolist()


def process_head(width: int) -> Any:
    """The head of Qwen2.5-Math-PRM."""
    from torch import nn

    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)).float()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
