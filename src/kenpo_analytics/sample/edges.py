"""Which rare but real cases must be present? Planted into the people and the records, each counted in truth.json."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.params import stream
from kenpo_analytics.sample.people import People
from kenpo_analytics.sample.state import World

Ints = NDArray[np.int64]
HEAVY_TOWN = "24471"
"""大紀町: few members, so one person's 60 visits move the whole town."""


def plant_twins(people: People, seed: int, pairs: int) -> Ints:
    """Which people are twins filed without 枝番? Two children with the same birth, sex and membership, a pair a row."""
    rng = stream(seed, "twins")
    children = np.flatnonzero(people.birth > d.day(2010, 1, 1))
    chosen = rng.choice(children, min(2 * pairs, len(children) // 2 * 2), replace=False)
    first, second = np.sort(chosen.reshape(-1, 2), axis=1).T
    for name in People.__dataclass_fields__:
        values = getattr(people, name)
        values[second] = values[first]
    return np.stack([first, second], axis=1)


def plant_april_births(people: People, seed: int, count: int) -> Ints:
    """Who is born on 1 April? Adults whose birthday is moved there, some of them just reaching 35, 40 or 75."""
    rng = stream(seed, "april")
    adults = np.flatnonzero((people.birth < d.day(1990, 1, 1)) & (people.leave > d.day(2022, 4, 1)))
    chosen = np.sort(rng.choice(adults, min(count, len(adults)), replace=False))
    year = d.month_index(people.birth[chosen]) // 12
    people.birth[chosen] = d.month_start(year * 12 + 3)
    last = d.anniversary(people.birth[chosen], 75)
    people.leave[chosen] = np.minimum(people.leave[chosen], last)
    keep = people.entry[chosen] < people.leave[chosen] - 31
    people.entry[chosen] = np.where(keep, people.entry[chosen], people.leave[chosen] - 400)
    return chosen


def choose_heavy(people: People, stretches: pl.DataFrame, seed: int) -> tuple[int, pl.DataFrame]:
    """Who has 60 out-of-hours visits in FY2024? One adult enrolled throughout, moved to a small town."""
    towns = [row["municipality"] for row in k.rows("municipalities.csv")]
    start, end = d.day(2024, 4, 1), d.day(2025, 4, 1)
    whole = stretches.filter((pl.col("day") <= start) & (pl.col("end") >= end))["i"].to_numpy()
    age = 2024 - d.fy_age_base(people.birth[whole])
    able = np.sort(whole[(age >= 40) & (age < 60)])
    heavy = int(stream(seed, "heavy").choice(able))
    moved = pl.when(pl.col("i") == heavy).then(towns.index(HEAVY_TOWN)).otherwise("residence").alias("residence")
    return heavy, stretches.with_columns(moved)


def extra_checkups(checkups: pl.DataFrame, world: World) -> pl.DataFrame:
    """Which records lie outside enrolment? A checkup some weeks after the loss of eligibility."""
    rng = stream(world.seed, "checkup edges")
    leave = pl.Series(world.leave).gather(checkups["i"])
    gap = leave - checkups["when"]
    last = checkups.filter((gap > 0) & (gap < 400) & (leave < d.SNAPSHOT_END - 150)).unique(
        "i", keep="last", maintain_order=True
    )
    size = max(8, world.size // 900)
    taken = last[np.sort(rng.choice(last.height, min(size, last.height), replace=False)).tolist()]
    when = world.leave[taken["i"].to_numpy()] + rng.integers(3, 120, taken.height)
    month = d.month_index(when)
    outside = taken.with_columns(
        when=pl.Series(when), month=pl.Series(month), received=pl.Series(month + 2), rec=pl.lit(-1, pl.Int64)
    )
    world.counts["checkups_after_loss"] = outside.height
    return pl.concat([checkups, outside])
