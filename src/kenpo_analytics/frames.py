"""Whose frame is it? The one seam to pandas, polars (eager and lazy) and DuckDB relations.

Everything above is written once as narwhals expressions on a LazyFrame. pandas becomes a polars LazyFrame at the
door (NaN -> null) and is given back as pandas; DuckDB relations stay in DuckDB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import narwhals as nw
import polars as pl

from kenpo_analytics.errors import FrameKindError, TableError
from kenpo_analytics.tables import Table

Kind = Literal["pandas", "polars", "polars-lazy", "duckdb"]


@dataclass(frozen=True)
class Source:
    """Where a frame came from: its kind, and for pandas the column types to give back."""

    kind: Kind
    dtypes: Mapping[str, Any] = field(default_factory=dict)


def kind_of(frame: object) -> Kind:
    """Which kind of frame is it? Anything else is refused with the list of kinds that are taken."""
    module = type(frame).__module__.split(".")[0].lstrip("_")
    name = type(frame).__name__
    if isinstance(frame, pl.DataFrame):
        return "polars"
    if isinstance(frame, pl.LazyFrame):
        return "polars-lazy"
    if module == "pandas" and name == "DataFrame":
        return "pandas"
    if module == "duckdb" and name == "DuckDBPyRelation":
        return "duckdb"
    raise FrameKindError(
        f"扱えない表の種類です: {type(frame).__module__}.{name}",
        hint="pandas.DataFrame、polars.DataFrame、polars.LazyFrame、DuckDBのリレーションのいずれかを渡してください。",
    )


def enter(frame: Any, table: Table, columns: Sequence[str], *, optional: Iterable[str] = ()) -> nw.LazyFrame:
    """What does the library work on? A narwhals LazyFrame of the asked columns, in canonical types, NaN as null.

    Parameters
    ----------
    frame
        pandas, polars or DuckDB.
    table
        The canonical table it should be (its types; the names in messages).
    columns
        Columns that must be there.
    optional
        Columns that become all-null when absent (what then cannot be judged is said, not guessed).

    Raises
    ------
    TableError
        A column is missing or has a type that would have to be guessed.
    """
    kind, names = kind_of(frame), columns_of(frame)
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise TableError(f"{table.name}に同じ名前の列があります: {', '.join(map(str, repeated))}")
    if missing := [name for name in columns if name not in names]:
        raise TableError(
            f"{table.name}に必要な列がありません: {', '.join(missing)}",
            hint=f"列の一覧は docs/tables.md の「{table.name}」を見てください。",
        )
    wanted = [*columns, *(name for name in optional if name in names and name not in columns)]
    if kind == "pandas":
        frame = _from_pandas(frame[wanted], table)
    elif kind == "polars":
        frame = frame.lazy()
    lazy = nw.from_native(frame).select(*wanted)
    schema = lazy.collect_schema()
    lazy = lazy.with_columns(*(canonical(table, name, schema[name]) for name in wanted))
    absent = [name for name in optional if name not in names]
    return lazy.with_columns(*(nw.lit(None, _dtype(table, name)).alias(name) for name in absent)) if absent else lazy


def columns_of(frame: Any) -> list[str]:
    """Which columns has a frame of any kind?"""
    return frame.collect_schema().names() if kind_of(frame) == "polars-lazy" else list(frame.columns)


def _from_pandas(frame: Any, table: Table) -> pl.LazyFrame:
    """pandas as lazy polars; a column of mixed types is refused, since pandas holds anything."""
    frame = whole_ids(frame, table)
    columns = {}
    for name in frame.columns:
        try:
            column = pl.from_pandas(frame[name], nan_to_null=True)
        except (TypeError, ValueError, OverflowError) as error:  # pyarrow's errors are of these
            raise TableError(
                f"{table.name}の列 {name} に種類の違う値が混ざっています",
                hint="pandasで dtype を見て、日付・数値・文字列のどれかにそろえてください。",
            ) from error
        nothing = 0 < len(frame) == column.null_count()  # pandas calls these str or float
        columns[name] = pl.Series([None] * len(frame)) if nothing else column
    return pl.DataFrame(columns).lazy()


def same_key(name: str, **lazies: nw.LazyFrame) -> None:
    """Can these be joined on this identifier? An integer never equals its text, so mixed types are refused."""
    types = {label: lazy.collect_schema()[name] for label, lazy in lazies.items()}
    if len(set(types.values())) > 1:
        listed = "、".join(f"{label}={dtype}" for label, dtype in types.items())
        raise TableError(f"{name}の型が表によって違います({listed})", hint="整数か文字列のどちらかにそろえてください。")


def whole_ids(frame: Any, table: Table) -> Any:
    """pandas turns integer ids with gaps into floats, which lose digits above 2**53: take back only what is exact."""
    floats = [name for name in frame.columns if name.endswith("_id") and frame[name].dtype.kind == "f"]
    for name in floats:
        values = frame[name].dropna()
        if len(values) and (values.abs().max() > 2**53 or (values % 1 != 0).any()):
            raise TableError(
                f"{table.name}の列 {name} が小数で読まれ、桁が失われています",
                hint='pandasでは dtype="Int64" で読み込んでください。',
            )
    return frame.astype(dict.fromkeys(floats, "Int64")) if floats else frame


def source_of(frame: Any) -> Source:
    """What must be remembered of a frame to give the same kind back?"""
    kind = kind_of(frame)
    return Source(kind, dict(frame.dtypes) if kind == "pandas" else {})


def same_engine(**frames: Any) -> None:
    """Can these frames be joined? pandas and polars can (both run on polars); DuckDB only with DuckDB."""
    kinds = {name: kind_of(frame) for name, frame in frames.items() if frame is not None}
    if len({kind == "duckdb" for kind in kinds.values()}) > 1:
        listed = "、".join(f"{name}={kind}" for name, kind in kinds.items())
        raise FrameKindError(
            f"種類の違う表は結合できません({listed})",
            hint="DuckDBを使うときは、すべての表をDuckDBのリレーションで渡してください。",
        )


def leave(lazy: nw.LazyFrame, source: Source) -> Any:
    """Give back the kind that came in: pandas with a RangeIndex and its own column types, else as it is."""
    native = nw.to_native(lazy)
    if source.kind in ("duckdb", "polars-lazy"):
        return native
    eager = native.collect()
    return eager if source.kind == "polars" else to_pandas(eager, source.dtypes)


def collect(lazy: nw.LazyFrame) -> pl.DataFrame:
    """Run a plan and hold its (small) result in polars, whatever the engine."""
    native = nw.to_native(lazy)
    return native.collect() if isinstance(native, pl.LazyFrame) else native.pl()


def collect_all(plans: Sequence[nw.LazyFrame]) -> list[pl.DataFrame]:
    """Run several plans at once, so that polars reads shared inputs only once."""
    natives = [nw.to_native(plan) for plan in plans]
    if all(isinstance(native, pl.LazyFrame) for native in natives):
        return pl.collect_all(natives)
    return [collect(plan) for plan in plans]


def eager(frame: Any) -> pl.DataFrame:
    """Hold a small table of any kind in polars."""
    kind = kind_of(frame)
    if kind == "pandas":
        return pl.from_pandas(frame.reset_index(drop=True), nan_to_null=True)
    held: pl.DataFrame = frame.collect() if kind == "polars-lazy" else frame.pl() if kind == "duckdb" else frame
    return held


def small(frame: pl.DataFrame, source: Source) -> Any:
    """Give a small result back eagerly: pandas for pandas, polars for every other kind."""
    return to_pandas(frame) if source.kind == "pandas" else frame


def to_pandas(frame: pl.DataFrame, dtypes: Mapping[str, Any] | None = None) -> Any:
    """Convert a result to pandas, keeping input column types where the values allow it.

    Integers and booleans with nulls become pandas' nullable types instead of floats and objects.
    """
    result = frame.to_pandas()
    for name, dtype in frame.schema.items():
        if dtype.is_integer() and frame[name].null_count():
            result[name] = frame[name].to_pandas(use_pyarrow_extension_array=True).astype(f"{dtype}")
        elif dtype == pl.Boolean and frame[name].null_count():
            result[name] = frame[name].to_pandas(use_pyarrow_extension_array=True).astype("boolean")
        wanted = (dtypes or {}).get(name)
        if dtype == pl.Date and str(wanted) == "object":
            result[name] = frame[name].to_numpy(allow_copy=True).astype(object)  # datetime.date, as it came in
        elif (
            wanted is not None
            and wanted != result[name].dtype
            and not (frame[name].null_count() and str(wanted) in ("int64", "int32", "bool"))
        ):
            result[name] = result[name].astype(wanted)
    return result


def sure(condition: nw.Expr) -> nw.Expr:
    """A comparison with null is not true: say so before any negation or `when`, since engines differ."""
    return condition.fill_null(False)


def _dtype(table: Table, name: str) -> Any:
    kinds = {
        "int": nw.Int64,
        "month": nw.Int32,
        "float": nw.Float64,
        "str": nw.String,
        "bool": nw.Boolean,
        "date": nw.Date,
    }
    return kinds[_column_kind(table, name) or "str"]


def _column_kind(table: Table, name: str) -> str | None:
    return next((column.kind for column in table.columns if column.name == name), None)


def canonical(table: Table, name: str, dtype: nw.dtypes.DType) -> nw.Expr:
    """Bring a column to its canonical type where that is no guess; identifiers keep theirs."""
    column, kind = nw.col(name), _column_kind(table, name)
    if name.endswith("_id"):
        if not (dtype.is_integer() or isinstance(dtype, nw.String)) and str(dtype) != "Unknown":
            raise TableError(
                f"{table.name}の列 {name} は整数か文字列です(渡された型: {dtype})",
                hint="小数や分類型のIDは、読み込み時に整数か文字列に直してください。",
            )
        if isinstance(dtype, nw.UInt64):
            raise TableError(f"{table.name}の列 {name} は符号なし64ビットです", hint="Int64か文字列に直してください。")
        return column if isinstance(dtype, nw.String) else column.cast(nw.Int64)
    if kind is None:
        return column  # a column of the analyst's own travels along untouched
    fits = {
        "int": dtype.is_integer(),
        "month": dtype.is_integer(),
        "float": dtype.is_numeric(),
        "str": isinstance(dtype, nw.String | nw.Categorical | nw.Enum),
        "bool": isinstance(dtype, nw.Boolean),
        # a day depends on the time zone it is read in: never guess one
        "date": isinstance(dtype, nw.Date) or (isinstance(dtype, nw.Datetime) and dtype.time_zone is None),
    }[kind]
    if isinstance(dtype, nw.Unknown) or str(dtype) == "Unknown":
        return column.cast(_dtype(table, name))  # an all-null column carries no type
    if not fits and kind in ("int", "month") and dtype.is_float():
        return column.fill_nan(None).cast(_dtype(table, name))  # pandas turns integers with gaps into floats
    if not fits:
        raise TableError(
            f"{table.name}の列 {name} の型が違います: {dtype}(必要な型: {_dtype(table, name).__name__})",
            hint="読み込み時に型を指定して変換してから渡してください。",
        )
    if kind == "float" and dtype.is_float():
        column = column.fill_nan(None)
    if isinstance(dtype, nw.Float32) and kind == "float":
        return column.cast(nw.Float64).round(4)  # 8.4 is below 8.4 in single precision
    return column if dtype == _dtype(table, name) else column.cast(_dtype(table, name))
