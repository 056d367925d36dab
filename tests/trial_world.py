"""Trials to evaluate: on the sample data, with a made-up record of lots from before any letter, and in an own world.

The sample's letters know nothing of these lots (both arms were sent them alike): the true difference of the arms is 0.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import kenpo_analytics as ka
from kenpo_analytics.evaluation import analysis, trial
from kenpo_analytics.evaluation.trial_record import ASSIGNMENT, RECORD

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
FACTS = {
    "programme": "prediabetes_leaflet", "kind": "delay", "seed": 20181228, "strata": ["sex"], "unit": None,
    "ethics_id": "倫理-2018-012", "registration_id": "未取得", "drawn_at": "2018-12-28T09:00:00+09:00",
}  # fmt: skip


def targets(data: Path = SAMPLE) -> pl.DataFrame:
    """Who is inside the rule of 2018: person_id and sex."""
    tables = ka.load(data, month="2025-10")
    made = analysis.analysis_set(
        tables.checkups, tables.members, tables.mailings, programme=[2018], before=[2017], data_through=202503
    )
    return made.people.filter(pl.col("era") == "programme", pl.col("eligible")).select("person_id", "sex")


def data_with_a_trial(folder: Path, **facts: Any) -> Path:
    """The sample by links, a plan whose primary design is the draw, and the folder `trial` of its lots."""
    _linked(folder)
    _draw(folder / "trial", targets(), 20181228, facts)
    return folder


def data_with_draws(folder: Path) -> Path:
    """The same with two draws in `trial`, the second also of thirty people who had an arm from the first."""
    _linked(folder)
    (folder / "trial").mkdir()
    people = targets().sort("person_id")
    half = people.height // 2
    _draw(
        folder / "trial" / "2018-12a", people.head(half + 30), 1, {"seed": 1, "drawn_at": "2018-12-20T09:00:00+09:00"}
    )
    _draw(folder / "trial" / "2018-12b", people.slice(half), 20181228, {})
    return folder


def _linked(folder: Path) -> None:
    folder.mkdir()
    for path in SAMPLE.iterdir():
        if path.name != "protocol.toml":
            (folder / path.name).symlink_to(path)
    plan = (SAMPLE / "protocol.toml").read_text(encoding="utf-8").replace('"did_ancova"', '"randomised"')
    (folder / "protocol.toml").write_text(plan, encoding="utf-8")


def _draw(folder: Path, people: pl.DataFrame, seed: int, facts: dict[str, Any]) -> None:
    assigned = trial.assign(people, kind="delay", seed=seed, programme="prediabetes_leaflet", strata=["sex"])
    folder.mkdir()
    assigned.write_parquet(folder / ASSIGNMENT)
    told = trial.record(assigned, **{**FACTS, **facts})
    (folder / RECORD).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")


# --- a world of its own, in which the effect sits in the checkups -----------------------------------------------------

DRAWS = {dt.date(2022, 6, 1): dt.date(2022, 6, 10), dt.date(2022, 9, 1): dt.date(2022, 9, 10)}
"""The day of each draw, and the day on which its first arm was sent the letter; the other arm waits a year more."""
AGAIN, WORKS_FROM, WAITS = dt.date(2022, 11, 15), 90, 365


@dataclass(frozen=True)
class Tables:
    """What `analysis_set` takes."""

    checkups: pl.DataFrame
    members: pl.DataFrame
    mailings: pl.DataFrame
    lots: pl.DataFrame

    def evaluated(self) -> analysis.AnalysisSet:
        return analysis.analysis_set(
            self.checkups, self.members, self.mailings, programme=[2022], data_through=202406, assignment=self.lots
        )


def world(effect: float, *, seed: int, n: int = 1600) -> Tables:
    """Two draws, three months apart, of people examined in April and May 2022 (FPG 110 to 125), and again a year on.

    FPG = 112 + persistent SD 5 + error SD 4, and `effect` in every checkup at least 90 days after the own letter. Who
    is sent a letter and has a high persistent part is often examined again in November of the same fiscal year, the
    others hardly ever: of the people of the second draw before the letter can have worked.
    """
    rng = np.random.default_rng(seed)
    steady = rng.normal(0, 5, 4 * n)
    first = np.rint(112 + steady + rng.normal(0, 4, 4 * n))
    held = np.flatnonzero((first >= 110) & (first < 126))[:n]
    steady, first, ids = steady[held], first[held], np.arange(1, n + 1)
    now, draw = rng.permutation(n) % 2 == 0, ids % 2
    drawn = [list(DRAWS)[i] for i in draw]
    letters = [DRAWS[day] + dt.timedelta(0 if arm else WAITS) for day, arm in zip(drawn, now, strict=True)]
    again = rng.random(n) < np.where(now & (steady > np.median(steady)), 0.6, 0.05)
    april = [dt.date(2022, 4, 1) + dt.timedelta(int(day)) for day in rng.integers(0, 60, n)]
    rows = [(int(p), 10 * int(p), day, float(y)) for p, day, y in zip(ids, april, first, strict=True)]
    for i, day in enumerate(april):
        dates = [AGAIN] if again[i] else []
        dates += [day.replace(year=2023)] if rng.random() < 0.9 else []
        for visit, date in enumerate(dates, 1):
            works = effect * ((date - letters[i]).days >= WORKS_FROM)
            value = round(112 + steady[i] + rng.normal(0, 4) + works)
            rows.append((int(ids[i]), 10 * int(ids[i]) + visit, date, float(value)))
    checkups = pl.DataFrame(rows, schema=["person_id", "record_id", "checkup_date", "fpg"], orient="row").with_columns(
        received_month=pl.lit(202306), kind=pl.lit("生活習慣病予防健診"), fasting=pl.lit("fasting"), hba1c=pl.lit(6.2),
        height=pl.lit(165.0), bmi=pl.lit(24.0), medication_glucose=pl.lit(False),
    )  # fmt: skip
    people = pl.DataFrame({"person_id": ids, "record_id": 10 * ids, "sent_date": letters})
    members = people.select(
        "person_id", valid_from=dt.date(2010, 4, 1), valid_to=pl.lit(None, pl.Date), sex=pl.lit("M"),
        birth_month=197001, fy_age_base=1969, relationship=pl.lit("insured"), branch=pl.lit("24"),
        municipality=pl.lit("24201"), workplace_id=pl.lit("W1"),
    )  # fmt: skip
    mailings = people.with_columns(
        programme=pl.lit("prediabetes_leaflet"), planned_date="sent_date", status=pl.lit("sent"), rule=pl.lit("and")
    )
    lots = people.select(
        "person_id",
        stratum=pl.Series([f"{i + 1}回目" for i in draw]),
        assigned=pl.Series(np.where(now, "now", "later")),
        drawn_on=pl.Series(drawn),
    )
    return Tables(checkups, members, mailings, lots)
