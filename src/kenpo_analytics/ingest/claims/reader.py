"""Which claims are in this file? RECODEINFO (支払基金 to insurer) and RECEIPTC.UKE (clinic to 支払基金).

Fields count from 0 in their record, as in 支払基金「記録条件仕様」(医科用, DPC用, 歯科用, 調剤用).
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Iterator

import polars as pl

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.claims.codes import ClaimCodes, claim_codes
from kenpo_analytics.ingest.claims.details import details
from kenpo_analytics.ingest.claims.heads import REASONS, heads
from kenpo_analytics.ingest.claims.lines import LastLine, records
from kenpo_analytics.ingest.claims.records import Claims, insurer_claims, uke_claims
from kenpo_analytics.ingest.files.sources import Source
from kenpo_analytics.ingest.records import CLAIMS, FEES, REJECTED, Batch, rejected

_BROKEN = (IngestError, OSError, EOFError, zlib.error, zipfile.BadZipFile)


def read_recodeinfo(source: Source, *, addons: Collection[str] | None = None) -> Iterator[Batch]:
    """Which claims did the payer office deliver? Staged `claims` and `claim_fees`.

    JY corrections are done; a claim they delete counts as `removed`. A claim without MN, RE, HO or KO, with impossible
    months, birth or sex, or of 訪問看護 is one rejection of level "row". An unknown record is one of level "value".

    Parameters
    ----------
    addons
        診療行為コード of out-of-hours add-ons; default those of the definitions.
    """
    return _read(source, claim_codes(addons), insurer=True)


def read_uke(source: Source, *, addons: Collection[str] | None = None) -> Iterator[Batch]:
    """Which claims did a clinic file? As `read_recodeinfo`; a file without its last record (GO) is reported."""
    return _read(source, claim_codes(addons), insurer=False)


def _read(source: Source, codes: ClaimCodes, *, insurer: bool) -> Iterator[Batch]:
    prefix = 3 if insurer else 0
    found = False
    try:
        with source.open() as stream:
            last = LastLine(stream)
            blocks = records(last, prefix, codes.addons | codes.visits)
            for claims in insurer_claims(blocks) if insurer else uke_claims(blocks):
                batch = _batch(claims, source, codes, insurer, last.cut_off(prefix))
                found = found or batch.read > 0
                if batch.read or not batch.rejected.is_empty():
                    yield batch
        if not found:
            yield _unreadable(source, "レセプトが1件もありません。")
    except _BROKEN as error:
        yield _unreadable(source, error.message if isinstance(error, IngestError) else "ファイルを読めません。")


def _unreadable(source: Source, reason: str) -> Batch:
    row = {"entry": source.entry, "level": "row", "rule": "unreadable", "reason": reason}
    return Batch(rows={}, read=1, rejected=rejected([row]))


def _batch(claims: Claims, source: Source, codes: ClaimCodes, insurer: bool, cut_off: int | None) -> Batch:
    """The claims of one block: those that hold, those that do not, and the values that were left out."""
    judged = heads(claims, insurer=insurer, cut_off=cut_off)
    taken_back = pl.col("g").is_in(claims.removed.to_list())
    removed = judged.filter(taken_back, pl.col("rule") != "correction").height
    judged = judged.filter(~taken_back | (pl.col("rule") == "correction"))
    good = judged.filter(pl.col("rule").is_null())
    flags, fees, values = details(claims, good, codes)
    table = good.join(flags, on="g", how="left", maintain_order="left").with_columns(
        entry=pl.lit(source.entry, pl.String), filed=pl.lit(None, pl.Int32)
    )
    fees = fees.join(good.select("g", "claim_key"), on="g", maintain_order="left")
    lost = judged.filter(pl.col("rule").is_not_null()).with_columns(level=pl.lit("row"), month="treatment_month")
    return Batch(
        rows={"claims": table.select(_cast(CLAIMS)), "claim_fees": fees.select(_cast(FEES))},
        read=judged.height + removed,
        rejected=_rejected([lost, values, claims.damaged], source),
        removed=removed,
    )


def _cast(schema: dict[str, pl.DataType]) -> list[pl.Expr]:
    return [pl.col(name).cast(dtype) for name, dtype in schema.items()]


def _rejected(parts: list[pl.DataFrame], source: Source) -> pl.DataFrame:
    frame = pl.concat([pl.DataFrame(schema=REJECTED), *(_columns(part) for part in parts)])
    reason = pl.col("rule").replace_strict(REASONS, return_dtype=pl.String)
    return frame.with_columns(entry=pl.lit(source.entry, pl.String), reason=reason)


def _columns(part: pl.DataFrame) -> pl.DataFrame:
    given = {"level": pl.lit("value"), **{name: pl.col(name) for name in part.columns if name in REJECTED}}
    missing = {name: pl.lit(None) for name in REJECTED if name not in given}
    return part.select(**{**given, **missing}).select(_cast(REJECTED))
