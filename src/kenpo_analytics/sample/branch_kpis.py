"""Which table of the 47 branches does headquarters send? Shares of single KPIs with planted ranks, all synthetic.

Branch 24 is this world's own March (`kpi_monthly`) where that has the KPI; every other branch stands where its planted
rank puts it in FY2024, and wanders a little in the years before. Written as the file that a person would fill in Excel.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample.national import members
from kenpo_analytics.sample.params import stream

Floats = NDArray[np.float64]
FILE = "kpi_published.csv"
YEARS = (2022, 2023, 2024)
HEAD = "kpi_id,version,month,area,value,numerator,denominator,source,unit,as_of"
VERSION, SOURCE, AS_OF = "令和6年度", "合成データ(47支部の表)", "2025-08-29"
MIE = int(k.BRANCH) - 1
_SMALL = 30
"""Tenders a branch puts out in a year, few of them with a single bidder."""


@dataclass(frozen=True)
class Plan:
    """One KPI: share of 三重 in FY2024, its rank from the best; log odds between branches, a year, and a branch's own.

    `base` is the denominator per member; `counted` names the KPIs of `kpi_monthly` that give the row of branch 24.
    """

    rank: int
    spread: float
    yearly: float
    wander: float
    base: float
    share: float = 0.0
    counted: tuple[str, ...] = ()
    lowest_first: bool = False
    drawn: bool = True
    digits: int = 1


_GUIDANCE = ("guidance_rate_insured", "guidance_rate_dependent")
_DEPENDANTS = ("checkup_rate_dependent", "guidance_rate_dependent")
_CHECKUPS = ("checkup_rate_insured", "employer_checkup_data_rate", "checkup_rate_dependent")
PLANS = {
    "incentive_checkup_rate": Plan(21, 0.22, 0.04, 0.02, 0.55, counted=_CHECKUPS),
    "checkup_rate_insured": Plan(19, 0.25, 0.04, 0.02, 0.43, counted=_CHECKUPS[:1]),
    "employer_checkup_data_rate": Plan(26, 0.35, 0.03, 0.04, 0.43, counted=_CHECKUPS[1:2]),
    "checkup_rate_dependent": Plan(30, 0.20, 0.03, 0.02, 0.12, counted=_CHECKUPS[2:]),
    "incentive_guidance_rate": Plan(20, 0.30, 0.06, 0.08, 0.055, 0.20, counted=_GUIDANCE),
    "guidance_rate_insured": Plan(18, 0.30, 0.06, 0.08, 0.045, 0.205, counted=_GUIDANCE[:1]),
    "guidance_rate_dependent": Plan(33, 0.35, 0.05, 0.10, 0.010, 0.155, counted=_GUIDANCE[1:]),
    "guidance_reduction_rate": Plan(31, 0.08, 0.01, 0.05, 0.050, 0.335),
    "incentive_visit_rate": Plan(27, 0.10, 0.02, 0.05, 0.035, 0.345),
    "generic_share": Plan(31, 0.12, 0.08, 0.02, 800.0, 0.85, counted=("generic_share",), drawn=False),
    "committee_coverage_rate": Plan(15, 0.25, 0.04, 0.02, 0.64, 0.505, digits=2),
    "service_standard_rate": Plan(24, 0.60, 0.0, 0.10, 0.03, 0.9985, counted=("service_standard_rate",), digits=2),
    "single_bid_rate": Plan(22, 0.40, 0.0, 0.10, 0.0, 0.20, counted=("single_bid_rate",), lowest_first=True),
}  # fmt: skip


def build(kpi_monthly: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The table (kpi_id, year, area, numerator, denominator), and the planted ranks by year and area (1 = best)."""
    parts, truths = [], {}
    for name, plan in PLANS.items():
        rng = stream(seed, f"branch kpi {name}")
        own = _own(kpi_monthly, plan)
        shares, total = _shares(plan, own, rng), _totals(plan, kpi_monthly, own, rng)
        taken = np.array([_taken(plan, shares[at], total[at], rng) for at in range(len(YEARS))])
        if own is not None:
            taken[:, MIE] = own[0]
        parts += [_rows(name, year, taken[at], total[at]) for at, year in enumerate(YEARS)]
        truths[name] = {
            f"FY{year}": {f"{area + 1:02d}": int(place) for area, place in enumerate(_places(plan, shares[at]))}
            for at, year in enumerate(YEARS)
        }
    return pl.concat(parts), truths


def text(table: pl.DataFrame) -> bytes:
    """The file: CSV in UTF-8 with a BOM, as Excel saves it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEAD.split(","))
    for row in table.iter_rows(named=True):
        digits = PLANS[row["kpi_id"]].digits
        value = f"{100 * row['numerator'] / row['denominator']:.{digits}f}"
        month, counts = f"{row['year'] + 1}-03", (f"{row['numerator']:.0f}", f"{row['denominator']:.0f}")
        writer.writerow([row["kpi_id"], VERSION, month, row["area"], value, *counts, SOURCE, "%", AS_OF])
    return out.getvalue().encode("utf-8-sig")


def _own(monthly: pl.DataFrame, plan: Plan) -> tuple[Floats, Floats] | None:
    """What branch 24 counted by March of each year: takers of all the KPIs, over each group of members once."""
    if not plan.counted:
        return None
    top, under = [], []
    for year in YEARS:
        march = monthly.filter(pl.col("month") == (year + 1) * 100 + 3, pl.col("kpi_id").is_in(plan.counted))
        groups = march.group_by(pl.col("kpi_id").is_in(_DEPENDANTS)).agg(pl.col("denominator").first())
        top.append(float(march["numerator"].sum()))
        under.append(float(groups["denominator"].sum()))
    return (np.array(top), np.array(under)) if min(under) > 0 else None  # the smallest worlds have no targets


def _shares(plan: Plan, own: tuple[Floats, Floats] | None, rng: np.random.Generator) -> Floats:
    """Year x branch. 三重 has its planted rank in the last year; the years before fall back and wander."""
    place = rng.permutation(47)
    wanted = 47 - plan.rank if not plan.lowest_first else plan.rank - 1
    place[place == wanted], place[MIE] = place[MIE], wanted
    score = np.array([NormalDist().inv_cdf((at + 0.5) / 47) for at in range(47)])[place]
    mie = np.full(len(YEARS), plan.share) if own is None else np.clip(own[0] / own[1], 0.01, 0.9995)
    last = np.log(mie[-1] / (1 - mie[-1])) + plan.spread * (score - score[MIE])
    back = (len(YEARS) - 1 - np.arange(len(YEARS)))[:, None]
    steps = np.cumsum(rng.normal(0, plan.wander, (len(YEARS), 47))[::-1], axis=0)[::-1]
    odds = last - plan.yearly * back - np.where(back > 0, steps, 0.0)
    shares = 1 / (1 + np.exp(-odds))
    if own is not None:
        shares[:, MIE] = mie
    return np.asarray(shares, dtype=np.float64)


def _totals(plan: Plan, monthly: pl.DataFrame, own: tuple[Floats, Floats] | None, rng: np.random.Generator) -> Floats:
    """Year x branch. The other 46 at the scale of the nation, branch 24 at that of this world's members."""
    size = members().sum(axis=(1, 2))
    march = monthly.filter(pl.col("kpi_id") == "out_of_hours_first", pl.col("month") % 100 == 3).sort("month")
    here = march["denominator"].to_numpy()[-len(YEARS) :]
    grow = 1 + 0.01 * rng.normal(0, 1, (len(YEARS), 47))
    total = np.rint(size[None, :] * plan.base * grow) if plan.base else np.rint(_SMALL * (0.6 + rng.random((3, 47))))
    if plan.base:
        total[:, MIE] = np.maximum(np.rint(here * plan.base), 20)
    if own is not None:
        total[:, MIE] = own[1]
    return np.asarray(total, dtype=np.float64)


def _taken(plan: Plan, share: Floats, total: Floats, rng: np.random.Generator) -> Floats:
    if not plan.drawn:
        return np.asarray(np.rint(share * total), dtype=np.float64)
    return rng.binomial(total.astype(np.int64), share).astype(np.float64)


def _places(plan: Plan, share: Floats) -> NDArray[np.int64]:
    order = share if plan.lowest_first else -share
    return np.asarray(order.argsort().argsort() + 1, dtype=np.int64)


def _rows(name: str, year: int, taken: Floats, total: Floats) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "kpi_id": [name] * 47,
            "year": [year] * 47,
            "area": [f"{code:02d}" for code in range(1, 48)],
            "numerator": taken,
            "denominator": total,
        }
    )
