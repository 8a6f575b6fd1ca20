"""A model that thinks, for contract tests: the bundled one, with think tags among its tokens.

Two tokens that it never uses are given the names of the tags, so that vLLM's reasoning parsers find them. What it says
is not its own: a grammar holds it to it, and a bias makes it use the tags' tokens.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ttc.models.bundled import ensure_smollm2

__all__ = ["FLAGS", "made_thinker", "saying"]

_TAGS = {"<repo_name>": "<think>", "<reponame>": "</think>"}
_TRIMMING = """\
{% for m in messages %}<|im_start|>{{ m['role'] }}
{{ m['content'] | trim }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

FLAGS = ["--reasoning-parser", "deepseek_r1", "--structured-outputs-config.enable_in_reasoning=True"]


def made_thinker(folder: Path) -> Path:
    """Make its folder; its chat template trims messages, as that of Llama 3 does."""
    folder.mkdir(parents=True)
    source = ensure_smollm2()
    for file in source.iterdir():
        if file.name not in ("tokenizer.json", "chat_template.jinja"):
            (folder / file.name).symlink_to(file)
    tokenizer: dict[str, Any] = json.loads((source / "tokenizer.json").read_text())
    for token in tokenizer["added_tokens"]:
        if token["content"] in _TAGS:
            token |= {"content": _TAGS[token["content"]], "special": False}
    words: dict[str, int] = tokenizer["model"]["vocab"]
    for old, new in _TAGS.items():
        words[new] = words.pop(old)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "chat_template.jinja").write_text(_TRIMMING)
    return folder


def saying(text: str) -> dict[str, Any]:
    """Have the model say this, tags in one token each."""
    literal = "".join(rf"\{c}" if c in r".*+?()[]{}|\^$" else c for c in text).replace("\n", r"\n")
    return {"structured_outputs": {"regex": literal}, "logit_bias": {"3": 80, "4": 80}}
