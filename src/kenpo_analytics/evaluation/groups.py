"""Who is compared with whom? People of several cohorts under one roof, with the values of their checkup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw

from kenpo_analytics import frames
from kenpo_analytics.errors import TableError
from kenpo_analytics.frames import columns_of as names_of
from kenpo_analytics.tables import CHECKUPS

BASELINE = ("bmi", "waist", "sbp", "dbp", "ldl", "hdl", "tg", "smoking")


def baseline(people: Any, checkups: Any, columns: Sequence[str] = BASELINE) -> Any:
    """Which other values did each person have at the index checkup?

    Parameters
    ----------
    people
        A cohort's people, with `record_id` (the checkup that brought them in).
    checkups
        Canonical checkups; rows repeated in full are taken once.
    columns
        Columns of checkups to add; those that `people` has already stay as they are.

    Returns
    -------
    Frame of the kind of `people`, one row per row of it, with the asked columns (null where not measured).

    Raises
    ------
    TableError, FrameKindError
        `record_id` or an asked column is missing, or one record_id stands for several different rows.
    """
    frames.same_engine(people=people, checkups=checkups)
    source, names = frames.source_of(people), names_of(people)
    wanted = [name for name in columns if name not in names]
    base = frames.enter(people, CHECKUPS, ["record_id"], optional=[name for name in names if name != "record_id"])
    rows = frames.enter(checkups, CHECKUPS, ["record_id", *wanted])
    frames.same_key("record_id", people=base, checkups=rows)
    rows = rows.join(base.select("record_id").unique("record_id"), on="record_id", how="inner").unique()
    several = rows.group_by("record_id").agg(nw.len().alias("n")).filter(nw.col("n") > 1)
    if count := len(frames.collect(several)):
        raise TableError(
            f"内容の違う行が同じ健診記録IDを持っています({count}件)",
            hint="kenpo check で checkups を確かめてください。",
        )
    return frames.leave(base.join(rows, on="record_id", how="left"), source)


def stack(groups: Mapping[str, Any], *, column: str = "group") -> Any:
    """How do several cohorts stand in one frame? Rows of all, with the name of the cohort in `column`.

    Columns that one of them lacks become null there. The result is of the kind of the first frame; frames of different
    engines are refused.
    """
    if not groups:
        raise TableError(
            "比べる群がありません", hint='{"before": people, "programme": people} のように渡してください。'
        )
    frames.same_engine(**{str(name): frame for name, frame in groups.items()})
    names = list(dict.fromkeys(name for frame in groups.values() for name in names_of(frame)))
    if column in names:
        raise TableError(f"列 {column} はすでにあります", hint="column= で別の名前を付けてください。")
    entered = {str(name): _entered(frame) for name, frame in groups.items()}
    schemas = [lazy.collect_schema() for lazy in entered.values()]
    types = {name: [schema[name] for schema in schemas if name in schema] for name in names}
    wanted = {name: next((dtype for dtype in found if not _empty(dtype)), found[0]) for name, found in types.items()}
    if mixed := [n for n, found in types.items() if any(not _empty(t) and not _alike(t, wanted[n]) for t in found)]:
        raise TableError(f"列の型が群によって違います: {', '.join(mixed)}", hint="同じ型にそろえてから渡してください。")
    parts = []
    for label, lazy in entered.items():
        here = lazy.collect_schema()
        columns = [(nw.col(n) if n in here else nw.lit(None)).cast(wanted[n]).alias(n) for n in names]
        parts.append(lazy.select(*columns, nw.lit(label).alias(column)))
    return frames.leave(nw.concat(parts, how="vertical"), frames.source_of(next(iter(groups.values()))))


def _entered(frame: Any) -> nw.LazyFrame:
    return frames.enter(frame, CHECKUPS, [], optional=names_of(frame))


def _empty(dtype: Any) -> bool:
    """The type of a column without any value."""
    return isinstance(dtype, nw.Unknown) or str(dtype) in ("Unknown", "Null")


def _alike(one: Any, other: Any) -> bool:
    return one == other or (one.is_numeric() and other.is_numeric())
