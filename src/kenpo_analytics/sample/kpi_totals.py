"""Which monthly totals does the office report that no person's row stands behind? Payments, reviews, debts, bids.

Drawn from the rates in `YEARS`, in a stream of their own; guidance (特定保健指導) is counted from the world's table.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

OLD, NEW, CHANGED = "令和5年度まで", "令和6年度", 2024
YEARS = {
    # kpi: planted yearly rate by fiscal year (2021 …), cases a month, unit of one case
    "service_standard_rate": ((0.9990, 0.9995, 1.0, 0.9998, 1.0), 60, 1.0),
    "service_standard_days": ((None, None, None, None, 6.4), 60, 1.0),
    "counter_rate": ((None, None, None, None, 0.031), 210, 1.0),
    "assessment_rate": ((0.00262, 0.00310, 0.00325, 0.00138, 0.00144), 30_000, 1_500.0),
    "reexam_amount_per_claim": ((5200, 6700, 8100, 8600, 9300), 40, 1.0),
    "receivable_recovery_rate": ((0.69, 0.70, 0.744, 0.66, 0.68), 45, 30_000.0),
    "generic_share": ((0.819, 0.829, 0.840, 0.850, 0.860), 2_400, 35.0),
    "single_bid_rate": ((0.22, 0.20, 0.18, 0.15, 0.12), 4, 1.0),
    "benefit_mail_rate": ((0.952, 0.958, 0.963, 0.966, None), 210, 1.0),
    "card_recovery_rate": ((0.86, 0.87, 0.88, 0.89, None), 130, 1.0),
}  # fmt: skip
BROKEN = ("assessment_rate", "receivable_recovery_rate")
"""Their definition changed in FY2024: the months before carry the old version's word."""
LEVELS = ("generic_share",)
SLOW = ("receivable_recovery_rate",)
"""Collected late: only a part of what a year will collect has come in by the middle of it."""
SAME_CASES = {"service_standard_days": "service_standard_rate"}
"""Both are said of the payments of the office: one count of them."""
PROGRAMME = {"biosimilar_programme": 202507, "sns_posts": 202504}
TARGETS = {"guidance_rate_insured": ("insured", 170), "guidance_rate_dependent": ("dependent", 8)}
"""Whose guidance is counted, and how many are found to need it in a month: most of them never come."""
SEED = 20_260_411


def totals(tables: dict[str, pl.DataFrame], months: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each KPI with `at`, `month`, `numerator`, `denominator`, `definition_version` for the months it exists in."""
    for i, (kpi_id, (rates, cases, unit)) in enumerate(YEARS.items()):
        yield kpi_id, _drawn(months, kpi_id, rates, cases, unit, np.random.default_rng([SEED, i]))
    for kpi_id, start in PROGRAMME.items():
        known = months.filter(pl.col("fy") == start // 100)
        yield (
            kpi_id,
            known.with_columns(
                numerator=_done(kpi_id, start), denominator=pl.lit(None, pl.Float64), version=_version("")
            ),
        )
    for i, (kpi_id, (relationship, needed)) in enumerate(TARGETS.items()):
        rng = np.random.default_rng([SEED, 100 + i])
        yield kpi_id, _guided(tables, months, relationship, rng.poisson(needed, months.height) + 1)


def _drawn(
    months: pl.DataFrame,
    kpi_id: str,
    rates: tuple[float | None, ...],
    cases: int,
    unit: float,
    rng: np.random.Generator,
) -> pl.DataFrame:
    known = months.with_columns(rate=pl.col("fy").replace_strict(dict(zip(range(2021, 2026), rates, strict=True)))
                                .cast(pl.Float64)).filter(pl.col("rate").is_not_null())  # fmt: skip
    below = rng.poisson(cases, known.height) + 1
    if kpi_id in SAME_CASES:
        first = np.random.default_rng([SEED, list(YEARS).index(SAME_CASES[kpi_id])])
        below = (first.poisson(cases, months.height) + 1)[months["fy"].is_in(known["fy"].to_list()).to_numpy()]
    rate = known["rate"].to_numpy()
    if kpi_id in LEVELS:  # rises month by month towards the rate of each March
        march = np.array([2 * rates[0] - rates[1], *rates])  # type: ignore[operator]
        rate = np.interp(known["at"].to_numpy(), (np.arange(2020, 2026) + 1) * 12 + 2, march)
    if kpi_id in SLOW:
        rate = rate * (0.85 + 0.28 * ((known["at"].to_numpy() - 3) % 12 + 1) / 12)
    above = rng.binomial(below, rate) if rate.max() <= 1 else np.rint(rng.gamma(2.0 * below, rate / 2.0))
    frame = known.with_columns(
        numerator=pl.Series(above * unit).cast(pl.Float64), denominator=pl.Series(below * unit).cast(pl.Float64)
    )
    if kpi_id not in LEVELS:
        frame = frame.with_columns(pl.col("numerator", "denominator").cum_sum().over("fy"))
    return frame.with_columns(version=_version(kpi_id)).drop("rate")


def _version(kpi_id: str) -> pl.Expr:
    old = (pl.col("fy") < CHANGED) & pl.lit(kpi_id in BROKEN)
    return pl.when(old).then(pl.lit(OLD)).otherwise(pl.lit(NEW))


def _done(kpi_id: str, start: int) -> pl.Expr:
    if kpi_id == "sns_posts":
        return (1 + pl.col("at") % 2).cast(pl.Float64)  # one or two posts a month
    return (pl.col("month") >= start).cast(pl.Float64)


def _guided(
    tables: dict[str, pl.DataFrame], months: pl.DataFrame, relationship: str, needed: NDArray[np.int64]
) -> pl.DataFrame:
    """People whose guidance of this fiscal year ended, over those found to need it, both since April."""
    stretch = tables["members"].sort("valid_from").unique("person_id", keep="last").select("person_id", "relationship")
    people = tables["guidance"].filter(pl.col("completed").is_not_null()).join(stretch, on="person_id")
    people = people.filter(pl.col("relationship") == relationship)
    # guidance ends after the fiscal year of its checkup, too: those count in its last month
    last = pl.col("fiscal_year").cast(pl.Int32) * 12 + 14
    ended = people.group_by(at=pl.min_horizontal(_index(pl.col("completed")), last)).agg(numerator=pl.len())
    rows = months.join(ended, on="at", how="left").sort("at").with_columns(denominator=pl.Series(needed))
    counts = pl.col("numerator", "denominator").fill_null(0).cum_sum().over("fy").cast(pl.Float64)
    return rows.with_columns(counts).with_columns(version=_version(""))


def _index(day: pl.Expr) -> pl.Expr:
    return (day.dt.year() * 12 + day.dt.month() - 1).cast(pl.Int32)
