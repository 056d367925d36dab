"""May this constant stand in a mapping? Read by the reader of its table before any file is: it goes into every row."""

from __future__ import annotations

from functools import lru_cache

import polars as pl

from kenpo_analytics.ingest import rules
from kenpo_analytics.ingest.checkups.item_values import items
from kenpo_analytics.ingest.lists.cells import Cells
from kenpo_analytics.ingest.lists.tables import READERS

_MEASURED = {name for item in items().values() for name in (item.key, item.column)}


@lru_cache(maxsize=1024)
def why_refused(table: str, key: str, said: str) -> str | None:
    """Why can this not be the constant of this key? None where it can; else a Japanese sentence without the constant.

    It is read as a cell would be: a 保険者番号 by its check digit, words by their list, days and months, numbers by
    their range. What a checkup finds is nobody's constant. A 市区町村コード is judged in each row, by its branch.
    """
    if key == "municipality":
        return None
    if table == "checkups" and key in _MEASURED:
        return "検査値と質問の回答は定数にできません。"
    cells = Cells({}, {key: said}, None, pl.Series([1], dtype=pl.Int64))
    READERS[table](cells)
    rule = cells.rule_of(key)
    return None if rule is None else rules.reason(rule, key, "")
