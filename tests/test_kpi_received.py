"""An earlier month sees the KPI totals that had come by then; files without a month of receipt work as before."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

import kenpo_analytics as ka
from kenpo_analytics import checks, kpi

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
NEEDED = ("members", "checkups", "claims", "claim_fees")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("data")
    for name in NEEDED:
        shutil.copyfile(SAMPLE / f"{name}.parquet", made / f"{name}.parquet")
    return made


def known(folder: Path, table: pl.DataFrame, month: str) -> pl.DataFrame:
    table.write_parquet(folder / "kpi_monthly.parquet")
    return ka.load(folder, month=month).polars("kpi_monthly")


TABLE = pl.read_parquet(SAMPLE / "kpi_monthly.parquet")


def test_totals_received_later_are_hidden_from_an_earlier_month(folder):
    found = known(folder, TABLE, "2025-06")
    assert found["received_month"].max() == 202506
    assert found.equals(TABLE.filter(pl.col("received_month") <= 202506))
    rates = found.filter(pl.col("kpi_id") == "checkup_rate_insured")
    assert rates["month"].max() == 202501  # final five months later; what stood there before is not kept
    assert known(folder, TABLE, "2025-10").equals(TABLE)


def test_a_file_without_receipts_works_as_before(folder):
    old = TABLE.drop("received_month")
    assert known(folder, old, "2025-06").equals(old)  # readings keep to the month themselves
    row = kpi.status(old, month=202506, branch="24").filter(pl.col("kpi_id") == "checkup_rate_insured")
    assert row["month"].item() == 202506
    assert checks.check_table(old, "kpi_monthly").is_empty()


def test_rows_without_a_receipt_are_there_from_their_own_month(folder):
    mixed = TABLE.with_columns(received_month=pl.when(pl.col("kpi_id") != "out_of_hours_first").then("received_month"))
    found = known(folder, mixed, "2025-06")
    assert found.filter(pl.col("kpi_id") == "out_of_hours_first")["month"].max() == 202506
    assert found.filter(pl.col("kpi_id") == "out_of_hours_return")["month"].max() == 202503


def test_status_and_series_do_not_ask_for_the_receipt():
    asked = {"month": 202510, "branch": "24"}
    old = TABLE.drop("received_month")
    assert kpi.status(TABLE, **asked).equals(kpi.status(old, **asked))
    assert kpi.monthly_series(TABLE, **asked).equals(kpi.monthly_series(old, **asked))
