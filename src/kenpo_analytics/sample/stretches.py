"""Which stretches does each membership have? Job changes, gaps, moves, 任意継続 and children who start to work."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.params import stream
from kenpo_analytics.sample.people import People

Ints = NDArray[np.int64]
ENTRY, JOB, GAP, MOVE, WORK, VOLUNTARY = range(6)
OUTSIDE, UNKNOWN = -1, -2
"""Municipality codes of people living outside the prefecture (県外) and of unknown address (不明)."""
YEARLY = {JOB: 0.035, GAP: 0.015, MOVE: 0.015}


def draw_workplaces(persons: int, seed: int) -> pl.DataFrame:
    """Which workplaces are there? One per 28 members, sizes long-tailed; `weight` steers who works where."""
    rng = stream(seed, "workplaces")
    size = max(persons // 28, 30)
    names = list(k.INDUSTRIES)
    share = np.array(list(k.INDUSTRIES.values()))
    industry = rng.choice(len(names), size, p=share / share.sum())
    weight = np.minimum(rng.lognormal(0.0, 1.3, size), 25.0)
    chance = 1 / (1 + np.exp(1.2 - 0.5 * np.log(weight)))
    declared = rng.random(size) < chance
    day0, day1 = d.day(2017, 4, 1), d.SNAPSHOT_END
    since = rng.integers(day0, day1, size)
    return pl.DataFrame(
        {
            "workplace_id": [f"W{i + 1:05d}" for i in range(size)],
            "industry": np.array(names)[industry],
            "weight": weight,
            "declared_from": pl.Series(d.to_date(since)).set(pl.Series(~declared), None),
            "declaration_standardised": pl.Series(declared & (since >= d.day(2021, 4, 1))),
            "committee_member": pl.Series(rng.random(size) < 0.25 + 0.4 * chance),
            "season": rng.choice(12, size, p=_season()),
            "checkup_site": rng.choice(24, size),
            "employer_data": pl.Series(rng.random(size) < 0.10),
            "opt_out": pl.Series(rng.random(size) < 0.06 + 0.16 * chance),
        }
    )


def _season() -> NDArray[np.float64]:
    """Share of workplaces by month of the yearly checkup, April first: most between June and November."""
    share = np.array([5, 8, 13, 13, 9, 13, 14, 9, 5, 4, 4, 3], dtype=float)
    return share / share.sum()


def draw_stretches(people: People, workplaces: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, Ints]:
    """Which stretches of unchanged attributes are there? And on which day does each person finally leave?"""
    rng = stream(seed, "stretches")
    person, when, kind, gap, leave = _events(people, rng)
    weight = workplaces["weight"].to_numpy()
    place = rng.choice(len(weight), len(person), p=weight / weight.sum())
    residence = _residence(len(person), rng)
    frame = (
        pl.DataFrame({"i": person, "day": when, "kind": kind, "gap": gap, "place": place, "residence": residence})
        .unique(["i", "day"], keep="first", maintain_order=True)
        .sort("i", "day")
        .with_columns(
            pl.when(pl.col("kind").is_in([ENTRY, JOB, GAP, WORK])).then("place").alias("place"),
            pl.when(pl.col("kind").is_in([ENTRY, MOVE])).then("residence").alias("residence"),
        )
        .with_columns(pl.col("place", "residence").forward_fill().over("i"))
    )
    following = pl.col("day").shift(-1).over("i")
    back = (pl.col("gap").shift(-1).over("i")).fill_null(0)
    end = (
        pl.when(following.is_null())
        .then(pl.Series(leave).gather(frame["i"]))
        .otherwise(pl.when(following - back > pl.col("day") + 30).then(following - back).otherwise(following))
    )
    insured = pl.col("day") >= pl.Series(people.insured_from).gather(frame["i"])
    return frame.with_columns(end.alias("end"), insured.alias("insured")), leave


def _events(people: People, rng: np.random.Generator) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    begin = np.maximum(people.entry, d.day(2014, 4, 1))
    finish = np.minimum(people.leave, d.SNAPSHOT_END)
    years = np.maximum(finish - begin, 0) / 365.25
    every = np.arange(people.size)
    rows = [(every, people.entry, np.zeros(people.size, dtype=np.int64), np.full(people.size, ENTRY))]
    for kind, rate in YEARLY.items():
        person = np.repeat(every, rng.poisson(rate * years))
        when = begin[person] + 40 + (rng.random(len(person)) * (finish - begin)[person]).astype(np.int64)
        when = d.month_start(d.month_index(when)) if kind == JOB else when
        gap = rng.integers(10, 150, len(person)) if kind == GAP else np.zeros(len(person), dtype=np.int64)
        ok = (when < finish[person] - 40) & (when > begin[person])
        ok &= (kind == MOVE) | (when > people.insured_from[person])
        rows.append((person[ok], when[ok], gap[ok], np.full(ok.sum(), kind)))
    turned = every[(people.insured_from > people.entry) & (people.insured_from < finish)]
    rows.append(
        (turned, people.insured_from[turned], np.zeros(len(turned), dtype=np.int64), np.full(len(turned), WORK))
    )
    leave = people.leave.copy()
    voluntary = (leave < d.SNAPSHOT_END) & (people.insured_from < leave - 60) & (rng.random(people.size) < 0.07)
    voluntary &= leave < d.anniversary(people.birth, 74)
    staying = every[voluntary]
    start = leave[staying]
    leave[staying] = np.minimum(start + rng.integers(60, 731, len(staying)), d.anniversary(people.birth[staying], 75))
    rows.append((staying, start, np.zeros(len(staying), dtype=np.int64), np.full(len(staying), VOLUNTARY)))
    who, day, gaps, kinds = (np.concatenate([row[part] for row in rows]) for part in range(4))
    return who, day, kinds, gaps, leave


def _residence(size: int, rng: np.random.Generator) -> Ints:
    """Index of the municipality; 4 % live outside the prefecture and 0.5 % have no usable address."""
    population = np.array([float(row["population_0_74"]) for row in k.rows("municipalities.csv")])
    drawn = rng.choice(len(population), size, p=population / population.sum())
    u = rng.random(size)
    return np.where(u < 0.04, OUTSIDE, np.where(u < 0.045, UNKNOWN, drawn))


def monthly(stretches: pl.DataFrame, persons: int, value: Ints) -> NDArray[np.int16]:
    """What holds on the 15th of each month? Person x month matrix of `value` (one per stretch), 0 when not enrolled."""
    first, last = (np.clip(_fifteenth(stretches[name].to_numpy()) - k.START, 0, k.MONTHS) for name in ("day", "end"))
    steps = np.zeros((persons, k.MONTHS + 1), dtype=np.int16)
    person = stretches["i"].to_numpy()
    np.add.at(steps, (person, first), value.astype(np.int16))
    np.add.at(steps, (person, last), -value.astype(np.int16))
    return np.cumsum(steps, axis=1, dtype=np.int16)[:, : k.MONTHS]


def _fifteenth(days: Ints) -> Ints:
    """First month whose 15th is on or after these days."""
    index = d.month_index(days)
    return index + (days - d.month_start(index) > 14)
