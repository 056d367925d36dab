"""A trial on the sample data whose lots were drawn, by its record, before any letter: only a made-up record has that.

The sample's letters know nothing of these lots (both arms were sent them alike): the true difference of the arms is 0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
