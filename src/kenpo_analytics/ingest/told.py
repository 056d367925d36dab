"""How is an ingest told to a person or a log? A progress bar, and at the end a table that balances to the row."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.deliver import Delivery, deliver
from kenpo_analytics.ingest.files.recognise import LAYOUTS

COUNTS = {"read": "読んだ件数", "accepted": "取り込み", "quarantined": "隔離", "duplicate": "重複・差し替え"}
LINKS = {
    "linked_number": "記号・番号・枝番",
    "linked_birth": "記号・番号と生年月日・性別",
    "linked_kana": "カナ氏名と生年月日・性別",
    "linked_record": "加入者台帳なし",
}
MOST_RULES = 12
LOG_WIDTH = 180


def deliver_and_tell(
    raw: Path,
    into: Path,
    *,
    key: Path | None,
    received: str | None,
    insurer: str | None,
    mappings: Sequence[Path],
    jobs: int,
    out: Path | None,
) -> bool:
    """Run an ingest and print what became of every file; False when no record of any file ever went in."""
    if out is not None and (not out.absolute().parent.is_dir() or out.absolute().is_relative_to(into.absolute())):
        raise IngestError(
            f"--rejected の場所に書けません: {out}",
            hint="データのフォルダの外にある、すでにあるフォルダを指定してください。",
        )
    given = {"key_file": key, "received": received, "insurer": insurer, "mappings": mappings, "jobs": jobs}
    with _Bar() as bar:
        done = deliver(raw, into, begin=bar.begin, told=bar.advance, **given)  # type: ignore[arg-type]
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else LOG_WIDTH, highlight=False, markup=False)
    for part in _parts(done):
        console.print(part)
    if out is not None:
        done.summary.quarantine.write_csv(out, include_bom=True)
        console.print(f"取り込まなかった行と値の一覧: {out}({done.summary.quarantine.height:,}件)")
    print(into)
    sources = done.summary.sources
    return not sources["read"].sum() or bool(sources["accepted"].sum())


def _parts(done: Delivery) -> list[Any]:
    """The printed parts: files, tables, links, reasons."""
    fresh = done.summary.sources.filter(pl.col("digest").is_in(list(done.digests)))
    parts: list[Any] = [_files(fresh)] if fresh.height else ["新しいファイルはありません。"]
    if done.known:
        parts.append(f"取り込み済み(内容が同じ): {len(done.known):,}ファイル")
    if done.side:
        parts.append(f"付属のファイル(読まない): {len(done.side):,}件")
    rows = "、".join(f"{name} {count:,}行" for name, count in done.summary.rows.items())
    parts.append(f"表: {rows}。人数 {done.summary.persons:,}人")
    if done.summary.clipped:
        parts.append(f"次の加入期間の始まりで区切った加入期間: {done.summary.clipped:,}件")
    return [*parts, *_links(done.summary.sources), *_reasons(done.summary.quarantine), *_warnings(done, fresh)]


def _warnings(done: Delivery, fresh: pl.DataFrame) -> list[str]:
    """What the reader must do or know beside the counts."""
    told = []
    today = fresh.filter(pl.col("received_from") == "ingest", pl.col("accepted") > 0)
    months = today.filter(pl.col("table").is_in(["checkups", "claims"]))["source"].n_unique()
    if months:
        told.append(f"注意: {months:,}ファイルは受領月が分からず、今月の受領としました(--received で指定できます)。")
    unread = fresh.filter(pl.col("layout").is_in(["unknown", "refused"]))["source"].n_unique()
    if unread:
        told.append(f"注意: 読めなかったファイルが{unread:,}件あります(様式が「不明」または「読めない」)。")
    if "members" not in done.summary.rows:
        told.append("注意: 加入者台帳がまだありません。記録だけから人を見分けているため、台帳が届くと照合し直します。")
    if done.new_key:
        told.append(
            f"鍵ファイルを作りました: {done.new_key}。失うと同じ個人IDを作れません。控えを別の場所に保管してください。"
        )
    return told


def _files(sources: pl.DataFrame) -> Any:
    from rich.table import Table

    table = Table(title="取り込みの結果(1行が1ファイル・1表)")
    for name in ("ファイル", "様式", "表"):
        table.add_column(name, overflow="fold")
    for name in (*COUNTS.values(), "空にした値"):
        table.add_column(name, justify="right")
    columns = [*COUNTS, "values_rejected"]
    for row in sources.sort("source", "table").iter_rows(named=True):
        kind, _, mapped = row["layout"].partition(":")
        shown = LAYOUTS.get(kind, f"対応表 {mapped}")
        table.add_row(short(row["source"]), shown, row["table"], *(f"{row[name]:,}" for name in columns))
    table.add_section()
    table.add_row("計", "", "", *(f"{sources[name].sum():,}" for name in columns))
    return table


def short(name: str) -> str:
    """How is a file named in a table? Without the folders, those inside an archive too."""
    return "!".join(part.rsplit("/", 1)[-1] for part in name.split("!"))


def _links(sources: pl.DataFrame) -> list[str]:
    counts = {label: int(sources[name].sum() or 0) for name, label in LINKS.items()}
    total = sum(counts.values())
    if not total:
        return []
    shares = "、".join(f"{label} {count:,}件({count / total:.1%})" for label, count in counts.items() if count)
    return [f"個人との照合(取り込み済みの全ファイル、{total:,}件): {shares}"]


def _reasons(quarantine: pl.DataFrame) -> list[str]:
    if quarantine.is_empty():
        return ["隔離した行や空にした値はありません。"]
    said = quarantine.with_columns(pl.col("reason").str.replace("「[^」]*」: ", ": "))  # without the column's header
    counted = said.group_by("level", "rule", "reason").len().sort("len", "rule", descending=[True, False])
    words = {"row": "隔離した行", "value": "空にした値", "note": "注記"}
    lines = [f"  {words[level]} {n:,}件: {reason} [{rule}]" for level, rule, reason, n in counted.iter_rows()]
    left = len(lines) - MOST_RULES
    head = "理由(多い順。--rejected OUT.csv で全件を書き出せます):"
    return [head, *lines[:MOST_RULES], *([f"  ほか{left}種類"] if left > 0 else [])]


class _Bar:
    """A progress bar by bytes in a terminal; a line per file in a log."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> _Bar:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True))
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, size: int) -> None:
        if self._bar is not None:
            self._task = self._bar.add_task("読み取り中", total=max(size, 1))

    def advance(self, name: str, size: int) -> None:
        if self._bar is not None:
            self._bar.advance(self._task, max(size, 1))
        else:
            print(f"読み取り {name}", file=sys.stderr, flush=True)
