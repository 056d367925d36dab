"""In which files do claims come? RECODEINFO extracts packed by groups of people, a clinic's UKE, what was planted."""

from __future__ import annotations

import zipfile
from pathlib import Path

import polars as pl

from kenpo_analytics.sample.archive import pack, write
from kenpo_analytics.sample.raw_claims import EOL, claim_texts
from kenpo_analytics.sample.raw_lists import ON, Counts
from kenpo_analytics.sample.state import World

FILES = {
    "医科": "11_RECODEINFO_MED",
    "DPC": "12_RECODEINFO_DPC",
    "歯科": "13_RECODEINFO_DEN",
    "調剤": "14_RECODEINFO_PHA",
}
CLAIMS_A_PART = 120_000
"""So many claims pack into less than 2 MiB."""
DPC_SITES = ("2410000951", "2410000953")
"""Hospitals paid by DPC: their stays come in that layout."""
NOBODY = 24_900_000_000_000_000
"""検索番号 of claims that are in no table begin here."""
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")


def extracts(world: World, tables: dict[str, pl.DataFrame], folder: Path) -> Counts:
    """Every claim of the table once, by groups of people: one archive a group with a file for each layout."""
    claims = tables["claims"].join(world.who.people, on="person_id", how="left", maintain_order="left")
    texts = claim_texts(claims, tables["claim_fees"], world.who)
    clinic = _clinic(texts)
    counts = _uke(texts.filter(clinic), folder)
    texts = _dpc(texts.filter(~clinic)).sort("claim_id").with_row_index("at")
    part = pl.col("at").first().over("person_id") // CLAIMS_A_PART
    groups = texts.with_columns(part=part).partition_by("part", maintain_order=True)
    for at, rows in enumerate(groups):
        name = f"claims/recodeinfo_{ON}_{at + 1:02d}.zip"
        entries = []
        for layout, file in FILES.items():
            chosen = rows.filter(pl.col("layout") == layout)["text"].to_list()
            more, told = _planted(chosen, world) if (at, layout) == (0, "医科") else ([], {})
            if chosen:
                entry = f"0_COMMON001/{file}.CSV"
                entries.append((entry, "".join([*chosen, *more]).encode("cp932")))
                counts[f"{name}!{entry}"] = {"read": len(chosen) + len(more), "accepted": len(chosen), **told}
        pack(folder / name, entries, zipfile.ZIP_BZIP2)
    return counts


def _dpc(texts: pl.DataFrame) -> pl.DataFrame:
    """Stays of the DPC hospitals with the records of that layout (BU 診断群分類, SB 傷病) instead of SY."""
    stay = pl.col("institution").is_in(DPC_SITES)
    group = "${1},0,BU,060100xx99xxxx,20210401,,1,,\r\n${1},1,SB,11,4659007,,,,"
    told = pl.col("text").str.replace(r"(1,\d+),0,SY,[^\r]*", group)
    return texts.with_columns(
        layout=pl.when(stay).then(pl.lit("DPC")).otherwise("layout"), text=pl.when(stay).then(told).otherwise("text")
    )


def _clinic(texts: pl.DataFrame) -> pl.Series:
    """The claims of the busiest clinic of the month received in June 2023: they come as its own UKE file."""
    as_filed = ~pl.col("text").str.contains(",JY,", literal=True)
    month = (pl.col("received_month") == 202306) & (pl.col("layout") == "医科") & as_filed
    sizes = texts.filter(month).group_by("institution").len().sort("len", "institution", descending=[True, False])
    return texts.select(month & (pl.col("institution") == sizes["institution"][0])).to_series()


def _uke(texts: pl.DataFrame, folder: Path) -> Counts:
    """RECEIPTC.UKE: one IR, claims from RE on without prefix, 検索番号 in RE, full-width 記号・番号, GO, 0x1A."""
    lines: list[str] = []
    for at, (key, text) in enumerate(texts.select("claim_id", "text").iter_rows(), start=1):
        for line in text.split(EOL)[:-1]:
            fields = line.split(",", 3)[3].split(",")
            if fields[0] == "RE":
                fields[1], fields[18] = str(at), str(key)
            if fields[0] == "HO":
                fields[2:4] = [field.translate(_WIDE) for field in fields[2:4]]
            if fields[0] != "MN" and (fields[0] != "IR" or not lines):
                lines.append(",".join(fields))
    points = sum(int(line.split(",")[5]) for line in lines if line.startswith("HO,"))
    lines.append(f"GO,{texts.height},{points},99")
    name = "claims/uke_202306/RECEIPTC.UKE"
    write(folder / name, (EOL.join(lines) + EOL + "\x1a").encode("cp932"))
    return {name: {"read": texts.height, "accepted": texts.height}}


def _planted(own: list[str], world: World) -> tuple[list[str], dict[str, int]]:
    """Claims of people nobody lists, of twins nobody can tell apart, damaged, taken back, and delivered twice."""
    unlisted = [_claim(n, "24888888", str(n), "19700101", "ナナシノミホン") for n in range(1, 13)]
    twins = (
        world.who.spells.filter(pl.col("branch").is_null()).unique(["symbol", "number"], maintain_order=True).head(6)
    )
    births = world.who.at(twins["i"].to_numpy(), twins["day"].to_numpy())
    pairs = zip(births["symbol"], births["number"], births["birth"], births["sex"], strict=True)
    doubtful = [
        _claim(20 + n, symbol, number, f"{birth:%Y%m%d}", "合成一号", sex)
        for n, (symbol, number, birth, sex) in enumerate(pairs)
    ]
    no_month = [_claim(n, "24888888", str(n), "19700101", "ナナシノミホン", month="202413") for n in range(40, 45)]
    no_payer = [_claim(n, "24888888", str(n), "19700101", "ナナシノミホン") for n in range(50, 53)]
    no_payer = [EOL.join(line for line in text.split(EOL) if ",HO," not in line) for text in no_payer]
    back = [_claim(n, "24888888", str(n), "19700101", "ナナシノミホン") for n in range(60, 65)]
    back = [f"{text}2,91,0,JY,3,3,0,,,,,{EOL}" for text in back]
    again = own[:: max(1, len(own) // 10)][:10]
    quarantined = len(unlisted) + len(doubtful) + len(no_month) + len(no_payer)
    told = {"quarantined": quarantined, "duplicate": len(back) + len(again)}
    return [*unlisted, *doubtful, *no_month, *no_payer, *back, *again], told


def _claim(n: int, symbol: str, number: str, birth: str, name: str, sex: str = "1", month: str = "202402") -> str:
    """A claim that is in no table: an outpatient visit without details."""
    kana = name if name.startswith("ナ") else ""
    return EOL.join(
        [
            f"2,1,0,MN,,,{NOBODY + n},,,",
            "1,2,0,IR,1,24,1,0000008,,架空医院,202403,00,",
            f"1,3,0,RE,1,1116,{month},{name},{sex},{birth}{',' * 30}{kana},",
            f"1,4,0,HO,01240019,{symbol},{number},1,500,,,,,,,,,",
            "1,5,0,SY,4659007,20240201,1,,,,",
            "",
        ]
    )
