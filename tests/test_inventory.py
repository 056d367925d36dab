"""What is loaded: rows, months, missing and implausible values, completeness, on a folder counted by hand."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics.months import add_months
from kenpo_analytics.store import load

I32 = pl.Int32


def write(folder: Path, months: int = 30) -> None:
    """30 checkups and 40 claims a month from 2022-04, received a month later; some values missing or impossible."""
    first = [add_months(202204, i) for i in range(months)]
    days = [dt.date(m // 100, m % 100, 10) for m in first for _ in range(30)]
    checkups = pl.DataFrame(
        {
            "record_id": range(30 * months),
            "person_id": [n % 300 for n in range(30 * months)],
            "checkup_date": days,
            "received_month": pl.Series([add_months(m, 1) for m in first for _ in range(30)], dtype=I32),
            "kind": "生活習慣病予防健診",
            "fpg": [None if n % 30 == 0 else 5.5 if n % 30 == 1 else 100.0 for n in range(30 * months)],
        }
    )
    claims = pl.DataFrame(
        {
            "claim_id": range(40 * months),
            "person_id": [n % 300 for n in range(40 * months)],
            "treatment_month": pl.Series([m for m in first for _ in range(40)], dtype=I32),
            "received_month": pl.Series([add_months(m, 1) for m in first for _ in range(40)], dtype=I32),
            "status": "normal",
            "kind": "入院外",
        }
    )
    stretch = {"valid_from": dt.date(2022, 4, 1), "valid_to": None, "sex": "F", "birth_month": 197004}
    stretch |= {"fy_age_base": 1970, "relationship": "insured", "branch": "24", "municipality": "24201"}
    members = pl.DataFrame([{"person_id": n} | stretch for n in range(300)], schema_overrides={"valid_to": pl.Date})
    fees = pl.DataFrame(
        schema={"claim_id": pl.Int64, "person_id": pl.Int64, "institution": pl.String, "treatment_month": I32}
        | {"received_month": I32, "status": pl.String, "code": pl.String, "day": pl.Int8, "count": pl.Int8}
    )
    for name, frame in {"checkups": checkups, "claims": claims, "members": members, "claim_fees": fees}.items():
        frame.write_parquet(folder / f"{name}.parquet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data")
    write(path)
    return path


def row(frame: pl.DataFrame, **where: object) -> dict:
    return frame.filter(**where).row(0, named=True)


def test_rows_people_and_months(folder: Path) -> None:
    found = ka.overview(load(folder))
    assert found.month == 202410
    loaded = row(found.tables, table="checkups")
    assert (loaded["rows"], loaded["persons"]) == (900, 300)
    assert (loaded["first_month"], loaded["last_month"], loaded["last_received"]) == (202204, 202409, 202410)
    assert row(found.tables, table="members")["first_month"] is None
    absent = row(found.tables, table="mailings")
    assert (absent["rows"], absent["persons"]) == (None, None)
    fees = row(found.tables, table="claim_fees")
    assert (fees["rows"], fees["first_month"]) == (0, None)


def test_missing_and_implausible_values_as_the_checks_count_them(folder: Path) -> None:
    found = ka.overview(load(folder))
    fpg = row(found.columns, table="checkups", column="fpg")
    assert (fpg["rows"], fpg["missing"], fpg["judged"], fpg["out_of_range"]) == (900, 30, 870, 30)
    assert fpg["missing_share"] == pytest.approx(30 / 900)
    assert row(found.columns, table="checkups", column="person_id")["out_of_range"] is None  # no range declared
    assert found.violations.rows() == [("checkups", "fpg", "range", "想定する範囲の外", "warning", 30, 870)]
    assert row(found.columns, table="claim_fees", column="code")["missing_share"] is None  # no rows


def test_coverage_by_both_clocks_and_what_is_complete(folder: Path) -> None:
    found = ka.overview(load(folder))
    event = found.coverage.filter(table="claims", clock="event")
    assert event.select("month", "rows", "persons").row(0) == (202204, 40, 40)
    assert event["rows"].sum() == found.coverage.filter(table="claims", clock="received")["rows"].sum() == 1200
    claims = row(found.maturity, table="claims")
    assert (claims["run_out"], claims["complete_through"], claims["share"]) == (1, 202409, 0.99)
    assert event["complete"].all()
    assert found.coverage.filter(clock="received")["complete"].null_count() == 90 - 30
    years = {r["fiscal_year"]: (r["rows"], r["next_checkup"], r["followup"]) for r in found.years.to_dicts()}
    # 18 months after 2023-03 is 2024-09: over and complete
    assert years == {2022: (360, "complete", "complete"), 2023: (360, "open", "partly"), 2024: (180, "open", "open")}
    assert found.last_complete_year("next_checkup") == 2022


def test_an_earlier_month_knows_less(folder: Path) -> None:
    found = ka.overview(load(folder, month=202409))
    assert row(found.tables, table="checkups")["rows"] == 30 * 29
    assert row(found.maturity, table="checkups")["complete_through"] == 202408
    assert found.last_complete_year("next_checkup") is None
    assert found.years.filter(fiscal_year=2022)["next_checkup"].item() == "partly"


def test_too_little_to_tell_is_unknown_not_complete(tmp_path: Path) -> None:
    write(tmp_path, months=4)
    found = ka.overview(load(tmp_path))
    assert found.maturity["complete_through"].to_list() == [None, None]
    assert set(found.years["next_checkup"]) == {"unknown"}
    assert found.coverage["complete"].null_count() == len(found.coverage)
