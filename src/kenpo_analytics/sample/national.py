"""What do the 47 branches look like? Out-of-hours and risk strata at the scale of 40 million members, all synthetic."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.sample import branch_risks
from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample.params import Planted, stream
from kenpo_analytics.sample.people import age_mix

Floats = NDArray[np.float64]
MEMBERS = 39_713_000
"""Members at the end of FY2024 (協会けんぽ 事業報告書 FY2024 p.13)."""
YEARS = ("FY2022", "FY2023", "FY2024")
VISITS = ("first", "return")


def members() -> Floats:
    """How many members has each branch by sex and age band? Branch x sex (M, F) x band; sizes follow checkup takers."""
    insured, dependant, bands = age_mix()
    male = insured * k.MALE_SHARE_INSURED + dependant * np.where(bands < 20, 0.51, np.where(bands < 60, 0.07, 0.18))
    mix = np.stack([male, insured + dependant - male])
    size = np.array([float(row["checkup_takers"]) for row in k.rows("branches.csv")])
    tilt = np.linspace(-1, 1, 15)[None, :] * 0.06 * np.sin(np.arange(47) * 2.1)[:, None]
    shares = mix[None, :, :] * (1 + tilt[:, None, :])
    shares = shares / shares.sum(axis=(1, 2), keepdims=True)
    return MEMBERS * (size / size.sum())[:, None, None] * shares


def factors(visit: str) -> Floats:
    """Which factor over the base rate is planted for each branch (JIS order)?"""
    return np.array([float(row[f"{visit}_factor"]) for row in k.rows("branches.csv")])


def yearly_rates(truth: Planted, visit: str) -> Floats:
    """How many visits a year does a member have in expectation? Array branch x band."""
    base = truth.first_rate() if visit == "first" else truth.return_rate()
    return factors(visit)[:, None] * base[None, :]


def build_national(truth: Planted, seed: int) -> pl.DataFrame:
    """Which strata does headquarters hand down? Events and denominator by measure, area, sex, age_band and period."""
    rng = stream(seed, "national")
    people = members()
    parts = []
    for visit in VISITS:
        rate = yearly_rates(truth, visit)[:, None, :] * np.ones((1, 2, 1))
        for step, period in enumerate(YEARS):
            count = np.rint(people * (1 + 0.004 * (step - 1)))
            parts.append(_stratum(f"out_of_hours_{visit}", period, count, rate, truth, rng))
    parts.append(branch_risks.build(people, seed))
    return pl.concat(parts).sort("measure", "area", "sex", "age_band", "period")


def _stratum(
    measure: str, period: str, count: Floats, rate: Floats, truth: Planted, rng: np.random.Generator
) -> pl.DataFrame:
    """Counts of one measure and year: personal counts are gamma-Poisson, so events, Σ of squares and people agree."""
    shape = truth.frailty_shape
    second = rate + rate**2 * (1 + 1 / shape)
    events = np.rint(count * rate + np.sqrt(count * (second - rate**2)) * rng.standard_normal(count.shape))
    events = np.maximum(events, 0)
    squares = np.rint(events * second / rate)
    people = np.minimum(np.rint(events * (1 - (1 + rate / shape) ** -shape) / rate), events)
    area, sex, band = np.meshgrid(np.arange(47), np.arange(2), np.arange(15), indexing="ij")
    return pl.DataFrame(
        {
            "measure": [measure] * area.size,
            "area": [f"{code + 1:02d}" for code in area.ravel()],
            "sex": np.array(["M", "F"])[sex.ravel()],
            "age_band": np.array(k.AGE_BANDS)[band.ravel()],
            "period": [period] * area.size,
            "events": events.ravel().astype(np.int64),
            "events_sq": squares.ravel().astype(np.int64),
            "persons": people.ravel().astype(np.int64),
            "denominator": (count * 12).ravel(),
            "denominator_unit": ["member_month"] * area.size,
        }
    )


def expected_index(truth: Planted) -> dict[str, dict[str, dict[str, float]]]:
    """Which index - 1 and rank (1 = lowest) follow from the planted rates, standardised directly on age?"""
    people = members().sum(axis=1)
    standard = people.sum(axis=0)
    result: dict[str, dict[str, dict[str, float]]] = {}
    for visit in VISITS:
        rate = yearly_rates(truth, visit)
        nation = (people * rate).sum(axis=0) / standard
        index = (rate * standard).sum(axis=1) / (nation * standard).sum()
        rank = index.argsort().argsort() + 1
        result[f"out_of_hours_{visit}"] = {
            row["area"]: {"index_minus_1": round(float(index[j] - 1), 6), "rank": int(rank[j])}
            for j, row in enumerate(k.rows("branches.csv"))
        }
    return result
