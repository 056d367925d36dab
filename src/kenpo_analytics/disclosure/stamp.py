"""Has this output passed the disclosure check? The stamp a report puts on it and a run demands.

A stamp is a digest of exactly what is shown: change one figure after the check and it no longer fits. It
keeps honest hands from publishing by oversight what was never checked; it is no signature against a forger.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY = "kenpo"
ATTACHMENTS = "KENPO_ATTACHMENTS"
"""Names, in a kernel of the monthly run, the folder into which its notebook may put files beside its page."""


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def _normal(mime: str, value: object) -> object:
    """One form for what a notebook file may write in several: lists of lines, wrapped or bytes images."""
    if mime == "application/json" or mime.endswith("+json"):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(line, str) for line in value)):
        text = _text(value)
        binary = not mime.startswith("text/") and not mime.endswith("+xml")
        return "".join(text.split()) if binary else text
    return value


def digest(data: Mapping[str, Any]) -> str:
    """What is shown, as one number: sha256 over the canonical JSON of a mimebundle's data."""
    normal = {mime: _normal(mime, value) for mime, value in data.items()}
    text = json.dumps(normal, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def stamp(data: Mapping[str, Any], *, log: dict[str, Any] | None = None) -> dict[str, Any]:
    """Which metadata goes with a checked output? `{"kenpo": {"stamp": ..., "log": ...}}`.

    Show with `IPython.display.display(data, raw=True, metadata=stamp(data))`: `raw=True`, since what
    IPython adds by itself would not fit the stamp. Headline figures may be added as
    `metadata["kenpo"]["headline"] = {name: {estimate record}}`.

    Parameters
    ----------
    data
        The mimebundle as shown: media type to text (or bytes for images).
    log
        The masking log of the disclosure check: counts only.
    """
    return {KEY: {"stamp": digest(data), "log": log}}


def is_stamped(output: Mapping[str, Any]) -> bool:
    """Does this notebook output carry a stamp that fits what it shows?

    `output` is an nbformat output (`display_data`, `execute_result`), read by nbformat or as plain JSON.
    """
    mark = (output.get("metadata") or {}).get(KEY)
    data = output.get("data")
    if not isinstance(mark, Mapping) or not isinstance(data, Mapping) or not data:
        return False
    return mark.get("stamp") == digest(data)
