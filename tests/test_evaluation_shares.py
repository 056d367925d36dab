"""Shares of the states at the next checkup: denominators, open windows, intervals, on every kind of frame."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from scipy import stats

import kenpo_analytics as ka
from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation import COARSE, value_change

D = dt.date(2022, 6, 1)
# outcome, by FPG, by HbA1c, how many
CELLS = [
    ("improved", "improved", "unchanged", 20),
    ("unchanged", "unchanged", "improved", 50),
    ("worsened", "worsened", None, 15),
    ("treated", "improved", "improved", 5),
    ("not_judged", None, None, 3),
    ("too_early", None, None, 2),
    ("too_late", None, None, 8),
    ("none", None, None, 17),
]


def people(cells=CELLS, day: dt.date = D) -> pl.DataFrame:
    rows = [(day, *cell[:3]) for cell in cells for _ in range(cell[3])]
    schema = {"checkup_date": pl.Date} | dict.fromkeys(("outcome", "fpg_outcome", "hba1c_outcome"), pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row")


def numbers(table: pl.DataFrame, measure: str, among: str) -> dict[str, tuple[int, int]]:
    part = table.filter(measure=measure, among=among)
    return {row["state"]: (row["n"], row["denominator"]) for row in part.to_dicts()}


def test_two_denominators_are_kept_apart(engine) -> None:
    native = ka.outcome_shares(engine(people()))
    assert engine.kind(native) == ("pandas" if engine.name == "pandas" else "polars")
    table = engine.frame(native)
    assert numbers(table, "category", "judged") == {
        "improved": (20, 90), "unchanged": (50, 90), "worsened": (15, 90), "treated": (5, 90)
    }  # fmt: skip
    assert numbers(table, "category", "seen")["not_judged"] == (3, 93)
    assert numbers(table, "category", "closed") == {
        "improved": (20, 120), "unchanged": (50, 120), "worsened": (15, 120), "treated": (5, 120),
        "not_judged": (3, 120), "too_early": (2, 120), "too_late": (8, 120), "none": (17, 120),
    }  # fmt: skip
    assert numbers(table, "category", "all") == {"open": (0, 120)}
    # by value: drug or not; those without the value are no longer judged
    assert numbers(table, "fpg", "judged") == {"improved": (25, 90), "unchanged": (50, 90), "worsened": (15, 90)}
    assert numbers(table, "hba1c", "judged") == {"improved": (55, 75), "unchanged": (20, 75), "worsened": (0, 75)}
    assert numbers(table, "hba1c", "seen")["not_judged"] == (18, 93)


def test_shares_add_up_and_the_interval_is_wilson() -> None:
    table = ka.outcome_shares(people())
    sums = table.filter(pl.col("among") != "all").group_by("measure", "among").agg(pl.col("estimate").sum())
    assert sums["estimate"].to_list() == pytest.approx([1.0] * 9)
    row = table.filter(measure="category", among="closed", state="worsened").row(0, named=True)
    exact = stats.binomtest(15, 120).proportion_ci(0.95, method="wilson")
    assert (row["lower"], row["upper"], row["method"]) == (
        pytest.approx(exact.low),
        pytest.approx(exact.high),
        "wilson",
    )


def test_a_month_that_is_not_over_counts_nobody_even_those_seen_early(engine) -> None:
    late = people([("open", None, None, 4), ("improved", "improved", None, 6)], dt.date(2023, 9, 30))
    later = people([("improved", "improved", None, 1)], dt.date(2023, 10, 1))
    table = engine.frame(ka.outcome_shares(engine(pl.concat([people(), late, later]))))
    assert numbers(table, "category", "judged")["improved"] == (20, 90)
    assert numbers(table, "category", "all") == {"open": (11, 131)}


def test_groups_with_their_unknown_and_states_joined_beforehand(engine) -> None:
    frame = people().with_columns(branch=pl.when(pl.int_range(pl.len()) < 100).then(pl.lit("24")))
    table = engine.frame(ka.outcome_shares(engine(frame), by=["branch"], measures=["category"], combine=COARSE))
    found = table.filter(pl.col("among") == "closed").select("branch", "state", "n").rows()
    assert found == [
        ("24", "improved", 20), ("24", "other_seen", 58), ("24", "worsened", 15), ("24", "outside", 7),
        ("24", "none", 0), (None, "improved", 0), (None, "other_seen", 0), (None, "worsened", 0),
        (None, "outside", 3), (None, "none", 17),
    ]  # fmt: skip


def test_nobody_in_the_denominator_is_null_not_zero() -> None:
    table = ka.outcome_shares(people([("none", None, None, 12)]))
    row = table.filter(measure="category", among="judged", state="improved").row(0, named=True)
    assert (row["n"], row["denominator"], row["estimate"], row["lower"]) == (0, 0, None, None)


def test_what_is_no_state_no_denominator_or_nobody_is_refused() -> None:
    with pytest.raises(EstimateError, match="ない状態です: better"):
        ka.outcome_shares(people(), combine={"x": ["better"]})
    with pytest.raises(EstimateError, match="2つの区分"):
        ka.outcome_shares(people(), combine={"x": ["none"], "y": ["none"]})
    with pytest.raises(EstimateError, match="everyone"):
        ka.outcome_shares(people(), among=["everyone"])
    with pytest.raises(EstimateError, match="1人もいない"):
        ka.outcome_shares(people([]))
    with pytest.raises(EstimateError, match="1 種類"):
        ka.outcome_shares(people([("gone", None, None, 1)]))


def test_mean_change_by_hand(engine) -> None:
    data = {
        "checkup_date": [D] * 5,
        "outcome": ["improved", "treated", "worsened", "none", "improved"],
        "fpg": [118.0, 120.0, 112.0, 115.0, 114.0],
        "next_fpg": [110.0, 100.0, 118.0, 90.0, None],
        "hba1c": [6.2, None, 6.0, 6.1, 6.1],
        "next_hba1c": [6.0, 6.0, None, 6.0, None],
    }
    rows = {(r["measure"], r["time"]): r for r in engine.frame(value_change(engine(data))).to_dicts()}
    change = rows["fpg", "change"]
    assert (change["seen"], change["persons"], change["estimate"]) == (4, 3, pytest.approx(-22 / 3))
    low, high = stats.t.interval(0.95, 2, -22 / 3, stats.sem([-8, -20, 6]))
    assert (change["lower"], change["upper"]) == (pytest.approx(low), pytest.approx(high))
    assert rows["fpg", "index"]["estimate"] == pytest.approx(350 / 3)
    one = rows["hba1c", "change"]
    assert (one["persons"], one["estimate"], one["sd"], one["lower"]) == (1, pytest.approx(-0.2), None, None)
