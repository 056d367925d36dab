"""Which monthly figures does the branch report? A few KPIs of the plan, counted from this world's own tables."""

from __future__ import annotations

import polars as pl

from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample.kpi_totals import totals

CHECKUP_RATES = {
    "checkup_rate_insured": ("生活習慣病予防健診", "insured"),
    "employer_checkup_data_rate": ("事業者健診", "insured"),
    "checkup_rate_dependent": ("特定健診", "dependent"),
}
"""KPI ids of the branch plan FY2025, the kind of checkup counted and whom the denominator counts (aged 40-74)."""
VISITS = {"out_of_hours_first": "111", "out_of_hours_return": "112"}
BASE = (*k.BASE_FEE.values(), *k.EVENING_EARLY.values())
VERSION = "令和6年度"
LAGS = {
    "checkup_rate_insured": 5,
    "employer_checkup_data_rate": 9,
    "checkup_rate_dependent": 5,
    "out_of_hours_first": 3,
    "out_of_hours_return": 3,
}
OFFICE = 2
"""Months until the office closes a month's totals."""
"""After how many months have 99 % of what a month counts arrived? Checkups from employers are the last to come."""


def kpi_monthly(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Which numerator and denominator has each KPI in each month since April 2021?

    Checkup rates: people examined since April of the fiscal year, over members enrolled on the month's last day.
    Out-of-hours visits: add-ons of the month (夜間・早朝等 left out), over members enrolled on its last day. The others
    are the office's totals (`kpi_totals`). A month is
    final once `LAGS` months have passed, and was received then; later ones are as counted in the last month.
    """
    months = pl.DataFrame({"at": range(k.CLAIMS_START, k.SNAPSHOT + 1)}, schema={"at": pl.Int32})
    months = months.with_columns(
        month=(pl.col("at") // 12 * 100 + pl.col("at") % 12 + 1).cast(pl.Int32), fy=(pl.col("at") - 3) // 12
    )
    here = _enrolled(tables["members"], months)
    parts = [
        _takers(tables, months, here, kpi_id, kind, relationship)
        for kpi_id, (kind, relationship) in CHECKUP_RATES.items()
    ]
    everyone = here.group_by("month").agg(denominator=pl.len().cast(pl.Float64))
    for kpi_id, prefix in VISITS.items():
        counted = pl.col("code").str.starts_with(prefix) & ~pl.col("code").is_in(BASE)
        lines = tables["claim_fees"].filter(counted, pl.col("status").is_in(["normal", "reclaimed"]))
        visits = lines.unique(["person_id", "institution", "treatment_month", "day"])
        events = visits.group_by(month="treatment_month").agg(numerator=pl.len().cast(pl.Float64))
        # A month's claims are filed in the next: of the last month none is there yet.
        known = months.filter(pl.col("at") < k.SNAPSHOT)
        parts.append(_named(known.join(events, on="month", how="left").join(everyone, on="month"), kpi_id))
    parts += [_named(rows, kpi_id) for kpi_id, rows in totals(tables, months)]
    return pl.concat(parts).sort("branch", "kpi_id", "month")


def _enrolled(members: pl.DataFrame, months: pl.DataFrame) -> pl.DataFrame:
    """Person, month, fiscal year, age and relationship of everyone enrolled on the last day of each month."""
    span = members.select("person_id", "fy_age_base", "relationship", "valid_from", "valid_to")
    index = {name: pl.col(name).dt.year() * 12 + pl.col(name).dt.month() - 1 for name in ("valid_from", "valid_to")}
    span = span.with_columns(first=index["valid_from"], last=index["valid_to"].fill_null(k.SNAPSHOT + 1))
    rows = span.join_where(months, pl.col("at") >= pl.col("first"), pl.col("at") < pl.col("last"))
    return rows.select("person_id", "month", "fy", "relationship", age=pl.col("fy") - pl.col("fy_age_base"))


def _takers(
    tables: dict[str, pl.DataFrame], months: pl.DataFrame, here: pl.DataFrame, kpi_id: str, kind: str, relationship: str
) -> pl.DataFrame:
    middle = pl.col("age").is_between(40, 74)
    below = here.filter(middle, pl.col("relationship") == relationship)
    denominator = below.group_by("month").agg(denominator=pl.len().cast(pl.Float64))
    person = tables["members"].unique("person_id").select("person_id", "fy_age_base")
    at = pl.col("checkup_date").dt.year() * 12 + pl.col("checkup_date").dt.month() - 1
    came = tables["checkups"].filter(pl.col("kind") == kind).join(person, on="person_id").with_columns(at=at)
    came = came.with_columns(fy=(pl.col("at") - 3) // 12).with_columns(age=pl.col("fy") - pl.col("fy_age_base"))
    first = came.filter(middle).group_by("person_id", "fy").agg(pl.col("at").min())
    new = months.join(first.group_by("at").agg(new=pl.len()), on="at", how="left").sort("at")
    rows = new.with_columns(numerator=pl.col("new").fill_null(0).cum_sum().over("fy").cast(pl.Float64))
    return _named(rows.join(denominator, on="month"), kpi_id)


def _named(rows: pl.DataFrame, kpi_id: str) -> pl.DataFrame:
    lag = LAGS.get(kpi_id, OFFICE)
    known = pl.min_horizontal(pl.col("at") + lag, pl.lit(k.SNAPSHOT))
    late = pl.col("at") + lag > k.SNAPSHOT
    return rows.select(
        branch=pl.lit(k.BRANCH),
        kpi_id=pl.lit(kpi_id),
        month="month",
        definition_version=pl.col("version") if "version" in rows.columns else pl.lit(VERSION),
        numerator=pl.col("numerator").fill_null(0.0),
        denominator="denominator",
        state=pl.when(late).then(pl.lit("provisional")).otherwise(pl.lit("final")),
        received_month=(known // 12 * 100 + known % 12 + 1).cast(pl.Int32),
    )
