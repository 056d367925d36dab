"""What did the payer office correct? JY orders of RECODEINFO carried out on the rows of claims.

JY[1] 1 追加, 2 置換, 3 削除; JY[2..3] 行番号 and 枝番号 of the claimed row, JY[6..7] of the row of the payer office. An
empty 枝番号 is 0. Where JY[6] is empty, the payer office's row stands in the claimed one's place; where JY[2] of an
addition is empty, the row is added in its own place.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

_TYPE = pl.col("u0")
_ORDER = {"old": 2, "new": 6}
_PLACE = ["g", "line_number", "branch"]
_ADD, _REPLACE, _DELETE = "1", "2", "3"


class Corrected(NamedTuple):
    """`rows` as corrected; claims `removed` and `broken` (their correction is lost) by number; `idle` orders (g, line).

    An idle order names a row to be deleted or replaced that the claim has not.
    """

    rows: pl.DataFrame
    removed: pl.Series
    broken: pl.Series
    idle: pl.DataFrame


def corrected(rows: pl.DataFrame) -> Corrected:
    """What do the claims say once the payer office's corrections are done?"""
    kept = rows.filter((pl.col("p0") == "1") | (_TYPE == "MN"))
    orders = _orders(rows)
    if orders.is_empty():
        none = rows["g"].clear()
        return Corrected(kept, none, none, orders.select("g", "line"))
    taking = orders.filter(pl.col("op").is_in([_REPLACE, _DELETE])).rename(
        {"old": "line_number", "old_branch": "branch"}
    )
    taken = taking.select(*_PLACE, "op")
    gone = kept.join(taken, on=_PLACE, how="inner")
    put = _put(rows, orders)
    left = pl.concat([kept.join(taken, on=_PLACE, how="anti"), put.select(kept.columns)])
    idle = taking.join(gone, on=_PLACE, how="anti").filter(pl.col("line_number").is_not_null())
    return Corrected(_in_order(left, orders["g"]), _removed(gone, left), _broken(orders, put), idle.select("g", "line"))


def _orders(rows: pl.DataFrame) -> pl.DataFrame:
    """One row an order: op, old and new place, and its own place in the file."""
    places = {}
    for name, at in _ORDER.items():
        places[name] = pl.col(f"u{at}").cast(pl.Int64, strict=False)
        places[f"{name}_branch"] = pl.col(f"u{at + 1}").fill_null("0").cast(pl.Int64, strict=False)
    order = pl.int_range(pl.len(), dtype=pl.Int64)
    found = rows.filter(_TYPE == "JY").select("g", "line", op=pl.col("u1"), order=order, **places)
    empty, added = pl.col("new").is_null(), pl.col("old").is_null() & (pl.col("op") == _ADD)
    return found.with_columns(
        new=pl.coalesce("new", "old"),
        new_branch=pl.when(empty).then("old_branch").otherwise("new_branch"),
        old=pl.when(added).then("new").otherwise("old"),
    )


def _put(rows: pl.DataFrame, orders: pl.DataFrame) -> pl.DataFrame:
    """The rows of the payer office that are added after, or put in place of, claimed ones; `order` says by which."""
    put = orders.filter(pl.col("op").is_in([_ADD, _REPLACE])).unique(["g", "new", "new_branch"], keep="last")
    place = put.select(
        "g",
        "order",
        line_number="new",
        branch="new_branch",
        at="old",
        at_branch=pl.when(pl.col("op") == _ADD).then(pl.col("order") + 1_000_000).otherwise("old_branch"),
    )
    added = rows.filter(pl.col("p0") == "2", ~_TYPE.is_in(["MN", "JY"])).join(place, on=_PLACE, how="inner")
    return added.with_columns(line_number="at", branch="at_branch")


def _broken(orders: pl.DataFrame, put: pl.DataFrame) -> pl.Series:
    """Claims with an order that cannot be read, or whose new row is not in the file: what they say is lost."""
    unread = ~pl.col("op").is_in([_ADD, _REPLACE, _DELETE]).fill_null(False)
    unread = unread | pl.any_horizontal(pl.col("old", "old_branch", "new_branch").is_null())
    putting = orders.filter(pl.col("op").is_in([_ADD, _REPLACE])).unique(["g", "new", "new_branch"], keep="last")
    lost = putting.join(put, on=["g", "order"], how="anti")
    return pl.concat([orders.filter(unread)["g"], lost["g"]]).unique()


def _removed(gone: pl.DataFrame, left: pl.DataFrame) -> pl.Series:
    """Claims whose MN, or whose every RE, was deleted."""
    deleted = gone.filter(pl.col("op") == _DELETE)
    common = deleted.filter(_TYPE == "RE").join(left.filter(_TYPE == "RE"), on="g", how="anti")
    return pl.concat([common["g"], deleted.filter(_TYPE == "MN")["g"]]).unique()


def _in_order(rows: pl.DataFrame, touched: pl.Series) -> pl.DataFrame:
    """Rows by claim; within a corrected claim by 行番号 and 枝番号."""
    moved = pl.col("g").is_in(touched.unique().to_list())
    keys = [pl.when(moved).then(name).otherwise(0) for name in ("line_number", "branch")]
    return rows.sort("g", moved & (_TYPE != "MN"), *keys, maintain_order=True)
