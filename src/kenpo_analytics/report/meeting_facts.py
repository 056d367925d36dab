"""What stands beside the value on a card of the sheet? Target, the year before, nation, year-end, outlook and place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Any

from kenpo_analytics.disclosure import MASKED, Checked
from kenpo_analytics.months import add_months
from kenpo_analytics.report._format import DONE, MARKS, Col, number, of_row, write

UNIT = Col("", "unit")
CHANGE = Col("", "change")
Pair = tuple[dict[str, Any], dict[str, str]]
"""A row of a checked table and the states of its cells."""
_NONE = "見込みなし"
_OUTLOOKS = {"届く見込み": "届く", "届かない見込み": "届かない", "どちらともいえない": "どちらともいえない"}


def pairs(checked: Checked) -> list[Pair]:
    """Rows with their states."""
    return list(zip(checked.table.to_dicts(), checked.states.to_dicts(), strict=True))


def text(pair: Pair | None, name: str, col: Col = UNIT) -> str:
    """One number as it is written on every page, or the mark that says why there is none."""
    if pair is None:
        return MARKS["not_applicable"]
    return write(pair[0][name], pair[1][name], of_row(col, pair[0]))


def facts(pair: Pair, *, settled: Pair, end: Pair | None, runs: Checked) -> str:
    """The facts of one KPI as a list. `settled`: its row of the latest 確定 month; `end`: of the landing."""
    row = pair[0]
    national = "全国値なし" if row["national"] is None else text(pair, "national")
    if row["national_month"] and row["national_month"] != row["month"]:
        national += f"({number(row['national_month'], 'month')})"
    gap = "" if row["gap"] is None or row["unit"] == DONE else f"(差 {_bare(pair, 'gap')})"
    found = {
        "目標": text(pair, "target") + gap,
        "前年同月": last_year(settled, runs),
        "全国": national,
        "年度末": landing(end),
        "見通し": _outlook(end),
        "順位": _place(pair),
    }
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{escape(said)}</dd>" for name, said in found.items() if said) + "</dl>"


def _bare(pair: Pair, name: str) -> str:
    """A difference with its sign; of a share in ポイント, else in the unit of the value before it."""
    bare = replace(of_row(CHANGE, pair[0]), unit="ポイント" if pair[0]["unit"] == "%" else "")
    return write(pair[0][name], pair[1][name], bare)


def last_year(settled: Pair, runs: Checked) -> str:
    """The same month of the year before beside the latest 確定 month, or why there is nothing to compare."""
    row, states = settled
    if row["month"] is None or row["state"] == "provisional":
        return "確定した月なし" if _has_last_year(row, runs) else "前年の値なし"
    since = f"{row['month'] % 100}月(確定) "
    if states["last_year"] in MASKED or states["change"] in MASKED:
        return since + MARKS["masked"]
    if row["change"] is not None:
        told = "" if row["unit"] == DONE else f"({_bare(settled, 'change')})"
        return since + text(settled, "last_year") + told
    then = runs.where(kpi_id=row["kpi_id"], month=add_months(row["month"], -12))
    if not len(then):
        return "前年の値なし"
    other = row["definition_version"] not in set(then.table["definition_version"])
    return "前年は定義の版が違う" if other else "前年は速報だけ"


def _has_last_year(row: Mapping[str, Any], runs: Checked) -> bool:
    """Is there any month of the fiscal year before, counted as now?"""
    before = {"kpi_id": row["kpi_id"], "fiscal_year": row["fiscal_year"] - 1}
    return len(runs.where(**before, definition_version=row["definition_version"])) > 0


def landing(end: Pair | None) -> str:
    """The projection with its interval, the range of past years, or that there is none and why."""
    if end is None:
        return _NONE
    row, states = end
    if states["lower"] in MASKED:
        return MARKS["masked"]
    if row["lower"] is None or row["upper"] is None:
        if row["estimate"] is not None:
            return text(end, "estimate")
        return f"{_NONE}({row['brief']})" if row["brief"] else _NONE
    since = f"、{row['month'] % 100}月から"
    col = replace(of_row(UNIT, row), unit="")
    low, high = (write(row[name], states[name], col) for name in ("lower", "upper"))
    low = low.rstrip("%")
    if row["estimate"] is None:
        return f"幅 {low}～{high}{'' if row['unit'] == '%' else row['unit']}{since}"
    return f"{text(end, 'estimate')}({low}～{high}{since})"


def _outlook(end: Pair | None) -> str:
    """Will the target be reached? Told where there is an interval."""
    said = _OUTLOOKS.get((end[0]["outlook"] or "") if end else "")
    return f"目標に{said}" if said and said != _OUTLOOKS["どちらともいえない"] else said or ""


def _place(pair: Pair) -> str:
    """The place among the 47 with its interval and its own month; a place without an interval is not told."""
    row, states = pair
    if row.get("rank") is None or states["rank"] != "shown":
        return ""
    return f"{row['rank']}位({row['rank_lower']}～{row['rank_upper']}位、{number(row['rank_month'], 'month')})"
