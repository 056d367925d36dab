"""Who comes outside opening hours? Rates by age, town and branch, personal frailty, and one fee line per add-on."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.params import stream
from kenpo_analytics.sample.state import World, column

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
OUTSIDE_RATIO = 1.0


def town_ratios() -> Floats:
    """Which planted rate ratio has each of the 29 municipalities? Scaled so that the branch mean is 1 by population."""
    rows = k.rows("municipalities.csv")
    ratio = np.array([float(row["out_of_hours_ratio"]) for row in rows])
    population = np.array([float(row["population_0_74"]) for row in rows])
    return ratio / np.average(ratio, weights=population)


def branch_factor(visit: str) -> float:
    """Which factor over the national base rate is planted for this branch?"""
    return next(float(row[f"{visit}_factor"]) for row in k.rows("branches.csv") if row["area"] == k.BRANCH)


def age_band(world: World, month: int) -> Ints:
    """In which five-year band (0 = 00-04 ... 14 = 70-74) is each person, by age at fiscal-year end?"""
    age = d.fiscal_year(np.array([month]))[0] - world.people.fy_age_base
    return np.clip(age // 5, 0, 14)


def draw_events(world: World) -> pl.DataFrame:
    """Which out-of-hours visits are there? One row per visit: person i, month, day, visit type, in-hours evening flag.

    In the follow-up year of an index checkup a visit comes only in a month with a planted contact, with a
    chance that keeps the rate, so that neither the planted visit hazard nor the out-of-hours rate is bent.
    """
    truth = world.truth
    rng = stream(world.seed, "out of hours")
    frailty = rng.gamma(truth.frailty_shape, 1 / truth.frailty_shape, world.size)
    ratio = np.concatenate([town_ratios(), [OUTSIDE_RATIO, OUTSIDE_RATIO]])
    parts = []
    for month in range(k.CLAIMS_START, k.SNAPSHOT + 1):
        j = column(month)
        band = age_band(world, month)
        personal = frailty * ratio[world.town[:, j]] / 12 * world.enrolled[:, j]
        for visit, rate in (("first", truth.first_rate()), ("return", truth.return_rate())):
            expected = rate[band] * branch_factor(visit) * personal
            adult = np.where(band < 3, 0.25, 1.0) * truth.evening_early_ratio
            for evening, mean in ((False, expected), (True, expected * adult)):
                parts.append(_month(world, month, visit, evening, mean, rng))
    events = pl.concat(parts)
    return events.with_columns(day=pl.Series(1 + rng.integers(0, 28, events.height)))


def _month(world: World, month: int, visit: str, evening: bool, mean: Floats, rng: np.random.Generator) -> pl.DataFrame:
    j = column(month)
    count = rng.poisson(mean)
    hazard = world.planted[:, j]
    followed = np.flatnonzero(hazard > 0)
    chance = (1 - np.exp(-mean[followed])) / hazard[followed]
    count[followed] = world.visit[followed, j] & (rng.random(len(followed)) < chance)
    person = np.repeat(np.arange(world.size), count)
    return pl.DataFrame({"i": person}).with_columns(
        month=pl.lit(month, pl.Int64), visit=pl.lit(visit), evening=pl.lit(evening), heavy=pl.lit(False)
    )


def fee_lines(events: pl.DataFrame, world: World) -> pl.DataFrame:
    """Which fee lines does each visit carry? The base fee, its add-on, and for a few a second add-on the same day."""
    rng = stream(world.seed, "fee lines")
    n = events.height
    when = d.month_start(events["month"].to_numpy()) + events["day"].to_numpy() - 1
    small = when < d.anniversary(world.people.birth[events["i"].to_numpy()], 6)
    visit, evening = events["visit"].to_numpy(), events["evening"].to_numpy()
    code = np.empty(n, dtype=object)
    second = np.empty(n, dtype=object)
    for below in (False, True):
        names, shares = zip(*k.CLASS_SHARE[below].items(), strict=True)
        first_class, other = (rng.choice(len(names), n, p=np.array(shares) / sum(shares)) for _ in range(2))
        other = np.where(other == first_class, (other + 1) % len(names), other)
        for kind in ("first", "return"):
            table = np.array([k.ADDON[kind, name, below] for name in names], dtype=object)
            at = (small == below) & (visit == kind)
            code[at], second[at] = table[first_class[at]], table[other[at]]
    for kind, early in k.EVENING_EARLY.items():
        code[evening & (visit == kind)] = early
    u = rng.random(n)
    two = ~evening & (u < world.truth.two_addons_share)
    # 夜間・早朝等加算 beside a counted add-on: switching it on must not count the visit twice.
    second[~evening & (u < 0.25 * world.truth.two_addons_share)] = ""
    early_too = two & (second == "")
    for kind, early in k.EVENING_EARLY.items():
        second[early_too & (visit == kind)] = early
    base = np.where(visit == "first", k.BASE_FEE["first"], k.BASE_FEE["return"])
    keys = events.select("event", "day")
    lines = [
        keys.with_columns(code=pl.Series(base, dtype=pl.String)),
        keys.with_columns(code=pl.Series(code, dtype=pl.String)),
    ]
    lines.append(keys.with_columns(code=pl.Series(second, dtype=pl.String)).filter(pl.Series(two)))
    world.counts["two_addons_same_visit"] = int(two.sum())
    world.counts["evening_beside_another_addon"] = int(early_too.sum())
    return pl.concat(lines)
