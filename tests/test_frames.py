"""The seam: what comes in, in which type, and what goes back."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics import frames
from kenpo_analytics.errors import TableError
from kenpo_analytics.tables import CHECKUPS
from tests import edge_people

D = dt.date(2024, 4, 1)


def entered(frame, *columns, optional=()):
    return frames.collect(frames.enter(frame, CHECKUPS, columns, optional=optional))


def test_nan_is_null_on_every_kind(engine):
    frame = engine({"person_id": [1, 2], "fpg": [float("nan"), 100.0]})
    assert entered(frame, "person_id", "fpg").sort("person_id")["fpg"].to_list() == [None, 100.0]


def test_absent_optional_columns_become_null_in_their_type(engine):
    found = entered(engine({"person_id": [1]}), "person_id", optional=("checkup_date", "medication_bp"))
    assert found.schema == {"person_id": pl.Int64, "checkup_date": pl.Date, "medication_bp": pl.Boolean}


def test_single_precision_keeps_its_decimals(engine):
    frame = engine(pl.DataFrame({"person_id": [1, 2], "hba1c": pl.Series([8.4, 6.45], dtype=pl.Float32)}))
    assert entered(frame, "person_id", "hba1c").sort("person_id")["hba1c"].to_list() == [8.4, 6.45]


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_a_day_in_a_time_zone_is_not_guessed(kind):
    frame = pl.DataFrame({"person_id": [1], "checkup_date": [dt.datetime(2024, 4, 1)]}).with_columns(
        pl.col("checkup_date").dt.replace_time_zone("Asia/Tokyo")
    )
    with pytest.raises(TableError, match="checkup_date の型が違います"):
        entered(frame.to_pandas() if kind == "pandas" else frame, "person_id", "checkup_date")


@pytest.mark.parametrize(
    "values",
    [
        [D, D],
        pd.to_datetime([D, D]),
        pd.array([D, D], dtype="date32[pyarrow]"),
        pd.to_datetime([D, D]).astype("datetime64[s]"),
    ],
    ids=["object", "datetime64", "arrow", "seconds"],
)
def test_pandas_dates_go_back_as_they_came(values):
    checkups, members = (frame.to_pandas() for frame in edge_people.frames())
    checkups = checkups[checkups["person_id"].isin([1, 3])].assign(checkup_date=values)
    people = ka.prediabetes(checkups, members, fiscal_year=2024).people
    assert len(people) == 2
    assert len(people.merge(checkups, on=["person_id", "checkup_date"])) == 2
    assert people["checkup_date"].dtype == checkups["checkup_date"].dtype


@pytest.mark.parametrize("dtype", ["int8", "int64", "Int64", "int64[pyarrow]", "string", "object"])
def test_pandas_ids_of_every_type(dtype):
    checkups, members = (frame.to_pandas() for frame in edge_people.frames())
    text = dtype in ("string", "object")
    checkups, members = (
        frame.assign(person_id=frame["person_id"].astype(str if text else "int64").astype(dtype))
        for frame in (checkups, members)
    )
    people = ka.prediabetes(checkups, members, fiscal_year=2024).people
    assert len(people) == sum(person[5] == "in" for person in edge_people.PEOPLE)
    assert people["person_id"].dtype == checkups["person_id"].dtype


def test_categories_are_text(engine):
    checkups, members = edge_people.frames()
    coded = checkups.with_columns(pl.col("kind", "fasting").cast(pl.Categorical))
    people = ka.prediabetes(engine(coded), engine(members), fiscal_year=2024).people
    assert len(engine.frame(people)) == sum(person[5] == "in" for person in edge_people.PEOPLE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(checkup_date=["2024-06-15"] * len(f)), "checkup_date の型"),
        (lambda f: f.assign(checkup_date=[D, *["x"] * (len(f) - 1)]), "checkup_date に種類の違う値"),
        (lambda f: f.assign(fpg=["100"] * len(f)), "fpg の型"),
        (lambda f: f.assign(person_id=np.full(len(f), 2**63 + 1, dtype=np.uint64)), "符号なし64ビット"),
        (lambda f: f.assign(person_id=np.full(len(f), 1.5)), "桁が失われています"),
        (lambda f: pd.concat([f, f[["fpg"]]], axis=1), "同じ名前の列があります: fpg"),
    ],
)
def test_what_would_have_to_be_guessed_is_refused(change, message):
    with pytest.raises(TableError, match=message):
        ka.prediabetes(change(edge_people.frames()[0].to_pandas()), fiscal_year=2024)
