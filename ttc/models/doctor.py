"""Examines a server: what it serves, and which of the things that ``ttc`` relies on it really does.

Vendors' servers accept fields that they ignore, and vLLM differs by version, flags and model; so it is tried, not
looked up. A full examination takes a few seconds and some 1,500 tokens, most of them prompts.
"""

from __future__ import annotations

import json
import time
from typing import Any

import aiohttp
from pydantic import BaseModel, ConfigDict

from ttc.errors import UnknownName
from ttc.models.patient import Patient
from ttc.models.probes import PROBES, UNKNOWN, Found

__all__ = ["UNKNOWN", "Diagnosis", "Finding", "examine"]


class Finding(BaseModel):
    """One thing that was tried: its value (``unknown`` where the trial could not tell) and what it rests on."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: bool | int | float | str | list[str]
    note: str


class Diagnosis(BaseModel):
    """All findings about one server, and what they cost.

    Attributes:
        base_url: as it was given.
        reachable: whether a vLLM or another OpenAI-compatible server answered.
        findings: one per thing that was tried, always the same names in the same order.
        requests: completions that were asked for.
        prompt_tokens: tokens of their prompts.
        generated_tokens: tokens generated, those of the cancelled stream included.
        seconds: how long it took.
    """

    model_config = ConfigDict(frozen=True)

    base_url: str
    reachable: bool
    findings: tuple[Finding, ...]
    requests: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    seconds: float = 0.0

    def __getitem__(self, name: str) -> Any:
        """The value found under ``name``."""
        for finding in self.findings:
            if finding.name == name:
                return finding.value
        raise UnknownName("finding", name, [finding.name for finding in self.findings])

    def to_json(self) -> str:
        """One JSON object: the fields, with ``findings`` as name -> value and note."""
        plain = self.model_dump()
        plain["findings"] = {f.name: {"value": f.value, "note": f.note} for f in self.findings}
        return json.dumps(plain, ensure_ascii=False)


async def examine(base_url: str, *, model: str | None = None, api_key: str | None = None) -> Diagnosis:
    """Try the server at ``base_url`` (with or without ``/v1``).

    A server that does not answer gives a diagnosis whose ``reachable`` is false; a probe that fails gives ``unknown``.

    Args:
        base_url: such as ``http://127.0.0.1:8000/v1``.
        model: which of its models to try; the first when left out.
        api_key: sent as a bearer token.

    Raises:
        UnknownName: the server answers, and serves no ``model``.
    """
    started = time.monotonic()
    root = base_url.rstrip("/").removesuffix("/v1")
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    timeout = aiohttp.ClientTimeout(total=120, sock_connect=5)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        patient = Patient(http, root)
        found, reachable = await _identify(patient, model)
        for probe, names in PROBES.items():
            if not patient.model:
                found += [(name, UNKNOWN, "not tried") for name in names]
                continue
            try:
                found += await probe(patient)
            except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError, AttributeError) as error:
                reason = f"the trial failed: {type(error).__name__}: {error}"[:200]
                found += [(name, UNKNOWN, reason) for name in names]
    return Diagnosis(
        base_url=base_url,
        reachable=reachable,
        findings=tuple(Finding(name=name, value=value, note=note) for name, value, note in found),
        requests=patient.requests,
        prompt_tokens=patient.prompt_tokens,
        generated_tokens=patient.generated_tokens,
        seconds=round(time.monotonic() - started, 2),
    )


async def _identify(patient: Patient, wanted: str | None) -> tuple[list[Found], bool]:
    """Version, models and context; sets the patient's model where there is one to try."""
    names = ("server_version", "models", "context_tokens")
    try:
        status, listing = await patient.get("/v1/models")
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        why = f"nothing answers at {patient.root}: {error or type(error).__name__}"
        return [(name, UNKNOWN, why) for name in names], False
    try:
        cards: Any = json.loads(listing)["data"]
        models = {str(card["id"]): card for card in cards}
    except (ValueError, LookupError, TypeError):
        why = f"/v1/models answered {status}, and no list of models"
        if status in (401, 403):
            why += ": it wants an API key"
        return [(name, UNKNOWN, why) for name in names], status < 500
    if wanted is not None and wanted not in models:
        raise UnknownName(f"model at {patient.root}", wanted, models)
    patient.model = wanted or next(iter(models), "")
    context: Any = models.get(patient.model, {}).get("max_model_len")
    patient.context = context if isinstance(context, int) else None
    tried = f"tried: {patient.model}" if models else "none is served"
    return [
        ("server_version", *await _version(patient)),
        ("models", list(models), tried),
        ("context_tokens", context or UNKNOWN, "prompt and answer together" if context else "the server does not say"),
    ], True


async def _version(patient: Patient) -> tuple[str, str]:
    try:
        status, text = await patient.get("/version")
        return (str(json.loads(text)["version"]), "by /version") if status == 200 else (UNKNOWN, f"/version: {status}")
    except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError):
        return UNKNOWN, "/version cannot be read"
