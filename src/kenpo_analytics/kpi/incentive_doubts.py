"""Can the incentive score be computed, and how far does it rest on assumptions? What a page says around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl

from kenpo_analytics.definitions import Definitions
from kenpo_analytics.definitions.branch_codes import BRANCHES, branch_code, branch_names
from kenpo_analytics.definitions.kpi import version_at
from kenpo_analytics.errors import DefinitionError, EstimateError, TableError
from kenpo_analytics.frames import eager, small, source_of
from kenpo_analytics.kpi import branches
from kenpo_analytics.kpi.incentive import Score, incentive_score
from kenpo_analytics.kpi.incentive_tables import smallest_of
from kenpo_analytics.kpi.weights import Indicator, Rules, incentive_rules, scored
from kenpo_analytics.months import fiscal_year_ja, fiscal_year_of, parse_month

_NEEDS: dict[str, Any] = {
    **dict.fromkeys(("indicator", "label", "kpi_id", "definition_version"), pl.String),
    **dict.fromkeys(("month", "branches", "with_counts"), pl.Int64),
    "missing": pl.String,
}
_TRIED = 5
_TOLD = 3
"""Tables named in one sentence; the rest are counted, and stand in the table."""
_LEVEL_ONLY = {"level": 1.0, "rise": 0.0, "number": 0.0}
_RISES = {"points": "ポイント差", "room": "伸びしろに対する割合"}
_T = 50.0
"""The base at which points are the deviation value itself (FY2018-2021)."""


def incentive_needs(published: Any, *, fiscal_year: int, definitions: Definitions | None = None) -> Any:
    """Which 47-branch tables does the score of a fiscal year need, and which are there?

    Returns
    -------
    pandas for pandas, polars otherwise.
    One row per indicator and March: indicator, label, kpi_id, definition_version, month, branches (of 47), with_counts
    (branches with numerator and denominator), missing (names of the branches that are not there, and whether they are
    there under another definition version; null where none is missing). No row in a year without the programme (before
    FY2018).
    """
    found = _needs(branches.values(published), fiscal_year, definitions)
    return small(found, source_of(published))


def _needs(table: pl.DataFrame, fiscal_year: int, definitions: Definitions | None) -> pl.DataFrame:
    last = (fiscal_year + 1) * 100 + 3
    rows: list[dict[str, Any]] = []
    if not scored(fiscal_year, definitions=definitions):
        return pl.DataFrame(rows, schema=_NEEDS)
    for item in incentive_rules(fiscal_year, definitions=definitions).indicators:
        version = version_at(item.kpi_id, last).version
        for month in (last - 100, last) if item.looks_back else (last,):
            same = (pl.col("kpi_id") == item.kpi_id) & (pl.col("month") == month) & pl.col("area").is_in(BRANCHES)
            held = table.filter(same, pl.col("version") == version)
            other = table.filter(same, pl.col("version") != version)
            rows.append(
                {
                    "indicator": item.key,
                    "label": item.label,
                    "kpi_id": item.kpi_id,
                    "definition_version": version,
                    "month": month,
                    "branches": held.height,
                    "with_counts": held.drop_nulls(["numerator", "denominator"]).height,
                    "missing": _missing(set(held["area"]), other),
                }
            )
    return pl.DataFrame(rows, schema=_NEEDS)


def _missing(there: set[str], other: pl.DataFrame) -> str | None:
    lacking = [code for code in BRANCHES if code not in there]
    if not lacking:
        return None
    under = f"(別の定義の版「{other['version'][0]}」では{other.height}支部)" if other.height else ""
    return ("すべて" if len(lacking) == len(BRANCHES) else "、".join(map(branch_names().__getitem__, lacking))) + under


def incentive_year(published: Any, *, month: int | str, definitions: Definitions | None = None) -> int:
    """Which fiscal year can be scored at a month? The last ended whose tables are all whole, else the last ended.

    Only tables known at the month count (`branches.known_by`). Five years are tried, none before the programme began.
    Which years were passed over, and why: `incentive_gaps`.
    """
    ended = _ended(month)
    tried = _tried(published, month, definitions)
    return next((year for year, needs in tried if _whole(needs)), ended)


def incentive_gaps(published: Any, *, month: int | str, definitions: Definitions | None = None) -> Any:
    """Which later years did `incentive_year` pass over, and which of their tables lack which branches?

    Returns
    -------
    pandas for pandas, polars otherwise.
    The columns of `incentive_needs` after fiscal_year: one row per table that is not whole, latest year first. No row
    where the last ended year can be scored, or no year can (then `incentive_needs` of the last ended tells it all).
    """
    passed = [pl.DataFrame(schema={"fiscal_year": pl.Int64} | _NEEDS)]
    for year, needs in _tried(published, month, definitions):
        if _whole(needs):
            return small(pl.concat(passed), source_of(published))
        lacking = needs.filter(pl.col("branches") < len(BRANCHES))
        passed.append(lacking.select(pl.lit(year, pl.Int64).alias("fiscal_year"), pl.all()))
    return small(passed[0], source_of(published))


def _ended(month: int | str) -> int:
    return fiscal_year_of(parse_month(month)) - (parse_month(month) % 100 != 3)


def _tried(published: Any, month: int | str, definitions: Definitions | None) -> Iterator[tuple[int, pl.DataFrame]]:
    known, ended = branches.known_by(branches.values(published), month=month), _ended(month)
    for year in range(ended, ended - _TRIED, -1):
        yield year, _needs(known, year, definitions)


def _whole(needs: pl.DataFrame) -> bool:
    return len(needs) > 0 and bool((needs["branches"] == len(BRANCHES)).all())


def gaps_sentence(gaps: Any, *, fiscal_year: int) -> str:
    """What `incentive_gaps` found, in a sentence that ends with the year shown instead; empty where it found nothing.

    「令和6年度は①特定健診等の実施率が46支部のため計算せず、令和5年度を示します。」
    """
    gaps = eager(gaps)
    if gaps.is_empty():
        return ""
    years = gaps["fiscal_year"].unique(maintain_order=True).to_list()
    said = [_passed_over(year, gaps.filter(pl.col("fiscal_year") == year).to_dicts()) for year in years]
    return f"{'、'.join(said)}計算せず、{fiscal_year_ja(fiscal_year)}を示します。"


def _passed_over(year: int, rows: list[dict[str, Any]]) -> str:
    own = (year + 1) * 100 + 3
    parts = [f"{'' if row['month'] == own else '前年度の'}{row['label']}が{row['branches']}支部" for row in rows]
    more = f"、ほか{len(parts) - _TOLD}表も47支部がそろわない" if len(parts) > _TOLD else "の"
    return f"{fiscal_year_ja(year)}は{'、'.join(parts[:_TOLD])}{more}ため"


def score_or_reason(
    published: Any, *, fiscal_year: int, definitions: Definitions | None = None
) -> tuple[Score | None, str]:
    """The score, or None and in one sentence why there is none (for a page that must not stop)."""
    try:
        return incentive_score(published, fiscal_year=fiscal_year, definitions=definitions), ""
    except (TableError, EstimateError, DefinitionError) as error:
        return None, error.message.rstrip("。")


def incentive_place(score: Score | None, *, branch: str) -> Any:
    """The place of a branch as one record (a headline): without a score, a row that has nothing to show.

    Columns area, level, smallest, estimate (the place), lower, upper, method.
    """
    if score is None:
        empty = {"area": branch, **dict.fromkeys(("level", "smallest", "estimate", "lower", "upper", "method"))}
        kinds: dict[str, Any] = dict.fromkeys(("smallest", "estimate", "lower", "upper"), pl.Int64)
        return pl.DataFrame([empty], schema_overrides=kinds | {"level": pl.Float64, "method": pl.String})
    found = (
        eager(score.totals)
        .filter(pl.col("area") == branch)
        .select(
            *("area", "level", "smallest"),
            estimate="rank",
            lower="rank_lower",
            upper="rank_upper",
            method="rank_method",
        )
    )
    return small(found, source_of(score.totals))


def incentive_sensitivity(published: Any, score: Score, *, branch: str) -> Any:
    """How far do points and place of a branch rest on what is assumed (仮定)?

    Returns
    -------
    pandas for a score of pandas, polars otherwise.
    One row per setting that differs: setting (Japanese), points, rank,
    rank_lower, rank_upper, p_top, gap, smallest (as in `Score.totals`); the first row is the score itself. Points under
    other bases are on another scale: compare the places.
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
    settings = [(name, each) for at, (name, each) in enumerate(settings) if not at or each != rules]
    kept = ("points", "rank", "rank_lower", "rank_upper", "p_top", "gap")
    rows, table, smallest = [], branches.values(published), smallest_of(score.counted)
    for name, changed in settings:
        made = incentive_score(table, fiscal_year=rules.fiscal_year, rules=changed, level=score.level)
        row = made.totals.filter(pl.col("area") == branch_code(branch)).row(0, named=True)
        rows.append({"setting": name} | {column: row[column] for column in kept} | {"smallest": smallest})
    return small(pl.DataFrame(rows, infer_schema_length=None), source_of(score.totals))


def _equal(item: Indicator) -> Indicator:
    return replace(item, base=_T)
