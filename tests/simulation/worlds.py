"""Worlds in which the effect of a letter is known: people measured three years running, mailed by a rule.

One earlier-era cohort and programme-era cohorts of `SIZE` people each. FPG = 95 + 0.25 (age - 55) + 1.2 (BMI - 23.5)
+ 2 (male) + gamma persistent SD 8 + AR(1) SD 4 phi 0.6 + error SD 6, drift 0.25 a year, rounded. The letter acts on the
next year's value of those it was sent to, the result sheet's label (110) in both eras, the calendar in one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

SIZE = 12_000
LINE, END = 110, 125


@dataclass(frozen=True)
class Truth:
    """What is planted, in mg/dL."""

    letter: float = -2.0
    label: float = -0.5
    calendar: float = 0.8
    sent: str = "all"  # all eligible, or "some": at random given age, BMI, sex, y0
    attrition: str = "none"  # none, mar (by letter and y0), mnar (by the outcome itself)
    drift_by_baseline: float = 0.0  # hostile: the calendar change grows with the baseline
    label_growth: float = 0.0  # hostile: the label works better in the programme era
    guidance: float = 0.0  # hostile: guidance at 100 in the programme era
    shift: float = 0.0  # hostile: every fourth institution measures so much higher at the programme era's index checkup
    gone: float = 0.0  # share of those who stay high that leaves before the batch: never sent a letter
    rule: str = "fpg"  # fpg: the letter hangs on FPG alone; and: also on HbA1c >= 6.0


def people(rng: np.random.Generator, n: int = SIZE) -> dict[str, Any]:
    """Covariates and the three latent parts of FPG."""
    age = rng.integers(40, 70, n)
    male = rng.random(n) < 0.6
    bmi = rng.normal(23.5, 3.5, n).clip(16, 42).round(1)
    shape = 1.6
    persistent = (rng.gamma(shape, 1.0, n) - shape) / np.sqrt(shape) * 8.0
    ar = np.empty((3, n))
    ar[0] = rng.normal(0, 4, n)
    for t in (1, 2):
        ar[t] = 0.6 * ar[t - 1] + rng.normal(0, 4 * np.sqrt(1 - 0.36), n)
    base = 95 + 0.25 * (age - 55) + 1.2 * (bmi - 23.5) + 2 * male + persistent
    return {"age": age, "male": male, "bmi": bmi, "latent": base + ar + 0.25 * np.arange(-1, 2)[:, None]}


def cohort(rng: np.random.Generator, era: str, truth: Truth, *, year: int, first: int, n: int = SIZE) -> pl.DataFrame:
    """One era's people as an analysis set (evaluation/analysis.py)."""
    p = people(rng, n)
    noise = rng.normal(0, 6, (3, n))
    programme = era == "programme"
    institution = rng.integers(0, 24, n)
    off = truth.shift * programme * (institution % 4 == 0)
    prior, y0 = (np.rint(p["latent"][t] + noise[t] + off * t) for t in (0, 1))
    hba1c = np.round(rng.normal(5.5 if truth.rule == "fpg" else 5.9, 0.2, n), 1)
    eligible = (y0 >= LINE) & (y0 <= END) & ((truth.rule == "fpg") | (hba1c >= 6.0))
    logit = -0.2 + 0.05 * (p["age"] - 55) + 0.10 * (p["bmi"] - 23.5) - 0.3 * p["male"] + 0.04 * (y0 - 115)
    chance = np.ones(n) if truth.sent == "all" else 1 / (1 + np.exp(-logit))
    letter = eligible & programme & (rng.random(n) < chance)
    gone = np.zeros(n, dtype=bool)
    if truth.gone:  # no draw otherwise: the other worlds stay what they were
        gone = eligible & programme & (p["latent"][2] > 110) & (rng.random(n) < truth.gone)
        letter = letter & ~gone
    label = truth.label - truth.label_growth * programme
    y1 = p["latent"][2] + noise[2] + truth.letter * letter + label * (y0 >= LINE)
    y1 = y1 + programme * (truth.calendar - truth.drift_by_baseline * (y0 - 100) - truth.guidance * (y0 >= 100))
    y1 = np.rint(y1)
    seen = _seen(rng, truth, letter, y0, y1, p)
    height = np.round(rng.normal(165, 8, n), 1)
    return pl.DataFrame(
        {
            "person_id": np.arange(first, first + n),
            "fiscal_year": np.full(n, year, dtype=np.int32),
            "era": [era] * n,
            "y0": y0,
            "hba1c": hba1c,
            "y1": np.where(seen, y1, np.nan),
            "prior": prior,
            "age": p["age"].astype(np.int32),
            "sex": np.where(p["male"], "M", "F"),
            "bmi": p["bmi"],
            "height": height,
            "height1": np.round(height + rng.normal(0, 0.4, n), 1),
            "institution": [f"K{i:02d}" for i in institution],
            "eligible": eligible,
            "letter": letter,
            "planned": ~gone,
            "present": ~gone,
            "repeat": np.zeros(n, dtype=bool),
            "enrolled1": np.ones(n, dtype=bool),
            "outcome_state": np.where(seen, "observed", "unexamined"),
        }
    ).with_columns(pl.col("y1").fill_nan(None))


def _seen(
    rng: np.random.Generator, truth: Truth, letter: np.ndarray, y0: np.ndarray, y1: np.ndarray, p: dict[str, Any]
) -> np.ndarray:
    if truth.attrition == "none":
        return np.ones(len(y0), dtype=bool)
    if truth.attrition == "mnar":
        logit = 0.6 - 0.024 * (y1 - y0 + 4) * np.where(letter, 1.0, -1.0)
    else:
        risk = 0.40 * (p["bmi"] - 26) + 0.08 * (p["age"] - 55)  # heavier people stay away unless sent a letter
        logit = 0.6 + np.where(letter, 1.0, -1.0) * risk
    return rng.random(len(y0)) < 1 / (1 + np.exp(-logit))


def world(seed: list[int], truth: Truth, *, n: int = SIZE, before: tuple[int, ...] = (2017,)) -> pl.DataFrame:
    """Cohorts of the years before and one of the programme era stacked."""
    rng = np.random.default_rng(seed)
    parts = [cohort(rng, "before", truth, year=year, first=1 + i * n, n=n) for i, year in enumerate(before)]
    return pl.concat([*parts, cohort(rng, "programme", truth, year=2022, first=1 + len(before) * n, n=n)])
