"""What is said about a staged record that did not come through whole? Rows of the quarantine."""

from __future__ import annotations

from typing import Any

import polars as pl

from kenpo_analytics.ingest.records import REJECTED, rejections
from kenpo_analytics.ingest.values.columns import month_of

SAID: dict[str, Any] = {"seq": pl.Int32, "table": pl.String, **REJECTED}
"""The quarantine's columns, with the delivery's number in place of its name."""


def say(
    rows: pl.DataFrame, table: str, rule: str, *, item: str | None = None, month: str | None = None
) -> pl.DataFrame:
    """Which quarantine rows say that this rule holds for these staged rows? With `item` it is a value, else the row.

    `month` names a column of dates or of YYYYMM.
    """
    when = pl.lit(None, pl.Int32) if month is None else month_of(month) if rows.schema[month] == pl.Date else month
    place = [name for name in ("entry", "line", "institution") if name in rows.columns]
    level = {"level": "row"} if item is None else {}
    noted = rejections(rows.select(*place, month=when), item=item, rule=rule, label="", **level)
    return noted.with_columns(rows["seq"], pl.lit(table).alias("table")).select(list(SAID))


def nothing() -> pl.DataFrame:
    """No row of the quarantine."""
    return pl.DataFrame(schema=SAID)
