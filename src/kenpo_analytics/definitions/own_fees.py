"""Which fee codes hold in a data folder? The packaged ones, and those of the masters that were ingested there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from kenpo_analytics.definitions.registry import Definitions, FeeCode
from kenpo_analytics.errors import TableError

FILE = "fee_codes.parquet"
FEE_CODES: dict[str, Any] = {
    "code": pl.String,
    "name": pl.String,
    "visit_type": pl.String,  # first, return
    "out_of_hours": pl.String,  # class, as in the packaged fee codes
    "inpatient": pl.Boolean,
    "valid_from": pl.Int32,  # YYYYMM
    "valid_to": pl.Int32,  # first YYYYMM in which it no longer holds; null while in force
}


def with_own_fees(used: Definitions, folder: Path) -> Definitions:
    """Which definitions hold in this data folder? Those given, with the fee codes of its ingested masters.

    Raises
    ------
    TableError
        DATA_DIR/fee_codes.parquet is there but cannot be read.
    """
    own = _saved(folder)
    return used if own is None else replace(used, fee_codes=merged(used.fee_codes, own))


def save_fees(master: pl.DataFrame, folder: Path) -> None:
    """Keep the add-ons of a master (`FEE_CODES`) for the data folder, merged with those of earlier ones."""
    codes = merged(_saved(folder) or (), _codes(master))
    frame = pl.DataFrame([vars(code) for code in codes], schema=FEE_CODES)
    unfinished = folder / f".{FILE}"
    frame.write_parquet(unfinished)
    unfinished.replace(folder / FILE)


def merged(first: Iterable[FeeCode], second: Iterable[FeeCode]) -> tuple[FeeCode, ...]:
    """What do two tables of fee codes say together? The newer one (by its latest `valid_from`) holds from its dates on.

    A row of the older table ends where the newer table's row of the same code begins, and goes where that begins no
    later. Of two equally new ones the second is the newer.
    """
    older, newer = sorted((tuple(first), tuple(second)), key=lambda codes: max(map(_begin, codes), default=0))
    begins: dict[str, int] = {}
    for code in newer:
        begins[code.code] = min(_begin(code), begins.get(code.code, _begin(code)))
    kept = (
        replace(code, valid_to=min(filter(None, (code.valid_to, begins.get(code.code))), default=None))
        for code in older
        if code.code not in begins or _begin(code) < begins[code.code]
    )
    return tuple(sorted((*kept, *newer), key=lambda code: (code.code, _begin(code))))


def _begin(code: FeeCode) -> int:
    return code.valid_from or 0


def _codes(frame: pl.DataFrame) -> tuple[FeeCode, ...]:
    return tuple(FeeCode(**row) for row in frame.select(list(FEE_CODES)).iter_rows(named=True))


def _saved(folder: Path) -> tuple[FeeCode, ...] | None:
    path = folder / FILE
    if not path.exists():
        return None
    try:
        return _codes(pl.read_parquet(path, schema=FEE_CODES))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(
            f"診療行為コードの表を読めません: {path}", hint="消して、診療行為マスターをもう一度取り込んでください。"
        ) from error
