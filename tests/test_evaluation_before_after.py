"""The naive comparison: points and relative change apart, against published limits; and no effect where none is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation import before_after
from kenpo_analytics.evaluation.before_after import METHOD, difference, relative
from tests.test_evaluation_shares import people


def cohort(improved: int, worsened: int, unchanged: int, none: int = 0) -> pl.DataFrame:
    cells = [("improved", improved), ("worsened", worsened), ("unchanged", unchanged), ("none", none)]
    return people([(state, state if state != "none" else None, None, n) for state, n in cells])


@pytest.mark.parametrize(
    ("k1", "n1", "k0", "n0", "lower", "upper"),
    [  # Newcombe RG (1998) Stat Med 17:873-890, Table II, method 10
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0000),
    ],
)
def test_difference_against_newcombe_1998(k1: int, n1: int, k0: int, n0: int, lower: float, upper: float) -> None:
    found = difference(k1, n1, k0, n0, 0.95)
    assert found["estimate"] == pytest.approx(k1 / n1 - k0 / n0)
    assert (found["lower"], found["upper"]) == (pytest.approx(lower, abs=5e-5), pytest.approx(upper, abs=5e-5))


def test_relative_change_against_the_formula_of_katz() -> None:
    found = relative(30, 120, 45, 150, 0.95)
    ratio = (30 / 120) / (45 / 150)
    spread = 1.959963984540054 * np.sqrt(1 / 30 - 1 / 120 + 1 / 45 - 1 / 150)
    assert found["estimate"] == pytest.approx(ratio - 1)
    limits = (ratio * np.exp(-spread) - 1, ratio * np.exp(spread) - 1)
    assert (found["lower"], found["upper"]) == pytest.approx(limits)
    assert relative(3, 10, 0, 10, 0.95) == {"estimate": None, "lower": None, "upper": None}
    assert relative(0, 10, 5, 10, 0.95) == {"estimate": -1.0, "lower": None, "upper": None}


NOTEBOOK_02 = """
import sys
import kenpo_analytics as ka
from kenpo_analytics import evaluation
from kenpo_analytics.sample import build

build(sys.argv[1], persons=4000)
tables, years = ka.load(sys.argv[1]), {"before": 2017, "programme": 2022}
cohorts = {
    name: ka.prediabetes(tables.checkups, tables.members, fiscal_year=year, branch="24").collect()
    for name, year in years.items()
}
followed = {name: ka.next_checkup(c.people, tables.checkups, data_through=tables.month) for name, c in cohorts.items()}
both = evaluation.stack(followed)
naive = ka.before_after(followed["programme"], followed["before"])
shares = ka.outcome_shares(both, by=["group"])
change = evaluation.value_change(both, by=["group"])
one = ka.table_one(evaluation.baseline(both, tables.checkups), by="group")
options = dict(fiscal_year=2022, reference_year=2017, data_through=tables.month, branch="24", bands=[5])
lines = evaluation.before_after_sensitivity(tables.checkups, tables.members, **options)
assert all(table["lower"].drop_nulls().len() for table in (naive, shares, change, lines)) and len(one)
print([name for name in ("statsmodels", "scipy.stats") if name in sys.modules])
"""


def test_the_numbers_of_notebook_02_do_without_statsmodels_and_scipy_stats(tmp_path: Path) -> None:
    """They cost every kernel 1.8 CPU-s and 213 MB; the tests hold our own limits against theirs."""
    code = [sys.executable, "-c", NOTEBOOK_02, str(tmp_path)]
    done = subprocess.run(code, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_points_and_relative_change_stand_in_rows_of_their_own(engine) -> None:
    native = ka.before_after(engine(cohort(30, 10, 60, 20)), engine(cohort(20, 20, 60, 100)))
    assert engine.kind(native) == ("pandas" if engine.name == "pandas" else "polars")
    table = engine.frame(native).filter(pl.col("measure") == "category", pl.col("outcome") == "improved")
    rows = {(r["among"], r["scale"]): r for r in table.to_dicts()}
    assert set(rows) == {(a, s) for a in ("judged", "closed") for s in ("pp", "relative")}
    assert {r["method"] for r in rows.values()} == {METHOD} == {"単純前後比較"}
    points, change = rows["judged", "pp"], rows["judged", "relative"]
    assert (points["estimate"], points["interval"]) == (pytest.approx(0.30 - 0.20), "newcombe")
    assert (change["estimate"], change["interval"]) == (pytest.approx(0.5), "katz-log")
    closed = rows["closed", "pp"]
    assert (closed["events"], closed["denominator"]) == (30, 120)
    assert (closed["events_reference"], closed["denominator_reference"]) == (20, 200)
    assert closed["estimate"] == pytest.approx(0.25 - 0.10)
    nobody = engine.frame(native).filter(measure="hba1c", among="judged")
    assert nobody["denominator"].to_list() == [0] * 4
    assert nobody.select("share", "estimate", "lower").null_count().row(0) == (4, 4, 4)


def test_a_year_that_is_not_over_is_refused_by_name() -> None:
    waiting = people([("open", None, None, 30)])
    with pytest.raises(EstimateError, match="事業の年度に、次回健診の期間が終わって"):
        before_after(waiting, cohort(1, 1, 8))
    with pytest.raises(EstimateError, match="比較の年度に"):
        before_after(cohort(1, 1, 8), waiting)
    with pytest.raises(EstimateError, match="1人もいません"):
        before_after(cohort(1, 1, 8), people([]))
    with pytest.raises(EstimateError, match="everyone"):
        before_after(cohort(1, 1, 8), cohort(1, 1, 8), among=["everyone"])  # type: ignore[list-item]


def test_picked_for_high_values_people_fall_without_any_programme() -> None:
    """Regression to the mean: within one cohort a large change, between two by the same rule none."""
    rng = np.random.default_rng(20)
    n = 60_000
    own = rng.normal(100, 10, n)
    cohorts = []
    for _ in range(2):
        first, second = own + rng.normal(0, 6, n), own + rng.normal(0, 6, n)
        picked = (first >= 110) & (first < 126)
        moved = second[picked] - first[picked]
        states = np.where(moved < -5, "improved", np.where(moved > 5, "worsened", "unchanged"))
        assert moved.mean() < -3.0
        counts = {state: int((states == state).sum()) for state in ("improved", "worsened", "unchanged")}
        assert counts["improved"] > 2 * counts["worsened"]
        cohorts.append(cohort(*counts.values()))
    naive = before_after(*cohorts).filter(measure="fpg", among="judged", scale="pp")
    assert all(row["lower"] < 0 < row["upper"] for row in naive.to_dicts())
    assert naive["estimate"].abs().max() < 0.02
