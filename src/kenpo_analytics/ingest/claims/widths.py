"""Has a record as many fields as it should? Lengths by kind of claim, and what the other records of the file have.

Source: 支払基金「記録条件仕様」(医科用 令和4年4月版, 調剤用); the DPC and dental lengths that differ are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from kenpo_analytics.ingest.claims.lines import Block, LastLine

_MEDICAL = {
    **{"IR": 10, "RE": 38, "HO": 15, "KO": 12, "SN": 9, "SY": 8, "SI": 44, "IY": 44},
    **{"TO": 48, "CO": 5, "SJ": 3, "JD": 33, "MF": 33},
}
_DISPENSING = {"YK": 9, "RE": 42, "HO": 14, "SN": 9, "SH": 6, "CZ": 6, "IY": 10}
_DENTAL = {"HO": 15, "KO": 12, "SN": 9}
LENGTHS = {"1": _MEDICAL, "3": _DENTAL, "4": _DISPENSING}
"""Fields of a record by the first digit of レセプト種別, the record's name counted."""
_DPC_COMMON = 40
_NUMBERS = ("RE", "HO", "KO", "SI", "IY", "SY")
_ENOUGH = 10
_LAST_READ = {"HO": 5, "KO": 5, "SN": 6, "SY": 4, "IY": 3}
"""The last field that is read: a record that ends in it may have lost a part of it."""


class Widest:
    """How many fields have the longest records of a file, and how many its last one?"""

    def __init__(self) -> None:
        self._most: dict[str, int] = {}
        self._last: tuple[str, int] | None = None

    def seen(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks, while they are looked at."""
        for block in blocks:
            self._count()
            found = block.rows[:-1].group_by("u0").agg(pl.col("fields").max()).drop_nulls()
            for kind, fields in found.iter_rows():
                self._most[kind] = max(fields, self._most.get(kind, 0))
            self._last = block.rows.select(pl.col("u0").fill_null(""), "fields").row(-1)
            yield block

    def _count(self) -> None:
        if self._last is not None:
            kind, fields = self._last
            self._most[kind] = max(fields, self._most.get(kind, 0))

    def breaks_off(self, end: LastLine, table: str | None) -> bool:
        """Does the file break off in its last record, of a claim of this kind, as far as one can tell?

        A last line without an end is whole if it has as many fields as the longest other record of its name, or, where
        there is none, as its specification says, and its last field is not one that is read.
        """
        if not end.unended or self._last is None:
            return False
        kind, fields = self._last
        enough = self._most.get(kind) or LENGTHS.get(table or "", {}).get(kind)
        whole = enough is not None and fields >= enough
        return kind != "RC" and not (whole and (end.ends_empty or fields - 1 > _LAST_READ.get(kind, 0)))


class Surplus:
    """Which claims have a record with more fields than it has by its specification, as an unquoted 1,234 makes?

    Fields that a claim adds at the end of every record are none, nor is a length that most records of the file have
    (a newer specification); there only points like 1 and 234 side by side are.
    """

    def __init__(self) -> None:
        self._seen = pl.DataFrame(schema={"table": pl.String, "u0": pl.String, "all": pl.Int64, "over": pl.Int64})

    def claims(self, rows: pl.DataFrame, about: pl.DataFrame) -> pl.Series:
        """The numbers of those claims; `about` holds g, table and dpc of every claim."""
        known = rows.select("g", "u0", "u5", "u6", "fields").join(about, on="g").join(_LENGTHS, on=["table", "u0"])
        length = pl.when(pl.col("dpc") & (pl.col("u0") == "RE")).then(_DPC_COMMON).otherwise("length")
        known = known.with_columns(over=pl.col("fields") - length)
        counts = known.group_by("table", "u0").agg(all=pl.len().cast(pl.Int64), over=(pl.col("over") > 0).sum())
        joined = pl.concat([self._seen, counts.select(pl.col(name).cast(to) for name, to in self._seen.schema.items())])
        self._seen = joined.group_by("table", "u0").agg(pl.col("all").sum(), pl.col("over").sum())
        usual = self._seen.filter(pl.col("all") >= _ENOUGH, 2 * pl.col("over") > pl.col("all")).select("table", "u0")
        usual = usual.with_columns(usual=True)
        padded = pl.max_horizontal(pl.col("over").min().over("g"), 0)
        level = pl.col("fields").n_unique().over("g") == 1  # as a spreadsheet saves: all lines have one length
        suspects = known.filter(pl.col("over") > padded, ~level | (pl.len().over("g") == 1))
        shifted = (pl.col("u0") != "HO") | pl.col("u6").is_not_null()  # 予備, filled by what stood before it
        suspects = suspects.filter(pl.col("u0").is_in(_NUMBERS), shifted).join(usual, on=["table", "u0"], how="left")
        parted = pl.col("u5").str.contains("^[0-9]{1,3}$") & pl.col("u6").str.contains("^[0-9]{3}$")
        parted = pl.col("u0").is_in(["HO", "KO"]) & parted.fill_null(False)
        return suspects.filter(pl.col("usual").is_null() | parted)["g"].unique()


_LENGTHS = pl.DataFrame(
    [(table, kind, length) for table, lengths in LENGTHS.items() for kind, length in lengths.items()],
    schema={"table": pl.String, "u0": pl.String, "length": pl.Int64},
    orient="row",
)
