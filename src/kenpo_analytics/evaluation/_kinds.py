"""Whose frame does a design read? pandas, lazy polars and DuckDB are held in polars at its door."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.errors import FrameKindError, TableError

P = ParamSpec("P")
R = TypeVar("R")
_SAID = """

    Takes pandas, polars (lazy too) and DuckDB frames. A frame comes back as pandas for pandas, else as polars;
    the frames in an estimate's diagnostics are polars.
    """


def any_frame(design: Callable[P, R]) -> Callable[P, R]:
    """Let a function of polars frames take every kind; its first argument is a frame, others may be.

    pandas has no days: its times become days, as an analysis set has them.

    Raises
    ------
    FrameKindError
        The first argument is no frame.
    TableError
        A pandas column holds values of several types.
    """

    name = next(iter(signature(design).parameters))

    @wraps(design)
    def run(*args: P.args, **options: P.kwargs) -> R:
        given = args[0] if args else options.get(name)
        kind = "polars" if given is None else frames.kind_of(given)
        ours: Any = design  # what is held has another type than what was given
        found = ours(*map(_held, args), **{key: _held(value) for key, value in options.items()})
        return frames.to_pandas(found) if kind == "pandas" and isinstance(found, pl.DataFrame) else found

    run.__doc__ = (design.__doc__ or "").rstrip() + _SAID
    return run


def _held(value: Any) -> Any:
    if isinstance(value, pl.DataFrame):
        return value
    try:
        kind = frames.kind_of(value)
    except FrameKindError:
        return value  # a number, a name, a band
    try:
        frame = frames.eager(value)
    except (TypeError, ValueError, OverflowError) as error:  # pyarrow's errors are of these
        raise TableError(
            "表の列に種類の違う値が混ざっています",
            hint="pandasで dtype を見て、日付・数値・文字列のどれかにそろえてください。",
        ) from error
    return frame.with_columns(pl.col(pl.Datetime).cast(pl.Date)) if kind == "pandas" else frame
