"""Who are the members? Ever-members with birth, sex, entry and loss days; every cross-section has the age mix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.params import stream

Ints = NDArray[np.int64]


@dataclass
class People:
    """One entry per person: days since 1970; `leave` is the day of loss, at most the 75th birthday."""

    male: NDArray[np.bool_]
    birth: Ints
    entry: Ints
    leave: Ints
    insured_from: Ints
    """Day from which the person is insured in their own right (far future for lasting dependants)."""

    @cached_property
    def fy_age_base(self) -> Ints:
        """Which base gives each person's age at fiscal-year end? Asked for only once births are settled."""
        return d.fy_age_base(self.birth)

    @property
    def size(self) -> int:
        """How many ever-members are there?"""
        return len(self.birth)


NEVER = 10**6


def age_mix() -> tuple[NDArray[np.float64], NDArray[np.float64], Ints]:
    """Which share of members has each relationship and age band? (insured shares, dependant shares, band starts)."""
    insured = np.array([0.0, 0.0, 0.0, *k.INSURED_FY2022], dtype=float)
    insured = insured / insured.sum() * k.INSURED_SHARE
    dependant = np.zeros(15)
    # Dependants are what the broad age groups leave over; inside a group they follow simple shapes (仮定).
    shapes = {
        (0, 4): (0.22, 0.25, 0.27, 0.26),
        (4, 8): (0.32, 0.17, 0.22, 0.29),
        (8, 13): (0.2,) * 5,
        (13, 15): (0.5, 0.5),
    }
    for share, ((low, high), shape) in zip(k.ALL_MEMBERS_SHARE, shapes.items(), strict=True):
        left = max(share / 100 - insured[low:high].sum(), 0.0)
        dependant[low:high] = left * np.array(shape)
    total = insured.sum() + dependant.sum()
    return insured / total, dependant / total, np.arange(0, 75, 5)


def draw_people(persons: int, seed: int) -> People:
    """Who was ever a member between April 2017 and the snapshot? `persons` people, of any age below 75."""
    rng = stream(seed, "people")
    parts = []
    kept = 0
    while kept < persons:
        part = _batch(int(persons * 2.2) + 100, rng)
        parts.append(part)
        kept += part.size
    fields = {
        name: np.concatenate([getattr(part, name) for part in parts])[:persons] for name in People.__dataclass_fields__
    }
    return People(**fields)


def _batch(size: int, rng: np.random.Generator) -> People:
    insured_mix, dependant_mix, bands = age_mix()
    pick = rng.choice(30, size=size, p=np.concatenate([insured_mix, dependant_mix]))
    insured, band = pick < 15, pick % 15
    age = bands[band] + rng.random(size) * 5
    age = np.where(insured & (band == 3), 18 + rng.random(size) * 2, age)
    anchor = rng.integers(d.FIRST_DAY - 3000, d.SNAPSHOT_END + 3000, size)
    birth = (anchor - age * 365.2425).astype(np.int64)
    male = np.where(insured, rng.random(size) < k.MALE_SHARE_INSURED, rng.random(size) < _male_dependant(band))
    years = np.where(insured & (band < 7), 8.0, np.where(band < 4, 16.0, 14.0))
    entry = anchor - (rng.exponential(1.0, size) * years * 365.25).astype(np.int64)
    leave = anchor + (rng.exponential(1.0, size) * years * 365.25).astype(np.int64)
    entry = np.maximum(_snap(entry, rng), birth)
    leave = _snap(leave, rng)
    adult = d.anniversary(birth, 18)
    # A working-age adult who entered as a child entered as a dependant and became insured at 18-22.
    start = d.month_start((d.month_index(d.anniversary(birth, 18)) // 12 + rng.integers(0, 5, size)) * 12 + 3)
    insured_from = np.where(insured, np.where(entry < adult, np.maximum(start, adult), entry), NEVER)
    grown = ~insured & (band < 4) & (leave > start)
    stays = rng.random(size) < 0.45
    insured_from = np.where(grown & stays, np.maximum(start, adult), insured_from)
    leave = np.where(grown & ~stays, np.maximum(start, entry + 1), leave)
    leave = np.minimum(leave, d.anniversary(birth, 75))
    keep = (entry < leave) & (leave > d.FIRST_DAY) & (entry < d.SNAPSHOT_END)
    return People(male[keep], birth[keep], entry[keep], leave[keep], insured_from[keep])


def _male_dependant(band: Ints) -> NDArray[np.float64]:
    return np.where(band < 4, 0.51, np.where(band == 4, 0.45, np.where(band < 12, 0.06, 0.18)))


def _snap(days: Ints, rng: np.random.Generator) -> Ints:
    """Move 70 % of the days to the first of their month, where jobs begin and end."""
    return np.where(rng.random(len(days)) < 0.7, d.month_start(d.month_index(days)), days)
