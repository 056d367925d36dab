"""Job E: a rectangular CP932 file of checkups (74 columns, JLAC10 headers) is read, all columns as text.

`ours` is what the readers do before any cell is looked at: decoding, damaged lines found, rows cut. `converted` is the
whole reader, people and items judged. Beside them `polars.read_csv(encoding="cp932")` and pyarrow, which check nothing.
"""

from __future__ import annotations

import random
from pathlib import Path

IMPORTS = {
    "ours": ("kenpo_analytics.ingest.files.csv_rows",),
    "converted": ("kenpo_analytics.ingest.checkups.csv",),
    "pyarrow_csv": ("pyarrow.csv",),
}
PEOPLE, TIMES = 2_000, 100
CHECKS = ("rows", "sum of heights x 10")
_FILE = "checkups_cp932.csv"
_HEIGHT = "9N001000000000001"


def build(folder: Path) -> None:
    """Write the file: 200,000 rows, seeded, 60 % of the cells filled."""
    from kenpo_analytics.ingest.checkups.item_values import items
    from tests.checkup_files import Person, cc2x

    if (folder / _FILE).exists():
        return
    rng = random.Random(7)
    people = []
    for at in range(PEOPLE):
        values = {
            code: f"{rng.uniform(item.low or 0, min(item.high or 0, 300)):.1f}" if item.is_number else "2"
            for code, item in items().items()
            if rng.random() < 0.6 or code == _HEIGHT
        }
        people.append(Person(number=str(at), kana=f"ゴウセイ {at}", values=values))
    head, name, rows = cc2x(people, list(items()), names=False).encode("cp932").split(b"\r\n", 2)
    with (folder / f"{_FILE}.part").open("wb") as file:
        file.write(head + b"\r\n" + name + b"\r\n")
        for _ in range(TIMES):
            file.write(rows)
    (folder / f"{_FILE}.part").rename(folder / _FILE)


def ours(folder: str | Path) -> tuple[int, ...]:
    """Our rows: decoded strictly, line by line where damaged, every field of every line counted."""
    import polars as pl

    from kenpo_analytics.ingest.files import csv_rows
    from kenpo_analytics.ingest.files.lines import decode

    count, heights = 0, 0.0
    with (Path(folder) / _FILE).open("rb") as stream:
        top = csv_rows.find_header(decode(stream)[1], lambda row: row.count(_HEIGHT))
        place = f"c{top.header.index(_HEIGHT)}"
        for block in csv_rows.rows(top.below, top.header):
            assert not block.refused
            count, heights = count + block.frame.height, heights + block.frame[place].cast(pl.Float64).sum()
    return count, round(heights * 10)


def converted(folder: str | Path) -> tuple[int, ...]:
    """The whole reader: staged checkups and rejections."""
    from kenpo_analytics.ingest.checkups.csv import read_cc2x
    from kenpo_analytics.ingest.files.sources import Source

    path = Path(folder) / _FILE
    count, heights = 0, 0.0
    for batch in read_cc2x(Source(path, path.name, "", "cc2x", path.stat().st_size)):
        count += batch.read
        if "checkups" in batch.rows:  # the last batch may only say which columns were not read
            heights += batch.rows["checkups"]["height"].sum()
    return count, round(heights * 10)


def hand_polars(folder: str | Path) -> tuple[int, ...]:
    """`polars.read_csv` with the encoding named, all columns as text."""
    import polars as pl

    frame = pl.read_csv(Path(folder) / _FILE, encoding="cp932", infer_schema=False, skip_rows=1)
    return frame.height, round(frame[_HEIGHT].cast(pl.Float64).sum() * 10)


def pyarrow_csv(folder: str | Path) -> tuple[int, ...]:
    """`pyarrow.csv` with the encoding named, all columns as text."""
    import polars as pl
    import pyarrow as pa
    from pyarrow import csv

    path = Path(folder) / _FILE
    with path.open(encoding="cp932") as file:
        names = [file.readline(), file.readline()][1].rstrip().split(",")
    table = csv.read_csv(
        path,
        read_options=csv.ReadOptions(encoding="cp932", skip_rows=1),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )
    heights = pl.Series(table.column(_HEIGHT)).cast(pl.Float64).sum()
    return table.num_rows, round(heights * 10)
