"""Job F: the payer office's claims file (RECODEINFO, CP932, 75 MB) becomes staged claims and fee lines.

Beside the reader: a bare `csv.reader` over the same bytes that counts claims and adds up points (`csv_reader`).
"""

from __future__ import annotations

import random
from pathlib import Path

HAND = "csv_reader"
IMPORTS = {
    "ours": ("kenpo_analytics.ingest.claims.reader", "kenpo_analytics.ingest.files.sources"),
    "csv_reader": ("csv",),
}
CLAIMS, TIMES = 5_000, 10
CHECKS = ("claims", "sum of points")
_FILE = "11_RECODEINFO_MED.CSV"


def build(folder: Path) -> None:
    """Write the file: claims of about 25 records, seeded, one in twenty with an out-of-hours add-on."""
    from tests.claim_files import AMLODIPINE, HYPERTENSION, Claim, recodeinfo, record

    if (folder / _FILE).exists():
        return
    rng = random.Random(7)
    comment = record("CO", 5, f1=60, f2=1, f3="830000001", f4="経過観察中のため検査を実施した")
    claims = []
    for at in range(CLAIMS):
        fees = [("112007410", {3: 1}), *((f"1600{rng.randrange(10000, 99999)}", {3: 1, 17: 1}) for _ in range(9))]
        diseases = [
            (HYPERTENSION,),
            *((f"88{rng.randrange(10000, 99999)}", rng.choice(["", "8002"])) for _ in range(6)),
        ]
        more = [("112001110", {3: 1})] if at % 20 == 0 else []
        drugs = (AMLODIPINE, "620000001", "620000002")
        claims.append(
            Claim(
                at,
                points=rng.randrange(100, 9_000),
                diseases=diseases,
                fees=[*fees, *more],
                drugs=drugs,
                extra=[comment],
            )
        )
    data = recodeinfo(claims)
    with (folder / f"{_FILE}.part").open("wb") as file:
        for _ in range(TIMES):
            file.write(data)
    (folder / f"{_FILE}.part").rename(folder / _FILE)


def ours(folder: str | Path) -> tuple[int, ...]:
    """The reader: claims told apart, judged, diseases, drugs and fees looked up."""
    from kenpo_analytics.ingest.claims.reader import read_recodeinfo
    from kenpo_analytics.ingest.files.sources import Source

    path = Path(folder) / _FILE
    count = points = 0
    for batch in read_recodeinfo(Source(path, path.name, "", "recodeinfo", path.stat().st_size)):
        count, points = count + batch.rows["claims"].height, points + batch.rows["claims"]["points"].sum()
    return count, points


def csv_reader(folder: str | Path) -> tuple[int, ...]:
    """A bare `csv.reader`: MN records counted, points of HO added up, nothing checked."""
    import csv

    count = points = 0
    with (Path(folder) / _FILE).open(encoding="cp932", newline="") as file:
        for row in csv.reader(file):
            if row[3] == "MN":
                count += 1
            elif row[3] == "HO":
                points += int(row[8])
    return count, points


def scan(folder: str | Path) -> tuple[int, ...]:
    """Read the bytes, and no more."""
    size = 0
    with (Path(folder) / _FILE).open("rb") as file:
        while block := file.read(2**22):
            size += len(block)
    return (size,)
