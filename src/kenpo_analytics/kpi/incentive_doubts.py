"""Can the incentive score be computed, and how far does it rest on assumptions? What a page says around it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl

from kenpo_analytics.definitions import Definitions
from kenpo_analytics.definitions.kpi import version_at
from kenpo_analytics.errors import DefinitionError, EstimateError, TableError
from kenpo_analytics.kpi import branches
from kenpo_analytics.kpi.incentive import Score, incentive_score
from kenpo_analytics.kpi.incentive_tables import smallest_of
from kenpo_analytics.kpi.provider import BRANCHES
from kenpo_analytics.kpi.weights import Indicator, Rules, incentive_rules, scored
from kenpo_analytics.months import fiscal_year_of, parse_month

_NEEDS: dict[str, Any] = {
    **dict.fromkeys(("indicator", "label", "kpi_id", "definition_version"), pl.String),
    **dict.fromkeys(("month", "branches", "with_counts"), pl.Int64),
}
_LEVEL_ONLY = {"level": 1.0, "rise": 0.0, "number": 0.0}
_RISES = {"points": "ポイント差", "room": "伸びしろに対する割合"}
_T = 50.0
"""The base at which points are the deviation value itself (FY2018-2021)."""


def incentive_needs(published: Any, *, fiscal_year: int, definitions: Definitions | None = None) -> pl.DataFrame:
    """Which 47-branch tables does the score of a fiscal year need, and which are there?

    Returns
    -------
    One row per indicator and March: indicator, label, kpi_id, definition_version, month, branches (of 47), with_counts
    (branches with numerator and denominator). No row in a year without the programme (before FY2018).
    """
    table, last = branches.values(published), (fiscal_year + 1) * 100 + 3
    rows: list[dict[str, Any]] = []
    if not scored(fiscal_year, definitions=definitions):
        return pl.DataFrame(rows, schema=_NEEDS)
    for item in incentive_rules(fiscal_year, definitions=definitions).indicators:
        version = version_at(item.kpi_id, last).version
        for month in (last - 100, last) if item.looks_back else (last,):
            same = (pl.col("kpi_id") == item.kpi_id) & (pl.col("version") == version) & (pl.col("month") == month)
            held = table.filter(same, pl.col("area").is_in(BRANCHES))
            rows.append(
                {
                    "indicator": item.key,
                    "label": item.label,
                    "kpi_id": item.kpi_id,
                    "definition_version": version,
                    "month": month,
                    "branches": held.height,
                    "with_counts": held.drop_nulls(["numerator", "denominator"]).height,
                }
            )
    return pl.DataFrame(rows, schema=_NEEDS)


def incentive_year(published: Any, *, month: int | str, definitions: Definitions | None = None) -> int:
    """Which fiscal year can be scored at a month? The last ended whose tables are all whole, else the last ended.

    Only tables known at the month count (`branches.known_by`). Five years are tried, none before the programme began.
    """
    known = branches.known_by(published, month=month)
    ended = fiscal_year_of(parse_month(month)) - (parse_month(month) % 100 != 3)
    for year in range(ended, ended - 5, -1):
        needs = incentive_needs(known, fiscal_year=year, definitions=definitions)
        if len(needs) and (needs["branches"] == len(BRANCHES)).all():
            return year
    return ended


def score_or_reason(
    published: Any, *, fiscal_year: int, definitions: Definitions | None = None
) -> tuple[Score | None, str]:
    """The score, or None and in one sentence why there is none (for a page that must not stop)."""
    try:
        return incentive_score(published, fiscal_year=fiscal_year, definitions=definitions), ""
    except (TableError, EstimateError, DefinitionError) as error:
        return None, error.message.rstrip("。")


def incentive_sensitivity(published: Any, score: Score, *, branch: str) -> pl.DataFrame:
    """How far do points and place of a branch rest on what is assumed (仮定)?

    Returns
    -------
    One row per setting: setting (Japanese), points, rank, rank_lower, rank_upper, p_top, gap, smallest (as in
    `Score.totals`); the first row is the score itself. Points under other bases are on another scale: compare the
    places.
    """
    rules = score.rules
    other_sd = "sample" if rules.sd == "population" else "population"
    other_rise = "points" if rules.rise == "room" else "room"
    level = tuple(replace(item, weights=_LEVEL_ONLY) for item in rules.indicators)
    settings: list[tuple[str, Rules]] = [
        ("基準(用いた定義)", rules),
        (f"標準偏差の分母を{'支部数－1' if other_sd == 'sample' else '支部数'}に", replace(rules, sd=other_sd)),
        (f"上昇幅を{_RISES[other_rise]}に", replace(rules, rise=other_rise)),
        ("素点をすべて50に(偏差値の単純な和)", replace(rules, indicators=tuple(map(_equal, rules.indicators)))),
        ("実績だけ(上昇幅・件数上昇率を除く)", replace(rules, indicators=level)),
    ]
    kept = ("points", "rank", "rank_lower", "rank_upper", "p_top", "gap")
    rows, table, smallest = [], branches.values(published), smallest_of(score.counted)
    for name, changed in settings:
        made = incentive_score(table, fiscal_year=rules.fiscal_year, rules=changed, level=score.level)
        row = made.totals.filter(pl.col("area") == branch).row(0, named=True)
        rows.append({"setting": name} | {column: row[column] for column in kept} | {"smallest": smallest})
    return pl.DataFrame(rows, infer_schema_length=None)


def _equal(item: Indicator) -> Indicator:
    return replace(item, base=_T)
