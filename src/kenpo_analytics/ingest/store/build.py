"""What is in the tables? Everything staged, resolved to people, without repetitions, written as canonical tables.

A table is one file, DATA_DIR/<table>.parquet; claims and claim_fees of more than `LARGE` claims are a folder with a
file per treatment month, claims/fy2024/202404.parquet. `store.load` reads both.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.identity import Key
from kenpo_analytics.ingest.store import assemble, link, people
from kenpo_analytics.ingest.store.assemble import typed
from kenpo_analytics.ingest.store.assemble_claims import share
from kenpo_analytics.ingest.store.link import LINKS
from kenpo_analytics.ingest.store.listed import listed
from kenpo_analytics.ingest.store.notices import SAID, nothing
from kenpo_analytics.ingest.store.staged import Entry
from kenpo_analytics.ingest.store.staging import STORE, Store
from kenpo_analytics.months import fiscal_year_of
from kenpo_analytics.tables import TABLES

LARGE = 1_000_000
"""So many claims are worked on at once (about 1 GB)."""
_CLAIM_ORDER = ("person_id", "treatment_month", "claim_id")
_FEE_ORDER = (*_CLAIM_ORDER, "day", "code")


@dataclass(frozen=True)
class Summary:
    """What a build made.

    `rows` by table, the tables `sources` (every file balances) and `quarantine`, the number of `persons` in member
    lists (0 without any), and `clipped`, the stretches that were ended where the next one of their person began.
    """

    rows: dict[str, int]
    sources: pl.DataFrame
    quarantine: pl.DataFrame
    persons: int
    clipped: int


@dataclass
class _Work:
    """A build under way: tables are written to `folder`, then moved to the data folder together."""

    store: Store
    folder: Path
    rows: dict[str, int] = field(default_factory=dict)
    tallies: list[pl.DataFrame] = field(default_factory=list)
    said: list[pl.DataFrame] = field(default_factory=list)

    def staged(self, table: str) -> pl.DataFrame | None:
        lazy = self.store.scan(table)
        return None if lazy is None else lazy.collect()

    def account(self, table: str, fates: pl.DataFrame, said: pl.DataFrame) -> None:
        """Count what became of the rows of each delivery, and keep what was said."""
        counts = [(pl.col("fate") == fate).sum().cast(pl.Int64).alias(fate) for fate in ("accepted", "duplicate")]
        links = pl.col("link").filter(pl.col("fate") == "accepted")
        counts += [(links == rule).sum().cast(pl.Int64).alias(f"linked_{rule}") for rule in LINKS]
        self.tallies.append(fates.group_by("seq").agg(counts).with_columns(table=pl.lit(table)))
        self.said.append(said)

    def repeated(self, table: str, counts: pl.DataFrame) -> None:
        """Count rows that were not even looked at, as repetitions (`seq`, `rows`)."""
        zero = [pl.lit(0, pl.Int64).alias(name) for name in ("accepted", *(f"linked_{rule}" for rule in LINKS))]
        tally = counts.select("seq", *zero, duplicate="rows", table=pl.lit(table))
        self.tallies.append(tally.select(self.tallies[-1].columns))

    def put(self, table: str, part: assemble.Part) -> None:
        """Write a table that is whole, and account for its rows."""
        self.account(table, part.fates, part.said)
        self.write(table, part.table)

    def write(self, table: str, frame: pl.DataFrame, month: int | None = None) -> None:
        """Write a table, or a treatment month of one."""
        name = f"{table}.parquet" if month is None else f"{table}/fy{fiscal_year_of(month)}/{month}.parquet"
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path, compression="zstd", compression_level=9)
        self.rows[table] = self.rows.get(table, 0) + frame.height


def build(data: Path, key: Key) -> Summary:
    """Which canonical tables do all staged deliveries make? Written to `data`, all or none; call it in `staging.open`.

    The same deliveries make the same tables in whatever order they came, and built twice they stay the same. Tables of
    which nothing was delivered are not written.

    Raises
    ------
    IngestError
        A file of which not every record is accounted for (our mistake: the file is named), or two people of one id.
    """
    store = Store(data / STORE, key)
    folder = store.folder / ".build"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    work = _Work(store, folder)
    resolved = _members(work, key)
    members = None if resolved is None else resolved.members
    linked = link.link(link.identities(store), resolved, key)
    _small(work, linked, key)
    _claims(work, linked, members)
    quarantine = _quarantine(work)
    sources = _sources(work, quarantine)
    work.write("quarantine", typed(quarantine.drop("seq"), "quarantine"))
    work.write("sources", typed(sources, "sources"))
    _publish(folder, data)
    persons = 0 if members is None else members["person_id"].n_unique()
    return Summary(
        work.rows,
        typed(sources, "sources"),
        typed(quarantine.drop("seq"), "quarantine"),
        persons,
        0 if resolved is None else resolved.clipped,
    )


def _members(work: _Work, key: Key) -> people.People | None:
    staged = work.store.scan("members")
    if staged is None:
        return None
    rows, repeated = listed(staged)
    resolved = people.resolve(rows, key)
    fates = resolved.fates.with_columns(link=pl.lit(None, pl.String))
    work.put("members", assemble.Part(typed(resolved.members, "members"), fates, resolved.said))
    work.repeated("members", repeated)
    return resolved


def _small(work: _Work, linked: pl.DataFrame, key: Key) -> None:
    """The tables that fit in memory whole."""
    for name in ("workplaces", "national", "kpi_monthly"):
        if (staged := work.staged(name)) is not None:
            work.put(name, assemble.keyed(staged, name))
    if (staged := work.staged("guidance")) is not None:
        work.put("guidance", assemble.guidance(staged, linked))
    checkups = None
    if (staged := work.staged("checkups")) is not None:
        part = assemble.checkups(staged, linked, key)
        checkups = part.table.select("person_id", "checkup_date", "record_id")
        work.put("checkups", part)
    if (staged := work.staged("mailings")) is not None:
        work.put("mailings", assemble.mailings(staged, linked, checkups))


def _claims(work: _Work, linked: pl.DataFrame, members: pl.DataFrame | None) -> None:
    """Claims and their fee lines: at once, or, of many, a share after the other into parts of treatment months."""
    held = work.store.scan("claims")
    total = 0 if held is None else held.select(pl.len()).collect().item()
    if total == 0 and work.store.scan("claim_status") is None:
        return
    parts = max(1, -(-total // LARGE))
    for part in range(parts):
        made = share(work.store, linked, members, part, parts)
        work.account("claims", made.claims.fates, made.claims.said)
        work.account("claim_status", made.status.fates, made.status.said)
        tables = {"claims": made.claims.table.sort(_CLAIM_ORDER), "claim_fees": made.fees.sort(_FEE_ORDER)}
        for name, frame in tables.items() if total else ():
            if parts == 1:
                work.write(name, frame)
            else:
                _spill(work.folder / f".{name}", frame, part)
    for name, order in {"claims": _CLAIM_ORDER, "claim_fees": _FEE_ORDER}.items():
        for month, frame in _months(work.folder / f".{name}"):
            work.write(name, frame.sort(order), month)


def _spill(folder: Path, frame: pl.DataFrame, part: int) -> None:
    for (month,), rows in frame.group_by("treatment_month"):
        path = folder / str(month) / f"{part}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(path, compression="lz4")


def _months(folder: Path) -> Iterator[tuple[int, pl.DataFrame]]:
    for month in sorted(folder.glob("*")):
        yield int(month.name), pl.read_parquet(sorted(month.glob("*.parquet")))
        shutil.rmtree(month)


def _quarantine(work: _Work) -> pl.DataFrame:
    """What the readers rejected and what the build said, with `source` and still `seq`."""
    entries = work.store.entries()
    named = pl.DataFrame(
        [(entry.seq, name, entry.table) for entry, name in zip(entries, _names(entries), strict=True)],
        schema={"seq": pl.Int32, "source": pl.String, "main": pl.String},
        orient="row",
    )
    rejected = work.staged("rejected")
    said = [nothing(), *work.said] if rejected is None else [rejected.select(list(SAID)), *work.said]
    rows = pl.concat(said).join(named, on="seq", how="left").with_columns(table=pl.coalesce("table", "main"))
    return rows.sort("seq", "table", "entry", "line", "level", "item", "rule", maintain_order=True)


def _names(entries: list[Entry]) -> list[str]:
    """A file of the same name with another content gets a number."""
    seen: dict[str, int] = {}
    for entry in entries:
        seen[entry.name] = seen.get(entry.name, 0) + 1
    count: dict[str, int] = {}
    names = []
    for entry in entries:
        count[entry.name] = count.get(entry.name, 0) + 1
        names.append(entry.name if count[entry.name] == 1 else f"{entry.name}#{count[entry.name]}")
    return names


def _sources(work: _Work, quarantine: pl.DataFrame) -> pl.DataFrame:
    """A row a delivery and table; every record that was read is accounted for."""
    entries = work.store.entries()
    rows = [
        (e.seq, table, name, e.digest, e.layout, e.received_month, e.received_from, *_read(e, table))
        for e, name in zip(entries, _names(entries), strict=True)
        for table in dict.fromkeys([e.table, *(t for t in e.rows if t != "claim_fees")])
    ]
    texts = dict.fromkeys(("table", "source", "digest", "layout"), pl.String)
    numbers = {"received_month": pl.Int32, "received_from": pl.String, "read": pl.Int64, "removed": pl.Int64}
    frame = pl.DataFrame(rows, schema={"seq": pl.Int32, **texts, **numbers}, orient="row")
    level = pl.col("level")
    lost = quarantine.group_by("seq", "table").agg(
        values_rejected=(level == "value").sum(), quarantined=(level == "row").sum()
    )
    names = ["accepted", "duplicate", *(f"linked_{rule}" for rule in LINKS)]
    frame = frame.join(lost, on=["seq", "table"], how="left")
    if work.tallies:
        tally = pl.concat(work.tallies).group_by("seq", "table").agg(pl.col(names).sum())
        frame = frame.join(tally, on=["seq", "table"], how="left")
    frame = frame.with_columns(pl.lit(None).alias(name) for name in names if name not in frame.columns)
    frame = frame.with_columns(pl.col("values_rejected", "quarantined", *names).fill_null(0))
    about_people = pl.col("table").is_in(list(link.OF_PEOPLE))
    frame = frame.with_columns(pl.when(about_people).then(f"linked_{rule}").alias(f"linked_{rule}") for rule in LINKS)
    return _balanced(frame)


def _read(entry: Entry, table: str) -> tuple[int, int]:
    """Records read of this table, and those among them that the file itself took back."""
    if table != entry.table:
        return entry.rows[table], 0
    return entry.read - sum(n for name, n in entry.rows.items() if name != table), entry.removed


def _balanced(frame: pl.DataFrame) -> pl.DataFrame:
    frame = frame.with_columns(duplicate=pl.col("duplicate") + pl.col("removed"))
    wrong = frame.filter(pl.col("read") != pl.col("accepted") + pl.col("quarantined") + pl.col("duplicate"))
    if wrong.height:
        first = wrong.row(0, named=True)
        raise IngestError(
            f"内部エラー: {first['source']}({first['table']})の件数が合いません。読んだ{first['read']:,}件、"
            f"取り込み{first['accepted']:,}件、隔離{first['quarantined']:,}件、重複{first['duplicate']:,}件",
            hint="表は書き換えていません。このファイルの様式と上の件数を開発者に知らせてください。",
        )
    return frame


def _publish(folder: Path, data: Path) -> None:
    """Move every table to the data folder; what a table looked like before (file or folder of years) goes, and so does
    a table of which nothing is left."""
    made = {path.stem for path in folder.iterdir() if not path.name.startswith(".")}
    for name in TABLES.keys() - made:
        shutil.rmtree(data / name, ignore_errors=True)
        (data / f"{name}.parquet").unlink(missing_ok=True)
    for new in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        old = data / new.name
        if old.is_dir():
            shutil.rmtree(old)
        new.replace(old)
        other = data / new.stem if new.suffix else data / f"{new.name}.parquet"
        if other.is_dir():
            shutil.rmtree(other)
        other.unlink(missing_ok=True) if other.is_file() else None
    shutil.rmtree(folder)
