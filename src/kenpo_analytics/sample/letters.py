"""Who is written to about 糖尿病予備群? Yearly in FY2018-FY2024 (及び = and), monthly from FY2025 (または = or)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.params import stream
from kenpo_analytics.sample.screening import MAIN, Screening
from kenpo_analytics.sample.state import World, column
from kenpo_analytics.sample.stretches import UNKNOWN

Ints = NDArray[np.int64]
FIRST_CHECKUP = 2018 * 12 + 3
"""Checkups before April 2018 are the pre-era and are never written to."""
YEARLY = tuple(year * 12 for year in range(2019, 2026))
MONTHLY_FROM = 2025 * 12 + 3
ADDRESS_MISSING = 0.025
UNDELIVERED = 0.03
REASONS = ("", "住所不備", "事業所の辞退")


class Leaflets:
    """The prediabetes leaflet: remembers each person's latest checkup until a batch has looked at it."""

    def __init__(self, world: World, screening: Screening) -> None:
        self.world, self.screening = world, screening
        self.rng = stream(world.seed, "leaflets")
        n = world.size
        self.received = np.full(n, 10**6)
        self.rec = np.full(n, -1)
        self.fits = np.zeros((n, 2), dtype=bool)

    def see(self, batch: dict[str, Any], month: int) -> None:
        """Which of this month's checkups will a later batch look at? Judged on the record by both rules."""
        if month < FIRST_CHECKUP:
            return
        rows = batch["i"]
        fy = d.fiscal_year(np.array([month]))[0]
        age = fy - self.world.people.fy_age_base[rows]
        usable = (batch["kind"] == MAIN) & (age >= 35) & (age <= 74) & (batch["medication_glucose"] == 0)
        fpg = np.where((batch["fasting"] <= 1) & ~batch["wrong_unit"], batch["fpg"], np.nan)
        a1c = batch["hba1c"]
        usable &= ~(fpg >= 126) & ~(a1c >= 6.5)
        high, middle = (fpg >= 110) & (fpg < 126), (a1c >= 6.0) & (a1c < 6.5)
        self.fits[rows, 0] = usable & high & middle
        self.fits[rows, 1] = usable & (high | middle)
        self.rec[rows] = batch["rec"]
        self.received[rows] = batch["received"]

    def send(self, month: int) -> None:
        """Which letters are planned in this month? Each listed person gets a status, and a reason if not mailed."""
        yearly = month in YEARLY
        if not yearly and month < MONTHLY_FROM:
            return
        w, n = self.world, self.world.size
        planned = int(d.month_start(np.array([month]))[0]) + (19 if yearly else 24)
        due = self.received < month
        listed = due & self.fits[:, 0 if yearly else 1] & w.enrolled[:, column(month)]
        self.received[due] = 10**6
        rows = np.flatnonzero(listed)
        u = self.rng.random((n, 3))[rows]
        missing = (u[:, 0] < ADDRESS_MISSING) | (w.town[rows, column(month)] == UNKNOWN)
        place = w.place[rows, column(month)].astype(np.int64)
        refused = (place >= 0) & w.workplaces["opt_out"].to_numpy()[np.maximum(place, 0)]
        status = np.where(missing | refused, 2, np.where(u[:, 1] < UNDELIVERED, 1, 0))
        sent = planned + np.floor(u[:, 2] * 5).astype(np.int64)
        delivered = status == 0
        self.screening.letter_day[rows[delivered]] = sent[delivered]
        w.mailings.append(
            {
                "i": rows,
                "programme": "prediabetes_leaflet",
                "planned": np.full(len(rows), planned),
                "sent": sent,
                "status": status,
                "reason": np.where(missing, 1, np.where(refused, 2, 0)),
                "rule": "and" if yearly else "or",
                "leaflet": self._version(month, u[:, 2]),
                "rec": self.rec[rows],
            }
        )

    @staticmethod
    def _version(month: int, u: NDArray[np.float64]) -> NDArray[np.str_]:
        if month >= MONTHLY_FROM:
            return np.where((u * 1000).astype(np.int64) % 2 == 0, "v3A", "v3B")
        return np.full(len(u), "v1" if month < 2022 * 12 else "v2")
