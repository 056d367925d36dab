"""May these KPIs be shown? Totals of a whole branch; where they count people, 1 to 9 are masked with their shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kenpo_analytics.definitions.kpi import kpis
from kenpo_analytics.disclosure.checked import Checked
from kenpo_analytics.disclosure.finish import finish
from kenpo_analytics.disclosure.kpi_months import KINDS, Hidden, behind, hidden_months
from kenpo_analytics.disclosure.roles import Roles, eager, validate
from kenpo_analytics.disclosure.rules import DisclosureRules
from kenpo_analytics.disclosure.suppress import PRIMARY, SHOWN

HIDDEN = "人数が少ないため秘匿"
MET, MISSED, UNKNOWN = "達成", "未達", "判定不能"  # the words of kpi.judging, a room above this one
_COUNTS = {"numerator": "top", "denominator": "under", "last_numerator": "last_top", "last_denominator": "last_under"}
_PLAIN = (
    *("digits", "level", "fiscal_year", "month", "place", "years", "tried", "remaining", "national", "months"),
    *("latest_month", "latest_remaining", "national_month", "rank_month", "arrived_month", "compared"),
    *("calendar_month", *_COUNTS),
)
_KINDS = {
    **{f"people_{name}": kind for name, kind in _COUNTS.items()},
    **dict.fromkeys(("last_year",), "then"),
    **dict.fromkeys(("change", "change_lower", "change_upper"), "both"),
    **dict.fromkeys(("target",), "goal"),
    **dict.fromkeys(("gap", "distance_target", "needed"), "gap"),
    **dict.fromkeys(("at_most", "per_month"), "latest_gap"),
    **dict.fromkeys(("at_most_national", "per_month_national"), "latest"),
    **dict.fromkeys(("rank", "rank_lower", "rank_upper", "published_rank"), "place"),
    **dict.fromkeys(("pace_last_year", "mae", "mae_last_year", "coverage", "widen"), "past"),
    **dict.fromkeys(("arrived",), "arrived"),
}
_PROJECTED = dict.fromkeys(("estimate", "lower", "upper"), "past")
_CHARTED = dict.fromkeys(("estimate", "centre", "lower", "upper"), "both")


def check_kpi(
    table: Any, *, by: Sequence[str] = ("kpi_id",), together: Any = None, rules: DisclosureRules | None = None
) -> Checked:
    """Which numbers of `kpi.status`, `kpi.landing`, `kpi.monthly_series` or `kpi.control` may be shown?

    Numerator and denominator of a KPI that counts people (`counts`) are counts of people; a share, its interval, gap
    and distance are hidden with them, and so is what is still needed. Yen, cases, places and drug units are no people.
    A null means that there is nothing of the kind (―): the reason stands in a text column. Two months of one running
    sum that differ by 1 to 9 people are not both shown; a chart with a hidden month has no centre and limits, which
    would give it back; nor does a verdict stand beside a hidden share, which it would bound.

    `together`: the `kpi.monthly_series` of the page on which the table stands. It decides which months are hidden, the
    same ones in every table of the page, with all that would give one back: last year's value, a target that is last
    March's value, the place among the 47, a projection from past years and its test (`kpi.landing`, both frames).
    """
    if isinstance(table, Checked):
        return table
    frame, rules = eager(table), rules or DisclosureRules()
    if "counts" not in frame.columns:  # the test of a landing month by month
        frame = frame.with_columns(counts=_counts(frame))
    series = _own(frame, by) if together is None else eager(together)
    hidden = hidden_months(series, rules.min_cell)
    flags = _flags(frame, hidden)
    frame = _without_bounds(_split(frame), flags)
    return _masked(frame, by, flags, rules)


def _masked(frame: pl.DataFrame, by: Sequence[str], flags: Mapping[str, list[bool]], rules: DisclosureRules) -> Checked:
    numbers = [name for name in frame.columns if frame[name].dtype.is_numeric() and name not in by]
    texts = [name for name in frame.columns if frame[name].dtype == pl.String and name not in by]
    counts = [name for name in frame.columns if name.startswith("people_")]
    rates = [name for name in numbers if name not in (*counts, *_PLAIN)]
    roles = Roles(
        tuple(counts),
        {},
        dict.fromkeys(rates, tuple(counts)) if counts else {},
        [],
        {},
        tuple(by),
        tuple(name for name in numbers if name in _PLAIN or (not counts and name in rates)),
        dict.fromkeys([*numbers, *texts], "not_applicable"),
        None,
        tuple(texts),
    )
    validate(frame, roles)
    kinds = _KINDS | (_CHARTED if "centre" in frame.columns else _PROJECTED if "outlook" in frame.columns else {})
    mask = {name: [PRIMARY if few else SHOWN for few in flags[kinds.get(name, "now")]] for name in (*counts, *rates)}
    return finish(frame, roles, mask, rules, blurred=True)


def _counts(frame: pl.DataFrame) -> pl.Series:
    counts = {item.id: item.counts for item in kpis()}
    return pl.Series([counts.get(id) for id in frame["kpi_id"]], dtype=pl.String)


def _own(frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame | None:
    """A series decides for itself; another table only by its own rows."""
    return frame if "month" in by and "state" in frame.columns else None


def _split(frame: pl.DataFrame) -> pl.DataFrame:
    """Counts of people in columns of their own."""
    people = pl.col("counts") == "people"
    for name in (name for name in _COUNTS if name in frame.columns):
        frame = frame.with_columns(pl.when(people).then(pl.col(name)).cast(pl.Int64).alias(f"people_{name}"))
        frame = frame.with_columns(pl.when(~people).then(pl.col(name)).alias(name))
    return frame


def _flags(frame: pl.DataFrame, hidden: Hidden) -> Mapping[str, list[bool]]:
    rows = [behind(row, hidden) for row in frame.to_dicts()]
    return {kind: [row[kind] for row in rows] for kind in KINDS}


def _without_bounds(frame: pl.DataFrame, flags: Mapping[str, list[bool]]) -> pl.DataFrame:
    """Limits of a chart, verdicts and outlooks would say how many people a hidden number stands for."""
    if "centre" in frame.columns:
        few = pl.Series(flags["both"], dtype=pl.Boolean)
        hidden = frame.select("kpi_id", few=few).select(pl.col("few").any().over("kpi_id")).to_series()
        told = ("centre", "lower", "upper", "signal")
        frame = frame.with_columns(pl.when(~hidden).then(name).alias(name) for name in told)
        return frame.with_columns(reason=pl.when(hidden).then(pl.lit(HIDDEN)).otherwise("reason"))
    few = pl.Series([a or b for a, b in zip(flags["past"], flags["goal"], strict=True)], dtype=pl.Boolean)
    if "outlook" in frame.columns:
        frame = frame.with_columns(outlook=pl.when(~few).then("outlook"))
    if "reason" in frame.columns:
        frame = frame.with_columns(reason=pl.when(few).then(pl.lit(HIDDEN)).otherwise("reason"))
    if "status" not in frame.columns:
        return frame
    bounded = few & pl.col("status").is_in([MET, MISSED])
    return frame.with_columns(status=pl.when(bounded).then(pl.lit(UNKNOWN)).otherwise("status"))
