"""The examples of README, CONTRIBUTING and docs/ run as they stand, against a server that imitates vLLM.

Every fenced ``python`` block runs, those of one page after each other in one namespace, with ``BASE_URL`` and ``MODEL``
given. ``await`` is allowed at the top level. A block that cannot run here says why on the line before it:
``<!-- not run: it needs a GPU -->``.
"""

from __future__ import annotations

import ast
import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ttc.testing import FakeServer

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+?) -->\n+)?```python[^\n]*\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block of Python.

    Attributes:
        line: where its code begins on the page.
        why_not: why it does not run; empty where it does.
    """

    line: int
    code: str
    why_not: str


def blocks(page: str | Path) -> Iterator[Block]:
    page = page.read_text() if isinstance(page, Path) else page
    for found in FENCE.finditer(page):
        yield Block(page.count("\n", 0, found.start("code")) + 1, found["code"], found["why"] or "")


async def run(block: Block, file: Path, namespace: dict[str, Any]) -> None:
    """Run a block; a failure names the page and the line."""
    code = compile("\n" * (block.line - 1) + block.code, str(file), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, namespace)
    if inspect.isawaitable(result):
        await result


@pytest.mark.parametrize("file", PAGES, ids=lambda f: str(f.relative_to(ROOT)))
async def test_examples_run(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    page = list(blocks(file))
    # Classes of an example look their annotations up in their module.
    module = types.ModuleType("example")
    monkeypatch.setitem(__import__("sys").modules, "example", module)
    async with FakeServer(model="smollm2") as server:
        module.__dict__.update(BASE_URL=f"{server.url}/v1", MODEL=server.model)
        for block in page:
            if block.why_not:
                print(f"{file.name}:{block.line} is not run: {block.why_not}")
            else:
                await run(block, file, module.__dict__)
        for client in [value for value in vars(module).values() if hasattr(value, "unwrapped")]:
            await client.close()  # an example may leave that to the end of the program


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/wrap.md", "docs/tournaments.md"])
def test_pages_have_examples_that_run(page: str):
    assert [b for b in blocks(ROOT / page) if not b.why_not]


async def test_an_example_that_is_wrong_fails_where_it_stands(tmp_path: Path):
    page = "Text\n\n```python\nimport anyio\nx = 1\n```\n\n```python\nawait anyio.sleep(0)\nassert x == 2\n```\n"
    first, second = blocks(page)
    namespace: dict[str, Any] = {"__name__": "example"}
    await run(first, tmp_path / "page.md", namespace)
    with pytest.raises(AssertionError) as caught:
        await run(second, tmp_path / "page.md", namespace)
    assert caught.traceback[-1].lineno + 1 == page.splitlines().index("assert x == 2") + 1
    assert str(caught.traceback[-1].path).endswith("page.md")


def test_a_block_that_is_not_run_says_why():
    (block,) = blocks("<!-- not run: it needs a GPU -->\n```python\nboom()\n```\n")
    assert block.why_not == "it needs a GPU"


def links(page: str) -> list[str]:
    return [
        link for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page) if not re.match(r"[a-z]+://|mailto:", link)
    ]


@pytest.mark.parametrize("file", PAGES, ids=lambda f: str(f.relative_to(ROOT)))
def test_links_lead_somewhere(file: Path):
    assert [link for link in links(file.read_text()) if not (file.parent / link).exists()] == []
