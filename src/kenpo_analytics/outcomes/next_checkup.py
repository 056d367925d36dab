"""How did the values move at the next checkup? By category, by value, and who was not seen again (翌年度健診)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw

from kenpo_analytics import frames
from kenpo_analytics.cohorts.rules import meets, plausible, usable_fpg
from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.errors import DefinitionError
from kenpo_analytics.frames import sure
from kenpo_analytics.months import index_of, index_of_date, month_index, parse_month
from kenpo_analytics.outcomes.people import enter_people
from kenpo_analytics.tables import CHECKUPS, CLAIMS

MARKERS = ("fpg", "hba1c")
_KEY = ("person_id", "checkup_date")
RESULT = (
    *("outcome", "next_date", "interval_months", "category", "next_category"),
    *(f"next_{marker}" for marker in MARKERS),
    *(f"{marker}_{what}" for marker in MARKERS for what in ("change", "outcome")),
)
CATEGORIES = ("normal", "prediabetes", "diabetes")
"""Below the prediabetes values; within them; in the diabetes range (by the worse of the markers that are known)."""


def next_checkup(
    people: Any,
    checkups: Any,
    claims: Any = None,
    *,
    data_through: int | str,
    dead_band: Mapping[str, float] | None = None,
    definitions: Definitions | None = None,
) -> Any:
    """How did each person's glucose markers move at the next checkup?

    Parameters
    ----------
    people
        A cohort's people: person_id, checkup_date, fpg (fasting only), hba1c.
    checkups
        Canonical checkups; the next one is the first from `next_checkup.min_months` to `next_checkup.max_months` (6 to
        18, 仮定) after the index checkup, of whatever kind.
    claims
        When given, a glucose drug after the index month and up to the month of the next checkup also counts as
        treatment started.
    data_through
        Last month whose checkups have arrived (YYYYMM or "2025-10"): until the last allowed month has passed, someone
        not seen again is `open`, not lost.
    dead_band
        Changes within ±band are "unchanged", in mg/dL for fpg and % for hba1c; default from the definitions
        `next_checkup.dead_band.*` (仮定: the plan does not define 改善).

    Returns
    -------
    Frame of the kind of `people`: its columns and

    - `outcome`: improved, unchanged, worsened (category against category); treated (glucose drug started since: a
      state of its own); not_judged (seen, no marker); too_early, too_late (seen only outside the
      months); open; none (not seen again).
    - `next_date`, `interval_months`, `next_fpg` (fasting, plausible), `next_hba1c`, `fpg_change`, `hba1c_change`: of
      the next checkup, or where it came too early or too late, of the nearest one outside the months.
    - `category`, `next_category` (`CATEGORIES`), `fpg_outcome`, `hba1c_outcome` (improved, unchanged, worsened by
      value; null where either value is missing or the outcome is not among those seen in time).

    Raises
    ------
    TableError, FrameKindError, DefinitionError, DateError
    """
    frames.same_engine(people=people, checkups=checkups, claims=claims)
    used, source = definitions or define(), frames.source_of(people)
    lower, upper = int(used.number("next_checkup.min_months")), int(used.number("next_checkup.max_months"))
    bands = {marker: used.number(f"next_checkup.dead_band.{marker}") for marker in MARKERS} | dict(dead_band or {})
    if unknown := sorted(set(bands) - set(MARKERS)):
        raise DefinitionError(f"不感帯を定められる検査値は fpg と hba1c です: {', '.join(unknown)}")
    if wrong := [f"{name}={value}" for name, value in bands.items() if not value >= 0]:
        raise DefinitionError(f"不感帯は0以上の数です: {', '.join(wrong)}")
    through = month_index(parse_month(data_through))
    base = enter_people(people, [*_KEY, *MARKERS], RESULT)
    index = _usable(base, used).select(*_KEY, *MARKERS).unique(list(_KEY))
    found = _next(index.select(*_KEY), checkups, used, lower, upper)
    joined = index.join(found, on=list(_KEY), how="left")
    joined = _treated(joined, checkups, claims)
    result = _judge(joined, used, bands, upper, through)
    return frames.leave(base.join(result, on=list(_KEY), how="left"), source)


def _usable(index: nw.LazyFrame, used: Definitions) -> nw.LazyFrame:
    """Plausible values only, and FPG only where it was taken fasting (a cohort of glucose markers has seen to both)."""
    fpg = nw.col("fpg")
    if "fasting" in index.collect_schema().names():
        fpg = nw.when(usable_fpg(used, nw.col("fasting"))).then(fpg)
    return index.with_columns(plausible(fpg, "fpg").alias("fpg"), plausible(nw.col("hba1c"), "hba1c").alias("hba1c"))


def _next(index: nw.LazyFrame, checkups: Any, used: Definitions, lower: int, upper: int) -> nw.LazyFrame:
    """One later checkup per person: the first in time, else the last too early, else the first too late."""
    optional = ("received_month", "record_id", "fasting", *MARKERS, "medication_glucose")
    later = frames.enter(checkups, CHECKUPS, _KEY, optional=optional)
    frames.same_key("person_id", people=index, checkups=later)
    later = later.select(
        "person_id",
        nw.col("checkup_date").alias("next_date"),
        plausible(nw.when(usable_fpg(used, nw.col("fasting"))).then(nw.col("fpg")), "fpg").alias("next_fpg"),
        plausible(nw.col("hba1c"), "hba1c").alias("next_hba1c"),
        nw.col("medication_glucose").alias("next_medication"),
        "received_month",
        "record_id",
    )
    pairs = index.join(later, on="person_id", how="inner").filter(nw.col("next_date") > nw.col("checkup_date"))
    months = index_of_date(nw.col("next_date")) - index_of_date(nw.col("checkup_date"))
    pairs = pairs.with_columns(months.alias("interval_months"))
    early, late = nw.col("interval_months") < lower, nw.col("interval_months") > upper
    # in time first (nearest first), then too early (latest first), then too late (nearest first)
    rank = (
        nw.when(early)
        .then(10_000 - nw.col("interval_months"))
        .otherwise(nw.when(late).then(20_000 + nw.col("interval_months")).otherwise(nw.col("interval_months")))
    )
    timing = (
        nw.when(early)
        .then(nw.lit("too_early"))
        .otherwise(nw.when(late).then(nw.lit("too_late")).otherwise(nw.lit("in_time")))
    )
    pairs = pairs.with_columns(rank.alias("rank"), timing.alias("timing"))
    best = nw.col("rank").min().over(*_KEY)
    pairs = pairs.filter(nw.col("rank") == best)
    # several in that month: the first day; on one day the record received last
    pairs = pairs.filter(nw.col("next_date") == nw.col("next_date").min().over(*_KEY))
    pairs = pairs.with_columns(
        nw.col("person_id").cum_count().over(*_KEY, order_by=["received_month", "record_id"]).alias("n")
    )
    pairs = pairs.filter(nw.col("n") == nw.col("n").max().over(*_KEY))
    return pairs.drop("rank", "received_month", "record_id", "n")


def _treated(joined: nw.LazyFrame, checkups: Any, claims: Any) -> nw.LazyFrame:
    """Did glucose treatment start between the two checkups? By the questionnaire or (when given) by drugs in claims.

    Whoever reports a drug at the index checkup did not start one.
    """
    index = frames.enter(checkups, CHECKUPS, _KEY, optional=("medication_glucose",))
    before = index.filter(sure(nw.col("medication_glucose"))).select(*_KEY).unique(list(_KEY))
    joined = joined.join(before.with_columns(nw.lit(True).alias("before")), on=list(_KEY), how="left")
    started = sure(nw.col("next_medication"))
    if claims is not None:
        joined = joined.join(_drugs_between(joined, claims), on=list(_KEY), how="left")
        started = started | sure(nw.col("by_claims"))
    return joined.with_columns((started & nw.col("before").is_null()).alias("treated"))


def _drugs_between(joined: nw.LazyFrame, claims: Any) -> nw.LazyFrame:
    drugs = frames.enter(claims, CLAIMS, ("person_id", "treatment_month", "status", "rx_glucose"))
    drugs = drugs.filter(sure(nw.col("rx_glucose")) & nw.col("status").is_in(["normal", "reclaimed"]))
    drugs = drugs.select("person_id", index_of(nw.col("treatment_month")).alias("drug")).unique(["person_id", "drug"])
    hit = joined.select(*_KEY, "next_date").join(drugs, on="person_id", how="inner")
    hit = hit.filter(
        (nw.col("drug") > index_of_date(nw.col("checkup_date")))
        & (nw.col("drug") <= index_of_date(nw.col("next_date")))
    )
    return hit.select(*_KEY).unique(list(_KEY)).with_columns(nw.lit(True).alias("by_claims"))


def _judge(
    joined: nw.LazyFrame, used: Definitions, bands: Mapping[str, float], upper: int, through: int
) -> nw.LazyFrame:
    before, after = _category(used, "checkup_date", ""), _category(used, "next_date", "next_")
    joined = joined.with_columns(before.alias("_before"), after.alias("_after"))
    waiting = index_of_date(nw.col("checkup_date")) + upper > through
    in_time = sure(nw.col("timing") == "in_time")
    unseen = (
        nw.when(waiting)
        .then(nw.lit("open"))
        .otherwise(nw.when(nw.col("timing").is_null()).then(nw.lit("none")).otherwise(nw.col("timing")))
    )
    seen: Any = nw.lit("unchanged")
    for condition, name in (
        (nw.col("_after") < nw.col("_before"), "improved"),
        (nw.col("_after") > nw.col("_before"), "worsened"),
        (nw.col("_after").is_null() | nw.col("_before").is_null(), "not_judged"),
        (nw.col("treated"), "treated"),
    ):
        seen = nw.when(sure(condition)).then(nw.lit(name)).otherwise(seen)
    changes = {marker: nw.col(f"next_{marker}") - nw.col(marker) for marker in MARKERS}
    return joined.select(
        *_KEY,
        nw.when(in_time).then(seen).otherwise(unseen).alias("outcome"),
        "next_date",
        "interval_months",
        "next_fpg",
        "next_hba1c",
        *(change.alias(f"{marker}_change") for marker, change in changes.items()),
        _name(nw.col("_before")).alias("category"),
        _name(nw.col("_after")).alias("next_category"),
        *(_by_value(changes[m], bands[m], in_time).alias(f"{m}_outcome") for m in MARKERS),
    )


def _category(used: Definitions, date: str, prefix: str) -> nw.Expr:
    """0 normal, 1 prediabetes, 2 diabetes range, by the worse of the known markers; null when none is known."""
    clock, always = index_of_date(nw.col(date)), (0, 10**6)
    values = {marker: nw.col(f"{prefix}{marker}") for marker in MARKERS}
    high = [meets(used, f"diabetes.{marker}", value, clock, *always) for marker, value in values.items()]
    mid = [meets(used, f"prediabetes.{marker}.lower", value, clock, *always) for marker, value in values.items()]
    known = [~value.is_null() for value in values.values()]
    return nw.when(nw.any_horizontal(*known, ignore_nulls=False)).then(
        nw.when(nw.any_horizontal(*high, ignore_nulls=False))
        .then(nw.lit(2))
        .otherwise(nw.when(nw.any_horizontal(*mid, ignore_nulls=False)).then(nw.lit(1)).otherwise(nw.lit(0)))
    )


def _name(category: nw.Expr) -> nw.Expr:
    return (
        nw.when(category == 0)
        .then(nw.lit(CATEGORIES[0]))
        .otherwise(
            nw.when(category == 1)
            .then(nw.lit(CATEGORIES[1]))
            .otherwise(nw.when(category == 2).then(nw.lit(CATEGORIES[2])))
        )
    )


def _by_value(change: nw.Expr, band: float, in_time: nw.Expr) -> nw.Expr:
    """Improved or worsened beyond the dead band?"""
    slack = 1e-9  # 0.2 % steps of HbA1c are not exact in binary
    moved = (
        nw.when(change < -(band + slack))
        .then(nw.lit("improved"))
        .otherwise(nw.when(change > band + slack).then(nw.lit("worsened")).otherwise(nw.lit("unchanged")))
    )
    return nw.when(in_time & ~change.is_null()).then(moved)
