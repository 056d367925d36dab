"""Property: every design says the same of pandas, polars (lazy too) and DuckDB, and gives frames back alike."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import kenpo_analytics as ka
from kenpo_analytics import evaluation, frames
from kenpo_analytics.errors import FrameKindError, TableError
from kenpo_analytics.evaluation import (
    attrition,
    did,
    did_lost,
    discontinuity,
    doubts,
    falsify,
    improved,
    landmark,
    regression_to_mean,
    states,
    stratified,
    subsets,
    time_series,
    trial,
    weighting,
)
from kenpo_analytics.evaluation.analysis import analysis_set
from kenpo_analytics.evaluation.estimate import Estimate
from kenpo_analytics.evaluation.lab import stratum_cells
from tests.notebook_page import NOTEBOOKS

YEARS = {"programme": (2018, 2019), "before": (2017,), "data_through": 202107}
KINDS: dict[str, Callable[[pl.DataFrame], Any]] = {
    "pandas": pl.DataFrame.to_pandas,
    "lazy": pl.DataFrame.lazy,
    "duckdb": lambda frame: duckdb.sql("select * from frame"),
}


@pytest.fixture(scope="module")
def held() -> dict[str, pl.DataFrame]:
    """The sample's analysis set and what else designs read, in polars."""
    tables = ka.load(NOTEBOOKS.parent / "data" / "sample", month="2025-10")
    made = analysis_set(tables.checkups, tables.members, tables.mailings, **YEARS, definitions=tables.definitions)
    people = states.composite(made.people)
    eligible = subsets.at_letter(subsets.first_letters(people.filter(pl.col("era") == "programme")).filter("eligible"))
    lots = trial.assign(eligible.unique("person_id").select("person_id", "sex"), kind="delay", seed=1, programme="p")
    lots = lots.select("person_id", "stratum", assigned="arm")
    groups = {"group": ["a", "a", "b", "b"], "era": ["before", "programme"] * 2}
    return {
        "people": people,
        "later": people.filter(pl.col("era") == "programme"),
        "main": subsets.restricted(people, "and"),
        "eligible": eligible,
        "drawn": eligible.unique("person_id", maintain_order=True).join(lots, on="person_id"),
        "cells": stratum_cells(eligible),
        "groups": pl.DataFrame({**groups, "events": [10, 30, 12, 14], "persons": [100, 100, 90, 95]}),
        "series": _series(),
        "visits": _visits(people),
    }


def _series() -> pl.DataFrame:
    months = [year * 100 + month for year in (2020, 2021, 2022) for month in range(1, 13)]
    return pl.DataFrame({"month": months, "value": [10 + (i * 7 % 5) + 3 * (i >= 18) for i in range(36)]})


def _visits(people: pl.DataFrame) -> pl.DataFrame:
    months = pl.col("person_id").hash(3) % 12
    state = pl.when(months < 6).then(pl.lit("visited")).otherwise(pl.lit("not_visited"))
    kept = people.filter((pl.col("era") == "programme") & pl.col("eligible"))
    return kept.with_columns(months_to=months.cast(pl.Int64) + 8, state=state)


DESIGNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "did.did": ("main", did.did),
    "did.per_letter": ("main", did.per_letter),
    "did.by_year": ("main", lambda f: did.by_year(f, reference=2017)),
    "did_lost.did_ipcw": ("main", did_lost.did_ipcw),
    "did_lost.tipping": ("main", lambda f: did_lost.tipping(f, deltas=[0.0], imputations=2)),
    "discontinuity.rdd": ("main", discontinuity.rdd),
    "discontinuity.diff_in_disc": ("main", discontinuity.diff_in_disc),
    "discontinuity.bandwidths": ("main", lambda f: discontinuity.bandwidths(f, widths=[8, 9])),
    "discontinuity.placebo_cutoffs": ("main", lambda f: discontinuity.placebo_cutoffs(f, offsets=[-5, 5])),
    "discontinuity.covariate_jumps": ("main", lambda f: discontinuity.covariate_jumps(f, names=["age", "bmi"])),
    "discontinuity.density": ("main", discontinuity.density),
    "weighting.within_eligible": ("eligible", lambda f: weighting.within_eligible(f, design="aipw")),
    "attrition.iptw_ipcw": ("eligible", attrition.iptw_ipcw),
    "attrition.tipping_point": ("eligible", lambda f: attrition.tipping_point(f, deltas=[0.0], imputations=2)),
    "improved.share_difference": ("eligible", lambda f: improved.share_difference(f, "improved")),
    "landmark.landmark": ("visits", landmark.landmark),
    "time_series.interrupted": ("series", lambda f: time_series.interrupted(f, start=202107)),
    "time_series.placebo_dates": ("series", lambda f: time_series.placebo_dates(f, start=202207)),
    "stratified.stratified": ("cells", lambda f: stratified.stratified(f, strata="age_group")),
    "stratified.by_stratum": ("cells", lambda f: stratified.by_stratum(f, strata="age_group")),
    "stratified.misclassified": ("cells", lambda f: stratified.misclassified(f, strata="age_group")),
    "stratified.between_groups": (
        "groups",
        lambda f: stratified.between_groups(f, group="group", era="era", reference="b"),
    ),
    "falsify.falsify": ("people", lambda f: falsify.falsify(f, rule="and")),
    "falsify.placebo_year": ("main", falsify.placebo_year),
    "falsify.placebo_group": ("people", lambda f: falsify.placebo_group(f, "and")),
    "falsify.triple": ("people", lambda f: falsify.triple(f, "and")),
    "doubts.negative_controls": ("main", doubts.negative_controls),
    "doubts.subgroups": ("main", doubts.subgroups),
    "regression_to_mean.naive": ("people", regression_to_mean.naive),
    "regression_to_mean.pseudo_cohort": ("people", regression_to_mean.pseudo_cohort),
    "regression_to_mean.expected": ("people", regression_to_mean.expected),
    "states.composite": ("people", states.composite),
    "states.states": ("people", states.states),
    "states.moves": ("people", states.moves),
    "subsets.first_letters": ("later", subsets.first_letters),
    "subsets.restricted": ("people", lambda f: subsets.restricted(f, "and")),
    "subsets.at_letter": ("people", subsets.at_letter),
    "trial.assign": ("eligible", lambda f: trial.assign(f, kind="delay", seed=1, programme="p", strata=["sex"])),
    "trial.randomised": ("drawn", trial.randomised),
}


def alike(one: Any, other: Any, kind: str) -> None:
    """Estimates are the same record, with the same tables; a frame is pandas for pandas, else polars."""
    if isinstance(one, pl.DataFrame):
        assert isinstance(other, pd.DataFrame if kind == "pandas" else pl.DataFrame)
        theirs = other if kind == "pandas" else frames.to_pandas(other)
        pd.testing.assert_frame_equal(frames.to_pandas(one), theirs, check_dtype=False, check_exact=True)
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            alike(mine, theirs, kind)
    else:
        assert one == other
        if isinstance(one, Estimate):
            assert set(one.diagnostics) == set(other.diagnostics)
            for name, table in one.diagnostics.items():
                assert_frame_equal(table, other.diagnostics[name], check_row_order=False)


@pytest.mark.parametrize("name", DESIGNS)
def test_every_kind_of_frame_gives_the_same_answer(held, name):
    frame, call = DESIGNS[name]
    told = call(held[frame])
    if isinstance(told, Estimate) and name != "falsify.placebo_year":  # there is one year before the letters
        assert told.state == "estimated", told.reason
    for kind, make in KINDS.items():
        alike(told, call(make(held[frame])), kind)


def test_no_function_for_every_kind_is_left_out():
    """What is decorated is tried above, and every design of docs/evaluation.md is among them."""
    found = set()
    for path in Path(evaluation.__file__).parent.glob("[a-z]*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [ast.unparse(one) for one in getattr(node, "decorator_list", [])]
            if "any_frame" in names:
                found.add(f"{path.stem.replace('trial_arms', 'trial')}.{node.name}")
    assert found == set(DESIGNS)
    lines = (NOTEBOOKS.parent / "docs" / "evaluation.md").read_text(encoding="utf-8").splitlines()
    cells = [line.split("|")[2] for line in lines if line.startswith("| ") and line.count("|") == 7]
    named = {name for cell in cells for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", cell)}
    assert len(named) > 10 and named <= found


def test_a_control_series_may_be_of_any_kind_and_what_is_no_frame_is_refused(held):
    series = held["series"]
    other = series.with_columns(value=pl.col("month") % 7 + 5)
    told = time_series.interrupted(series, start=202107, control=other)
    assert told == time_series.interrupted(series.to_pandas(), start=202107, control=other.to_pandas())
    assert told == time_series.interrupted(control=other.lazy(), series=series.to_pandas(), start=202107)
    with pytest.raises(FrameKindError, match="扱えない表の種類です"):
        did.did([1, 2])
    broken = held["main"].to_pandas().astype({"y1": object})
    broken.loc[0, "y1"] = "高い"
    with pytest.raises(TableError, match="種類の違う値"):
        did.did(broken)


def test_the_help_of_a_design_says_so():
    assert all("pandas, polars (lazy too) and DuckDB" in (one.__doc__ or "") for one in (did.did, landmark.landmark))
