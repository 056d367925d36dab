"""Which checkups are in a list's cells? Numbers and answers by the rules of `items`, as in XML and the known CSVs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import polars as pl

from kenpo_analytics.ingest.checkups.item_values import items, normal_answer
from kenpo_analytics.ingest.checkups.items import columns_to_checkups
from kenpo_analytics.ingest.lists.cells import Cells, coded
from kenpo_analytics.ingest.lists.mapping_toml import item_codes
from kenpo_analytics.ingest.lists.people import Made, finish, identity
from kenpo_analytics.ingest.lists.words import ACTION, KIND
from kenpo_analytics.ingest.records import STAGED
from kenpo_analytics.ingest.values import columns as value

_ANSWERS = {  # our own values as the words of the answer lists
    "yes": "はい",
    "true": "はい",
    "no": "いいえ",
    "false": "いいえ",
    "past": "過去に喫煙",
    "fasting": "食後10時間以上",
    "casual": "食後3.5時間以上10時間未満",
    "post_meal": "食後3.5時間未満",
}
_NGSP_ONLY = dt.date(2013, 4, 1)  # since then checkups report HbA1c as NGSP
_FOUND = {item.column for item in items().values()}


def checkups(cells: Cells) -> Made:
    """Checkups: input ranges, units and answer codes are those of `items`, the same for all readers.

    Our own words (yes, past, no, fasting, casual, post_meal) count beside the answer codes and Japanese words. A
    column HbA1c that does not say NGSP is refused before 2013-04 (it may be JDS).
    """
    people = identity(cells, row=("birth",))
    day = cells.date("checkup_date", row=True)
    cells.refuse_where("checkup_date", day.is_null(), "missing")
    cells.refuse_where("checkup_date", (day < people["birth"]).fill_null(False), "order")
    kind = cells.word("kind", KIND, row=True)
    cells.refuse_where("kind", kind.is_null(), "missing")
    action = cells.word("action", ACTION, row=True)
    made = {
        **people,
        "checkup_date": day,
        "received_month": cells.read("received_month", value.month_numbers),
        "institution": cells.read("institution", value.numbers_as_text),
        "kind": kind,
        "action": action.fill_null("put"),
    }
    month = pl.select(value.month_of(pl.lit(day))).to_series()
    columns = list(_measurements(cells, day.is_null() | (day >= _NGSP_ONLY)))
    schema = {name: dtype for name, dtype in STAGED["checkups"].items() if name not in _FOUND}
    records, rejected = finish(cells, schema, made, month)
    here = cells.line.is_in(records["line"].implode())
    rows, values = columns_to_checkups([(code, head, texts.filter(here)) for code, head, texts in columns], records)
    return rows.select(list(STAGED["checkups"])), pl.concat([rejected, values])


def _measurements(cells: Cells, ngsp: pl.Series) -> Iterator[tuple[str, str, pl.Series]]:
    for key, code in item_codes().items():
        number = items()[code].unit != ""
        for header, meaning, texts in cells.columns.get(key, ()):
            made = coded(texts, meaning, strict=not number)
            if not number:
                made = value.distinct(made, lambda raw: _ANSWERS.get(normal_answer(raw).lower(), raw))
            if key == "hba1c" and "ngsp" not in value.plain(header).lower():
                old = made.is_not_null() & (made.str.strip_chars() != "") & ~ngsp
                cells.refuse_where("hba1c", old.fill_null(False), "jds", row=False)
                made = pl.select(pl.when(~old).then(made)).to_series()
            yield code, header, made
