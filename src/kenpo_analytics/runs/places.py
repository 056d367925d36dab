"""Where is everything, and can the run begin? Notebooks, sound data, and reports that can be written."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kenpo_analytics.definitions.kenpo_toml import CONFIG, settings
from kenpo_analytics.errors import KenpoError, RunError, TableError
from kenpo_analytics.months import format_month
from kenpo_analytics.tables import TABLES

if TYPE_CHECKING:
    from kenpo_analytics.store import Tables

DATA_INVALID, CANNOT_CREATE, CANNOT_WRITE = 65, 73, 74
FREE_BYTES = 200 * 2**20
TOLD = 3


@dataclass(frozen=True)
class Places:
    """The folders of a run, and its branch by kenpo.toml. Kernels start in `root` (of kenpo.toml or notebooks)."""

    root: Path
    notebooks: Path
    data: Path
    reports: Path
    branch: str | None = None


def _root() -> Path:
    """Where a project begins: the nearest folder upwards with kenpo.toml, else with notebooks, else this one."""
    here = Path.cwd()
    upwards = (here, *here.parents)
    beside = (folder for name in (CONFIG, "notebooks") for folder in upwards if (folder / name).exists())
    return next(beside, here)


def settle(notebooks: Path | None, data: Path | None, reports: Path | None) -> Places:
    """Where is everything? What was given, else `[run]` in kenpo.toml, else the folders beside it."""
    root = _root()
    config = settings(root / CONFIG)["run"]
    notebooks = notebooks or root / config.get("notebooks", "notebooks")
    reports = reports or root / config.get("reports", "reports")
    if data is None:
        from kenpo_analytics.store import find_data

        data = Path(find_data())
    if not data.is_dir():
        raise RunError(
            f"データのフォルダがありません: {data}",
            exit_code=DATA_INVALID,
            hint="--data か環境変数 KENPO_DATA で場所を指定してください。",
        )
    return Places(root.resolve(), notebooks.resolve(), data.resolve(), reports.absolute(), config.get("branch"))


def seen_from_here(folder: Path) -> str:
    """A path that exists as it is printed: relative to the working directory if it lies below, else whole."""
    try:
        return str(folder.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(folder.absolute())


def open_data(data: Path, month: str | None) -> Tables:
    """Which tables, month and definitions will the notebooks meet? As asked, else the latest month received.

    Raises
    ------
    RunError
        Exit code 65: unreadable, or the data end before the month: old numbers never get a new month's name.
    """
    from kenpo_analytics.runs.plan import check_month
    from kenpo_analytics.store import load

    if month is not None:
        check_month(month)
    try:
        return load(data, month=month)
    except TableError as error:
        check_data(data)  # tells all that is wrong with the tables, where they are the cause
        raise RunError(error.message, exit_code=DATA_INVALID, hint=error.hint) from error


def check_known(tables: Tables, branch: str | None) -> None:
    """Is there anything to count at the run's month, and anybody of the branch? Asked before anything starts.

    Raises
    ------
    RunError
        Exit code 65: no row of a required table known by that month, or nobody of the branch among the members.
    """
    for name, table in TABLES.items():
        if not table.optional and not _rows(getattr(tables, name)):
            raise RunError(
                f"{format_month(tables.month)}までに分かっている{name}の行が1行もありません。",
                exit_code=DATA_INVALID,
                hint="データの中身か --month を見直してください。kenpo check で表を確かめられます。",
            )
    if branch is None or "branch" not in tables.members.collect_schema():
        return
    import polars as pl

    if not _rows(tables.members.filter(pl.col("branch").cast(pl.String) == branch)):
        raise RunError(
            f"データに支部{branch}の加入者がいません。",
            exit_code=DATA_INVALID,
            hint="--branch(または kenpo.toml の [run] branch)と、データの場所を確かめてください。",
        )


def _rows(lazy: Any) -> int:
    import polars as pl

    return int(lazy.select(pl.len()).collect().item())


def nothing_left(skipped: Sequence[Mapping[str, Any]]) -> RunError:
    """Every notebook asked for lacks a table."""
    told = "、".join(f"{left['title']}(必要な表: {'、'.join(left['missing'])})" for left in skipped)
    return RunError(
        f"表がないため、実行できる報告がありません: {told}。",
        exit_code=DATA_INVALID,
        hint="<表の名前>.parquet をデータのフォルダに置いてください。",
    )


def check_data(data: Path) -> None:
    """Are the input tables sound enough to run on? Warnings are, errors are not (exit code 65)."""
    from kenpo_analytics import checks

    try:
        found = checks.check_folder(data).to_dicts()
    except KenpoError as error:
        raise RunError(error.message, exit_code=DATA_INVALID, hint=error.hint) from error
    errors = [checks.describe(row) for row in found if row["level"] == "error"]
    if errors:
        told = "。".join(errors[:TOLD]) + ("。ほか" if len(errors) > TOLD else "")
        raise RunError(
            f"入力データに直すべき誤りが {len(errors)} 種類あるため、実行しませんでした。{told}。",
            exit_code=DATA_INVALID,
            hint=f"kenpo check {data} で一覧を見て、データを直してください。",
        )


def prepare_reports(reports: Path) -> None:
    """Can reports be written, with room to spare? Asked before anything starts (exit codes 73 and 74)."""
    with writing():
        reports.mkdir(parents=True, exist_ok=True)
        probe = reports / f".probe-{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
    free = shutil.disk_usage(reports).free
    if free < FREE_BYTES:
        raise RunError(
            f"空き容量が足りません(残り {free // 2**20} MB、必要 {FREE_BYTES // 2**20} MB)。",
            exit_code=CANNOT_WRITE,
            hint="不要なファイルを消すか、--reports で別の場所を指定してください。",
        )


def unwritable(error: OSError) -> RunError:
    """A write that failed, in the reader's words: 73 where one may not write, 74 where it went wrong."""
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT, errno.EEXIST}:
        return RunError(
            f"報告のフォルダに書き込めません({error.strerror})。",
            exit_code=CANNOT_CREATE,
            hint="フォルダの場所と書き込みの権限を確かめてください。",
        )
    return RunError(
        f"書き込みに失敗しました({error.strerror or error})。",
        exit_code=CANNOT_WRITE,
        hint="ディスクの空き容量と状態を確かめてください。",
    )


@contextmanager
def writing() -> Iterator[None]:
    """A failed write inside becomes an error with its exit code."""
    try:
        yield
    except OSError as error:
        raise unwritable(error) from error
