"""Under which version was each figure of the sheet counted, and who printed it? A line per KPI, sources as letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from kenpo_analytics.definitions.kpi import GROUPS, kpi

_HEAD = ("指標", "定義の版", "定義", "目標", "全国", "順位")
_NOTHING = "―"
_TITLE = "定義の版・出典(文字は下の出典。実績と前年同月は支部のデータ)"


def origins(rows: Sequence[Mapping[str, Any]]) -> str:
    """Version and sources of the KPIs of the sheet (rows of `kpi.status`), in two halves, and the list of sources."""
    keys: dict[str, str] = {}

    def key(text: str | None) -> str:
        return keys.setdefault(text, _letters(len(keys))) if text else _NOTHING

    lines = []
    for row in (row for row in rows if row["group"] in GROUPS):
        place = row.get("rank_source") if row.get("rank") is not None else None
        sources = (kpi(row["kpi_id"]).source, row["target_source"], row["national_source"], place)
        lines.append((row["short"], row["definition_version"], *map(key, sources)))
    half = (len(lines) + 1) // 2
    tables = "".join(_table(part) for part in (lines[:half], lines[half:]) if part)
    listed = " ".join(f"<span><b>{letter}</b> {escape(text)}</span>" for text, letter in keys.items())
    return f'<div class="origins"><h4>{_TITLE}</h4><div>{tables}</div><p>{listed}</p></div>'


def _letters(at: int) -> str:
    """a, b … z, aa, ab …"""
    more, last = divmod(at, 26)
    return (_letters(more - 1) if more else "") + chr(ord("a") + last)


def _table(lines: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in line) + "</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead>{body}</table>"
