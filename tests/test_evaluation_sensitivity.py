"""The same naive numbers under other rules and dead bands."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics.evaluation import before_after_sensitivity

THROUGH = 202503


def checkups() -> pl.DataFrame:
    """Two years of index checkups with the next one a year later; FPG in whole steps, HbA1c beside it."""
    rng = np.random.default_rng(8)
    rows = []
    for person in range(600):
        year = 2017 if person < 300 else 2022
        fpg, hba1c = 104 + rng.integers(0, 22), round(5.6 + 0.1 * rng.integers(0, 9), 1)
        later = fpg + rng.integers(-14, 15), round(hba1c + 0.1 * rng.integers(-4, 5), 1)
        rows.append((person, 2 * person, dt.date(year, 6, 1), float(fpg), hba1c))
        rows.append((person, 2 * person + 1, dt.date(year + 1, 6, 1), float(later[0]), later[1]))
    names = {
        "person_id": pl.Int64,
        "record_id": pl.Int64,
        "checkup_date": pl.Date,
        "fpg": pl.Float64,
        "hba1c": pl.Float64,
    }
    fixed = {"received_month": 202401, "kind": "生活習慣病予防健診", "fasting": "fasting", "medication_glucose": False}
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.lit(v).alias(k) for k, v in fixed.items())


def test_every_line_is_what_the_single_comparison_gives(engine) -> None:
    native = before_after_sensitivity(
        engine(checkups()), None, fiscal_year=2022, reference_year=2017, data_through=THROUGH
    )
    assert engine.kind(native) == ("pandas" if engine.name == "pandas" else "polars")
    table = engine.frame(native)
    assert len(table) == 2 * (2 + 3) * 2
    assert table["label"].unique(maintain_order=True).to_list()[:5] == [
        "「及び」 区分",
        "「及び」 HbA1cの値",
        "「及び」 空腹時血糖の値±3mg/dL",
        "「及び」 空腹時血糖の値±5mg/dL",
        "「及び」 空腹時血糖の値±10mg/dL",
    ]
    frame = checkups()
    seen = {
        year: ka.next_checkup(
            ka.prediabetes(frame, fiscal_year=year, rule="or").people,
            frame,
            data_through=THROUGH,
            dead_band={"fpg": 10},
        )
        for year in (2022, 2017)
    }
    single = ka.before_after(seen[2022], seen[2017], among=["seen"]).filter(measure="fpg", scale="pp")
    line = table.filter(rule="or", measure="fpg", dead_band=10.0)
    columns = ["outcome", "estimate", "lower", "upper", "events", "denominator", "events_reference"]
    for mine, theirs in zip(line.select(columns).rows(), single.select(columns).rows(), strict=True):
        assert mine[0] == theirs[0]
        assert mine[1:] == pytest.approx(theirs[1:])


def test_a_wider_band_moves_nobody_into_a_change() -> None:
    table = before_after_sensitivity(
        checkups(), None, fiscal_year=2022, reference_year=2017, data_through=THROUGH, rules=["or"]
    ).filter(measure="fpg")
    for outcome in ("improved", "worsened"):
        events = table.filter(outcome=outcome).sort("dead_band")["events"].to_list()
        assert events[0] > events[1] > events[2] > 0
    assert table["denominator"].n_unique() == 1


def test_the_band_in_force_always_stands_among_the_bands() -> None:
    used = ka.define(overrides={"next_checkup.dead_band.fpg": 7})
    options = {"fiscal_year": 2022, "reference_year": 2017, "data_through": THROUGH, "rules": ["or"]}
    table = before_after_sensitivity(checkups(), None, **options, definitions=used)
    assert sorted(table["dead_band"].drop_nulls().unique()) == [3.0, 5.0, 7.0, 10.0]
    asked = before_after_sensitivity(checkups(), None, **options, bands=[4], definitions=used)
    assert asked["dead_band"].drop_nulls().unique().to_list() == [4.0]
