"""What does a reader hand over? Staged records, rejected ones, and how many were read: nothing is ever lost.

Every reader turns one `Source` into `Batch`es. A record carries who it is about in the plain identity columns
(`IDENTITY`), which exist in memory only: `identity.seal_frame` puts keyed hashes there before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from kenpo_analytics.ingest import rules
from kenpo_analytics.tables import TABLES, Table

IDENTITY: dict[str, Any] = {
    "insurer": pl.String,  # 保険者番号, 8 digits (6 for 国保), check digit verified or repaired
    "symbol": pl.String,  # 記号 as delivered
    "number": pl.String,  # 番号 as delivered
    "branch_number": pl.String,  # 枝番, 2 digits, null before 2021
    "birth": pl.Date,
    "sex": pl.String,  # M / F
    "kana": pl.String,  # カナ氏名 (or 氏名 where no kana is given) as delivered
}
"""Whom a record is about. Never written: names and 記号・番号 leave memory only as hashes."""

TRACE: dict[str, Any] = {
    "entry": pl.String,  # file inside an archive or folder of documents; null for a plain file
    "line": pl.Int64,  # 1-based physical line (CSV), sheet row (Excel) or claim's first line; 1 for an XML document
    "filed": pl.Int32,  # day the file says it was made, YYYYMMDD; null where it does not. A later one wins
}
"""Where a record stood."""

REJECTED: dict[str, Any] = {
    "entry": pl.String,
    "line": pl.Int64,
    "level": pl.String,  # "row": the record is in no table. "value": it is, this value is null. "note": nothing is lost
    "item": pl.String,  # canonical column or a short key (file, line, record, count); never a person's value
    "rule": pl.String,  # short English id, e.g. "range", "unknown_code"; see `rules.REASONS`
    "reason": pl.String,  # Japanese, one sentence, without any value that tells of a person
    "institution": pl.String,  # where known, so that one clinic's wrong unit is found
    "month": pl.Int32,  # YYYYMM of the checkup or treatment, where known
}

Action = Literal["put", "delete"]


def staged_schema(table: Table, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Which columns has a staged record of this table? Trace, identity, then the table's own but the ids we assign."""
    kinds = {"int": pl.Int64, "month": pl.Int32, "float": pl.Float64, "str": pl.String, "bool": pl.Boolean}
    people = IDENTITY if "person_id" in table.names else {}
    own = {
        column.name: kinds.get(column.kind, pl.Date)
        for column in table.columns
        if column.name not in ("person_id", "record_id", "claim_id", "link_rule", *people)
    }
    return {**TRACE, **people, **own, **(extra or {})}


MEMBERS = staged_schema(TABLES["members"])
CHECKUPS = staged_schema(TABLES["checkups"], {"action": pl.String})
"""`action` "delete" is a deletion request (報告区分 19/49) for the same person, day and institution."""
CLAIMS = staged_schema(TABLES["claims"], {"claim_key": pl.String})
"""`claim_key`: 検索番号 of 17-30 digits, or, in a file without it, institution, months, kind, number and person.

It identifies: like the identity columns it is never written but as a keyed hash."""
_OF_CLAIM = ("institution", "treatment_month", "received_month", "status")
FEES = {
    "claim_key": pl.String,
    **{
        name: dtype
        for name, dtype in staged_schema(TABLES["claim_fees"]).items()
        if name not in (*IDENTITY, *TRACE, *_OF_CLAIM)
    },
}
"""Fee lines follow their claim: one row a claim, code and day; institution, months and status are the claim's."""
CLAIM_STATUS = {**TRACE, "claim_key": pl.String, "status": pl.String}
"""A list of claims that were returned (返戻) or came back (再請求), from the claims office."""
GUIDANCE = staged_schema(TABLES["guidance"])
MAILINGS = staged_schema(TABLES["mailings"], {"checkup_date": pl.Date})
"""`checkup_date`: day of the checkup that led to the letter; `record_id` is looked up from it."""
WORKPLACES = staged_schema(TABLES["workplaces"])
NATIONAL = staged_schema(TABLES["national"])
KPI = staged_schema(TABLES["kpi_monthly"])

STAGED: dict[str, dict[str, Any]] = {
    "members": MEMBERS,
    "checkups": CHECKUPS,
    "claims": CLAIMS,
    "claim_fees": FEES,
    "claim_status": CLAIM_STATUS,
    "guidance": GUIDANCE,
    "mailings": MAILINGS,
    "workplaces": WORKPLACES,
    "national": NATIONAL,
    "kpi_monthly": KPI,
}


@dataclass(frozen=True)
class Batch:
    """A piece of one file: its records by staged table, what was rejected, and how many records were read.

    `read` = records in `rows` (claim_fees, which follow their claim, not counted) + `rejected` of level "row" +
    `removed` (claims taken back by a JY correction inside the same file).
    """

    rows: Mapping[str, pl.DataFrame]
    read: int
    rejected: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECTED))
    removed: int = 0

    def __post_init__(self) -> None:
        for name, frame in self.rows.items():
            if dict(frame.schema) != {key: frame.schema.get(key) for key in STAGED[name]} or any(
                frame.schema[key] != dtype for key, dtype in STAGED[name].items()
            ):
                raise AssertionError(f"staged {name}: {frame.schema} is not {STAGED[name]}")
        kept = sum(frame.height for name, frame in self.rows.items() if name != "claim_fees")
        lost = self.rejected.filter(pl.col("level") == "row").height
        if kept + lost + self.removed != self.read:
            raise AssertionError(f"read {self.read}, but {kept} kept + {lost} rejected + {self.removed} removed")


def rejections(rows: pl.DataFrame, **given: str | None) -> pl.DataFrame:
    """Which rejections do these rows make? One each, in their order.

    Parameters
    ----------
    rows
        Any of the columns `REJECTED`, and `label`: how the reason calls the item; what is absent is null.
    given
        The same for all rows: item, rule, level ("row" where the record is refused), entry, label …

    Without a level, the rule tells a value from a note; without a reason, the rule, item and label make it.
    """
    if rows.is_empty():
        return pl.DataFrame(schema=REJECTED)
    absent = {name: pl.lit(None, dtype) for name, dtype in _NOTED.items() if name not in rows.columns}
    frame = rows.with_columns(**absent).with_columns(pl.lit(one, pl.String).alias(name) for name, one in given.items())
    kinds = frame.select("rule", "item", "label").unique()
    said = kinds.with_columns(
        by_rule=pl.Series([rules.level(rule) for rule in kinds["rule"]], dtype=pl.String),
        why=pl.Series([rules.reason(*kind) if kind[0] in rules.REASONS else None for kind in kinds.iter_rows()],
                      dtype=pl.String),
    )  # fmt: skip
    frame = frame.join(said, on=["rule", "item", "label"], how="left", nulls_equal=True, maintain_order="left")
    frame = frame.with_columns(level=pl.coalesce("level", "by_rule"), reason=pl.coalesce("reason", "why"))
    return frame.select(pl.col(name).cast(dtype) for name, dtype in REJECTED.items())


_NOTED = {**REJECTED, "label": pl.String}


def rejected(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """The same from dicts; keys that are left out are null."""
    return rejections(pl.DataFrame(rows, schema=_NOTED)) if rows else pl.DataFrame(schema=REJECTED)


def refused_file(rule: str, *, line: int = 1, entry: str | None = None, reason: str | None = None) -> Batch:
    """A file, or a sheet of one, that cannot be read (any further): one rejected record."""
    row = {"entry": entry, "line": line, "level": "row", "item": "file", "rule": rule, "reason": reason}
    return Batch({}, 1, rejected([row]))
