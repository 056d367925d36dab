"""What does the simulation carry from month to month? The world's arrays, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample.bodies import Traits
from kenpo_analytics.sample.identity import Identities
from kenpo_analytics.sample.params import Planted, Variant
from kenpo_analytics.sample.people import People

Ints = NDArray[np.int64]
Matrix = NDArray[np.int16]
LONG_AGO = -(10**6)


@dataclass
class World:
    """Everything that later steps need: who, where, what was measured, who was written to, who visited."""

    seed: int
    variant: Variant
    truth: Planted
    people: People
    who: Identities
    traits: Traits
    stretches: pl.DataFrame
    workplaces: pl.DataFrame
    leave: Ints
    enrolled: NDArray[np.bool_]
    insured: NDArray[np.bool_]
    place: Matrix
    """Workplace index per person and month (15th); -1 without one."""
    town: Matrix
    """Municipality index per person and month; -1 県外, -2 不明 (only where enrolled)."""
    visit: NDArray[np.bool_]
    """Outpatient contact in the month."""
    planted: NDArray[np.float32]
    """Planted hazard of the month for people followed after an index checkup, else 0."""
    disease: NDArray[np.bool_]
    """The visit of a followed person was for the disease."""
    domains: NDArray[np.uint8]
    """Bit mask (1 bp, 2 glucose, 4 lipid) of what the index checkup found, over the follow-up months."""
    checkups: list[dict[str, Any]] = field(default_factory=list)
    mailings: list[dict[str, Any]] = field(default_factory=list)
    followed: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many people are there?"""
        return self.people.size

    def on_drugs(self, rows: Ints, month: int) -> NDArray[np.bool_]:
        """Which of these people take which drugs in this month (bp, glucose, lipid)?"""
        return self.traits.start[rows] <= month


def column(month: Any) -> Any:
    """Which matrix column is this month index (a number or an array)?"""
    return month - k.START
