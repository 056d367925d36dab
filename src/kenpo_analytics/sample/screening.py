"""Who is examined when, and what does the record say? Attendance, institutions, fasting, missing answers, lags."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kenpo_analytics.sample import bodies
from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.params import stream
from kenpo_analytics.sample.state import LONG_AGO, World, column

Ints = NDArray[np.int64]
NO_A1C_SITES = (5, 17, 21)
WRONG_UNIT_SITE, WRONG_UNIT_FY = 12, (2021, 2022)
NAMES = ("生活習慣病予防健診", "特定健診", "事業者健診")
MAIN, SPECIFIC, EMPLOYER = range(3)


class Screening:
    """The checkups of the whole window; remembers per person what changes attendance and the next value."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = stream(world.seed, "screening")
        self.values = stream(world.seed, "checkup values")
        self.record = stream(world.seed, "checkup records")
        n = world.size
        self.habit = self.rng.standard_normal(n)
        self.last_fpg = np.full(n, np.nan)
        self.worsened = np.zeros(n, dtype=bool)
        self.label_day = np.full(n, LONG_AGO)
        self.letter_day = np.full(n, LONG_AGO)
        self.schedule: dict[int, list[Ints]] = {}
        self.count = 0

    def plan_year(self, fy: int) -> None:
        """Who goes to a checkup in this fiscal year, and when? Habit persists; fewer in FY2020 and after worsening."""
        w = self.world
        n = w.size
        base = fy * 12 + 3
        middle = min(column(base + 4), k.MONTHS - 1)
        place = w.place[:, middle].astype(np.int64)
        season = w.workplaces["season"].to_numpy()[np.maximum(place, 0)]
        season = np.where(w.insured[:, middle] & (place >= 0), season, self.rng.integers(0, 12, n))
        month = base + np.clip(season + self.rng.integers(-1, 2, n), 0, 11)
        usable = np.minimum(column(month), k.MONTHS - 1)
        every = np.arange(n)
        insured = w.insured[every, usable]
        age = fy - w.people.fy_age_base
        lowest = np.where(insured, 35, 40)
        able = w.enrolled[every, usable] & (age >= lowest) & (age <= 74) & (month <= k.SNAPSHOT)
        logit = (
            np.where(insured, 1.35, -1.55)
            + 1.7 * self.habit
            - 0.35 * (fy == 2020)
            + w.truth.worsened_attendance_logit * self.worsened
        )
        goes = able & (self.rng.random(n) < 1 / (1 + np.exp(-logit)))
        rows = every[goes]
        again = rows[(self.rng.random(len(rows)) < 0.013)]
        later = month[again] + self.rng.integers(2, 6, len(again))
        fits = (d.fiscal_year(later) == fy) & (later <= k.SNAPSHOT)
        fits &= w.enrolled[again, np.minimum(column(later), k.MONTHS - 1)]
        self._add(rows, month[goes])
        self._add(again[fits], later[fits])

    def _add(self, rows: Ints, months: Ints) -> None:
        for month in np.unique(months):
            self.schedule.setdefault(int(month), []).append(rows[months == month])

    def run_month(self, month: int) -> dict[str, Any] | None:
        """Which checkups take place in this month? One dict of arrays, already with record noise."""
        planned = self.schedule.get(month)
        if not planned:
            return None
        rows = np.unique(np.concatenate(planned))
        w, fy = self.world, int(d.fiscal_year(np.array([month]))[0])
        when = self._weekday(d.month_start(np.array([month]))[0] + self.rng.integers(0, 26, len(rows)))
        effect = self._effects(rows, when, fy)
        true = bodies.measure(rows, fy, month, effect, w.people, w.traits, w.truth, self.values)
        batch = self._record(rows, month, when, true)
        self._remember(rows, when, batch)
        w.checkups.append(batch)
        self.count += len(rows)
        return batch

    @staticmethod
    def _weekday(when: Ints) -> Ints:
        # Sundays move to Monday; 1970-01-01 was a Thursday, so Sunday is day % 7 == 3.
        return np.where(when % 7 == 3, when + 1, when)

    def _effects(self, rows: Ints, when: Ints, fy: int) -> NDArray[np.float64]:
        truth = self.world.truth
        letter = self._within(when - self.letter_day[rows])
        label = self._within(when - self.label_day[rows])
        counts = self.world.counts
        counts["checkups_under_a_letter"] = counts.get("checkups_under_a_letter", 0) + int(letter.sum())
        shift = truth.calendar_shift if fy >= truth.calendar_from_fy else 0.0
        return letter * truth.letter_effect + label * truth.label_effect + shift

    def _within(self, gap: Ints) -> NDArray[np.bool_]:
        return (gap > 0) & (gap <= self.world.truth.effect_days)

    def _record(self, rows: Ints, month: int, when: Ints, true: dict[str, Any]) -> dict[str, Any]:
        w, rng, n = self.world, self.record, len(rows)
        j = column(month)
        place = w.place[rows, j].astype(np.int64)
        insured = w.insured[rows, j]
        employer = w.workplaces["employer_data"].to_numpy()[np.maximum(place, 0)] & (place >= 0)
        kind = np.where(~insured, SPECIFIC, np.where(employer, EMPLOYER, MAIN))
        site = w.workplaces["checkup_site"].to_numpy()[np.maximum(place, 0)]
        site = np.where(insured & (place >= 0) & (rng.random(n) < 0.9), site, rng.integers(0, 24, n))
        u = rng.random(n)
        fasting = np.select([u < 0.88, u < 0.93, u < 0.98], [0, 1, 2], 3)
        eaten = np.where(
            fasting == 2, 8 + rng.gamma(2.0, 7.0, n), np.where(fasting == 3, 20 + rng.gamma(2.0, 14.0, n), 0.0)
        )
        glucose = np.rint(true["fpg"] + eaten)
        casual = fasting >= 2
        kept = ~casual | (rng.random(n) < 0.15)
        fpg = np.where(kept, glucose, np.nan)
        fpg = np.where(rng.random(n) < 0.004, np.nan, fpg)
        wrong = (site == WRONG_UNIT_SITE) & (int(d.fiscal_year(np.array([month]))[0]) in WRONG_UNIT_FY)
        fpg = np.where(wrong, np.round(fpg / 18.016, 1), fpg)
        hba1c = np.where(np.isin(site, NO_A1C_SITES) | (rng.random(n) < 0.01), np.nan, np.round(true["hba1c"], 1))
        lag = rng.choice(np.array([0, 1, 2, 3, 4, 5, 6]), n, p=[0.12, 0.5, 0.26, 0.06, 0.03, 0.02, 0.01])
        lag = lag + np.where(kind == EMPLOYER, rng.integers(1, 6, n), 0)
        answers = self._answers(rows, month, true["age"])
        return {
            "rec": self.count + np.arange(n),
            "i": rows,
            "when": when,
            "month": np.full(n, month),
            "received": month + lag,
            "site": site,
            "kind": kind,
            "fasting": fasting,
            "fpg": fpg,
            "casual_glucose": np.where(casual, glucose, np.nan),
            "hba1c": hba1c,
            "wrong_unit": wrong,
            **self._panel(true, casual, rng),
            **answers,
        }

    def _panel(self, true: dict[str, Any], casual: NDArray[np.bool_], rng: np.random.Generator) -> dict[str, Any]:
        """Rounded values of everything but glucose, as a laboratory prints them."""
        n = len(casual)
        tg = np.rint(true["tg"] * np.where(casual, 1.25, 1.0))
        hdl, ldl, bmi = np.rint(true["hdl"]), np.rint(true["ldl"]), true["bmi"]
        male_age = true["age"]
        height = np.round(true["height"], 1)
        weight = np.round(bmi * (height / 100) ** 2, 1)
        liver = 0.05 * (bmi - 23) + 0.33 * rng.standard_normal(n)
        creatinine = np.round(np.exp(np.log(np.where(true["male"], 0.84, 0.63)) + 0.15 * rng.standard_normal(n)), 2)
        egfr = 194 * creatinine**-1.094 * male_age**-0.287 * np.where(true["male"], 1.0, 0.739)
        return {
            "sbp": np.rint(true["sbp"]),
            "dbp": np.rint(true["dbp"]),
            "tg": tg,
            "hdl": hdl,
            "ldl": np.maximum(ldl, 20),
            "non_hdl": np.maximum(ldl, 20) + np.rint(tg / 5.5 * 0.6 + 12),
            "ast": np.rint(np.exp(3.05 + 0.7 * liver)),
            "alt": np.rint(np.exp(2.95 + 1.2 * liver)),
            "ggt": np.rint(np.exp(3.15 + 1.3 * liver + 0.3 * true["male"])),
            "creatinine": creatinine,
            "egfr": np.round(egfr, 1),
            "height": height,
            "weight": weight,
            "bmi": np.round(weight / (height / 100) ** 2, 1),
            "waist": np.round(true["waist"], 1),
        }

    def _answers(self, rows: Ints, month: int, age: NDArray[np.float64]) -> dict[str, Any]:
        """Questionnaire as codes: 1 yes, 0 no, -1 blank; 2 % leave the medication page blank, 3 % of users say no."""
        w, rng, n = self.world, self.record, len(rows)
        drugs = w.on_drugs(rows, month) & (rng.random((n, 3)) >= 0.03)
        blank = rng.random(n) < 0.02
        male = w.people.male[rows]
        smokes = w.traits.smoker[rows] < bodies.by_age({s: np.array(k.SMOKER[s]) for s in "MF"}, male, age)
        past = ~smokes & (w.traits.gain[rows] > np.where(male, 0.55, 0.9))
        gain = w.traits.gain[rows] < bodies.by_age({s: np.array(k.GAIN_10KG[s]) for s in "MF"}, male, age)
        result = {f"medication_{name}": np.where(blank, -1, drugs[:, j]) for j, name in enumerate(k.DOMAINS)}
        result["smoking"] = np.where(rng.random(n) < 0.01, -1, np.where(smokes, 1, np.where(past, 2, 0)))
        result["weight_gain_10kg"] = np.where(rng.random(n) < 0.04, -1, gain)
        result["weight_change_1y"] = np.where(rng.random(n) < 0.05, -1, rng.random(n) < 0.27)
        return result

    def _remember(self, rows: Ints, when: Ints, batch: dict[str, Any]) -> None:
        # The sheet shows what was recorded; a value in mmol/L frightens nobody.
        fpg = np.where(batch["fasting"] <= 1, batch["fpg"], np.nan)
        high = fpg >= self.world.truth.label_line
        self.label_day[rows] = np.where(high, when, LONG_AGO)
        self.worsened[rows] = (fpg - self.last_fpg[rows] >= 12) | (fpg >= 126)
        self.last_fpg[rows] = np.where(np.isnan(fpg), self.last_fpg[rows], fpg)
