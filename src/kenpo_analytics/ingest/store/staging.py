"""What was read so far? Sealed records of every delivery under DATA_DIR/.ingest, each whole or not there at all.

On disk: `store.json` (version, key check, synthetic or not), and per delivery `<digest>/` with `source.json`,
`<table>.<n>.parquet` and `rejected.<n>.parquet`. No file holds a name, a 記号・番号 or a birth date.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kenpo_analytics.errors import IngestError, RunError
from kenpo_analytics.ingest.files.sources import Source
from kenpo_analytics.ingest.identity import Key
from kenpo_analytics.ingest.records import Batch
from kenpo_analytics.ingest.store.staged import Entry, Writer
from kenpo_analytics.tables import TABLES

STORE = ".ingest"
VERSION = 1
MARKER = "SYNTHETIC"
AGAIN = "again"
"""`read_by` of what could not be read: perhaps it can be next time."""


@dataclass(frozen=True)
class Store:
    """The staged records of one data folder, made under one key. Workers may `add` under the parent's lock."""

    folder: Path
    key: Key

    def entries(self) -> list[Entry]:
        """Which deliveries were read, in order of ingestion?"""
        whole = (path for path in self.folder.glob("*/source.json") if not path.parent.name.startswith("."))
        found = (Entry(**json.loads(path.read_text(encoding="utf-8"))) for path in whole)
        return sorted(found, key=lambda entry: entry.seq)

    def held(self, digest: str) -> Entry | None:
        """What was read of this content before?"""
        path = self.folder / digest / "source.json"
        return Entry(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None

    def next_seq(self) -> int:
        """Which number does the next delivery get? Workers that add at the same time are given theirs by the parent."""
        return max((entry.seq for entry in self.entries()), default=0) + 1

    def add(
        self,
        source: Source,
        batches: Iterable[Batch],
        *,
        received_month: int,
        received_from: str,
        seq: int | None = None,
        read_by: str = "",
    ) -> Entry:
        """Stage one delivery: records sealed under the key, rejections, and how many were read.

        Nothing stays of a delivery whose reader fails or is killed: it is written aside and renamed when whole. A known
        content is not read again, unless in another way (`read_by`, always for `AGAIN`) or for another month: then the
        new reading takes the place of the old one, also in the order. `received_month` (YYYYMM) fills the records that
        do not say theirs.

        Raises
        ------
        IngestError
            What the reader raises; nothing is staged then.
        """
        held = self.held(source.digest)
        same_month = held is not None and (held.received_from == "file" or held.received_month == received_month)
        if held is not None and held.read_by == read_by != AGAIN and same_month:
            return held
        if not re.fullmatch(r"[0-9a-f]+", source.digest):
            raise AssertionError(f"not a digest: {source.digest}")
        work = self.folder / f".tmp-{source.digest}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            place = held.seq if held else self.next_seq() if seq is None else seq
            writer = Writer(work, self.key, place, received_month)
            for batch in batches:
                writer.take(batch)
            entry = writer.finish(source, received_from, read_by)
            if held is not None:
                shutil.rmtree(self.folder / source.digest)
            work.rename(self.folder / source.digest)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        return entry

    def scan(self, table: str) -> pl.LazyFrame | None:
        """The staged records of a table ("rejected" too) over every delivery, or None where there are none.

        Columns: `seq`, `made` (YYYYMMDD, what decides which of two deliveries is later), `entry`, `line`, the hashes,
        `sex`, and the table's own. Claims, their fees and their states have `claim_id` in place of `claim_key`.
        """
        files = sorted(
            path for entry in self.entries() for path in (self.folder / entry.digest).glob(f"{table}.*.parquet")
        )
        return pl.scan_parquet(files) if files else None


@contextlib.contextmanager
def open(data: Path, key: Key, *, synthetic: bool) -> Iterator[Store]:
    """The store of a data folder, made if absent, held alone until the block ends.

    Raises
    ------
    IngestError
        Another ingest is at work; the store was made under another key, from real people where these are synthetic (or
        the reverse), or by another version; the folder holds tables that were not made by ingest.
    """
    from kenpo_analytics.runs.lock import lock

    folder = data / STORE
    _refuse_foreign_tables(data)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock(folder, "kenpo ingest"))
        except RunError as error:
            raise IngestError(
                f"このデータのフォルダへの取り込みが進行中です: {data}",
                hint=f"終わるのを待ってください。その処理がもう無いと確かなら {folder / '.lock'} を消してください。",
            ) from error
        _check(folder, key, synthetic)
        for stale in folder.glob(".tmp-*"):
            shutil.rmtree(stale, ignore_errors=True)
        if synthetic:
            (data / MARKER).touch()
        yield Store(folder, key)


def _refuse_foreign_tables(data: Path) -> None:
    held = [name for name in TABLES if (data / f"{name}.parquet").exists() or (data / name).is_dir()]
    if held and not (data / STORE).exists():
        raise IngestError(
            f"取り込みで作られていない表がデータのフォルダにあります: {', '.join(held)}({data})",
            hint="上書きしないように止めました。--into に空のフォルダを指定してください。",
        )


def _check(folder: Path, key: Key, synthetic: bool) -> None:
    path, mine = folder / "store.json", {"version": VERSION, "key": key.check, "synthetic": synthetic}
    if not path.exists():
        path.write_text(json.dumps(mine), encoding="utf-8")
        return
    held = json.loads(path.read_text(encoding="utf-8"))
    if held["version"] != VERSION:
        raise IngestError(
            "取り込み済みのデータが別の版の形式です",
            hint=f"{folder} を消して、元のファイルから取り込み直してください。",
        )
    if held["key"] != key.check:
        raise IngestError(
            f"鍵が違います: このデータのフォルダは別の鍵で作られています({folder.parent})",
            hint="個人IDが混ざらないように止めました。前と同じ鍵ファイルを --key で指定してください。",
        )
    if held["synthetic"] != synthetic:
        kinds = ("実データ", "合成データ") if synthetic else ("合成データ", "実データ")
        raise IngestError(
            f"{kinds[0]}のフォルダに{kinds[1]}は取り込めません({folder.parent})",
            hint="--into に別のフォルダを指定してください。",
        )
