"""May these KPIs be shown? Totals of a whole branch; where they count people, 1 to 9 are masked with their shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kenpo_analytics.definitions.kpi import kpis
from kenpo_analytics.disclosure.check import check
from kenpo_analytics.disclosure.checked import Checked
from kenpo_analytics.disclosure.roles import eager
from kenpo_analytics.disclosure.rules import DisclosureRules
from kenpo_analytics.months import fiscal_year_of

RUN = "_run"
HIDDEN = "人数が少ないため秘匿"
MET, MISSED, UNKNOWN = "達成", "未達", "判定不能"  # the words of kpi.judging, a room above this one
_PAIRS = {"numerator": "denominator", "last_numerator": "last_denominator"}
_LIMITS = ("centre", "lower", "upper", "months")
_CHANGES = ("change", "change_lower", "change_upper")
_PLAIN = (
    *(
        "digits",
        "level",
        "fiscal_year",
        "month",
        "place",
        "years",
        "tried",
        "remaining",
        "target",
        "national",
        "latest_month",
        "latest_remaining",
    ),
    *(
        "national_month",
        "rank_month",
        "arrived_month",
        "widen",
        "mae",
        "mae_last_year",
        "coverage",
        "compared",
        "calendar_month",
    ),
)


def check_kpi(table: Any, *, by: Sequence[str] = ("kpi_id",), rules: DisclosureRules | None = None) -> Checked:
    """Which numbers of `kpi.status`, `kpi.landing`, `kpi.monthly_series` or `kpi.control` may be shown?

    Numerator and denominator of a KPI that counts people (`counts`) are counts of people; a share, its interval, gap
    and distance are hidden with them, and so is what is still needed. Yen, cases, places and drug units are no people.
    A null means that there is nothing of the kind (―): the reason stands in a text column. Two months of one running
    sum that differ by 1 to 9 people are not both shown; a chart with a hidden month has no centre and limits, which
    would give it back; nor does a verdict stand beside a hidden share, which it would bound.
    """
    if isinstance(table, Checked):
        return table
    frame, floor = eager(table), (rules or DisclosureRules()).min_cell
    frame = _without_bounds(frame, floor)
    people, counts = pl.col("counts") == "people", []
    for top, under in _PAIRS.items():
        for name in (name for name in (top, under) if name in frame.columns):
            frame = frame.with_columns(pl.when(people).then(pl.col(name)).cast(pl.Int64).alias(f"people_{name}"))
            frame = frame.with_columns(pl.when(~people).then(pl.col(name)).alias(name))
            counts.append(f"people_{name}")
    runs = "month" in by and "state" in frame.columns and frame.height > 0
    keys = (*by, RUN) if runs else tuple(by)
    frame = frame.with_columns(_run(frame)) if runs else frame
    latest = {"month": frame["month"].max()} if runs else {}
    rates = _rates(frame, counts)
    limits = _LIMITS if "centre" in frame.columns else ()
    plain = [name for name in (*_PLAIN, *limits, *_PAIRS, *_PAIRS.values()) if name in frame.columns]
    numbers = [name for name in frame.columns if frame[name].dtype.is_numeric()]
    checked = check(
        frame,
        counts=counts,
        rates=rates,
        by=keys,
        nested={"people_numerator": latest} if runs and "people_numerator" in counts else None,
        plain=[name for name in plain if name not in by],
        reasons=dict.fromkeys([name for name in numbers if name not in by] + _texts(frame, keys), "not_applicable"),
        labels=_texts(frame, keys),
        rules=rules,
    )
    return checked.select([name for name in checked.table.columns if name != RUN])


def _run(frame: pl.DataFrame) -> pl.Series:
    """Which rows are months of one running sum? Of a level each month stands for itself."""
    sums = {item.id for item in kpis() if item.accumulates in ("base", "both")}
    rows = frame.select("kpi_id", "month").iter_rows()
    return pl.Series(RUN, [f"{fiscal_year_of(month)}" if id in sums else f"{month}" for id, month in rows])


def _without_bounds(frame: pl.DataFrame, floor: float) -> pl.DataFrame:
    """Limits of a chart and verdicts that would say how many people a hidden number stands for."""
    if "numerator" not in frame.columns:
        return frame
    tops = [name for name in _PAIRS if name in frame.columns]
    small = [pl.col(name).abs().is_between(1, floor - 1).fill_null(False) for name in tops]
    few = (pl.col("counts") == "people") & pl.any_horizontal(small)
    if "centre" in frame.columns:
        hidden, told = few.any().over("kpi_id"), ("centre", "lower", "upper", "signal")
        frame = frame.with_columns(pl.when(~hidden).then(name).alias(name) for name in told)
        return frame.with_columns(reason=pl.when(hidden).then(pl.lit(HIDDEN)).otherwise("reason"))
    if "outlook" in frame.columns:
        frame = frame.with_columns(outlook=pl.when(~few).then("outlook"))
    if "status" not in frame.columns:
        return frame
    bounded = few & pl.col("status").is_in([MET, MISSED])
    return frame.with_columns(
        status=pl.when(bounded).then(pl.lit(UNKNOWN)).otherwise("status"),
        reason=pl.when(few).then(pl.lit(HIDDEN)).otherwise("reason"),
    )


def _rates(frame: pl.DataFrame, counts: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Every other number tells of this year's people; last year's share of last year's, a change of both."""
    now, then = (tuple(n for n in counts if n.startswith("people_last_") == last) for last in (False, True))
    charted = "centre" in frame.columns  # a control chart: its limits tell of all months together, of none alone
    used = {*_PLAIN, *_PAIRS, *_PAIRS.values(), *counts, *(_LIMITS if charted else ())}
    numbers = [name for name in frame.columns if frame[name].dtype.is_numeric() and name not in used]
    behind = {"last_year": then} | dict.fromkeys((*_CHANGES, *(("estimate",) if charted else ())), now + then)
    return {name: behind.get(name, now) for name in numbers if now}


def _texts(frame: pl.DataFrame, by: Sequence[str]) -> list[str]:
    return [name for name in frame.columns if frame[name].dtype == pl.String and name not in by]
