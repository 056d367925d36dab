"""Counts that stand in several tables of one page: none of 1 to 9 people may come out of two of them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kenpo_analytics.disclosure import Checked, check_diagnostics, check_estimates
from kenpo_analytics.evaluation.background import cells as background_cells
from kenpo_analytics.evaluation.did import did
from kenpo_analytics.evaluation.estimate import Estimate, as_rows
from kenpo_analytics.evaluation.suite import Choice
from tests.simulation.worlds import Truth, world

BASE = Estimate("randomised", "無作為割付", "E", "A", estimate=-2.0, lower=-3.0, upper=-1.0)
ORDER = {"drawn": ("n", "observed", "letters", "mixed", "late"), "n": ("observed", "letters", "mixed"),
         "observed": ("mixed",), "letters": ("mixed",)}  # fmt: skip
PARTS = [(part, whole) for whole, parts in ORDER.items() for part in parts]


def page(*rows: tuple[int, ...], more: tuple[Estimate, ...] = ()) -> tuple[Checked, Checked]:
    """Arms and estimates as a page shows them; a row: drawn, late, n, observed, letters, mixed."""
    arms = pl.DataFrame(rows, schema=["drawn", "late", "n", "observed", "letters", "mixed"], orient="row").with_columns(
        assigned=pl.Series(["now", "later"]), label=pl.Series(["先に送る", "後で送る"])
    )
    arms = arms.with_columns(without=pl.col("drawn") - pl.col("late") - pl.col("n"))
    one = replace(BASE, persons=rows[0][3], compared=rows[1][3], diagnostics={"arms": arms})
    estimates = check_estimates(as_rows([one, *more]), by=["design"], main={"design": "randomised"})
    return check_diagnostics({"arms": arms})["arms"], estimates


@st.composite
def arm(draw: st.DrawFn) -> tuple[int, ...]:
    """drawn = late + n + a few without a checkup; gaps are often small."""
    gap = st.sampled_from([0, 1, 4, 9, 10, 30])
    n = draw(st.integers(60, 140))
    observed, letters = n - draw(gap), n - draw(gap)
    late = draw(gap)
    return n + late + draw(gap), late, n, observed, letters, max(min(observed, letters) - draw(gap), 0)


@settings(max_examples=150, deadline=None)
@given(first=arm(), second=arm())
def test_no_two_shown_numbers_of_an_arm_and_its_estimate_are_a_few_people_apart(first, second) -> None:
    arms, estimates = page(first, second)
    counts = estimates.table.row(0, named=True)
    for true, row, seen in zip(
        (first, second), arms.table.to_dicts(), (counts["persons"], counts["compared"]), strict=True
    ):
        for part, whole in PARTS:
            assert None in (row[part], row[whole]) or not 1 <= row[whole] - row[part] < 10
        excluded = [row[name] for name in ("late", "without")]
        assert not any(value is not None and 1 <= value < 10 for value in excluded)
        numbers = [row["drawn"], *excluded, row["n"]]  # drawn is the sum: one hidden number of the four would come out
        assert numbers.count(None) != 1
        for name, part in itertools.product(("late", "without"), ("n", "observed", "letters", "mixed")):
            rest = None if None in (row["drawn"], row[name]) else row["drawn"] - row[name]
            assert None in (rest, row[part]) or not 1 <= rest - row[part] < 10
        for whole in ("n", "drawn"):
            assert None in (seen, row[whole]) or not 1 <= row[whole] - seen < 10
        if row["n"] is None:
            assert all(row[name] is None or not true[2] - row[name] < 10 for name in ("observed", "letters", "mixed"))
        if row["observed"] is None:
            assert seen is None
            assert row["mixed"] is None or not 1 <= true[3] - row["mixed"] < 10  # nor by a bound
        else:
            assert seen == row["observed"]
    assert counts["estimate"] == -2.0  # of many people: shown


@pytest.mark.parametrize(
    ("first", "masked"),
    [
        ((120, 0, 120, 100, 120, 0), set()),
        ((120, 0, 120, 116, 120, 60), {"observed", "persons"}),  # (a) 116 stood among the estimates
        ((120, 0, 120, 116, 120, 115), {"observed", "persons", "mixed"}),  # (b) 115 and 120 leave 0 to 5 unseen
        ((120, 4, 116, 100, 114, 50), {"late", "n", "letters"}),  # (c) 114 and 120 leave 0 to 6 late
        ((120, 4, 116, 113, 100, 50), {"late", "n", "observed", "persons"}),
        ((120, 30, 86, 84, 60, 40), {"n", "observed", "persons"}),  # 120 less 30 late: four have no checkup
    ],
)
def test_what_is_masked_takes_along_what_would_tell_it(first, masked) -> None:
    arms, estimates = page(first, (220, 0, 220, 180, 0, 0))
    row = {**arms.table.row(0, named=True), "persons": estimates.table["persons"][0]}
    names = ("drawn", "late", "n", "observed", "letters", "mixed", "persons")
    assert {name for name in names if row[name] is None} == masked
    assert estimates.table["compared"][0] == 180 and arms.table.row(1, named=True)["observed"] == 180


def test_another_design_of_nearly_the_same_people_does_not_give_them_back() -> None:
    others = tuple(
        Estimate(f"other_{n}", "別の設計", "E", "A", estimate=1.0, lower=0.0, upper=2.0, persons=n, compared=500)
        for n in (116, 112, 140)
    )
    _, estimates = page((120, 0, 120, 116, 120, 60), (220, 0, 220, 180, 0, 0), more=others)
    assert estimates.table["persons"].to_list() == [None, None, None, 140]


@pytest.fixture(scope="module")
def designs() -> dict[int, tuple[pl.DataFrame, Estimate]]:
    """The difference-in-differences of a world where so many people of the mailed band are not seen again."""
    people = world([7, 7], Truth(), n=3000)
    ours = people.filter(pl.col("era") == "programme", pl.col("y0").is_between(110, 125))["person_id"]
    found = {}
    for lost in (0, 4, 12):
        gone = pl.when(~pl.col("person_id").is_in(ours.head(lost).implode())).then("y1")
        frame = people.with_columns(y1=gone)
        found[lost] = frame, did(frame, high=(110, 125), low=(100, 109))
    return found


@pytest.mark.parametrize("lost", [0, 4, 12])
def test_the_bands_do_not_tell_few_lost_people_beside_flow_estimates_and_background(designs, lost) -> None:
    """Those seen again stand in the flow and among the estimates: with a few lost, n is what is masked."""
    frame, one = designs[lost]
    choice = Choice((2022,), (2022,), (2017,), "or", high=(110, 125), low=(100, 109))
    tables = {"bands": one.diagnostics["bands"], "cells": background_cells(frame, choice)}
    shown = check_diagnostics(tables)
    bands = shown["bands"].table
    ours = bands.filter(era="programme", high=True).row(0, named=True)
    counts = check_estimates(as_rows([one]), by=["design"]).table.row(0, named=True)
    assert counts["persons"] == ours["observed"] == one.persons
    cells = shown["cells"].table.filter(pl.col("item") == "persons")
    wholes = [*bands.filter(era="programme")["n"], *cells["n_one"], ours["letters"]]
    assert (None in wholes) == (lost == 4)
    numbers = [ours["n"], cells["n_one"][0], ours["letters"], ours["observed"], counts["persons"]]
    for a, b in itertools.combinations([number for number in numbers if number is not None], 2):
        assert not 1 <= abs(a - b) < 10
    if lost == 4:
        assert bands.filter(era="programme")["n"].null_count() == 2  # both: the flow says their sum
        assert ours["seen"] is None and ours["change"] is not None
    assert bands.filter(era="before")["n"].null_count() == 0
