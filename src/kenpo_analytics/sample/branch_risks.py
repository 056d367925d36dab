"""How many carry a risk in each of the 47 branches? Strata of examined insured people aged 40-74, all synthetic.

The rates of branch 24 are those that this world's own bodies have (bodies.measure on many people); every other branch
stands a planted step of log odds below or above, the same at every age and in both sexes, so its rank is known.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.sample import bodies
from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.params import Planted, stream
from kenpo_analytics.sample.people import NEVER, People, age_mix

Floats = NDArray[np.float64]
BANDS = k.AGE_BANDS[8:15]
YEARS = (2022, 2023, 2024)
ATTENDANCE = 0.55
"""Share of the insured aged 40-74 who are examined (協会けんぽ 56.4 % in FY2022, rounded; 仮定 for single branches)."""
SPREAD = 0.08
"""Standard deviation of the branches' log odds: about 2 points where half carry the risk."""
YEARLY = 0.01
"""Log odds by which every branch rises from year to year."""
RANKS = {
    "risk_waist": 20, "risk_bp": 25, "risk_lipid": 28, "risk_metabolic": 31,
    "risk_mets": 30, "risk_premets": 22, "risk_smoking": 18,
}  # fmt: skip
"""Planted rank of 三重 (1 = lowest). 代謝 31st is the plan's (FY2023); the others are invented."""
_PEOPLE = 10_000
"""People simulated for each sex and band: their share is the planted rate itself, not an estimate of it."""


@cache
def mie_rates() -> dict[str, Floats]:
    """Which share of this world's examined people carries each risk? Sex (M, F) x band."""
    rng, truth = stream(0, "branch risks"), Planted()
    n = _PEOPLE * len(BANDS)
    band = np.tile(np.repeat(np.arange(len(BANDS)), _PEOPLE), 2)
    male = np.repeat([True, False], n)
    age = 40 + 5 * band + 5 * rng.random(2 * n)
    birth = (d.day(2025, 3, 31) - age * 365.2425).astype(np.int64)
    nobody = np.zeros(2 * n, dtype=np.int64)
    people = People(male, birth, nobody, nobody + NEVER, nobody)
    flags = _flags(people, truth, rng)
    return {name: flag.reshape(2, len(BANDS), _PEOPLE).mean(axis=2) for name, flag in flags.items()}


def _flags(people: People, truth: Planted, rng: np.random.Generator) -> dict[str, NDArray[np.bool_]]:
    """Who carries which risk at a checkup of September 2024? Lines of the 協会けんぽ risk report, retyped."""
    traits, month = bodies.draw_traits(people, truth, 0), 2024 * 12 + 8
    every = np.arange(people.size)
    true = bodies.measure(every, 2024, month, np.full(people.size, truth.calendar_shift), people, traits, truth, rng)
    u = rng.random(people.size)
    casual = u >= 0.93
    drugs = (traits.start <= month) & (rng.random((people.size, 3)) >= 0.03)
    age = (d.month_start(np.array([month]))[0] - people.birth) / 365.25
    tg = np.rint(true["tg"] * np.where(casual, 1.25, 1.0))
    waist = np.round(true["waist"], 1) >= np.where(people.male, 85, 90)
    bp = (np.rint(true["sbp"]) >= 130) | (np.rint(true["dbp"]) >= 85) | drugs[:, 0]
    lipid = (tg >= 150) | (np.rint(true["hdl"]) < 40) | drugs[:, 2]
    sugar = np.where(casual, np.round(true["hba1c"], 1) >= 6.0, np.rint(true["fpg"]) >= 110) | drugs[:, 1]
    count = bp.astype(int) + lipid + sugar
    smokes = traits.smoker < bodies.by_age({s: np.array(k.SMOKER[s]) for s in "MF"}, people.male, age)
    return {
        "risk_waist": waist, "risk_bp": bp, "risk_lipid": lipid, "risk_metabolic": sugar,
        "risk_mets": waist & (count >= 2), "risk_premets": waist & (count == 1), "risk_smoking": smokes,
    }  # fmt: skip


def steps(measure: str) -> Floats:
    """By how many log odds does each branch (JIS order) stand above 三重? 三重 has its planted rank."""
    place = np.argsort(np.argsort(np.sin((7 + 3 * list(RANKS).index(measure)) * (np.arange(47) + 1.7))))
    mie, wanted = int(k.BRANCH) - 1, RANKS[measure] - 1
    place[place == wanted], place[mie] = place[mie], wanted
    score = (np.arange(47) - 23) / (46 / np.sqrt(12))
    return SPREAD * (score[place] - score[wanted])


def examined(members: Floats) -> Floats:
    """How many insured people are examined? Branch x sex x band, from the members of each branch."""
    insured, dependant, _ = age_mix()
    share = np.stack([insured * k.MALE_SHARE_INSURED, insured * (1 - k.MALE_SHARE_INSURED)])
    mix = share / (insured + dependant).sum()
    size = members.sum(axis=(1, 2))
    tilt = members[:, :, 8:15] / members[:, :, 8:15].sum(axis=(1, 2), keepdims=True)
    typical = members.sum(axis=0)[:, 8:15] / members[:, :, 8:15].sum()
    return np.rint(ATTENDANCE * size[:, None, None] * mix[None, :, 8:15] * tilt / typical)


def build(members: Floats, seed: int) -> pl.DataFrame:
    """Which strata does headquarters hand down? measure, area, sex, age_band, period with people and carriers."""
    rng = stream(seed, "national risks")
    count = examined(members)
    parts = []
    for measure in RANKS:
        for year in YEARS:
            events = rng.binomial(count.astype(np.int64), rates(measure, year))
            parts.append(_table(measure, year, events, count))
    return pl.concat(parts)


def rates(measure: str, year: int) -> Floats:
    """Which share is planted? Branch x sex x band, between 0 and 1."""
    odds = np.log(mie_rates()[measure] / (1 - mie_rates()[measure]))
    return 1 / (1 + np.exp(-(odds[None] + steps(measure)[:, None, None] + YEARLY * (year - YEARS[-1]))))


def _table(measure: str, year: int, events: Any, count: Floats) -> pl.DataFrame:
    area, sex, band = np.meshgrid(np.arange(47), np.arange(2), np.arange(len(BANDS)), indexing="ij")
    people = events.ravel().astype(np.int64)
    return pl.DataFrame(
        {
            "measure": [measure] * area.size,
            "area": [f"{code + 1:02d}" for code in area.ravel()],
            "sex": np.array(["M", "F"])[sex.ravel()],
            "age_band": np.array(BANDS)[band.ravel()],
            "period": [f"FY{year}"] * area.size,
            "events": people,
            "events_sq": people,
            "persons": people,
            "denominator": count.ravel(),
            "denominator_unit": ["person"] * area.size,
        }
    )


def truths(members: Floats) -> dict[str, Any]:
    """Which standardised rate and rank has each branch? Sexes apart, on the age mix of everybody examined, FY2024."""
    count = examined(members)
    mix = count.sum(axis=0)
    found: dict[str, Any] = {}
    for measure in RANKS:
        rate = (rates(measure, YEARS[-1]) * mix[None]).sum(axis=2) / mix.sum(axis=1)[None]
        place = steps(measure).argsort().argsort() + 1
        found[measure] = {
            f"{code + 1:02d}": {
                "rank": int(place[code]), "M": round(float(rate[code, 0]), 6), "F": round(float(rate[code, 1]), 6)
            }
            for code in range(47)
        }  # fmt: skip
    return {"branches": found, "population": "insured, examined, 40-74", "log_odds_sd": SPREAD}
