"""A run as others can use it: its figures and their data, its card, its page, and its pool, in a folder or a zip.

Everything follows from the run: equal runs give equal bytes. What may not be published is taken out first
(:mod:`ttc.evals.publication.scrubbing`), and a publication that still held a secret is refused.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio.to_thread
import orjson

from ttc.errors import ConfigurationError, RunError
from ttc.evals.model_cards import models_of
from ttc.evals.publication.scrubbing import Scrubber, secrets_of_environment
from ttc.evals.publication.texts import About, citation, notice, read_me, replay_program
from ttc.evals.recordings.pool_of_run import pool_of_run
from ttc.evals.reproduction import FILE as REPRODUCTION
from ttc.evals.run_card import read_card
from ttc.evals.run_directory import STORE, write_file
from ttc.evals.store_schema import reading
from ttc.evals.suite import Suite
from ttc.evals.summary import Summary, summary_from_json
from ttc.pool_files import write_pool
from ttc.pools import Pool

__all__ = ["Publication", "publish"]

_WHEN = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a zip: the first that the format knows."""
_COSTS = ("thinking", "generated", "total", "calls", "flops", "dollars")
_TEXTS = (".json", ".csv", ".html", ".md", ".cff", ".py", ".svg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What was published.

    Attributes:
        path: the folder or the zip.
        files: names in it, with their bytes' number.
        warnings: what is not in it, or what to look at before it is given to others.
    """

    path: Path
    files: Mapping[str, int]
    warnings: tuple[str, ...]


async def publish(
    directory: Path,
    out: Path,
    *,
    authors: Sequence[str] = (),
    texts: bool = True,
    suites: Sequence[Suite] = (),
    on_graded: Callable[[int, int], None] | None = None,
) -> Publication:
    """Bundle a run so that others redraw its figures and replay strategies of their own on its samples.

    Args:
        directory: the run's.
        out: a zip where its name ends in ``.zip``, else a folder that is new or empty.
        authors: names for the citation.
        texts: whether what was asked and answered is in it; without them there is no page.
        suites: those of the run that cannot be loaded by their name.
        on_graded: called with the problems whose samples are graded for the pool, and how many there are.

    Raises:
        RunError: there is no run, nothing of it is done, a suite of it may not be published with its texts, or a file
            would hold a secret.
        ConfigurationError: ``out`` cannot be written.
        MissingExtra: what draws figures and pages is not installed.
    """
    _refuse_out(out)
    await anyio.to_thread.run_sync(_refuse_damage, directory)
    card = await anyio.to_thread.run_sync(read_card, directory)
    if texts and (gated := [s["spec"] for s in card["suites"] if "gated" in str(s.get("info", {}).get("licence"))]):
        raise RunError(
            f"the problems of {', '.join(gated)} may not be published in plain text: --without-texts leaves out the "
            "page, the prompts and the texts of answers"
        )
    scrubber = Scrubber(secrets_of_environment())
    clean: dict[str, Any] = scrubber.data(card)
    warnings: list[str] = []
    files = await anyio.to_thread.run_sync(_drawn, directory, clean, texts)
    pools = await _pools(directory, list(models_of(card)), suites, on_graded=on_graded, warnings=warnings)
    files |= {name: _packed(pool, scrubber, texts=texts) for name, pool in pools.items()}
    if texts and (directory / REPRODUCTION).is_file():
        found = scrubber.data(orjson.loads((directory / REPRODUCTION).read_bytes()))
        files[REPRODUCTION] = orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    summary = summary_from_json(files["summary.json"])
    files["run_card.json"] = orjson.dumps(clean, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    files |= {"data/points.csv": _points(summary), "data/comparisons.csv": _comparisons(summary)}
    about = About.of(clean, summary, pools, authors=tuple(authors), left_out=tuple(warnings))
    files |= {name: text.encode() for name, text in _written(about, files).items()}
    for name, content in files.items():
        if name.endswith(_TEXTS):
            files[name] = scrubber.page(content.decode()).encode()
    _refuse_secrets(files, scrubber)
    files["SHA256SUMS"] = "".join(
        f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)
    ).encode()
    await anyio.to_thread.run_sync(_write, out, directory.name, files)
    return Publication(path=out, files={name: len(files[name]) for name in sorted(files)}, warnings=tuple(warnings))


async def _pools(
    directory: Path,
    models: Sequence[str],
    suites: Sequence[Suite],
    *,
    on_graded: Callable[[int, int], None] | None,
    warnings: list[str],
) -> dict[str, Pool]:
    """The pool of a run by its file's name, or that of each of its models; what there is none of is a warning."""
    pools: dict[str, Pool] = {}
    for model in models:
        of_it = "" if len(models) == 1 else f" of {model}"
        try:
            pool = await pool_of_run(
                directory, model=model if len(models) > 1 else "", suites=suites, on_graded=on_graded
            )
        except RunError as error:
            warnings.append(f"there is no pool{of_it} in it: {error}")
            continue
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", model)
        name = "pool.jsonl.gz" if len(models) == 1 else f"pools/{plain}.jsonl.gz"
        pools[name if name not in pools else f"pools/{plain}-{len(pools)}.jsonl.gz"] = pool
    return pools


def _drawn(directory: Path, card: Mapping[str, Any], texts: bool) -> dict[str, bytes]:
    """Make the page and the figures from the run's store and the card that may be seen, beside the run."""
    from ttc.evals.report import write_report  # late: it loads what draws

    with tempfile.TemporaryDirectory() as folder:
        beside = Path(folder) / directory.name
        beside.mkdir()
        (beside / "run.json").write_bytes(orjson.dumps(card))
        for file in directory.glob(f"{STORE}*"):  # with its log, where another process writes it
            (beside / file.name).symlink_to(file.resolve())
        made = [path for path in write_report(beside) if texts or path.suffix != ".html"]
        made += [beside / "summary.json", beside / "timings.json"]
        found: dict[str, bytes] = {}
        for path in made:
            name = path.relative_to(beside).as_posix()
            content = path.read_bytes()
            if path.suffix == ".html":  # the commands on a page name the folder that it was made in
                content = content.replace(f" --runs {folder}".encode(), b"").replace(folder.encode(), b"runs")
            found[f"figures/{name}" if path.suffix in (".png", ".svg") else name] = content
        return found


def _packed(pool: Pool, scrubber: Scrubber, *, texts: bool) -> bytes:
    if not texts:
        pool = replace(pool, problems=tuple(replace(p, texts=(), prompt="") for p in pool.problems))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.jsonl.gz"
        write_pool(replace(pool, info=scrubber.data(dict(pool.info))), path)
        return path.read_bytes()


def _written(about: About, files: Mapping[str, bytes]) -> dict[str, str]:
    found = {"README.md": read_me(about, files), "CITATION.cff": citation(about), "NOTICE.md": notice(about)}
    return found | ({"replay.py": replay_program(about.pools[0])} if about.pools else {})


def _points(summary: Summary) -> bytes:
    """Every point of every curve, one a row; what is not known is empty."""
    shares = ("abstained", "cut", "failed", "undecided", "refused", "unparsed", "cut_thoughts")
    names = ("model", "group", "strategy", "setting", "spec", "how", "problems", "accuracy", "se", "low", "high")
    rows: list[Sequence[Any]] = [(*names, "interval", *_COSTS, *shares)]
    for curve in summary.curves:
        for p in curve.points:
            rows.append(
                (
                    *(p.model, p.group, p.strategy, p.setting, p.spec, curve.how, p.n, p.accuracy, p.se, p.low, p.high),
                    p.method,
                    *(p.cost.get(axis) for axis in _COSTS),
                    *(getattr(p, share) for share in shares),
                )
            )
    return _csv(rows)


def _comparisons(summary: Summary) -> bytes:
    names = ("model", "strategy", "setting", "against", "group", "n", "difference", "low", "high", "p", "p_holm")
    rows: list[Sequence[Any]] = [(*names, "cost_ratio")]
    for c in (*summary.comparisons, *summary.against_majority):
        rows.append([getattr(c, name) for name in (*names, "cost_ratio")])
    return _csv(rows)


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _refuse_out(out: Path) -> None:
    folder = out.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(f"--out {out}: there is no folder {folder}, or it may not be written")
    if out.suffix == ".zip":
        if out.is_dir():
            raise ConfigurationError(f"--out {out}: this is a folder")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigurationError(f"--out {out}: there is something already; name a new folder, or a file .zip")


def _refuse_damage(directory: Path) -> None:
    """Read the whole store of a run: half of one would be published as if it were all there is."""
    with reading(directory) as (connection, _):
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        what = " ".join(str(found).split())
        raise RunError(f"the store in {directory} is damaged ({what}): nothing was published; keep a copy of it first")


def _refuse_secrets(files: Mapping[str, bytes], scrubber: Scrubber) -> None:
    for name, content in files.items():
        plain = gzip.decompress(content) if name.endswith(".gz") else content
        if scrubber.leaks(plain):
            raise RunError(
                f"{name} would hold a key or password of this environment or of the run's card, so nothing was "
                "published: take it out of what is asked of the model, or unset the variable if it is no secret"
            )


def _write(out: Path, run: str, files: Mapping[str, bytes]) -> None:
    """Write a folder, or a zip whose files lie in one that is called as the run is."""
    if out.suffix != ".zip":
        for name in sorted(files):
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, files[name])
        return
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{run}/{name}", _WHEN)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it is made
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    write_file(out, packed.getvalue())
