"""Whom is a record of a list about, and where did it stand? Identity and trace columns, the same for every table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from kenpo_analytics.ingest.lists.cells import Cells
from kenpo_analytics.ingest.records import IDENTITY
from kenpo_analytics.ingest.values import columns as value

Made = tuple[pl.DataFrame, pl.DataFrame]
"""Staged rows that are kept, and rejections."""


def identity(cells: Cells, *, row: tuple[str, ...] = ()) -> dict[str, pl.Series]:
    """The identity columns; those in `row` refuse their record when blank or unreadable."""
    insurer = cells.read("insurer", value.insurers, row="insurer" in row)
    symbol = cells.read("symbol", value.numbers_as_text, row="number" in row)
    number = cells.read("number", value.numbers_as_text, row="number" in row)
    branch_number = cells.read("branch_number", value.branch_numbers)
    if cells.has("symbol_number"):
        both = cells.read("symbol_number", value.numbers_as_text, row="number" in row)
        first, second, third = _split(both)
        symbol, number, branch_number = (
            pl.select(pl.coalesce(given, part)).to_series()
            for given, part in ((symbol, first), (number, second), (branch_number, third))
        )
    kana = cells.read("kana", value.names)
    name = cells.read("name", value.names)
    made = {
        "insurer": insurer,
        "symbol": symbol,
        "number": number,
        "branch_number": branch_number,
        "birth": cells.date("birth", row=True),
        "sex": cells.read("sex", value.sexes, row=True, strict=True),
        "kana": pl.select(pl.coalesce(kana, name)).to_series(),
    }
    for key in row:
        cells.refuse_where(key, made[key].is_null(), "missing")
    if cells.has("sex"):
        cells.refuse_where("sex", made["sex"].is_null(), "missing")
    cells.refuse_where("number", made["number"].is_null() & made["kana"].is_null(), "missing")
    for _, _, texts in cells.columns.get("insurer", ()):
        cells.refuse_where("insurer", value.restored(texts), "insurer_repaired", row=False)
    return {key: made[key].alias(key) for key in IDENTITY}


def _split(both: pl.Series) -> tuple[pl.Series, pl.Series, pl.Series]:
    """記号・番号 in one cell: 記号-番号 or 記号-番号-枝番 (two digits); what cannot be told apart is the number."""
    plain = both.str.normalize("NFKC").str.replace_all("[‐‑‒–—―−ー]", "-").str.strip_chars()
    parts = plain.str.extract_all(r"[^\s・/:、,-]+")
    count = parts.list.len()
    three = (count == 3) & parts.list.get(2, null_on_oob=True).str.contains(r"^\d{2}$")
    whole = pl.select(
        symbol=pl.when((count == 2) | three).then(parts.list.get(0, null_on_oob=True)),
        number=pl.when((count == 2) | three).then(parts.list.get(1, null_on_oob=True)).otherwise(both),
        branch=pl.when(three).then(parts.list.get(2, null_on_oob=True)),
    )
    return whole["symbol"], whole["number"], whole["branch"]


def finish(cells: Cells, schema: Mapping[str, Any], made: dict[str, pl.Series], month: pl.Series | None = None) -> Made:
    """Trace added, refused records taken out, columns as staged."""
    filed = cells.date("filed")
    number = filed.dt.year().cast(pl.Int32) * 10000 + filed.dt.month().cast(pl.Int32) * 100 + filed.dt.day()
    entry = pl.Series([cells.entry], dtype=pl.String).new_from_index(0, cells.height)
    columns = {**made, "entry": entry, "line": cells.line, "filed": number}
    kept, rejected = cells.rejected(made.get("institution"), month)
    frame = pl.DataFrame([columns[name].cast(dtype).alias(name) for name, dtype in schema.items()])
    return frame.filter(kept), rejected
