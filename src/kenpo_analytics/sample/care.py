"""Who sees a doctor, month by month? Background visits, planted hazards after an index checkup, start of treatment."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.params import Planted, stream
from kenpo_analytics.sample.screening import MAIN
from kenpo_analytics.sample.state import World, column

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
FOLLOW = 12
"""Months 0-11 after an index checkup carry planted hazards."""


def background(world: World) -> None:
    """Who has an outpatient contact in each month? Age level x personal frailty; people on drugs come most months."""
    rng = stream(world.seed, "background visits")
    frailty = rng.gamma(2.0, 0.5, world.size)
    edges = np.array([0, 6, 15, 25, 40, 65, 80])
    level = np.array([0.42, 0.24, 0.09, 0.12, 0.14, 0.20])
    first_drug = world.traits.start.min(axis=1)
    for j in range(k.MONTHS):
        age = (d.fiscal_year(np.array([k.START + j]))[0] - world.people.fy_age_base).clip(0, 79)
        chance = np.minimum(level[np.searchsorted(edges, age, side="right") - 1] * frailty, 0.9)
        chance = np.where(first_drug <= k.START + j, np.maximum(chance, world.truth.drug_visit_hazard), chance)
        world.visit[:, j] = (rng.random(world.size) < chance) & world.enrolled[:, j]


def index_domains(batch: dict[str, Any]) -> Flags:
    """Which domains reach the 一次勧奨 line (SBP 160, DBP 100, FPG 126 fasting, HbA1c 6.5, LDL 180)?"""
    fasting = batch["fasting"] <= 1
    pressure = (batch["sbp"] >= 160) | (batch["dbp"] >= 100)
    glucose = (fasting & (batch["fpg"] >= 126)) | (batch["hba1c"] >= 6.5)
    return np.stack([pressure, glucose, batch["ldl"] >= 180], axis=1)


class Care:
    """Follows those whose checkup reached the line while on no drug: planted hazards, letters at six months."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = stream(world.seed, "follow-up visits")
        self.post = stream(world.seed, "untreated letters")

    def hazards(self, domains: Flags, letter: Flags, truth: Planted) -> NDArray[np.float64]:
        """Which hazard of a first contact holds in months 0-11? Rows are people."""
        several = domains.sum(axis=1) >= 2
        table = dict(truth.domain_multiplier)
        multiplier = np.where(domains[:, 0], table["bp"], np.where(domains[:, 1], table["glucose"], table["lipid"]))
        multiplier = np.where(several, table["several"], multiplier)
        shape = np.full(FOLLOW, truth.visit_hazard)
        shape[0] = truth.visit_hazard_month0
        shape[1:4] *= truth.visit_hazard_early
        hazard = multiplier[:, None] * shape[None, :]
        hazard[:, 6:9] *= np.where(letter, truth.letter_visit_multiplier, 1.0)[:, None]
        return hazard

    def follow(self, batch: dict[str, Any], month: int) -> None:
        """What happens after this month's index checkups?"""
        w, truth = self.world, self.world.truth
        domains = index_domains(batch)
        drugs = w.on_drugs(batch["i"], month)
        chosen: Flags = np.asarray(domains.any(axis=1) & ~drugs.any(axis=1))
        self._note(batch, (domains & ~drugs).any(axis=1) & ~chosen, domains, month)
        rows, domains = batch["i"][chosen], domains[chosen]
        if not len(rows):
            return
        u = self.rng.random((len(rows), FOLLOW))
        plain = self.hazards(domains, np.zeros(len(rows), dtype=bool), truth)
        silent: Flags = np.asarray(~(u[:, :4] < plain[:, :4]).any(axis=1))
        if month > k.START:
            silent &= ~w.visit[rows, column(month) - 1]
        sent = self._letters(batch, chosen, rows, domains, silent, month)
        hazard = self.hazards(domains, sent, truth)
        width = min(FOLLOW, k.MONTHS - column(month))
        span = slice(column(month), column(month) + width)
        here = w.enrolled[rows, span]
        visits = (u < hazard)[:, :width] & here
        disease = visits & (self.rng.random((len(rows), FOLLOW)) < truth.disease_visit_share)[:, :width]
        starts = self._start(rows, domains, disease, month)
        w.visit[rows, span] = visits
        w.planted[rows, span] = hazard[:, :width] * here
        w.disease[rows, span] = disease
        w.domains[rows, span] = (domains @ np.array([1, 2, 4])).astype(np.uint8)[:, None]
        self._chronic(rows, starts)
        self._note(batch, chosen, index_domains(batch), month, hazard)

    def _note(
        self, batch: dict[str, Any], who: Flags, domains: Flags, month: int, hazard: NDArray[np.float64] | None = None
    ) -> None:
        """Writes down who is followed; without planted hazards it is someone on a drug of another domain only."""
        rows = batch["i"][who]
        usual = np.full((len(rows), FOLLOW), self.world.truth.drug_visit_hazard)
        self.world.followed.append(
            {
                "i": rows,
                "month": np.full(len(rows), month),
                "kind": batch["kind"][who],
                "domains": domains[who],
                "hazard": usual if hazard is None else hazard,
                "other_drug": np.full(len(rows), hazard is None),
                "silent_before": self._silent_before(rows, month),
            }
        )

    def _silent_before(self, rows: Ints, month: int) -> Flags:
        j = column(month)
        return ~self.world.visit[rows, j - 1] if j else np.zeros(len(rows), dtype=bool)

    def _start(self, rows: Ints, domains: Flags, disease: Flags, month: int) -> Ints:
        """When does treatment start? At the first disease visit, for a planted share of the visitors; else never."""
        first = np.where(disease.any(axis=1), disease.argmax(axis=1), -1)
        begins = (first >= 0) & (self.rng.random(len(rows)) < self.world.truth.treatment_start_share)
        start = month + first
        chosen = begins[:, None] & domains
        old = self.world.traits.start[rows]
        # The planted hazard owns the follow-up year: a start that age alone would bring is put off to its end.
        old = np.where(old < month + FOLLOW, month + FOLLOW, old)
        self.world.traits.start[rows] = np.where(chosen, np.minimum(old, start[:, None]), old)
        return np.where(begins, start, k.SNAPSHOT + 1)

    def _chronic(self, rows: Ints, starts: Ints) -> None:
        w = self.world
        months = k.START + np.arange(k.MONTHS)
        later = months[None, :] > starts[:, None]
        comes = self.rng.random((len(rows), k.MONTHS)) < w.truth.drug_visit_hazard
        chosen = later & w.enrolled[rows]
        w.visit[rows] = np.where(chosen, comes, w.visit[rows])
        w.planted[rows] = np.where(later, 0, w.planted[rows])

    def _letters(
        self,
        batch: dict[str, Any],
        chosen: Flags,
        rows: Ints,
        domains: Flags,
        silent: Flags,
        month: int,
    ) -> Flags:
        """Who is sent the first letter (一次勧奨) in month 6? LDL alone counts from letters of November 2022."""
        w, target = self.world, month + 6
        u = self.post.random((len(rows), 2))
        if target > k.SNAPSHOT or target < 2018 * 12 + 3:
            return np.zeros(len(rows), dtype=bool)
        age = d.fiscal_year(np.array([month]))[0] - w.people.fy_age_base[rows]
        asked = domains[:, :2].any(axis=1) | (target >= 2022 * 12 + 10)
        listed = silent & asked & (batch["kind"][chosen] == MAIN) & (age >= 35) & w.enrolled[rows, column(target)]
        status = np.select([u[:, 0] < 0.93, u[:, 0] < 0.97], [0, 1], 2)
        planned = d.month_start(np.array([target]))[0] + 14
        at = np.flatnonzero(listed)
        w.mailings.append(
            {
                "i": rows[at],
                "programme": "untreated_first",
                "planned": np.full(len(at), planned),
                "sent": planned + np.floor(u[at, 1] * 4).astype(np.int64),
                "status": status[at],
                "reason": np.where(status[at] == 2, 1, 0),
                "rule": None,
                "leaflet": np.full(len(at), "一次勧奨"),
                "rec": batch["rec"][chosen][at],
            }
        )
        return listed & (status == 0)
