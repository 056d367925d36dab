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
