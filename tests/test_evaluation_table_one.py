"""Table 1: counts, missing, standardised differences, on every kind of frame."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics.errors import EstimateError, TableError
from kenpo_analytics.evaluation import baseline, stack

PEOPLE = {
    "person_id": [1, 2, 3, 4, 5, 6, 7],
    "group": ["a", "a", "a", "b", "b", "b", None],
    "sex": ["M", "M", "F", "M", "F", "F", "M"],
    "fpg": [110.0, 114.0, 118.0, 112.0, None, 120.0, 119.0],
    "smoking": ["yes", None, "no", "past", "no", "no", "yes"],
}


def by_row(table: pl.DataFrame) -> dict[tuple[str, str], dict]:
    return {(row["variable"], row["level"]): row for row in table.to_dicts()}


def test_counts_missing_and_smd_by_hand(engine) -> None:
    native = ka.table_one(engine(PEOPLE), ["sex", "fpg", "smoking"], by="group")
    assert engine.kind(native) == ("pandas" if engine.name == "pandas" else "polars")
    rows = by_row(engine.frame(native))
    assert [rows["persons", "all"][f"n_{g}"] for g in ("a", "b", "unknown")] == [3, 3, 1]
    assert [rows["sex", "M"][f"n_{g}"] for g in ("a", "b", "unknown")] == [2, 1, 1]
    assert rows["sex", "M"]["share_a"] == pytest.approx(2 / 3)
    # Austin (2009): difference over the root of the mean variance; two levels give its size
    assert rows["sex", "M"]["smd"] == pytest.approx((2 / 3 - 1 / 3) / np.sqrt((2 / 9 + 2 / 9) / 2))
    assert rows["sex", "F"]["smd"] is None
    mean = rows["fpg", "mean"]
    assert (mean["n_a"], mean["n_b"], mean["known_b"]) == (3, 2, 2)
    assert (mean["mean_a"], mean["mean_b"]) == pytest.approx((114, 116))
    assert (mean["sd_a"], mean["sd_b"]) == pytest.approx((4, np.sqrt(32)))
    assert mean["sd_unknown"] is None  # one person has no sd
    assert mean["smd"] == pytest.approx(2 / np.sqrt((16 + 32) / 2))
    assert (rows["fpg", "missing"]["n_b"], rows["fpg", "missing"]["share_b"]) == (1, pytest.approx(1 / 3))
    assert rows["smoking", "yes"]["share_a"] == pytest.approx(1 / 2)  # of the two who answered
    assert [key for key in rows if key[0] == "smoking"][:4] == [
        ("smoking", "yes"),
        ("smoking", "past"),
        ("smoking", "no"),
        ("smoking", "missing"),
    ]


def test_levels_and_missing_add_up_to_everybody() -> None:
    rng = np.random.default_rng(3)
    n = 500
    people = pl.DataFrame(
        {
            "group": rng.choice(["x", "y", None], n).tolist(),
            "sex": rng.choice(["M", "F", None], n).tolist(),
            "fpg": np.where(rng.random(n) < 0.1, np.nan, rng.normal(110, 9, n)),
            "smoking": rng.choice(["yes", "no", "past", None], n).tolist(),
        }
    )
    table = ka.table_one(people, by="group")
    sums = table.group_by("variable").agg(pl.col("^n_.*$").sum())
    everybody = table.filter(variable="persons").select("^n_.*$").row(0)
    assert sum(everybody) == n
    assert all(row == everybody for row in sums.select("^n_.*$").rows())
    shuffled = ka.table_one(people.sample(n, shuffle=True, seed=1), by="group")
    assert shuffled.select("variable", "level", "^n_.*$").equals(table.select("variable", "level", "^n_.*$"))


def test_one_group_has_no_smd_and_no_suffix() -> None:
    table = ka.table_one(pl.DataFrame(PEOPLE), ["fpg"])
    assert table.columns == ["variable", "level", "n", "share", "mean", "sd", "known", "smd"]
    assert table.filter(level="mean").row(0)[2:] == (
        6,
        None,
        pytest.approx(115.5),
        pytest.approx(np.std([110, 114, 118, 112, 120, 119], ddof=1)),
        6,
        None,
    )


def test_dates_ids_absent_columns_and_nobody_are_refused() -> None:
    people = pl.DataFrame(PEOPLE).with_columns(day=dt.date(2024, 4, 1))
    for wrong in ("day", "person_id"):
        with pytest.raises(TableError, match="表1に書けない列"):
            ka.table_one(people, [wrong])
    with pytest.raises(TableError, match="weight"):
        ka.table_one(people, ["weight"])
    with pytest.raises(EstimateError, match="1人もいない"):
        ka.table_one(people.head(0), ["fpg"])


def test_it_passes_the_disclosure_check_with_means_though_few_are_missing() -> None:
    n = 60
    people = pl.DataFrame(
        {"group": ["a"] * 30 + ["b"] * 30, "fpg": [None, None, *[110.0 + i % 7 for i in range(n - 2)]]}
    )
    table = ka.table_one(people, by="group")
    checked = ka.check(
        table,
        counts=["n_a", "n_b", "known_a", "known_b"],
        rates={f"{k}_{g}": f"{'n' if k == 'share' else 'known'}_{g}" for k in ("share", "mean", "sd") for g in "ab"},
        plain=["smd"],
        by=["variable", "level"],
        totals={"level": None},
        reasons={"smd": "not_applicable"},
    ).select(["variable", "level", "n_a", "n_b", "mean_a"])
    rows = by_row(checked.table)
    assert rows["fpg", "missing"]["n_a"] is None  # 2 people
    assert rows["fpg", "mean"]["n_a"] is None  # 28 of 30 would give them back
    assert rows["fpg", "mean"]["mean_a"] == pytest.approx(people.filter(group="a")["fpg"].mean())
    assert rows["fpg", "missing"]["n_b"] == 0


def test_baseline_takes_the_index_checkup_once(engine) -> None:
    people = engine({"person_id": [1, 2], "record_id": [11, 22], "fpg": [115.0, 116.0]})
    checkups = {
        "record_id": [11, 11, 22, 33],
        "person_id": [1, 1, 2, 1],
        "fpg": [90.0, 90.0, 91.0, 92.0],
        "bmi": [24.5, 24.5, None, 30.0],
    }
    found = engine.frame(baseline(people, engine(checkups), ["fpg", "bmi"])).sort("person_id")
    assert found.select("person_id", "fpg", "bmi").rows() == [(1, 115.0, 24.5), (2, 116.0, None)]
    checkups["bmi"][1] = 25.0
    with pytest.raises(TableError, match="1件"):
        baseline(people, engine(checkups), ["bmi"])


def test_stack_names_groups_and_fills_what_one_lacks(engine) -> None:
    both = stack({"before": engine({"person_id": [1], "a": [1.5]}), "after": engine({"person_id": [2], "b": ["x"]})})
    assert engine.kind(both) == engine.name
    assert sorted(engine.frame(both).select("person_id", "a", "b", "group").rows()) == [
        (1, 1.5, None, "before"),
        (2, None, "x", "after"),
    ]
    with pytest.raises(TableError, match="group"):
        stack({"x": engine({"group": ["y"]})})
