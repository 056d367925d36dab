"""Which staged records make a table? The later of two holds, the deleted go, every record is accounted for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from kenpo_analytics.ingest.identity import Key
from kenpo_analytics.ingest.store import link
from kenpo_analytics.ingest.store.notices import nothing, say
from kenpo_analytics.ingest.store.people import LATER
from kenpo_analytics.tables import TABLES, Table

_WIDE = ("person_id", "record_id", "claim_id")
_VISIT = ["person_id", "checkup_date", "institution"]


@dataclass(frozen=True)
class Part:
    """A table, or a piece of one: its rows, the fate of every staged row (seq, fate, link), and what is said."""

    table: pl.DataFrame
    fates: pl.DataFrame
    said: pl.DataFrame = field(default_factory=nothing)


def canonical(table: Table) -> dict[str, Any]:
    """Which polars types has a canonical table? Ids and published national counts Int64, other integers Int32."""
    kinds = {"month": pl.Int32, "float": pl.Float64, "str": pl.String, "bool": pl.Boolean, "date": pl.Date}
    wide = table.name in ("national", "sources", "quarantine")
    integers = {c.name: pl.Int64 if wide or c.name in _WIDE else pl.Int32 for c in table.columns if c.kind == "int"}
    return {c.name: integers.get(c.name) or kinds[c.kind] for c in table.columns}


def typed(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """The rows as the declared table: its columns, in its order, of its types."""
    return rows.select(pl.col(column).cast(dtype) for column, dtype in canonical(TABLES[name]).items())


def fates(rows: pl.DataFrame, kept: pl.DataFrame, bad: pl.Expr | None = None) -> pl.DataFrame:
    """What became of each row (`row` is its number)? Neither kept nor bad is a repetition, or was replaced."""
    accepted = pl.col("row").is_in(kept["row"].implode())
    kept_or_not = pl.when(accepted).then(pl.lit("accepted")).otherwise(pl.lit("duplicate"))
    fate = kept_or_not if bad is None else pl.when(bad).then(pl.lit("quarantined")).otherwise(kept_or_not)
    linked = pl.col("link") if "link" in rows.columns else pl.lit(None, pl.String)
    return rows.select("seq", fate.alias("fate"), linked.alias("link"))


def unlinked(rows: pl.DataFrame, table: str, month: str) -> pl.DataFrame:
    """What is said of records whose person is not known, or is a twin for all that the records say (once a person)?"""
    rules = rows["refused"].drop_nulls().unique().sort()
    refused = [say(rows.filter(pl.col("refused") == rule), table, rule, month=month) for rule in rules]
    twins = rows.filter("twin").sort(*LATER).unique("person_id", keep="first", maintain_order=True)
    return pl.concat([nothing(), *refused, say(twins, table, "twin_unresolved", item="person_id", month=month)])


def keyed(staged: pl.DataFrame, name: str) -> Part:
    """A table without people (workplaces, national, KPI): the later of the rows of one key."""
    rows = staged.with_row_index("row")
    last = latest(rows, list(TABLES[name].key))
    return Part(typed(last.sort(TABLES[name].key), name), fates(rows, last))


def personal(staged: pl.DataFrame, name: str, linked: pl.DataFrame, when: str) -> Part:
    """A table about people: the later of the rows of one key, with all their staged columns. `when` dates them."""
    rows = link.join(staged.with_row_index("row"), linked)
    last = latest(rows.filter(pl.col("person_id").is_not_null()), list(TABLES[name].key))
    return Part(last, fates(rows, last, pl.col("refused").is_not_null()), unlinked(rows, name, when))


def guidance(staged: pl.DataFrame, linked: pl.DataFrame) -> Part:
    """特定保健指導: one row a person and fiscal year, the later one."""
    part = personal(staged, "guidance", linked, "first_interview")
    return Part(typed(part.table.sort("person_id", "fiscal_year"), "guidance"), part.fates, part.said)


def mailings(staged: pl.DataFrame, linked: pl.DataFrame, checkups: pl.DataFrame | None) -> Part:
    """Letters, each with the checkup that led to it: the person's of that day (the lowest record where several are)."""
    part = personal(staged, "mailings", linked, "planned_date")
    if checkups is None:
        checkups = pl.DataFrame(schema={"person_id": pl.Int64, "checkup_date": pl.Date, "record_id": pl.Int64})
    found = checkups.group_by("person_id", "checkup_date").agg(pl.col("record_id").min())
    rows = part.table.join(found, on=["person_id", "checkup_date"], how="left")
    lost = rows.filter(pl.col("checkup_date").is_not_null() & pl.col("record_id").is_null())
    said = say(lost, "mailings", "checkup_not_found", item="record_id", month="planned_date")
    table = typed(rows.sort("person_id", "planned_date", "programme"), "mailings")
    return Part(table, part.fates, pl.concat([part.said, said]))


def checkups(staged: pl.DataFrame, linked: pl.DataFrame, key: Key) -> Part:
    """Checkups: one row a person, day and institution, as the last word on it says; a deletion may be the last word.
    A record without an institution is of the one that others name for that person and day.

    Of two deliveries the later holds (`LATER`; in one file a deletion comes after what it deletes). A record delivered
    again without a change was received when it first came. A deletion that finds nothing before it is quarantined.
    """
    rows = link.join(staged, linked).with_row_index("row").with_columns(delete=pl.col("action") == "delete")
    rows = rows.with_columns(pl.col("delete").fill_null(False), institution=_where())
    known = rows.filter(pl.col("person_id").is_not_null()).sort("made", "seq", "delete", "entry", "line")
    values = [name for name in TABLES["checkups"].names if name in staged.columns and name != "received_month"]
    content = pl.struct(values).hash()
    puts = (~pl.col("delete")).cum_sum().over(_VISIT) > 0
    last = {"last": pl.col("row").last().over(_VISIT), "ends": pl.col("delete").last().over(_VISIT)}
    known = known.with_columns(puts=puts, content=content, **last)
    same = ~pl.col("delete") & (pl.col("content") == pl.col("content").last().over(_VISIT))
    first = pl.col("received_month").filter(same).min().over(_VISIT)
    kept = known.with_columns(first=first).filter((pl.col("row") == pl.col("last")) & ~pl.col("delete"))
    kept = kept.with_columns(received_month=pl.col("first"))
    replaced = known.filter((pl.col("row") != pl.col("last")) & ~pl.col("delete") & ~pl.col("ends") & ~same)
    idle = known.filter(pl.col("delete") & ~pl.col("puts"))
    bad = pl.col("refused").is_not_null() | pl.col("row").is_in(idle["row"].implode())
    said = [
        unlinked(rows, "checkups", "checkup_date"),
        say(idle, "checkups", "nothing_to_delete", month="checkup_date"),
        say(replaced, "checkups", "replaced", item="record_id", month="checkup_date"),
    ]
    table = typed(kept.with_columns(record_id=_record_ids(kept, key)), "checkups")
    return Part(table.sort("person_id", "checkup_date", "record_id"), fates(rows, kept, bad), pl.concat(said))


def _where() -> pl.Expr:
    """Where was a checkup whose record does not say it? Where the person was that day, if only one place is known.

    The same exam comes as XML with and as CSV without the institution, and a deletion need not name it.
    """
    named, day = pl.col("institution"), ["person_id", "checkup_date"]
    one = named.min().over(day) == named.max().over(day)
    return pl.coalesce(named, pl.when(one & pl.col("person_id").is_not_null()).then(named.max().over(day)))


def _record_ids(rows: pl.DataFrame, key: Key) -> pl.Series:
    day = pl.col("checkup_date").dt.to_string("%Y-%m-%d")
    texts = rows.select(pl.format("checkup|{}|{}|{}", "person_id", day, pl.col("institution").fill_null("")))
    return pl.Series([key.seal(text) for text in texts.to_series()], dtype=pl.Int64)


def latest(rows: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """The later one (`LATER`) of the rows of each key."""
    return rows.sort(*LATER).unique(key, keep="last", maintain_order=True)
