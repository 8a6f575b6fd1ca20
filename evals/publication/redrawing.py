"""Figures of a publication, drawn again from its summary alone."""

from __future__ import annotations

import zipfile
from pathlib import Path

import orjson

from ttc.errors import ConfigurationError
from ttc.evals.figures.costs import draw_costs
from ttc.evals.figures.curves import draw_curves
from ttc.evals.figures.shares import draw_shares
from ttc.evals.summary import Summary, summary_from_json

__all__ = ["published_summary", "redraw"]


def published_summary(source: Path) -> Summary:
    """Read the summary of a publication: a folder, a zip, or the ``summary.json`` itself.

    Raises:
        ConfigurationError: there is none, or it is damaged.
    """
    try:
        if source.suffix == ".zip" and source.is_file():
            with zipfile.ZipFile(source) as archive:
                name = next((n for n in archive.namelist() if n.rpartition("/")[2] == "summary.json"), None)
                raw = archive.read(name) if name else None
        else:
            file = source / "summary.json" if source.is_dir() else source
            raw = file.read_bytes() if file.is_file() else None
        if raw is None:
            raise ConfigurationError(f"--from {source}: there is no summary.json; give what 'ttc publish' wrote")
        return summary_from_json(raw)
    except (OSError, zipfile.BadZipFile, orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"--from {source} cannot be read: {error}") from None


def redraw(source: Path, out: Path) -> list[Path]:
    """Draw the figures of a publication into a folder, as they were drawn; returns the files.

    Raises:
        ConfigurationError: there is no publication, or the folder cannot be made.
        MissingExtra: matplotlib is not installed.
    """
    summary = published_summary(source)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--out {out} cannot be made: {error.strerror or error}") from None
    files: list[Path] = []
    for name, draw in (("curves", draw_curves), ("cost", draw_costs), ("shares", draw_shares)):
        pair = out / f"{name}.png", out / f"{name}.svg"
        if draw(summary, *pair) is not False:
            files += pair
    return files
