"""Which staged claims make the tables claims and claim_fees? A share at a time, so that memory is bounded."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from kenpo_analytics.ingest.store import link
from kenpo_analytics.ingest.store.assemble import Part, fates, latest, typed, unlinked
from kenpo_analytics.ingest.store.notices import say
from kenpo_analytics.ingest.store.staged import sealed
from kenpo_analytics.ingest.store.staging import Store

_FEE = ["claim_id", "code", "day"]


@dataclass(frozen=True)
class ClaimParts:
    """One share: claims, the fee lines that follow them, and the lists of returned claims (no table of their own)."""

    claims: Part
    fees: pl.DataFrame
    status: Part


def share(store: Store, linked: pl.DataFrame, members: pl.DataFrame | None, part: int, parts: int) -> ClaimParts:
    """Which claims has this share (those whose id leaves `part` when divided by `parts`)?

    The later delivery of a claim holds (`LATER`), with its fee lines. `status`: what a list of returned and reclaimed
    ones says last; else "after_loss" where the person had lost eligibility before the treatment month and is enrolled
    on no day of it, or the claim itself says so; else normal.
    """
    rows = link.join(_read(store, "claims", part, parts).with_row_index("row"), linked)
    last = latest(rows, ["claim_id"])
    kept = last.filter(pl.col("person_id").is_not_null())
    said, status = _statuses(_read(store, "claim_status", part, parts), last)
    kept = _with_status(kept, said, members)
    refused = last.filter(pl.col("refused").is_not_null())
    bad = pl.col("row").is_in(refused["row"].implode())
    claims = Part(typed(kept, "claims"), fates(rows, kept, bad), unlinked(last, "claims", "treatment_month"))
    return ClaimParts(claims, _fees(_read(store, "claim_fees", part, parts), kept), status)


def _read(store: Store, table: str, part: int, parts: int) -> pl.DataFrame:
    staged = store.scan(table)
    if staged is None:
        return pl.DataFrame(schema=sealed(table))
    rows = staged if parts == 1 else staged.filter(pl.col("claim_id") % parts == part)
    return rows.drop("sex", strict=False).collect(engine="streaming")


def _statuses(listed: pl.DataFrame, claims: pl.DataFrame) -> tuple[pl.DataFrame, Part]:
    """What do the lists say of each claim, and what became of their lines?"""
    rows = listed.with_row_index("row")
    last = latest(rows, ["claim_id"])
    lost = rows.join(claims, on="claim_id", how="anti")
    kept = last.join(lost, on="row", how="anti")
    bad = pl.col("row").is_in(lost["row"].implode())
    return kept.select("claim_id", listed="status"), Part(
        pl.DataFrame(), fates(rows, kept, bad), say(lost, "claim_status", "claim_not_found")
    )


def _with_status(claims: pl.DataFrame, listed: pl.DataFrame, members: pl.DataFrame | None) -> pl.DataFrame:
    claims = claims.join(listed, on="claim_id", how="left", maintain_order="left")
    lost = pl.lit(False) if members is None else pl.lit(_lost_before(claims, members))
    by_loss = pl.when(lost).then(pl.lit("after_loss"))
    own = pl.when(pl.col("status") == "normal").then(None).otherwise("status")
    return claims.with_columns(status=pl.coalesce("listed", own, by_loss, pl.lit("normal")))


def _lost_before(claims: pl.DataFrame, members: pl.DataFrame) -> pl.Series:
    """For each claim: has the person's last stretch that began by the month's end ended before the month began?"""
    month = pl.date(pl.col("treatment_month") // 100, pl.col("treatment_month") % 100, 1)
    days = claims.select("person_id", first=month, last=month.dt.month_end()).with_row_index("at").sort("last")
    spells = members.select("person_id", "valid_from", "valid_to").sort("valid_from")
    found = days.join_asof(spells, left_on="last", right_on="valid_from", by="person_id", check_sortedness=False)
    return found.sort("at").select(lost=(pl.col("valid_to") <= pl.col("first")).fill_null(False)).to_series()


def _fees(staged: pl.DataFrame, claims: pl.DataFrame) -> pl.DataFrame:
    """The fee lines of the claims, of the same delivery, with what the claim says."""
    names = ["claim_id", "seq", "person_id", "institution", "treatment_month", "received_month", "status"]
    fees = staged.join(claims.select(names), on=["claim_id", "seq"])
    fees = fees.with_columns(pl.col("institution").fill_null("不明"))
    return typed(fees.sort("count").unique(_FEE, keep="last", maintain_order=True), "claim_fees")
