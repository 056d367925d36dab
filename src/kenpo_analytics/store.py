"""Where is the data, and what was known at the time? A data folder as tables, cut at a month (knowledge cut)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.definitions import Definitions
from kenpo_analytics.definitions.kenpo_toml import CONFIG, branch_definitions, settings, upwards
from kenpo_analytics.definitions.own_fees import with_own_fees
from kenpo_analytics.errors import TableError
from kenpo_analytics.months import fiscal_year_of, format_month, last_day, parse_month, this_month
from kenpo_analytics.tables import TABLES, Table

SAMPLE = Path("data") / "sample"
SYNTHETIC = ("truth.json", "SYNTHETIC")
RECEIVED = "received_month"
_HIDES = (RECEIVED, "valid_from", "planned_date", "sent_date", "first_interview")
_NOT_YET = ("valid_to", "completed", "declared_from")


@dataclass(frozen=True)
class Tables:
    """The canonical tables of a data folder as they were known at the end of `month` (YYYYMM).

    Each table is a polars LazyFrame, or None when it is optional and absent. `synthetic` says that no real person is in
    them (合成データ); `definitions` are the packaged ones with the branch's own values from kenpo.toml. Before
    `last_received`, the last month of the data, what has no date (a committee member) is not known as it was.
    """

    folder: Path
    month: int
    definitions: Definitions
    synthetic: bool
    members: pl.LazyFrame
    checkups: pl.LazyFrame
    claims: pl.LazyFrame
    claim_fees: pl.LazyFrame
    workplaces: pl.LazyFrame | None = None
    guidance: pl.LazyFrame | None = None
    mailings: pl.LazyFrame | None = None
    national: pl.LazyFrame | None = None
    kpi_monthly: pl.LazyFrame | None = None
    sources: pl.LazyFrame | None = None
    quarantine: pl.LazyFrame | None = None
    last_received: int | None = None

    def __repr__(self) -> str:
        present = ", ".join(name for name in TABLES if getattr(self, name) is not None)
        kind = ", 合成データ" if self.synthetic else ""
        return f"Tables({self.folder.resolve().name}, {format_month(self.month)}まで{kind}: {present})"

    def polars(self, name: str) -> pl.DataFrame:
        """One table as an eager polars frame."""
        return self._lazy(name).collect()

    def pandas(self, name: str) -> Any:
        """One table as a pandas frame; integers and booleans with gaps in pandas' nullable types."""
        return frames.to_pandas(self.polars(name))

    def _lazy(self, name: str) -> pl.LazyFrame:
        if name not in TABLES:
            raise TableError(f"表の名前が違います: 「{name}」", hint=f"使える表: {', '.join(TABLES)}")
        if (lazy := getattr(self, name)) is None:
            raise TableError(
                f"データのフォルダに{name}がありません: {self.folder}",
                hint=f"{name}.parquet を置くか、この表を使わない集計にしてください。",
            )
        return lazy


def load(data: Path | str | None = None, *, month: int | str | None = None) -> Tables:
    """Which tables are there, as known at the end of a month?

    Rows received later than `month` are hidden (checkups, claims, claim_fees), so are letters planned or sent later,
    guidance begun later or of a later fiscal year, files received later (sources) with what was rejected of them
    (quarantine), and stretches of members that start later; a later end of a stretch, of guidance or a later
    declaration of a workplace is not yet known (null). `national` holds published periods and is not cut.

    Nobody knows when a row without `received_month` came, so it is there only where nothing is cut (`month` is the last
    received one) and in no earlier month; `kenpo check` reports such rows as errors. Of `kpi_monthly`, where the column
    may be absent, such a row is there from the month that it tells of. Rows received after today are
    typing errors: they never set the month, and are hidden as any later row when a month is given.

    Parameters
    ----------
    data
        The data folder; default `find_data()`.
    month
        202410 or "2024-10" (any form of `parse_month`); default KENPO_MONTH, else the latest received month of
        checkups and claims.

    Raises
    ------
    TableError
        A required table is missing or unreadable, the data end before `month` or begin after it, a received month does
        not exist (202413), or no month was given and rows are received after today.
    DateError, DefinitionError
        Not a month; an unknown name or an impossible value in kenpo.toml.
    """
    folder = _folder(data) if data is not None else find_data()
    asked = month if month is not None else os.environ.get("KENPO_MONTH") or None
    lazies = {name: scan(folder, table)[0] for name, table in TABLES.items()}
    if missing := [name for name, lazy in lazies.items() if lazy is None and not TABLES[name].optional]:
        raise TableError(
            f"データのフォルダに必要な表がありません: {', '.join(missing)}({folder})",
            hint="<表の名前>.parquet を置いてください。kenpo check で確かめられます。",
        )
    held = {name: lazy for name, lazy in lazies.items() if lazy is not None}
    first, last = _receipts(held, given=asked is not None)
    cut = _month(asked, first, last)
    known = {name: _cut(TABLES[name], lazy, cut, last) for name, lazy in held.items()}
    if "sources" in known and "quarantine" in known:
        known["quarantine"] = _of_known_files(known["quarantine"], known["sources"])
    used = with_own_fees(branch_definitions(), folder)
    synthetic = is_synthetic(folder)
    return Tables(folder=folder, month=cut, definitions=used, synthetic=synthetic, last_received=last, **known)


def find_data() -> Path:
    """Where is the data folder? KENPO_DATA, else `[data] path` of kenpo.toml, else the sample (data/sample).

    kenpo.toml and data/sample are looked for from the working directory upwards; a relative `path` is taken from the
    folder of kenpo.toml. Last comes the sample of the checkout that the package runs from.

    Raises
    ------
    TableError
        No such folder.
    DefinitionError
        A kenpo.toml that cannot be read, or with a name that nobody reads.
    """
    if given := os.environ.get("KENPO_DATA"):
        return _folder(given, "環境変数 KENPO_DATA")
    config = upwards(CONFIG)
    if config is not None and (path := settings(config)["data"].get("path")):
        return _folder(config.parent / path, f"{CONFIG} の [data] path")
    here = Path.cwd()
    for root in (here, *here.parents, Path(__file__).parents[2]):
        if any((root / SAMPLE).glob("**/*.parquet")):
            return root / SAMPLE
    raise TableError(
        "データのフォルダが見つかりません",
        hint=f"環境変数 KENPO_DATA か {CONFIG} の [data] path で指定してください(合成データ: kenpo sample)。",
    )


def scan(folder: Path, table: Table, *, row_index: str | None = None) -> tuple[pl.LazyFrame | None, bool]:
    """How is a table of a folder read? A plan over `<table>.parquet` or `<table>/**/*.parquet`, or None.

    The flag says whether rows are numbered from 1 in `row_index`: only in a single file does a number say where.
    """
    single, parts = folder / f"{table.name}.parquet", sorted((folder / table.name).glob("**/*.parquet"))
    if single.is_file():
        return pl.scan_parquet(single, row_index_name=row_index, row_index_offset=1), row_index is not None
    return (pl.scan_parquet(parts, hive_partitioning=True), False) if parts else (None, False)


def is_synthetic(folder: Path) -> bool:
    """Is nobody real in this folder? It holds the planted truth, or a marker."""
    return any((folder / name).exists() for name in SYNTHETIC)


# --- the knowledge cut ----------------------------------------------------------------------------------


def _receipts(held: Mapping[str, pl.LazyFrame], *, given: bool) -> tuple[int, int]:
    """The first and last month in which checkups or claims were received, up to this month.

    Months that do not exist are refused; later ones too, unless the month of the run is `given`.
    """
    now = this_month()
    found = {name: _received(name, held[name], now) for name in ("checkups", "claims", "claim_fees")}
    del found["claim_fees"]  # a part of claims: its months are theirs
    known = [month for first, last, _ in found.values() for month in (first, last) if month is not None]
    later = sum(after for *_, after in found.values())
    if later and not (given and known):
        raise TableError(
            f"受領月が今月({format_month(now)})より後の行が{later:,}行あり、どの月までのデータか決められません",
            hint="kenpo check で行を確かめて直すか、月を指定してください(KENPO_MONTH=2024-10 など)。",
        )
    if not known:
        raise TableError("受領月のある行が1行もありません", hint="checkups と claims の中身を確かめてください。")
    return min(known), max(known)


def _received(name: str, lazy: pl.LazyFrame, now: int) -> tuple[int | None, int | None, int]:
    """First and last month of receipt up to now, and the number of rows after it."""
    month = pl.col(RECEIVED)
    past, number = month.filter(month <= now), month % 100
    aggregates = {
        "first": past.min(),
        "last": past.max(),
        "after": (month > now).sum(),
        "wrong": ((number < 1) | (number > 12)).sum(),
    }
    try:
        first, last, after, wrong = lazy.select(**aggregates).collect().row(0)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{name}の受領月を読めません", hint="kenpo check で表を確かめてください。") from error
    if wrong:
        raise TableError(
            f"{name}の受領月に、1～12月でない値が{wrong:,}行あります", hint="kenpo check で行を確かめて直してください。"
        )
    return first, last, after


def _month(asked: int | str | None, first: int, last: int) -> int:
    month = last if asked is None else parse_month(asked)
    if first <= month <= last:
        return month
    held = f"{format_month(last)}受領分まで" if month > last else f"{format_month(first)}受領分から"
    raise TableError(
        f"{format_month(month)}の受領データがありません(データは{held})",
        hint="データを取り込んでから実行するか、月を見直してください。",
    )


def _cut(table: Table, lazy: pl.LazyFrame, month: int, last_received: int) -> pl.LazyFrame:
    """Hide what was not yet known: rows dated later by a column of `_HIDES`, and dates that end what had begun."""
    names, last = _clocks(table, lazy), last_day(month)
    for name in (name for name in names if name in _HIDES):
        limit: Any = month if name == RECEIVED else last
        undated: Any = name != RECEIVED or month >= last_received  # without a receipt, not later than all that came
        if table.name == "kpi_monthly":
            undated = pl.col("month") <= month
        lazy = lazy.filter((pl.col(name) <= limit).fill_null(undated))
    year = lazy.collect_schema().get("fiscal_year") if table.name == "guidance" else None
    if year is not None and year.is_integer():  # no interview yet, of a year to come
        lazy = lazy.filter((pl.col("fiscal_year") <= fiscal_year_of(month)).fill_null(True))
    later = [name for name in names if name not in _HIDES]
    return lazy.with_columns(pl.when(pl.col(name) <= last).then(pl.col(name)).alias(name) for name in later)


def _of_known_files(quarantine: pl.LazyFrame, sources: pl.LazyFrame) -> pl.LazyFrame:
    """A rejected row was received with its file, and says no month of receipt itself."""
    for name, lazy in (("quarantine", quarantine), ("sources", sources)):
        if "source" not in lazy.collect_schema():
            raise TableError(f"{name}の列 source がありません", hint="kenpo check で表を確かめてください。")
    return quarantine.join(sources.select("source").unique(), on="source", how="semi", maintain_order="left")


def _clocks(table: Table, lazy: pl.LazyFrame) -> list[str]:
    """Which columns of the table tell when something was known? Refused when they are missing or cannot be compared."""
    try:
        schema = lazy.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(
            f"{table.name}のファイルを読めません", hint="ファイルが壊れていないか確かめてください。"
        ) from error
    clocks = [column for column in table.columns if column.name in (*_HIDES, *_NOT_YET)]
    lost = [c.name for c in clocks if c.required and c.name not in schema]
    present = [c for c in clocks if c.name in schema]
    fits = {c.name: schema[c.name].is_integer() if c.kind == "month" else schema[c.name].is_temporal() for c in present}
    lost += [name for name, fit in fits.items() if not fit and schema[name] != pl.Null]
    if lost:
        raise TableError(
            f"{table.name}の列 {', '.join(lost)} がないか、型が違います", hint="kenpo check で表を確かめてください。"
        )
    return [column.name for column in present]


def _folder(path: Path | str, source: str = "") -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        said = f"({source}で指定)" if source else ""
        raise TableError(f"データのフォルダがありません: {folder}{said}", hint="フォルダの場所を確かめてください。")
    return folder
