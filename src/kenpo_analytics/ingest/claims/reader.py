"""Which claims are in this file? RECODEINFO (支払基金 to insurer) and RECEIPTC.UKE (clinic to 支払基金).

Fields count from 0 in their record, as in 支払基金「記録条件仕様」(医科用, DPC用, 歯科用, 調剤用).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import polars as pl

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.claims.codes import ClaimCodes, claim_codes
from kenpo_analytics.ingest.claims.details import details
from kenpo_analytics.ingest.claims.heads import heads
from kenpo_analytics.ingest.claims.lines import LastLine, records
from kenpo_analytics.ingest.claims.records import Claims, insurer_claims, uke_claims
from kenpo_analytics.ingest.claims.widths import Surplus
from kenpo_analytics.ingest.files.sources import DAMAGE, Source
from kenpo_analytics.ingest.records import CLAIMS, FEES, Batch, refused_file, rejected, rejections


def read_recodeinfo(source: Source, *, addons: Collection[str] | None = None) -> Iterator[Batch]:
    """Which claims did the payer office deliver? Staged `claims` and `claim_fees`.

    JY corrections are done; a claim they delete counts as `removed`. A claim without MN, RE, HO or KO, with impossible
    months, birth or sex, or of 訪問看護 is one rejection of level "row". An unknown record is a note.

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
    gaps: list[int] = []
    try:
        with source.open() as stream:
            last, surplus = LastLine(stream), Surplus()
            blocks = records(last, prefix, codes.addons | codes.visits)
            for claims in insurer_claims(blocks, last) if insurer else uke_claims(blocks, last):
                batch = _batch(claims, source, codes, insurer, surplus)
                found = found or batch.read > 0
                gaps += claims.gaps.to_list()
                if batch.read or not batch.rejected.is_empty():
                    yield batch
        if gaps:
            yield Batch({}, 0, rejected([_gap_note(gaps, source.entry)]))
        if not found:
            yield refused_file("unreadable", entry=source.entry, reason="レセプトが1件もありません。")
    except DAMAGE as error:
        reason = error.message if isinstance(error, IngestError) else None
        yield refused_file("unreadable", entry=source.entry, reason=reason)


def _gap_note(lines: list[int], entry: str | None) -> dict[str, Any]:
    """One note a file: nobody outside the payer office knows whether real files skip numbers."""
    reason = (
        f"行番号が飛んでいるレセプトが{len(lines):,}件あります(失われた行があるかもしれません。最初の行を挙げます)。"
    )
    return {"entry": entry, "line": lines[0], "level": "note", "item": "line", "rule": "line_gap", "reason": reason}


def _batch(claims: Claims, source: Source, codes: ClaimCodes, insurer: bool, surplus: Surplus) -> Batch:
    """The claims of one block: those that hold, those that do not, and the values that were left out."""
    judged = heads(claims, insurer=insurer, surplus=surplus)
    taken_back = pl.col("g").is_in(claims.removed.to_list())
    removed = judged.filter(taken_back, pl.col("rule") != "correction").height
    judged = judged.filter(~taken_back | (pl.col("rule") == "correction"))
    good = judged.filter(pl.col("rule").is_null())
    flags, fees, values = details(claims, good, codes)
    table = good.join(flags, on="g", how="left", maintain_order="left").with_columns(
        entry=pl.lit(source.entry, pl.String), filed=pl.lit(None, pl.Int32)
    )
    fees = fees.join(good.select("g", "claim_key"), on="g", maintain_order="left")
    lost = judged.filter(pl.col("rule").is_not_null()).with_columns(month="treatment_month")
    noted = [rejections(lost, level="row"), values, rejections(claims.damaged, item="record")]
    return Batch(
        rows={"claims": table.select(_cast(CLAIMS)), "claim_fees": fees.select(_cast(FEES))},
        read=judged.height + removed,
        rejected=pl.concat(noted).with_columns(entry=pl.lit(source.entry, pl.String)),
        removed=removed,
    )


def _cast(schema: dict[str, pl.DataType]) -> list[pl.Expr]:
    return [pl.col(name).cast(dtype) for name, dtype in schema.items()]
