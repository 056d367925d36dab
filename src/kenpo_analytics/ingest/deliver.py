"""Did every delivery go in? Finds the files of a folder, reads the new ones side by side, builds the tables."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import polars as pl

from kenpo_analytics.definitions import define
from kenpo_analytics.definitions.own_fees import save_fees, with_own_fees
from kenpo_analytics.errors import DateError, IngestError, KenpoError
from kenpo_analytics.ingest.files.archives import MAGIC
from kenpo_analytics.ingest.files.recognise import HEAD_BYTES, look
from kenpo_analytics.ingest.files.sources import Source, find
from kenpo_analytics.ingest.identity import read_key
from kenpo_analytics.ingest.lists.mapping import named, why_none
from kenpo_analytics.ingest.lists.mapping_toml import Mapping, load_mapping
from kenpo_analytics.ingest.records import Batch, refused_file
from kenpo_analytics.ingest.store import staging
from kenpo_analytics.ingest.store.build import Summary, build
from kenpo_analytics.ingest.values.text import insurer_number
from kenpo_analytics.months import parse_date, parse_month, this_month

KEY_FILE = Path("~/.kenpo/person.key")
Told = Callable[[str, int], None]
"""Called with a source's name and size when it has been read."""


@dataclass(frozen=True)
class Delivery:
    """What an ingest did: the tables it built, the sources read now, those known before, and files of no use to us.

    `digests` are those of the sources read now (a corrected file bears the name of an earlier one); `new_key` is the
    key file that was made.
    """

    summary: Summary
    new: tuple[str, ...]
    known: tuple[str, ...]
    side: tuple[str, ...]
    digests: tuple[str, ...]
    new_key: Path | None


def deliver(
    raw: Path,
    data: Path,
    *,
    key_file: Path | None = None,
    received: str | int | None = None,
    insurer: str | None = None,
    mappings: Sequence[Path] = (),
    jobs: int = 2,
    begin: Callable[[int], None] = lambda size: None,
    told: Told = lambda name, size: None,
) -> Delivery:
    """Which tables do the deliveries in `raw` make, together with all that came before?

    Parameters
    ----------
    raw, data
        Folder of raw files (or one file); data folder for the tables, which may not lie inside `raw`.
    key_file
        The key that makes the ids; default KENPO_KEY, else ~/.kenpo/person.key (made on first use).
    received
        Month of receipt of files that do not say theirs; else a date in the file's name, else this month. Another month
        than before reads such files again.
    insurer
        保険者番号 of records that do not say theirs; else a valid one that the file's name begins with.
    mappings
        The user's mapping.toml files, besides any mapping*.toml in `raw`.
    jobs
        Files read at the same time.

    Raises
    ------
    IngestError, DateError
        A folder, key or mapping that cannot be used; nothing was changed then. What is wrong inside a file is
        quarantined instead.
    """
    _refuse_nested(raw, data)
    month = None if received is None else parse_month(received)
    common = None if insurer is None else _insurer(insurer)
    own = [load_mapping(path) for path in (*_in_folder(raw), *mappings)]
    synthetic = _is_synthetic(raw)
    path = (key_file or Path(os.environ.get("KENPO_KEY") or KEY_FILE)).expanduser()
    made = not path.exists()
    key = read_key(path, data=data, synthetic=synthetic)
    found = find(raw, own)
    with staging.open(data, key, synthetic=synthetic) as store:
        _fee_masters([source for source in found if source.layout == "fee_master"], data)
        ways = Ways(tuple(own), addons(data), month, common)
        side = [source for source in found if source.layout == "side_file"]
        sources = {source.digest: source for source in found if source.layout not in ("side_file", "fee_master")}
        new = [source for source in sources.values() if not ways.known(source, store)]
        begin(sum(source.size for source in new))
        _read_all(store, new, ways, jobs, told)
        summary = build(data, key)
    known = [source.name for source in found if source not in new and source not in side]
    names, digests = tuple(source.name for source in new), tuple(source.digest for source in new)
    return Delivery(summary, names, tuple(known), tuple(s.name for s in side), digests, path if made else None)


@dataclass(frozen=True)
class Ways:
    """How is each layout read now? The user's mappings, the fee codes that count as out of hours, and what is given for
    files that do not say it: the month of receipt and the insurer."""

    own: tuple[Mapping, ...]
    addons: frozenset[str]
    month: int | None
    insurer: str | None

    def known(self, source: Source, store: staging.Store) -> bool:
        """Was this content read, in the way it would be read now?

        A file that nobody understands now, but was read before (its mapping is not at hand), stays as it was read.
        """
        held = store.held(source.digest)
        if held is None:
            return False
        if self.month not in (None, held.received_month) and held.received_from != "file":
            return False
        name = self.name_of(source)
        if name == staging.AGAIN:
            return held.read_by != staging.AGAIN
        return held.read_by == name

    def name_of(self, source: Source) -> str:
        """Which way reads this source? A changed mapping, newer fee codes or a layout found at last is another way.

        What could not be read is tried again every time: perhaps it can be now.
        """
        kind, _, name = source.layout.partition(":")
        if kind in ("unknown", "refused"):
            return staging.AGAIN
        said = repr(named(name, self.own)) if kind == "mapped" else ""
        codes = ",".join(sorted(self.addons)) if kind in ("recodeinfo", "uke") else ""
        return hashlib.sha256(f"{source.layout}|{said}|{codes}|{self.insurer or ''}".encode()).hexdigest()[:12]

    def insurer_of(self, source: Source) -> str | None:
        """Which 保険者番号 have records of this file that do not say theirs?"""
        if self.insurer is not None:
            return self.insurer
        written = re.match(r"(\d{8})(?!\d)", source.name.rsplit("/", 1)[-1].rsplit("!", 1)[-1])
        number, repaired = insurer_number(written[1]) if written else (None, False)
        return None if repaired else number


def addons(data: Path) -> frozenset[str]:
    """Which fee codes are out-of-hours add-ons in this data folder, its own masters included?"""
    return frozenset(fee.code for fee in with_own_fees(define(), data).fee_codes)


def _fee_masters(masters: Sequence[Source], data: Path) -> None:
    """Newer fee codes first: the claims are read by them."""
    from kenpo_analytics.ingest.claims.fee_master import read_fee_master

    for source in masters:
        save_fees(read_fee_master(source), data)


def _refuse_nested(raw: Path, data: Path) -> None:
    if data.resolve().is_relative_to(raw.resolve()):
        raise IngestError(
            "データのフォルダが、元のファイルのフォルダの中にあります",
            hint="--into には、元のファイルの外にあるフォルダを指定してください。",
        )


def _in_folder(raw: Path) -> list[Path]:
    return sorted(raw.glob("mapping*.toml")) if raw.is_dir() else []


def _is_synthetic(raw: Path) -> bool:
    return ((raw if raw.is_dir() else raw.parent) / staging.MARKER).exists()


def _insurer(given: str) -> str:
    number, _ = insurer_number(given)
    if number is None:
        raise IngestError(
            "--insurer の保険者番号の検証番号が合いません", hint="8桁(国保は6桁)の番号を確かめてください。"
        )
    return number


def received_month(source: Source, given: int | None) -> tuple[int, str]:
    """When was a file received that does not say so? As given, else the date in its name, else this month."""
    if given is not None:
        return given, "given"
    for digits in re.findall(r"(?<!\d)(?:19|20)\d{6}(?!\d)", source.name):
        try:
            day = parse_date(digits)
        except DateError:
            continue
        if day.year * 100 + day.month <= this_month():
            return day.year * 100 + day.month, "file_name"
    return this_month(), "ingest"


# --- reading, side by side ------------------------------------------------------------------------------


def _read_all(store: staging.Store, new: Sequence[Source], ways: Ways, jobs: int, told: Told) -> None:
    first = store.next_seq()
    tasks = [(source, first + i, *received_month(source, ways.month)) for i, source in enumerate(new)]
    work = partial(_read_one, store, ways)
    if jobs <= 1 or len(tasks) <= 1:
        for task in tasks:
            work(task)
            told(task[0].name, task[0].size)
        return
    with _pool(min(jobs, len(tasks))) as pool:
        # the largest first: else the last file keeps one worker busy while the others are idle
        waiting: dict[Future[None], Source] = {
            pool.submit(work, task): task[0] for task in sorted(tasks, key=lambda task: -task[0].size)
        }
        try:
            for done in as_completed(waiting):
                done.result()
                told(waiting[done].name, waiting[done].size)
        except BrokenProcessPool as error:
            raise IngestError(
                "読み取りの処理が途中で止まりました(メモリー不足など)",
                hint="--jobs 1 として、もう一度取り込んでください。",
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _pool(jobs: int) -> ProcessPoolExecutor:
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    os.environ.setdefault("POLARS_MAX_THREADS", threads)  # read when polars starts, in each worker
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))


def _read_one(store: staging.Store, ways: Ways, task: tuple[Source, int, int, str]) -> None:
    """Stage one delivery. A file whose reader fails is one rejected record: the others must go in."""
    source, seq, month, origin = task
    add = partial(store.add, source, received_month=month, received_from=origin, seq=seq)
    try:
        add(_insured(_batches(source, ways), ways.insurer_of(source)), read_by=ways.name_of(source))
    except KenpoError as error:
        add([refused_file("unreadable", reason=error.message)], read_by=staging.AGAIN)
    except Exception as error:
        if os.environ.get("KENPO_DEBUG"):
            raise
        reason = f"読み取りの途中で想定していない誤りが起きました({type(error).__name__})。"
        add([refused_file("unreadable", reason=reason)], read_by=staging.AGAIN)


def _batches(source: Source, ways: Ways) -> Iterator[Batch]:
    """The records of a source, by the reader of its layout."""
    layout, _, name = source.layout.partition(":")
    if layout == "mapped":
        from kenpo_analytics.ingest.lists.reader import read_mapped

        return read_mapped(source, named(name, ways.own))
    if layout == "refused":
        return iter([refused_file("refused", reason=source.problem)])
    readers = _readers(ways.addons)
    if layout not in readers:
        return iter([refused_file("unknown_layout", reason=_why_unknown(source, ways.own))])
    return readers[layout](source)


def _why_unknown(source: Source, own: Sequence[Mapping]) -> str | None:
    """Does one of the user's own mappings nearly fit? None where none does, or the file is no text."""
    if not own:
        return None
    with source.open() as stream:
        head = stream.read(HEAD_BYTES)
    if head.startswith(MAGIC):
        return None
    return why_none(look(head, lambda: head, own).rows, own)


def _insured(batches: Iterator[Batch], insurer: str | None) -> Iterator[Batch]:
    """The batches with the insurer where a record names none: without it 記号・番号 identify nobody."""
    if insurer is None:
        return batches
    number = pl.col("insurer").fill_null(pl.lit(insurer))
    return (
        replace(b, rows={name: f.with_columns(number) if "insurer" in f.columns else f for name, f in b.rows.items()})
        for b in batches
    )


def _readers(addons: frozenset[str]) -> dict[str, Callable[[Source], Iterator[Batch]]]:
    from kenpo_analytics.ingest.checkups.csv import read_cc2x, read_fkac167
    from kenpo_analytics.ingest.checkups.fkac522 import read_fkac522
    from kenpo_analytics.ingest.checkups.xml import read_checkup_xml
    from kenpo_analytics.ingest.claims.reader import read_recodeinfo, read_uke

    return {
        "checkup_xml": read_checkup_xml,
        "cc2x": read_cc2x,
        "fkac522": read_fkac522,
        "fkac167": read_fkac167,
        "recodeinfo": partial(read_recodeinfo, addons=addons),
        "uke": partial(read_uke, addons=addons),
    }
