"""A small world with planted faults: who reports another unit, which month is missing, what ingest put aside.

Ten clinics, 40 checkups and 30 claims each a month from 2022-04 to 2025-03, received up to 2025-04.

- a1, FY2023: HbA1c 0.4 lower (JDS). a2, FY2023: fasting glucose / 18 in the table (mmol/L). a3, FY2024: HbA1c x 10.
- a4, FY2024: glucose in mmol/L put aside by ingest (480 values). a5: half of the glucose values missing.
- No claims of 2023-11 at all; a9 has none of 2024-08 to 2024-10 either; of 2025-03 only 100 of 240 came in time.
- The checkups of 2024-05 came twice as many.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl

from kenpo_analytics.months import add_months, fiscal_year_of, month_range

CLINICS = [f"a{n}" for n in range(10)]
MONTHS = month_range(202204, 202503)
I32 = pl.Int32


def checkups() -> pl.DataFrame:
    random, parts = np.random.default_rng(1), []
    for month in MONTHS:
        for clinic in CLINICS:
            n = 80 if month == 202405 else 40
            hba1c = np.round(random.normal(5.6, 0.3, n).clip(4.6, 7), 1)
            fpg = np.round(random.normal(95, 8, n).clip(75, 130))
            year = fiscal_year_of(month)
            if (clinic, year) == ("a1", 2023):
                hba1c = np.round(hba1c - 0.4, 1)
            if (clinic, year) == ("a2", 2023):
                fpg = np.round(fpg / 18, 1)
            if (clinic, year) == ("a3", 2024):
                hba1c = hba1c * 10
            blank = (clinic, year) == ("a4", 2024)
            half = (np.arange(n) % 2 == 0) & (clinic == "a5")
            parts.append(
                pl.DataFrame(
                    {
                        "person_id": random.integers(0, 3000, n),
                        "checkup_date": pl.Series([dt.date(month // 100, month % 100, 10)] * n),
                        "received_month": pl.Series([add_months(month, 1)] * n, dtype=I32),
                        "institution": [clinic] * n,
                        "hba1c": hba1c,
                        "fpg": pl.Series([None if blank or gone else v for v, gone in zip(fpg, half, strict=True)]),
                        "sbp": np.round(random.normal(125, 10, n)),
                    }
                )
            )
    rows = pl.concat(parts).with_columns(pl.lit("特定健診").alias("kind"), pl.lit("fasting").alias("fasting"))
    return rows.select(pl.int_range(pl.len(), dtype=pl.Int64).alias("record_id"), pl.all())


def claims() -> pl.DataFrame:
    rows = []
    for month in MONTHS:
        for clinic in CLINICS:
            silent = month == 202311 or (clinic == "a9" and 202408 <= month <= 202410)
            for number in range(0 if silent else 30):
                late = number % 5 == 0
                if month == 202503 and (late or number >= 13):  # 10 of 24 in time, those of two months later not yet
                    continue
                rows.append((month, add_months(month, 1 + late), clinic, number))
    schema = {"treatment_month": I32, "received_month": I32, "institution": pl.String, "number": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema, orient="row").filter(pl.col("received_month") <= 202504)
    fixed = {"status": "normal", "kind": "入院外", "points": 500, "days": 1}
    frame = frame.with_columns(pl.lit(value).alias(name) for name, value in fixed.items())
    ids = (pl.int_range(pl.len(), dtype=pl.Int64).alias("claim_id"), (pl.col("number") * 7 % 3000).alias("person_id"))
    return frame.with_columns(ids).drop("number")


def members() -> pl.DataFrame:
    stretch = {"valid_from": dt.date(2022, 4, 1), "valid_to": None, "sex": "F", "birth_month": 197004}
    stretch |= {"fy_age_base": 1970, "relationship": "insured", "branch": "24", "municipality": "24201"}
    return pl.DataFrame([{"person_id": n} | stretch for n in range(3000)], schema_overrides={"valid_to": pl.Date})


def fees() -> pl.DataFrame:
    schema = {"claim_id": pl.Int64, "person_id": pl.Int64, "institution": pl.String, "treatment_month": I32}
    return pl.DataFrame(schema=schema | {"received_month": I32, "status": pl.String, "code": pl.String} | {
        "day": pl.Int8, "count": pl.Int8})  # fmt: skip


def quarantine() -> pl.DataFrame:
    """480 glucose values of a4, 3 of a6 (a slip of the pen), 12 rows that could not be read, a file neither."""
    value = {"source": "kenshin.csv", "table": "checkups", "level": "value", "item": "fpg", "rule": "unit_suspected"}
    value |= {"reason": "空腹時血糖: 別の単位の値の疑いがあります(mmol/L)。(血糖(空腹))", "institution": "a4"}
    rows = [value | {"line": 2 + i, "month": month} for i, month in enumerate(month_range(202404, 202503) * 40)]
    for row in rows[::3]:
        row["reason"] = (
            "空腹時血糖: 別の単位の値の疑いがあります(mmol/L)。(3D010000001926101)"  # the heading of another file
        )
    rows += [value | {"line": 900 + i, "month": 202306, "institution": "a6"} for i in range(3)]
    row = {"source": "receipt.zip", "table": "claims", "level": "row", "rule": "unreadable", "reason": "読めません。"}
    rows += [row | {"line": i} for i in range(12)]
    rows += [row | {"source": "memo.bin", "table": "なし", "line": 1}]
    return pl.DataFrame(rows, schema_overrides={"month": I32}, infer_schema_length=None)


def sources(unbalanced: bool = False) -> pl.DataFrame:
    one = {"source": "kenshin.csv", "digest": "x", "layout": "cc2x", "table": "checkups", "received_month": 202504}
    one |= {"read": 14820, "accepted": 14800, "quarantined": 0, "duplicate": 20, "values_rejected": 483}
    one |= {"linked_number": 14000, "linked_birth": 500, "linked_kana": 200, "linked_record": 100}
    two = {"source": "receipt.zip", "digest": "y", "layout": "recodeinfo", "table": "claims", "received_month": 202504}
    two |= {"read": 1000, "accepted": 988 - 5 * unbalanced, "quarantined": 12, "duplicate": 0, "values_rejected": 0}
    two |= {"linked_number": 800, "linked_birth": 0, "linked_kana": 88, "linked_record": 100}
    three = {"source": "kpi.xlsx", "digest": "z", "layout": "mapped:kpi", "table": "kpi_monthly", "read": 60}
    three |= {"accepted": 60, "quarantined": 0, "duplicate": 0, "values_rejected": 0}
    # a list that is no table of its own, and a file that nobody could read
    four = {"source": "henrei.csv", "digest": "s", "layout": "mapped:status", "table": "claim_status", "read": 40}
    four |= {"received_month": 202504, "accepted": 40, "quarantined": 0, "duplicate": 0, "values_rejected": 0}
    five = {"source": "memo.bin", "digest": "t", "layout": "unknown", "table": "なし", "read": 1, "accepted": 0}
    five |= {"received_month": 202504, "quarantined": 1, "duplicate": 0, "values_rejected": 0}
    return pl.DataFrame([one, two, three, four, five], schema_overrides={"received_month": I32})


def write(folder: Path, *, ledgers: bool = True) -> Path:
    tables = {"checkups": checkups(), "claims": claims(), "members": members(), "claim_fees": fees()}
    if ledgers:
        tables |= {"sources": sources(), "quarantine": quarantine()}
    for name, frame in tables.items():
        frame.write_parquet(folder / f"{name}.parquet")
    (folder / "SYNTHETIC").touch()
    return folder
