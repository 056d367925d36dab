"""A user's 診療行為マスター: exactly the known add-ons, no traps, a newer master in force from its own dates."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import polars as pl
import pytest

from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.definitions.own_fees import FEE_CODES, FILE, save_fees, with_own_fees
from kenpo_analytics.definitions.registry import read
from kenpo_analytics.errors import IngestError, TableError
from kenpo_analytics.ingest.claims.fee_master import read_fee_master
from tests.claim_files import source

PACKAGED = list(read("fee_codes"))
KBN = {
    "after_hours": "1",
    "holiday": "2",
    "late_night": "4",
    "after_hours_special": "5",
    "evening_early_in_hours": "6",
    "ped_evening": "7",
}
QUIRKS = ("113043670", "113043770", "113043870", "113043970", "113044070", "113044170")
TRAPS = (  # code, name, 項番43: ordinary fees that may be added to, a fee of the clinic, another chapter, no time class
    ("111000110", "初診料", "1"),
    ("112007410", "再診料", "1"),
    ("112011310", "外来診療料", "1"),
    ("112016070", "時間外対応加算１", "0"),
    ("112708370", "時間外対応加算２", "1"),
    ("150000490", "時間外加算１（手術）", "1"),
    ("113003510", "夜間休日救急搬送医学管理料", "0"),
    ("140000610", "創傷処置", "0"),
)


def fee(code: str, name: str, kbn: str, changed: str = "20240601", abolished: str = "99999999") -> list[str]:
    row = ["0"] * 150
    row[0], row[1], row[2], row[4], row[42], row[86], row[87] = "0", "S", code, name, kbn, changed, abolished
    return row


def kbn(row: dict[str, str]) -> str:
    return "1" if row["code"] in QUIRKS else KBN[row["out_of_hours"]]


def master(rows: list[list[str]], encoding: str = "cp932") -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode(encoding)


def june_2024() -> list[list[str]]:
    known = [fee(row["code"], row["name"], kbn(row)) for row in PACKAGED]
    return [*known[:80], *(fee(*trap) for trap in TRAPS), *known[80:]]


def test_gives_exactly_the_156_known_codes_with_their_classes() -> None:
    found = read_fee_master(source(master(june_2024()), "fee_master"))
    assert found.schema == FEE_CODES
    assert found.height == 156
    expected = [
        (row["code"], row["visit_type"], row["out_of_hours"], row["inpatient"] == "1")
        for row in sorted(PACKAGED, key=lambda row: row["code"])
    ]
    assert found.select("code", "visit_type", "out_of_hours", "inpatient").rows() == expected
    assert set(found["valid_from"]) == {202406} and found["valid_to"].null_count() == 156


def test_the_name_decides_where_item_43_contradicts_it() -> None:
    found = read_fee_master(source(master(june_2024()), "fee_master"))
    classes = dict(found.filter(pl.col("code").is_in(QUIRKS)).select("code", "out_of_hours").rows())
    assert [classes[code] for code in QUIRKS] == ["holiday", "late_night"] * 3


def windows(used: Definitions) -> dict[str, list[tuple[int | None, int | None]]]:
    found: dict[str, list[tuple[int | None, int | None]]] = {}
    for code in used.fee_codes:
        found.setdefault(code.code, []).append((code.valid_from, code.valid_to))
    return found


def saved(folder: Path, *masters: list[list[str]]) -> Definitions:
    for rows in masters:
        save_fees(read_fee_master(source(master(rows), "fee_master")), folder)
    return with_own_fees(define(), folder)


JUNE_2026 = [
    fee("111000570", "時間外加算（初診）", "1", changed="20260601"),
    fee("111000670", "休日加算（初診）", "3", changed="20240601"),
    fee("111099970", "深夜加算（初診）", "4", changed="20260601", abolished="20271231"),
]


def test_a_newer_master_holds_from_its_own_dates(tmp_path: Path) -> None:
    used = saved(tmp_path, JUNE_2026)
    found = windows(used)
    assert found["111000570"] == [(202406, 202606), (202606, None)]
    assert found["111000670"] == [(202406, None)]
    assert found["111099970"] == [(202606, 202801)]
    assert found["111000770"] == [(202406, 202606)]
    assert len(found) == 157
    assert used.version != define().version


def test_an_older_master_tells_of_the_months_before(tmp_path: Path) -> None:
    found = windows(saved(tmp_path, [fee("111000570", "時間外加算（初診）", "1", changed="20220401")]))
    assert found["111000570"] == [(202204, 202406), (202406, 202606)]
    assert len(found) == 156


def test_the_order_of_masters_and_their_repetition_change_nothing(tmp_path: Path) -> None:
    orders = [[june_2024(), JUNE_2026], [JUNE_2026, june_2024()], [JUNE_2026, june_2024(), JUNE_2026, june_2024()]]
    found = []
    for number, order in enumerate(orders):
        folder = tmp_path / str(number)
        folder.mkdir()
        found.append(saved(folder, *order).fee_codes)
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 158


def test_a_folder_without_own_fees_has_the_packaged_ones_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    assert with_own_fees(define(), tmp_path) is define()
    (tmp_path / FILE).write_bytes(b"PAR1")
    with pytest.raises(TableError, match="診療行為コードの表を読めません"):
        with_own_fees(define(), tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a,b\r\n",
        master(june_2024())[:-700],
        master([fee("111000110", "初診料", "1")]),
        master([fee("113099970", "時間外加算（新しい包括診療料）", "1")]),
        master([fee("111000570", "時間外加算（初診）", "1", changed="20241301")]),
        master(june_2024()).replace("休日".encode("cp932"), b"\x81\x00\xff", 1),
    ],
)
def test_what_is_no_whole_master_is_refused(data: bytes) -> None:
    with pytest.raises(IngestError) as refused:
        read_fee_master(source(data, "fee_master"))
    assert refused.value.hint


def test_damage_gives_a_typed_error_or_add_ons_of_a_known_class() -> None:
    rng = random.Random(20240601)
    whole = master(june_2024()[::6])
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            found = read_fee_master(source(bytes(data[: rng.randint(1, len(data))]), "fee_master"))
        except IngestError:
            continue
        assert found.height > 0 and found["out_of_hours"].is_in(list(KBN)).all()


def test_a_master_saved_again_as_utf8_says_the_same() -> None:
    assert read_fee_master(source(master(june_2024(), "utf-8-sig"), "fee_master")).height == 156
