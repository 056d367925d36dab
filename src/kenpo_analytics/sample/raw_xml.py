"""How does a 特定健診 archive look? hc08 documents by the official structure, an index, and what was planted in them.

Structure: 特定健診情報ファイル仕様説明書 hc08_V08 (order of elements, required ids and code systems); answers of 第4期.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from kenpo_analytics.sample.archive import pack
from kenpo_analytics.sample.identity import INSURER
from kenpo_analytics.sample.raw_lists import Counts

OID = "1.2.392.200119.6"
OBS = '<observation classCode="OBS" moodCode="EVN"'
SENDER = "2421111115"
MISTAKEN = 202409
"""The archive of this month holds records that never were; the next one asks to delete them."""
HEAD = (
    '<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="urn:hl7-org:v3 ../XSD/hc08_V08.xsd">'
    '<typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/><id nullFlavor="NI"/>'
)
QUANTITIES = (
    ("9N001000000000001", "身長", "height", "cm"),
    ("9N006000000000001", "体重", "weight", "kg"),
    ("9N011000000000001", "BMI", "bmi", "kg/m2"),
    ("9N016160100000001", "腹囲(実測)", "waist", "cm"),
    ("9A755000000000001", "収縮期血圧(その他)", "sbp", "mm[Hg]"),
    ("9A765000000000001", "拡張期血圧(その他)", "dbp", "mm[Hg]"),
    ("3D010000001926101", "空腹時血糖", "fpg", "mg/dL"),
    ("3D010129901926101", "随時血糖", "casual_glucose", "mg/dL"),
    ("3D046000001906202", "HbA1c(NGSP値)", "hba1c", "%"),
    ("3F015000002327101", "空腹時中性脂肪", "tg", "mg/dL"),
    ("3F070000002327101", "HDLコレステロール", "hdl", "mg/dL"),
    ("3F077000002327101", "LDLコレステロール", "ldl", "mg/dL"),
    ("3F069000002391901", "Non-HDLコレステロール", "non_hdl", "mg/dL"),
    ("3B035000002327201", "AST(GOT)", "ast", "U/L"),
    ("3B045000002327201", "ALT(GPT)", "alt", "U/L"),
    ("3B090000002327101", "γ-GT(γ-GTP)", "ggt", "U/L"),
)
RENAL = (
    ("3C015000002327101", "血清クレアチニン", "creatinine", "mg/dL"),
    ("8A065000002391901", "eGFR", "egfr", "ml/min/1.73m2"),
)
"""Creatinine and eGFR stand inside a 一連検査グループ, one level deeper."""
ANSWERS = (
    ("9N141000000000011", "採血時間(食後)", "fasting_code", "2202"),
    ("9N701000000000011", "服薬1(血圧)", "medication_bp", "2003"),
    ("9N706000000000011", "服薬2(血糖)", "medication_glucose", "2003"),
    ("9N711000000000011", "服薬3(脂質)", "medication_lipid", "2003"),
    ("9N736000000000011", "喫煙", "smoking_code", "24060"),
    ("9N741000000000011", "20歳からの体重変化", "weight_gain_10kg", "2003"),
    ("9N761000000000011", "1年間の体重変化", "weight_change_1y", "2003"),
)
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
Row = dict[str, Any]


def document(row: Row, filed: str, *, deletes: bool = False) -> str:
    """One hc08 document: header, one section, observations in the order of the item table."""
    return (
        f'{HEAD}<code code="{"19" if deletes else "10"}" codeSystem="{OID}.1001"/><effectiveTime value="{filed}"/>'
        f'<confidentialityCode code="N"/>{_patient(row)}{_author(row, filed)}'
        f'<documentationOf><serviceEvent><code code="010" codeSystem="{OID}.1002"/>'
        f'<effectiveTime value="{row["checkup_date"]:%Y%m%d}"/><performer typeCode="PRF"><assignedEntity>'
        f'<id nullFlavor="NI"/>{_organisation(row)}</assignedEntity></performer></serviceEvent></documentationOf>'
        f'<component><structuredBody><component><section><code code="01010" codeSystem="{OID}.1010"/>'
        f"<title>特定健診</title><text/>{''.join(_entries(row))}</section></component></structuredBody></component>"
        "</ClinicalDocument>"
    )


def _patient(row: Row) -> str:
    branch = f'<id root="{OID}.211" extension="{row["branch_number"]}"/>' if row["branch_number"] else ""
    return (
        f'<recordTarget><patientRole><id root="{OID}.101" extension="{INSURER}"/>'
        f'<id root="{OID}.204" extension="{row["symbol"].translate(_WIDE)}"/>'
        f'<id root="{OID}.205" extension="{row["number"].translate(_WIDE)}"/>{branch}'
        f"<addr><postalCode>514-0000</postalCode>三重県架空町</addr><patient><name>{row['kana']}</name>"
        f'<administrativeGenderCode code="{row["sex"]}" codeSystem="{OID}.1104"/>'
        f'<birthTime value="{row["birth"]:%Y%m%d}"/></patient></patientRole></recordTarget>'
    )


def _organisation(row: Row) -> str:
    return (
        f'<representedOrganization><id root="{OID}.102" extension="{row["institution"]}"/><name>架空健診センター</name>'
        "</representedOrganization>"
    )


def _author(row: Row, filed: str) -> str:
    return (
        f'<author><time value="{filed}"/><assignedAuthor><id nullFlavor="NI"/>{_organisation(row)}</assignedAuthor>'
        "</author><custodian><assignedCustodian><representedCustodianOrganization>"
        f'<id root="{OID}.101" extension="{INSURER}"/>'
        "</representedCustodianOrganization></assignedCustodian></custodian>"
    )


def _entries(row: Row) -> Iterator[str]:
    for item in QUANTITIES:
        told = _quantity(row, *item)
        if told:
            yield f"<entry>{told}</entry>"
    inner = "".join(f'<entryRelationship typeCode="COMP">{_quantity(row, *item)}</entryRelationship>' for item in RENAL)
    yield f'<entry>{OBS}><code nullFlavor="NA"/>{inner}</observation></entry>'
    yield (
        f'<entry>{OBS}><code code="1A010000000191111" displayName="尿蛋白"/>'
        f'<value xsi:type="CO" code="1" codeSystem="{OID}.2102"/></observation></entry>'
    )
    for code, name, key, system in ANSWERS:
        if row[key] is not None:
            yield (
                f"<entry>{OBS}>{_code(row, code, name)}"
                f'<value xsi:type="CD" code="{row[key]}" codeSystem="{OID}.{system}"/></observation></entry>'
            )


def _code(row: Row, code: str, name: str) -> str:
    # codeSystem is optional (default …6.1005), and real files leave it out; every third of ours does not.
    system = f' codeSystem="{OID}.1005"' if row["number"].endswith(("1", "4", "7")) else ""
    return f'<code code="{code}"{system} displayName="{name}"/>'


def _quantity(row: Row, code: str, name: str, key: str, unit: str) -> str:
    head, value = _code(row, code, name), row[key]
    if value is None and key == "hba1c":
        if row["beyond"]:
            return (
                f'{OBS}>{head}<value xsi:type="PQ" value="21.3" unit="%"/>'
                '<value xsi:type="CD" code="H" codeSystem="2.16.840.1.113883.5.83" displayName="以上"/></observation>'
            )
        if row["failed"]:
            return f'{OBS}>{head}<value xsi:type="PQ" nullFlavor="NI"/></observation>'
        return f'{OBS} negationInd="true">{head}</observation>'
    if value is None:
        return ""
    return (
        f'{OBS}>{head}<value xsi:type="PQ" value="{value}" unit="{unit}"/><interpretationCode code="N"/></observation>'
    )


def archives(frame: pl.DataFrame, folder: Path) -> Counts:
    """One archive a month of receipt; the first versions of some records a month earlier, deletions a month later.

    Archives are named 送付元_保険者番号_日付分割_実施区分, with the index (ix08) whose creationTime is the month.
    """
    frame = frame.sort("received_month", "institution", "checkup_date", "record_id")
    # Of the documents without HbA1c one in six tells of a value beyond the range, one could not be measured.
    turn = pl.when(pl.col("hba1c").is_null()).then(pl.col("hba1c").is_null().cum_sum() % 6).otherwise(0)
    frame = frame.with_columns(beyond=turn == 1, failed=turn == 2)
    months = frame["received_month"].unique().sort().to_list()
    parts = {month: frame.filter(pl.col("received_month") == month).to_dicts() for month in months}
    counts: Counts = {}
    for at, month in enumerate(months):
        filed = f"{month}28"
        right = parts[month]
        wrong = _early(parts[months[at + 1]], month) if at + 1 < len(months) else []
        wrong += _mistaken(right) if month == MISTAKEN and month != months[-1] else []
        gone = _mistaken(parts[MISTAKEN]) if at and months[at - 1] == MISTAKEN else []
        documents = [document(row, filed) for row in (*right, *wrong)]
        documents += [document(row, filed, deletes=True) for row in gone]
        stem = f"{SENDER}_{INSURER}_{filed}0_1"
        _write(folder / f"checkups/{stem}.zip", stem, documents, filed)
        counts[f"checkups/{stem}.zip"] = {
            "read": len(documents), "accepted": len(right), "duplicate": len(wrong) + len(gone),
            "values_rejected": sum(row["beyond"] or row["failed"] for row in (*right, *wrong, *gone)),
        }  # fmt: skip
    return counts


def _early(rows: list[Row], month: int) -> list[Row]:
    """Three records whose first version, with another pressure, came in the month before."""
    first = [row for row in rows if int(f"{row['checkup_date']:%Y%m}") <= month][:3]
    return [{**row, "sbp": str(int(row["sbp"]) + 9)} for row in first]


def _mistaken(rows: list[Row]) -> list[Row]:
    """Four records under another day that never were; the next archive asks to delete them."""
    return [{**row, "checkup_date": row["checkup_date"] - dt.timedelta(days=31)} for row in rows[:40:10]]


def _write(path: Path, stem: str, rows: list[str], filed: str) -> None:
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    index = (
        f'{head}<index xmlns="https://www.mhlw.go.jp/stf/seisakunitsuite/bunya/0000161103.html">'
        f'<interactionType code="6"/><creationTime value="{filed}"/><sender><id root="{OID}.102" extension="{SENDER}"/>'
        f'</sender><receiver><id root="{OID}.101" extension="{INSURER}"/></receiver>'
        f'<serviceEventType code="1"/><totalRecordCount value="{len(rows)}"/></index>'
    )
    names = [f"{stem}/DATA/h{SENDER}{filed}01{n:06d}.xml" for n in range(1, len(rows) + 1)]
    # A byte order mark before every fifth document, as some producers write it.
    texts = [("﻿" if n % 5 == 0 else "") + head + row for n, row in enumerate(rows)]
    pack(path, [(f"{stem}/ix08_V08.xml", index.encode()), *zip(names, (text.encode() for text in texts), strict=True)])
