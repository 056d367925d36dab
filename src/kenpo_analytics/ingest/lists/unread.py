"""Which columns of a list go unread, and which of its mapping are not there? Told once a file (or sheet), as notes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as Dict
from typing import Any

import polars as pl

from kenpo_analytics.ingest.checkups.item_values import items
from kenpo_analytics.ingest.lists.mapping import shipped
from kenpo_analytics.ingest.lists.mapping_toml import Mapping, keys_of, normal_headers
from kenpo_analytics.ingest.records import Batch, rejected
from kenpo_analytics.ingest.values import text
from kenpo_analytics.tables import TABLES

_TAKES_BACK = re.compile("取消|取り消|削除|処理区分")
_MOST = 40  # headers named in one note
_LONGEST = 40  # characters of a header


class Unread:
    """The columns of one list that no key reads, while its rows go by.

    A header is shown as it stands, but for one that is a number or a day: it may be a cell of a record.
    """

    def __init__(self, headers: Sequence[str], mapping: Mapping, entry: str | None = None) -> None:
        self.headers, self.mapping, self.entry = headers, mapping, entry
        self._found = mapping.found(headers)
        read = {place for places in self._found.values() for place, _ in places}
        self._empty = {place for place in range(len(headers)) if place not in read}
        self._filled: set[int] = set()

    def see(self, columns: Sequence[pl.Series]) -> None:
        """Which of the columns that are not read have a value in these rows?"""
        for place in sorted(self._empty):
            if place < len(columns) and (columns[place].str.strip_chars() != "").any():
                self._empty.remove(place)
                self._filled.add(place)

    def notes(self) -> Iterator[Batch]:
        """Nothing, or a batch with a note of all filled columns that are not read, and one of absent ones.

        Of the user's own mapping a key none of whose headers is there is absent. The shipped ones know names that no
        list has all of: there it is a column of the table that stays empty in every row.
        """
        said = {"column_not_read": self._unread(), "column_missing": self._absent()}
        about: Dict[str, Any] = {"entry": self.entry, "level": "note", "item": "file"}
        notes = [{**about, "rule": rule, "reason": reason} for rule, reason in said.items() if reason]
        if notes:
            yield Batch({}, 0, rejected(notes))

    def _unread(self) -> str:
        names = normal_headers(self.headers)
        places = sorted(self._filled)
        back = [place for place in places if _TAKES_BACK.search(names[place])]
        other = [place for place in places if place not in back and self.mapping.of_other_unit(names[place])]
        rest = [place for place in places if place not in (*back, *other)]
        told = (
            (back, "取消・削除とみられる列を読んでいません(取り消された記録も取り込まれている恐れがあります): {}。"),
            (other, "単位が違うため読まなかった列(換算はしません): {}。"),
            (rest, "対応表にないため読まなかった列: {}。"),
        )
        return "".join(said.format(self._named(some)) for some, said in told if some)

    def _absent(self) -> str:
        have = {*self._found, *self.mapping.defaults}
        absent = [key for key in keys_of(self.mapping.table) if key in self.mapping.keys and key not in have]
        if self.mapping in shipped():
            stay = _columns_of(self.mapping.table, absent) - _columns_of(self.mapping.table, have)
            absent = [key for key in keys_of(self.mapping.table) if key in stay]
        labels = keys_of(self.mapping.table)
        return f"対応表にあって、ファイルに列がない項目: {_joined([labels[key] for key in absent])}。" if absent else ""

    def _named(self, places: Sequence[int]) -> str:
        names = normal_headers(self.headers)
        return _joined([_shown(self.headers[place], names[place], place) for place in places])


def _columns_of(table: str, keys: Iterable[str]) -> set[str]:
    """The columns of the table, of those that may stay empty, that these keys fill."""
    optional = {column.name for column in TABLES[table].columns if not column.required} if table in TABLES else set()
    of_items = {item.key: item.column for item in items().values()} if table == "checkups" else {}
    return optional & {of_items.get(key, key) for key in keys}


def _shown(header: str, name: str, place: int) -> str:
    """A header; a repeated one with the _2 that a mapping gives it (`name`)."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in header).split())
    if not plain or text.number(plain).value is not None or text.date(plain)[0] is not None:
        return f"{place + 1}列目"
    return f"「{plain[:_LONGEST]}{name.removeprefix(text.header(header))}」"


def _joined(names: Sequence[str]) -> str:
    more = f"、ほか{len(names) - _MOST}列" if len(names) > _MOST else ""
    return "、".join(names[:_MOST]) + more
