"""Funnel, shrinkage and rank intervals on the rows of an index, and against the planted truth of the sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.regional import (
    branch_cells,
    branch_years,
    contribution_changes,
    funnel,
    index_change,
    ranks,
    regional_index,
    shrunken,
    standardised_rate,
    total_of,
)
from kenpo_analytics.stats import poisson

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
TRUTH = json.loads((SAMPLE / "truth.json").read_text(encoding="utf-8"))["out_of_hours"]


def world(areas: int = 12, seed: int = 1, scale: float = 1.0) -> pl.DataFrame:
    """Towns of different size with repeat visitors; the last two are 県外 and 不明."""
    rng = np.random.default_rng([20261123, seed])
    names = [f"24{i:03}" for i in range(201, 199 + areas)] + ["県外", "不明"]
    rows = []
    for i, area in enumerate(names):
        for age, rate in (("00-04", 0.5), ("20-24", 0.1), ("40-44", 0.06)):
            months = scale * 600 * (1 + i % 5) ** 2
            visitors = rng.poisson(months / 12 * rate * (1.5 if i == 3 else 1.0))
            each = rng.geometric(0.7, size=visitors)
            rows.append((area, "first", age, int(each.sum()), int((each**2).sum()), visitors, float(months)))
    columns = ["area", "visit_type", "age_band", "events", "events_sq", "persons", "denominator"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def index_of(cells: pl.DataFrame, **options: Any) -> Any:
    return regional_index(cells, total_of(cells), visit_type="first", **options)


@pytest.mark.parametrize("method", ["direct", "indirect"])
def test_effective_counts_have_the_ratio_and_the_precision_of_the_interval(method: str) -> None:
    """Their exact Poisson interval is the compound one of the index (indirect), or close to it (direct, weighted)."""
    rows = index_of(world(scale=20), method=method).rows
    ratio = rows["effective_events"] / rows["effective_expected"]
    assert ratio.to_list() == pytest.approx((rows["estimate"] + 1).to_list(), rel=1e-12)
    assert (rows["effective_expected"] < rows["expected"]).all()
    found = poisson.exact(rows["effective_events"]).scaled(1 / rows["effective_expected"].to_numpy())
    tolerance = 1e-9 if method == "indirect" else 0.01
    np.testing.assert_allclose(found.lower, rows["lower_repeat"] + 1, rtol=tolerance)
    np.testing.assert_allclose(found.upper, rows["upper_repeat"] + 1, rtol=tolerance)


def test_without_sums_of_squares_they_are_the_counts_themselves() -> None:
    rows = index_of(world().drop("events_sq"), method="indirect").rows
    assert rows["effective_events"].to_list() == pytest.approx(rows["events"].to_list())
    assert rows["effective_expected"].to_list() == pytest.approx(rows["expected"].to_list())


def test_an_area_without_visits_expects_as_many_as_the_standards_repetition_says() -> None:
    cells = world().with_columns(
        pl.when(pl.col("area") == "24202").then(0).otherwise(pl.col(name)).alias(name)
        for name in ("events", "events_sq", "persons")
    )
    row = index_of(cells, method="indirect").rows.filter(pl.col("area") == "24202").row(0, named=True)
    jump = cells["events_sq"].sum() / cells["events"].sum()
    assert row["effective_events"] == 0
    assert row["effective_expected"] == pytest.approx(row["expected"] / jump)


def test_all_three_add_columns_to_the_same_rows_of_the_same_kind(engine: Any) -> None:
    cells = world()
    index = index_of(engine(cells), method="indirect")
    judged = ranks(shrunken(funnel(index)))
    assert type(judged.rows) is type(index.rows)
    assert isinstance(judged.rows, pd.DataFrame if engine.name == "pandas" else pl.DataFrame)
    rows = engine.frame(judged.rows)
    before = engine.frame(index.rows)
    assert rows.select(before.columns).equals(before)
    outside = rows.filter(pl.col("area").is_in(["県外", "不明"]))
    added = [name for name in rows.columns if name not in before.columns]
    assert len(added) == 17 and all(outside[name].null_count() == 2 for name in added)
    inside = rows.filter(pl.col("rank").is_not_null())
    assert inside.select(added).null_count().sum_horizontal().item() == 0
    hot = rows.filter(pl.col("area") == "24204").row(0, named=True)
    assert hot["funnel_z"] == inside["funnel_z"].max() > 2
    assert 0 < hot["shrunk"] < hot["estimate"]
    assert inside["p_worst"].sum() == pytest.approx(10)
    # the order is that of the areas, not of the rows
    again = shrunken(index_of(cells.reverse(), method="indirect")).rows.drop_nulls("shrunk").sort("area")
    assert again["shrunk"].to_list() == pytest.approx(inside.sort("area")["shrunk"].to_list(), rel=1e-9)


def test_the_flag_is_the_limit_and_the_centre_may_be_the_standard() -> None:
    index = index_of(world(seed=2), method="indirect")
    for centre in (None, 0.0):
        rows = funnel(index, level=0.95, centre=centre).rows.filter(pl.col("rank").is_not_null())
        outside = (rows["estimate"] < rows["funnel_lower"]) | (rows["estimate"] > rows["funnel_upper"])
        assert outside.to_list() == (rows["funnel_z"].abs() > 1.959964).to_list()
    assert set(rows["funnel_centre"]) == {0.0}
    assert set(rows["funnel_level"]) == {0.95}


def test_every_level_has_limits_of_its_own() -> None:
    index = index_of(world(), method="indirect", level=(0.8, 0.95))
    rows = ranks(shrunken(index), worst=3).rows.filter(pl.col("rank").is_not_null())
    narrow, wide = (rows.filter(pl.col("level") == level) for level in (0.8, 0.95))
    assert (wide["shrunk_upper"] > narrow["shrunk_upper"]).all()
    assert (wide["rank_upper"] >= narrow["rank_upper"]).all()
    assert narrow["p_worst"].sum() == pytest.approx(3)
    assert narrow["shrunk"].to_list() == wide["shrunk"].to_list()


def test_a_second_call_replaces_the_first() -> None:
    index = index_of(world(), method="indirect")
    both = ranks(ranks(index), method="bootstrap")
    assert set(both.rows["rank_method"].drop_nulls()) == {"bootstrap"}
    assert both.rows.columns == ranks(index).rows.columns


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(EstimateError, match="5以上の地域"):
        shrunken(index_of(world(areas=6), method="indirect"))
    with pytest.raises(EstimateError, match="方法が不明"):
        ranks(index_of(world()), method="delta")  # type: ignore[arg-type]


# --- the planted truth ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def national() -> pl.DataFrame:
    return pl.read_parquet(SAMPLE / "national.parquet")


@pytest.mark.parametrize("kind", ["first", "return"])
@pytest.mark.parametrize("method", ["posterior", "bootstrap"])
def test_planted_ranks_and_indices_of_the_47_branches_are_recovered(national: Any, kind: str, method: Any) -> None:
    cells = branch_cells(national, fiscal_year=2024)
    rows = ranks(shrunken(regional_index(cells, total_of(cells), visit_type=kind)), method=method).rows
    planted = TRUTH["branches"][f"out_of_hours_{kind}"]
    truth = pl.DataFrame({"area": list(planted), "place": [planted[a]["rank"] for a in planted],
                          "index": [planted[a]["index_minus_1"] for a in planted]})  # fmt: skip
    rows = rows.join(truth, on="area", validate="1:1")
    within = rows["place"].is_between(rows["rank_lower"], rows["rank_upper"])
    assert within.sum() >= 43  # 47 intervals at 95 %: fewer about once in 50 worlds
    assert rows["index"].is_between(rows["shrunk_lower"], rows["shrunk_upper"]).sum() >= 41
    assert (rows["rank_upper"] - rows["rank_lower"]).mean() > 2
    mie = rows.filter(pl.col("area") == "24").row(0, named=True)
    assert mie["rank_lower"] <= mie["place"] <= mie["rank_upper"]


def test_the_years_that_can_be_put_in_a_row(national: pl.DataFrame) -> None:
    assert branch_years(national, through=2024) == [2022, 2023, 2024]
    assert branch_years(national, through=2024, count=2) == [2023, 2024]
    assert branch_years(national, through=2023) == [2022, 2023]
    half = national.filter((pl.col("period") != "FY2023") | (pl.col("measure") == "out_of_hours_first"))
    assert branch_years(half, through=2024) == [2022, 2024]


# --- rates and shares -----------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["lowest", "highest"])
def test_ranks_of_shares_have_intervals_that_cover(engine: Any, first: Any) -> None:
    """47 branches of 2,000 to 20,000 people, a share of 15 % that truly varies by 1.5 points."""
    rng = np.random.default_rng([20261123, 5])
    truth = 0.15 + rng.normal(0, 0.015, 47)
    size = rng.integers(2_000, 20_000, 47)
    cells = pl.DataFrame({
        "area": [f"{i + 1:02}" for i in range(47)], "age_band": "40-44",
        "events": rng.binomial(size, truth), "denominator": size.astype(float),
    })  # fmt: skip
    found = standardised_rate(engine(cells), engine(total_of(cells)), kind="share", first=first)
    judged = ranks(found)
    assert type(judged) is type(found)
    rows = engine.frame(judged).sort("area")
    place = (truth if first == "lowest" else -truth).argsort().argsort() + 1
    within = (rows["rank_lower"].to_numpy() <= place) & (place <= rows["rank_upper"].to_numpy())
    assert within.sum() >= 42
    rate = rows["effective_events"] / rows["effective_denominator"]
    assert rate.to_list() == pytest.approx(rows["estimate"].to_list())
    # of a share the error is sqrt(p (1 - p) / n), smaller than that of a Poisson count
    assert (rows["effective_events"].to_numpy() ** -0.5 * rows["estimate"].to_numpy()) == pytest.approx(
        np.sqrt(rows["estimate"] * (1 - rows["estimate"]) / size).to_numpy()
    )
    worst = rows.filter(pl.col("p_worst") > 0.99)["estimate"]
    middle = rows["estimate"].median()
    assert len(worst) and ((worst > middle) if first == "lowest" else (worst < middle)).all()


def _year(first: int, again: int, hours: str, squares: float = 1.0) -> pl.DataFrame:
    """One area, one age, one class: visits of both types, each of another person times `squares`."""
    return pl.DataFrame(
        {
            "area": "24", "age_band": "00-04", "hours": hours, "visit_type": ["first", "return"],
            "events": [first, again], "events_sq": [squares * first, squares * again],
            "persons": [first, again], "denominator": 12_000.0,
        }
    )  # fmt: skip


def test_a_change_between_two_small_counts_holds_the_chance_of_both() -> None:
    now, before = (_year(n, 0, "holiday").filter(pl.col("visit_type") == "first") for n in (110, 100))
    row = index_change(now, before).row(0, named=True)
    half = 1.959964 * np.sqrt(1 / 110 + 1 / 100)  # the log of a ratio of two Poisson counts
    assert row["estimate"] == pytest.approx(0.1)
    assert [row["lower"], row["upper"]] == pytest.approx([1.1 * np.exp(-half) - 1, 1.1 * np.exp(half) - 1], abs=1e-6)
    twice = (each.with_columns(events_sq=4 * pl.col("events")) for each in (now, before))
    wide = index_change(*twice).row(0, named=True)
    assert np.log(1 + wide["upper"]) - np.log(1.1) == pytest.approx(2 * half, abs=1e-6)


def test_class_contributions_add_up_and_carry_the_chance_of_both_years() -> None:
    now = pl.concat([_year(60, 50, "holiday"), _year(30, 20, "late_night")])
    before = pl.concat([_year(40, 50, "holiday"), _year(35, 25, "late_night")])
    rows = contribution_changes(now, before, by=("hours", "visit_type"))
    assert rows["contribution"].sum() == pytest.approx(160 / 150 - 1)
    one = rows.row(by_predicate=(pl.col("hours") == "holiday") & (pl.col("visit_type") == "first"), named=True)
    c = 20 / 150
    half = 1.959964 * np.sqrt(60 + 40 * (1 + 2 * c) + c * c * 150) / 150
    assert [one["contribution"], one["lower"], one["upper"]] == pytest.approx([c, c - half, c + half], abs=1e-6)
    again = contribution_changes(now.sample(fraction=1, shuffle=True, seed=1), before, by=("hours", "visit_type"))
    assert again.equals(rows)
