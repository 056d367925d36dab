"""May these KPIs be shown? Totals of a whole branch; where they count people, 1 to 9 are masked with their shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kenpo_analytics.disclosure.check import check
from kenpo_analytics.disclosure.checked import Checked
from kenpo_analytics.disclosure.roles import eager
from kenpo_analytics.disclosure.rules import DisclosureRules

_PAIRS = {"numerator": "denominator", "last_numerator": "last_denominator"}
_LIMITS = ("centre", "lower", "upper", "months")
_CHANGES = ("change", "change_lower", "change_upper")
_PLAIN = (
    *("digits", "level", "fiscal_year", "month", "place", "years", "tried", "remaining", "target", "national"),
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
    A null means that there is nothing of the kind (―): the reason stands in a text column.
    """
    if isinstance(table, Checked):
        return table
    frame = eager(table)
    people, counts = pl.col("counts") == "people", []
    for top, under in _PAIRS.items():
        for name in (name for name in (top, under) if name in frame.columns):
            frame = frame.with_columns(pl.when(people).then(pl.col(name)).cast(pl.Int64).alias(f"people_{name}"))
            frame = frame.with_columns(pl.when(~people).then(pl.col(name)).alias(name))
            counts.append(f"people_{name}")
    rates = _rates(frame, counts)
    limits = _LIMITS if "centre" in frame.columns else ()
    plain = [name for name in (*_PLAIN, *limits, *_PAIRS, *_PAIRS.values()) if name in frame.columns]
    numbers = [name for name in frame.columns if frame[name].dtype.is_numeric()]
    return check(
        frame,
        counts=counts,
        rates=rates,
        by=tuple(by),
        plain=[name for name in plain if name not in by],
        reasons=dict.fromkeys([name for name in numbers if name not in by] + _texts(frame, by), "not_applicable"),
        labels=_texts(frame, by),
        rules=rules,
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
