"""Job D: an archive of checkup XML (10 KiB documents, 60 observations each) becomes staged checkups.

Beside the reader: a straight ElementTree program that picks two items by hand, and reading the bytes only (`scan`).
"""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

HAND = "elementtree"
IMPORTS = {
    "ours": ("kenpo_analytics.ingest.checkups.xml", "kenpo_analytics.ingest.files.sources"),
    "elementtree": ("xml.etree.ElementTree",),
}
DOCUMENTS = 6_000
CHECKS = ("documents", "sum of heights x 10", "sum of fasting glucose")
_HEIGHT, _FPG = "9N001000000000001", "3D010000001926101"
_HL7 = "{urn:hl7-org:v3}"
_ARCHIVE = "checkup_xml.zip"


def build(folder: Path) -> None:
    """Write the archive: seeded, deflated, documents of 10 to 15 KiB, with BOM."""
    from kenpo_analytics.ingest.checkups.item_values import items
    from tests.checkup_documents import Document, cd, index, observation, pq, reference

    if (folder / _ARCHIVE).exists():
        return
    rng = random.Random(7)
    first = {
        item.key: item for item in reversed(items().values()) if "recheck" not in item.key and item.key != "hba1c_jds"
    }
    read = [item for item in first.values() if item.key not in ("glucose_casual", "tg_casual")]
    unread = [observation(f"9N{600 + at}000000000011", cd(1, "1.2.392.200119.6.2002")) for at in range(60 - len(read))]
    unfinished = folder / f"{_ARCHIVE}.part"
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/ix08_V08.xml", index("20240610"))
        for at in range(DOCUMENTS):
            entries = [
                observation(
                    item.code,
                    pq(round(rng.uniform(max(item.low, 1), min(item.high, 300)), 1), item.unit)
                    if item.is_number
                    else cd(2),
                    tail=reference(1, 2, item.unit) if item.is_number and rng.random() < 0.2 else "",
                )
                for item in read
            ]
            person = Document(number=str(at), birth=f"19{rng.randrange(50, 85)}0{rng.randrange(1, 10)}15")
            archive.writestr(f"a/DATA/h{at:026}.xml", person.changed(entries=(*entries, *unread)).bytes(bom=True))
    unfinished.rename(folder / _ARCHIVE)


def ours(folder: str | Path) -> tuple[int, ...]:
    """The reader: every item, the header rules, conversion to checkup columns."""
    from kenpo_analytics.ingest.checkups.xml import read_checkup_xml
    from kenpo_analytics.ingest.files.sources import find

    count, heights, glucose = 0, 0.0, 0.0
    for source in find(Path(folder) / _ARCHIVE):
        if source.layout == "checkup_xml":
            for batch in read_checkup_xml(source):
                rows = batch.rows["checkups"]
                count, heights = count + rows.height, heights + rows["height"].sum()
                glucose += rows["fpg"].sum()
    return count, round(heights * 10), round(glucose)


def elementtree(folder: str | Path) -> tuple[int, ...]:
    """Parse with ElementTree, look at every observation, keep two items as numbers."""
    from xml.etree import ElementTree

    totals = {_HEIGHT: 0.0, _FPG: 0.0}
    count = 0
    with zipfile.ZipFile(Path(folder) / _ARCHIVE) as archive:
        for name in archive.namelist():
            if "/DATA/" not in name:
                continue
            count += 1
            for element in ElementTree.fromstring(archive.read(name)).iter(f"{_HL7}observation"):
                code, value = element.find(f"{_HL7}code"), element.find(f"{_HL7}value")
                if code is not None and value is not None and (item := code.get("code")) in totals:
                    totals[item] += float(value.get("value", "nan"))
    return count, round(totals[_HEIGHT] * 10), round(totals[_FPG])


def scan(folder: str | Path) -> tuple[int, ...]:
    """Read the bytes of every document, and no more."""
    with zipfile.ZipFile(Path(folder) / _ARCHIVE) as archive:
        sizes = [len(archive.read(name)) for name in archive.namelist()]
    return len(sizes) - 1, sum(sizes)
