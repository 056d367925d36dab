"""What is measured in a body? Persistent traits, and the markers of one checkup given traits, age and effects.

Glucose = level by sex, age and BMI + gamma person effect + AR(1) year effect + diabetes tail + error, rounded.
People picked for a high value therefore fall next time without any letter (regression to the mean).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kenpo_analytics.sample import constants as k
from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.params import Planted, stream
from kenpo_analytics.sample.people import NEVER, People

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
YEARS = k.LAST_FY - k.FIRST_FY + 1
LEVEL = 91.7


@dataclass
class Traits:
    """Persistent traits of each person."""

    bmi: Floats
    pressure: Floats
    ldl: Floats
    tg: Floats
    hdl: Floats
    glucose: Floats
    yearly: Floats
    tail_age: Floats
    tail_top: Floats
    a1c: Floats
    stature: Floats
    smoker: Floats
    gain: Floats
    start: Ints
    """Month index of the start of drugs, person x (bp, glucose, lipid)."""


def draw_traits(people: People, truth: Planted, seed: int) -> Traits:
    """Which persistent traits do people have? Correlated normal scores, gamma glucose effect, drug starts by age."""
    rng = stream(seed, "traits")
    n = people.size
    bmi, ldl = rng.standard_normal(n), rng.standard_normal(n)
    pressure = 0.3 * bmi + 0.954 * rng.standard_normal(n)
    tg = 0.35 * bmi + 0.937 * rng.standard_normal(n)
    hdl = -0.42 * tg - 0.2 * bmi + 0.86 * rng.standard_normal(n)
    gamma = rng.gamma(truth.persistent_shape, 1.0, n)
    glucose = (gamma - truth.persistent_shape) / np.sqrt(truth.persistent_shape)
    score = 0.55 * glucose + 0.25 * bmi + 0.8 * rng.standard_normal(n)
    tail_age = _start_age(score, people.male, {s: k.fit("HbA1c", s)["w_tail"] * 0.9 for s in "MF"})
    start = np.empty((n, 3), dtype=np.int64)
    scores = (0.6 * pressure, 0.82 * score, 0.5 * ldl + 0.2 * tg)
    rest = (0.8, 0.45, 0.84)
    for column, (domain, own, noise) in enumerate(zip(k.DOMAINS, scores, rest, strict=True)):
        curves = {sex: np.array(k.MEDICATION[domain, sex]) * 0.85 for sex in "MF"}
        age = _start_age(own + noise * rng.standard_normal(n), people.male, curves)
        start[:, column] = np.where(age < 90, d.month_index(people.birth) + (age * 12).astype(np.int64), NEVER)
    return Traits(
        bmi,
        pressure,
        ldl,
        tg,
        hdl,
        glucose * truth.persistent_sd,
        _autoregressive(n, truth, rng),
        tail_age,
        9 + rng.exponential(32.0, n),
        rng.normal(0, 0.24, n),
        rng.standard_normal(n),
        rng.random(n),
        rng.random(n),
        start,
    )


def _autoregressive(n: int, truth: Planted, rng: np.random.Generator) -> Floats:
    state = rng.normal(0, truth.ar_sd, n)
    years = [state]
    for _ in range(YEARS - 1):
        state = truth.ar_phi * state + rng.normal(0, truth.ar_sd * np.sqrt(1 - truth.ar_phi**2), n)
        years.append(state)
    return np.stack(years, axis=1)


def _start_age(score: Floats, male: NDArray[np.bool_], curves: dict[str, Floats]) -> Floats:
    """At which age does the prevalence curve reach this person? The highest scores start first; 99 = never below 75."""
    order = np.argsort(np.argsort(score, kind="stable"), kind="stable")
    need = 1 - (order + 0.5) / len(score)
    ages = np.concatenate([[28.0], k.CHECKUP_AGES, [75.0]])
    result = np.empty(len(score))
    for sex, chosen in (("M", male), ("F", ~male)):
        curve = np.concatenate([[0.0], curves[sex], [curves[sex][-1] + 0.01]])
        result[chosen] = np.interp(need[chosen], curve, ages, right=99.0)
    return result


def by_age(values: dict[str, Floats], male: NDArray[np.bool_], age: Floats) -> Floats:
    """Which value has a curve given at ages 42.5 ... 72.5 for men and women? Flat outside."""
    curves = {sex: np.interp(age, k.CHECKUP_AGES, values[sex]) for sex in "MF"}
    return np.where(male, curves["M"], curves["F"])


def lognormal(metric: str, male: NDArray[np.bool_], age: Floats, z: Floats) -> Floats:
    """Which value has a shifted-lognormal marker at normal score z?"""
    fits = {sex: k.fit(metric, sex) for sex in "MF"}
    mu, sigma, shift = (by_age({s: fits[s][part] for s in "MF"}, male, age) for part in ("mu", "sigma", "shift"))
    return shift + np.exp(mu + sigma * z)


def measure(
    rows: Ints,
    fy: int,
    month: int,
    effect: Floats,
    people: People,
    traits: Traits,
    truth: Planted,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Which true markers would a fasting checkup show? `effect` is added to FPG (letter, label, calendar)."""
    n = len(rows)
    male = people.male[rows]
    age = (d.month_start(np.array([month]))[0] - people.birth[rows]) / 365.25
    noise = rng.standard_normal((9, n))
    bmi = lognormal("BMI", male, age, 0.975 * traits.bmi[rows] + 0.222 * noise[0])
    z_pressure = 0.86 * traits.pressure[rows] + 0.51 * noise[1]
    sbp = lognormal("SBP", male, age, z_pressure)
    dbp = np.where(male, 80.0, 75.0) + np.where(male, 11.0, 10.7) * (0.75 * z_pressure + 0.66 * noise[2])
    ldl = lognormal("LDL", male, age, 0.85 * traits.ldl[rows] + 0.527 * noise[3])
    tg = np.exp(np.log(np.where(male, 108.0, 80.0)) + 0.5 * (0.8 * traits.tg[rows] + 0.6 * noise[4]))
    hdl = np.where(male, 57.0, 69.0) + np.where(male, 14.0, 15.0) * (0.9 * traits.hdl[rows] + 0.43 * noise[5])
    tail = np.where(
        age >= traits.tail_age[rows], np.minimum(11 + 6 * (age - traits.tail_age[rows]), traits.tail_top[rows]), 0
    )
    tail = tail + np.where(traits.start[rows, 1] <= month, truth.treatment_effect, 0.0)
    personal = 1.2 * (bmi - 23.5) + traits.glucose[rows] + traits.yearly[rows, fy - k.FIRST_FY]
    fpg = LEVEL + truth.male * male + truth.drift_per_year * (age - 55) + personal + tail
    fpg = np.maximum(fpg + effect + truth.error_sd * noise[6], 55.0)
    body = by_age({s: k.fit("HbA1c", s)["mu"] for s in "MF"}, male, age)
    hba1c = body + 0.016 * personal + 0.031 * tail + traits.a1c[rows] + 0.07 * noise[7]
    height = np.where(male, 170.5 - 0.12 * (age - 45), 158.0 - 0.12 * (age - 45)) + 5.6 * traits.stature[rows]
    waist = 2.25 * bmi + np.where(male, 31.3, 29.5) + 3.6 * noise[8]
    return {
        "bmi": bmi,
        "height": height,
        "waist": waist,
        "sbp": sbp,
        "dbp": np.minimum(np.maximum(dbp, 40), sbp - 12),
        "ldl": ldl,
        "tg": np.clip(tg, 25, 1800),
        "hdl": np.maximum(hdl, 22),
        "fpg": fpg,
        "hba1c": np.maximum(hba1c, 4.2),
        "age": age,
        "male": male,
    }
