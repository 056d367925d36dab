"""CSV and Excel lists through a mapping: what is derived, what is refused, and that nothing is lost or moved."""

from __future__ import annotations

import datetime as dt
import io
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from kenpo_analytics.ingest.lists import mapping as m
from kenpo_analytics.ingest.lists import mapping_toml
from kenpo_analytics.ingest.lists.places import municipality, prefecture_code, towns
from kenpo_analytics.ingest.lists.reader import read_mapped
from kenpo_analytics.ingest.records import Batch

MEMBERS = "保険者番号,記号,番号,枝番,カナ氏名,生年月日,性別,続柄,資格取得日,資格喪失日,住所,事業所番号"
CHECKUPS = "記号・番号,氏名(カナ),生年月日(西暦),性別,健診機関名,受診日"
CHECKUPS += ",身長,空腹時血糖,HbA1c,喫煙歴,服薬歴(血圧),収縮期血圧,γ-GTP"
CLINIC = """
name = "clinic"
table = "checkups"
[columns]
"番号" = "number"
"生年月日" = { key = "birth", date = "%d/%m/%Y" }
"生年月日(和暦)" = "birth"
"受診日" = "checkup_date"
"血糖" = { key = "fpg", codes = { "検査なし" = "" } }
"血糖_2" = "fpg"
"たばこ" = { key = "smoking", codes = { "A" = "yes", "B" = "past", "C" = "no" } }
"薬" = "medication_bp"
[defaults]
kind = "特定健診"
insurer = "1240019"
"""
COLUMN_NOTES = {"column_not_read", "column_missing"}


class Bytes:
    """A source in memory."""

    name, entry = "list", None

    def __init__(self, content: bytes) -> None:
        self.content = content

    @contextmanager
    def open(self, entry: str | None = None) -> Iterator[BinaryIO]:
        yield io.BytesIO(self.content)


def all_of(content: bytes | str, mapping: mapping_toml.Mapping) -> list[Batch]:
    data = content.encode("cp932") if isinstance(content, str) else content
    return list(read_mapped(Bytes(data), mapping))  # type: ignore[arg-type]


def read(content: bytes | str, mapping: mapping_toml.Mapping) -> list[Batch]:
    """Without the notes about columns, which have tests of their own."""
    return [batch for batch in all_of(content, mapping) if not {*batch.rejected["rule"]} & COLUMN_NOTES]


def columns_told(content: bytes | str, mapping: mapping_toml.Mapping) -> list[tuple[str | None, str, str]]:
    """Sheet, rule and reason of the notes about columns."""
    noted = pl.concat([batch.rejected for batch in all_of(content, mapping)])
    said = noted.filter(pl.col("rule").is_in([*COLUMN_NOTES]))
    assert said["level"].to_list() == ["note"] * said.height
    return said.select("entry", "rule", "reason").rows()


def table(content: bytes | str, mapping: mapping_toml.Mapping | str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All rows and all rejections of a list; that they balance is asserted by every `Batch`."""
    mapping = m.named(mapping) if isinstance(mapping, str) else mapping
    batches = read(content, mapping)
    rows = [batch.rows[mapping.table] for batch in batches if mapping.table in batch.rows]
    return pl.concat(rows), pl.concat([batch.rejected for batch in batches])


def told(rejected: pl.DataFrame) -> list[tuple[Any, ...]]:
    return rejected.select("line", "level", "item", "rule").sort("line", "item").rows()


# --- members -------------------------------------------------------------------------------------------


def member(**given: str) -> str:
    usual = "01240019,1234,56,00,ゴウセイ タロウ,19700401,1,本人,20200401,,三重県津市栄町,777"
    cells = dict(zip(MEMBERS.split(","), usual.split(","), strict=True))
    return ",".join({**cells, **given}.values())


def test_members_are_derived_from_birth_insurer_and_address() -> None:
    lines = [
        member(),
        member(生年月日="S45.4.2", 性別="女", 続柄="妻", 枝番="1", 住所="愛知県名古屋市", 資格喪失日="令和3年3月1日"),
        member(保険者番号="1240019", 生年月日="3450331", 続柄="", 枝番="02", 住所="", 資格喪失日="9999-12-31"),
    ]
    rows, rejected = table("\n".join([MEMBERS, *lines]), "members_list")
    assert rows.select("line", "insurer", "branch_number", "birth", "sex", "birth_month", "fy_age_base").rows() == [
        (2, "01240019", "00", dt.date(1970, 4, 1), "M", 197004, 1969),
        (3, "01240019", "01", dt.date(1970, 4, 2), "F", 197004, 1970),
        (4, "01240019", "02", dt.date(1970, 3, 31), "M", 197003, 1969),
    ]
    assert rows.select("valid_from", "valid_to", "relationship", "branch", "municipality", "workplace_id").rows() == [
        (dt.date(2020, 4, 1), None, "insured", "24", "24201", "777"),
        (dt.date(2020, 4, 1), dt.date(2021, 3, 1), "dependent", "24", "県外", "777"),
        (dt.date(2020, 4, 1), None, "dependent", "24", "不明", "777"),
    ]
    assert told(rejected) == [(4, "note", "insurer", "insurer_repaired")]


@pytest.mark.parametrize(
    ("given", "item", "rule"),
    [
        ({"保険者番号": "01240018"}, "insurer", "insurer_number"),
        ({"保険者番号": ""}, "insurer", "missing"),
        ({"番号": ""}, "number", "missing"),
        ({"番号": "1.2E+10"}, "number", "mangled_number"),
        ({"生年月日": "19700230"}, "birth", "not_a_date"),
        ({"生年月日": "10520101"}, "birth", "not_a_date"),
        ({"生年月日": "20210401"}, "birth", "order"),
        ({"性別": "3"}, "sex", "unknown_word"),
        ({"性別": ""}, "sex", "missing"),
        ({"続柄": "社長"}, "relationship", "unknown_word"),
        ({"続柄": "", "枝番": ""}, "relationship", "missing"),
        ({"資格取得日": ""}, "valid_from", "missing"),
        ({"資格喪失日": "来月"}, "valid_to", "not_a_date"),  # not "still enrolled"
        ({"資格喪失日": "20200401"}, "valid_to", "order"),
    ],
)
def test_a_member_who_cannot_be_is_refused_and_neighbours_stay(given: dict[str, str], item: str, rule: str) -> None:
    rows, rejected = table("\n".join([MEMBERS, member(), member(**given), member(番号="57")]), "members_list")
    assert rows["number"].to_list() == ["56", "57"]
    assert told(rejected.filter(pl.col("level") == "row")) == [(3, "row", item, rule)]


@pytest.mark.parametrize(
    ("given", "item", "rule"),
    [
        ({"枝番": "123"}, "branch_number", "branch_number"),
        ({"住所": "三重県上野市"}, "municipality", "unknown_municipality"),
    ],
)
def test_a_value_that_is_not_needed_is_emptied(given: dict[str, str], item: str, rule: str) -> None:
    rows, rejected = table("\n".join([MEMBERS, member(**given)]), "members_list")
    assert rows.height == 1
    assert rows[item][0] in (None, "不明")
    assert told(rejected) == [(2, "value", item, rule)]


def test_a_change_begins_the_stretch_and_branch_comes_from_its_column() -> None:
    head = "保険者番号,記号・番号,生年月日,性別,枝番,資格取得日,異動日,支部,市区町村コード,加入区分"
    lines = [
        "01240019,1234-56,19700401,1,00,20100401,20200401,三重,242021,任意継続",
        "06130017,1234・57・01,19700401,1,,20100401,,24,231002,一般",
        "06130017,123456,19700401,1,00,20100401,20090401,24,231002,一般",
        "06130017,1234-58,19700401,1,00,20100401,,,231002,",
    ]
    rows, rejected = table("\n".join([head, *lines]), "members_list")
    assert rows.select(
        "symbol", "number", "branch_number", "valid_from", "branch", "municipality", "insured_kind"
    ).rows() == [
        ("1234", "56", "00", dt.date(2020, 4, 1), "24", "24202", "任継"),
        ("1234", "57", "01", dt.date(2010, 4, 1), "24", "県外", "一般"),
    ]
    assert told(rejected) == [(4, "row", "valid_from", "order"), (5, "row", "branch", "missing")]


# 総務省 全国地方公共団体コード: 津市 242012, 名古屋市 231002, 南牟婁郡紀宝町 245623
@pytest.mark.parametrize(
    ("code", "address", "area", "rule"),
    [
        ("24201", None, "24201", None),
        ("242012", None, "24201", None),
        ("245623", None, "24562", None),
        ("24562.0", None, "24562", None),
        ("242013", None, "不明", "check_digit"),
        ("24299", None, "不明", "unknown_municipality"),
        ("231002", None, "県外", None),
        ("999999", None, "不明", "check_digit"),
        ("津市", None, "24201", None),
        (None, "三重県三重郡朝日町1", "24343", None),
        (None, "〒510-8102 三重郡朝日町1", "24343", None),
        (None, "三重県　四日市市", "24202", None),
        (None, "度会郡度会町1", "24470", None),
        (None, "朝日町1", "不明", "unknown_municipality"),  # there are others of that name
        (None, "東京都千代田区", "県外", None),
        (None, "", "不明", None),
        (None, None, "不明", None),
    ],
)
def test_municipalities_from_codes_and_addresses(
    code: str | None, address: str | None, area: str, rule: str | None
) -> None:
    texts = (pl.Series([text], dtype=pl.String) for text in (code, address, "24"))
    where, why = municipality(*texts)
    assert (where[0], why[0]) == (area, rule)


def test_the_29_municipalities_and_47_prefectures_are_known() -> None:
    assert len(set(towns().values())) == 29
    assert [
        prefecture_code(name) for name in ("三重", "三重支部", "24", "1", "01240019", "京都府", "東京", "48", "x")
    ] == [*("24", "24", "24", "01", "24", "26", "13", None, None)]


# --- checkups ------------------------------------------------------------------------------------------


def test_checkups_go_through_the_rules_of_all_readers() -> None:
    lines = [
        "1234-56,ｺﾞｳｾｲ ﾀﾛｳ,1970/4/1,1,合成健診センター,2024/5/1,170.2,５.6,5.6,はい,2,120,H",
        "1234-56-01,ｺﾞｳｾｲ ﾊﾅ,1970/4/1,女,合成健診センター,2012/5/1,170.2,95,5.6,past,yes,9000,未実施",
        "123456,ｺﾞｳｾｲ ﾐﾁ,1970/4/1,2,合成健診センター,R6.5.1,測定不能,600,20.0,3,いいえ,60,1000",
        ",,1970/4/1,2,合成健診センター,R6.5.1,170,95,5,3,いいえ,60,10",
        "1-2,ｺﾞｳｾｲ ﾐﾁ,1970/4/1,2,合成健診センター,,170,95,5,3,いいえ,60,10",
    ]
    rows, rejected = table("\n".join([CHECKUPS, *lines]), "branch_checkup_list")
    assert rows.select("symbol", "number", "branch_number", "sex", "checkup_date", "kind", "action").rows() == [
        ("1234", "56", None, "M", dt.date(2024, 5, 1), "事業者健診", "put"),
        ("1234", "56", "01", "F", dt.date(2012, 5, 1), "事業者健診", "put"),
        (None, "123456", None, "F", dt.date(2024, 5, 1), "事業者健診", "put"),
    ]
    assert rows.select("height", "fpg", "hba1c", "smoking", "medication_bp", "sbp", "ggt").rows() == [
        (170.2, None, 5.6, "yes", False, 120.0, None),
        (170.2, 95.0, None, "past", True, None, None),
        (None, 600.0, 20.0, "no", False, 60.0, 1000.0),
    ]
    assert told(rejected) == [
        (2, "value", "fpg", "unit_suspected"),
        (2, "value", "ggt", "censored"),
        (3, "value", "hba1c", "jds"),  # before 2013-04 a bare HbA1c may be JDS
        (3, "value", "sbp", "range"),
        (4, "value", "height", "not_measurable"),
        (5, "row", "number", "missing"),
        (6, "row", "checkup_date", "missing"),
    ]
    assert set(rejected["institution"]) == {"合成健診センター"}
    assert rejected.filter(pl.col("line") == 3)["month"].unique().to_list() == [201205]


def test_codes_date_forms_alternatives_and_defaults_of_a_mapping() -> None:
    head = "番号,生年月日,生年月日(和暦),受診日,血糖,血糖,たばこ,薬"
    lines = [
        "1,01/04/1970,S45.4.1,2024-05-01,検査なし,101,Ａ,1",
        "2,01/04/1970,,2024-05-01,99,101,B,服薬なし",
        "3,,S45.4.1,2024-05-01,99,99.0,9,2",
        "4,01/04/1970,S45.4.2,2024-05-01,99,,C,1",
        "5,19700401,,2024-05-01,99,,C,1",
    ]
    rows, rejected = table("\n".join([head, *lines]), mapping_toml.parse_mapping(CLINIC, "clinic"))
    assert rows.select("number", "insurer", "kind", "birth", "fpg", "smoking", "medication_bp").rows() == [
        ("1", "01240019", "特定健診", dt.date(1970, 4, 1), 101.0, "yes", True),
        ("2", "01240019", "特定健診", dt.date(1970, 4, 1), 99.0, "past", False),
        ("3", "01240019", "特定健診", dt.date(1970, 4, 1), 99.0, None, False),
    ]
    assert told(rejected) == [
        (3, "note", "fpg", "conflict"),
        (4, "value", "smoking", "unknown_code"),
        (5, "row", "birth", "conflict"),
        (6, "row", "birth", "not_a_date"),
    ]


# --- the other tables ----------------------------------------------------------------------------------


def test_letters() -> None:
    head = "保険者番号,記号,番号,枝番,カナ氏名,生年月日,性別"
    head += ",事業,送付予定日,送付日,結果,不送付の理由,抽出基準,リーフレット,健診日"
    who = "01240019,1,2,00,ゴウセイ,19700401,1,untreated"
    lines = [
        f"{who},20240601,20240605,送付,,及び,v1,20240410",
        f"{who},,20240605,,,or,v1,",
        f"{who},20240601,,不送付,住所不明,または,,",
        f"{who},20240601,20240605,宛先不明・返戻,,,v2,2024/4/31",
        f"{who},20240601,,,,,,",
        f"{who},,,送付,,,,",
        f"{who},20240601,20240605,紛失,,,,",
    ]
    rows, rejected = table("\n".join([head, *lines]), "mailing_list")
    assert rows.select("planned_date", "sent_date", "status", "reason", "rule", "leaflet", "checkup_date").rows() == [
        (dt.date(2024, 6, 1), dt.date(2024, 6, 5), "sent", None, "and", "v1", dt.date(2024, 4, 10)),
        (dt.date(2024, 6, 5), dt.date(2024, 6, 5), "sent", None, "or", "v1", None),
        (dt.date(2024, 6, 1), None, "not_mailed", "住所不明", "or", None, None),
        (dt.date(2024, 6, 1), dt.date(2024, 6, 5), "undelivered", None, None, "v2", None),
    ]
    assert told(rejected) == [
        (5, "value", "checkup_date", "not_a_date"),
        (6, "row", "status", "missing"),
        (7, "row", "planned_date", "missing"),
        (8, "row", "status", "unknown_word"),
    ]


def test_guidance() -> None:
    head = "記号・番号,枝番,生年月日,年度,支援区分,初回面談日,実績評価日"
    lines = ["1-2,00,19700401,令和6年度,積極的支援,20240701,20241001", "1-2,00,19700401,2023,動機づけ支援,,"]
    rows, rejected = table("\n".join([head, *lines, "1-2,00,19700401,6年,積極的,,"]), "canonical_guidance")
    assert rows.select("fiscal_year", "level", "first_interview", "completed").rows() == [
        (2024, "積極的支援", dt.date(2024, 7, 1), dt.date(2024, 10, 1)),
        (2023, "動機付け支援", None, None),
    ]
    assert told(rejected) == [(4, "row", "fiscal_year", "not_a_year")]


def test_lists_without_people() -> None:
    rows, rejected = table(
        "事業所,業態,被保険者数,健康宣言日,標準化された宣言,健康保険委員\n007,総合工事業,12,R5.7.1,○,無\n8,,1.5,,,\n9,医療業,-1,,？,\n",
        "canonical_workplaces",
    )
    assert rows.drop("entry", "line", "filed").rows() == [
        ("007", "総合工事業", 12, dt.date(2023, 7, 1), True, False),
        ("9", "医療業", None, None, None, None),
    ]
    assert told(rejected) == [
        (3, "row", "industry", "missing"),
        (4, "value", "declaration_standardised", "unknown_word"),
        (4, "value", "insured_count", "range"),
    ]
    rows, rejected = table(
        "支部,指標,対象月,定義の版,分子,分母,速報・確定\n三重,K1,2024年10月,1,12,100,速報\n24,K1,202411,1,,100,確定\n24,K1,13月,1,,1,確定\n",
        "kpi_list",
    )
    assert rows.drop("entry", "line", "filed").rows() == [
        ("24", "K1", 202410, "1", 12.0, 100.0, "provisional", None),
        ("24", "K1", 202411, "1", None, 100.0, "final", None),
    ]
    assert told(rejected) == [(4, "row", "month", "not_a_month")]
    rows, rejected = table(
        "measure,area,sex,age_band,period,events,events_sq,persons,denominator,denominator_unit\n"
        "out_of_hours,1,F,00-04,FY2024,10,12,9,1000.5,member_month\nout_of_hours,99,F,00-04,FY2024,10,12,9,1,x\n",
        "canonical_national",
    )
    assert rows.drop("entry", "line", "filed").rows() == [
        ("out_of_hours", "01", "F", "00-04", "FY2024", 10, 12, 9, 1000.5, "member_month")
    ]
    assert told(rejected) == [(3, "row", "area", "unknown_word")]


def test_claims_returned_by_their_number() -> None:
    lines = [
        "13450607940000030,返戻",
        "1.3450607940E+16,再請求",
        ",返戻",
        "13450607940000031,再請求",
        "13450607940000032,保留",
    ]
    rows, rejected = table("\n".join(["検索番号,状態", *lines]), "canonical_claim_status")
    assert rows.select("claim_key", "status").rows() == [
        ("13450607940000030", "returned"),
        ("13450607940000031", "reclaimed"),
    ]
    assert told(rejected) == [
        (3, "row", "claim_key", "mangled_number"),
        (4, "row", "claim_key", "missing"),
        (6, "row", "status", "unknown_word"),
    ]


# --- shape of files ------------------------------------------------------------------------------------


def test_titles_quotes_line_breaks_and_odd_rows() -> None:
    head = MEMBERS.replace("生年月日", '"生年\n月日"')
    text = "\r\n".join(
        [
            "加入者一覧",
            head,
            member(カナ氏名='"ゴウセイ\nタロウ"', 住所='"三重県津市1,2"'),
            member() + ",",
            ",,",
            "合計,1",
        ]
    )
    rows, rejected = table(text, "members_list")
    assert rows["line"].to_list() == [4]
    assert rows["municipality"].to_list() == ["24201"]
    assert told(rejected) == [(6, "row", "line", "ragged"), (8, "row", "line", "ragged")]


@pytest.mark.parametrize("encoding", ["cp932", "utf-8", "utf-8-sig"])
def test_encodings_are_found_or_given(encoding: str) -> None:
    name = "ゴウセイ 髙﨑"
    rows, rejected = table("\n".join([MEMBERS, member(カナ氏名=name)]).encode(encoding), "members_list")
    assert rows["kana"].to_list() == [name]
    assert rejected.is_empty()


def test_a_given_encoding_is_taken_and_damaged_bytes_cost_their_line() -> None:
    body = "\n".join([MEMBERS, member(), member(番号="57"), member(番号="58")]).encode("cp932")
    at = body.index(b"57") + len("57,00,ゴ".encode("cp932"))
    rows, rejected = table(body[:at] + b"\x81\xfd" + body[at:], "members_list")
    assert rows["number"].to_list() == ["56", "58"]
    assert told(rejected) == [(3, "row", "line", "encoding")]
    toml = (
        'name = "o"\ntable = "claim_status"\nencoding = "utf-8"\n[columns]\n"検索番号" = "claim_key"\n"状態" = "status"'
    )
    own = mapping_toml.parse_mapping(toml, "o")
    batches = read("検索番号,状態\n1,返戻\n".encode("cp932"), own)
    assert [batch.rejected["rule"].to_list() for batch in batches] == [["no_header"]]


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", b"PK\x03\x04broken", b"\xff\xfe" + MEMBERS.encode("utf-16-le"), b"\x00" * 99]
)
def test_a_file_that_is_no_such_list_is_one_refused_row(content: bytes) -> None:
    batches = read(content, m.named("members_list"))
    assert [(batch.read, batch.rows) for batch in batches] == [(1, {})]
    assert batches[0].rejected["rule"][0] in ("no_header", "unreadable")


def test_an_empty_list_has_no_rows() -> None:
    assert read(b"", m.named("members_list")) == []
    assert sum(batch.read for batch in read(MEMBERS, m.named("members_list"))) == 0


def test_large_files_come_in_batches_and_lines_stay_right() -> None:
    count = 120_000
    lines = [f"{number},返戻" for number in range(10**16, 10**16 + count)]
    lines[70_000] = "x,y,z"
    batches = read("\n".join(["検索番号,状態", *lines]), m.named("canonical_claim_status"))
    assert max(batch.read for batch in batches) <= 50_001
    assert sum(batch.read for batch in batches) == count
    rows = pl.concat([batch.rows["claim_status"] for batch in batches])
    assert (rows["claim_key"].cast(pl.Int64) - 10**16 + 2).to_list() == rows["line"].to_list()
    assert told(pl.concat([batch.rejected for batch in batches])) == [(70_002, "row", "line", "ragged")]


# --- columns nobody reads ------------------------------------------------------------------------------

OWN = """
name = "own"
table = "checkups"
[columns]
"番号" = "number"
"生年月日" = "birth"
"受診日" = "checkup_date"
"血糖" = "fpg"
"空腹時血糖" = "fpg"
"HbA1c" = "hba1c"
"体重" = "weight"
"性別" = "sex"
[defaults]
kind = "特定健診"
sex = "F"
"""


def test_columns_that_nothing_reads_are_named_once_a_file() -> None:
    own = mapping_toml.parse_mapping(OWN, "own")
    head = '番号,生年月日,受診日,血糖,血糖(mmol/L),空腹時血糖(前回),"備考\n欄",体重,体重,空,20241001,,取消フラグ'
    lines = ["1,1970/4/1,2024/5/1,95,5.2,90,,60,61, ,x,y,0", "2,1970/4/1,2024/5/1,95,5.2,90,秘密,60,61,,x,y,1"]
    assert columns_told("\n".join([head, *lines]), own) == [
        (
            None,
            "column_not_read",
            "取消・削除とみられる列を読んでいません(取り消された記録も取り込まれている恐れがあります): 「取消フラグ」。"
            "単位が違うため読まなかった列(換算はしません): 「血糖(mmol/L)」。"
            "対応表にないため読まなかった列: 「空腹時血糖(前回)」、「備考 欄」、「体重_2」、11列目、12列目。",
        ),
        (None, "column_missing", "対応表にあって、ファイルに列がない項目: HbA1c(NGSP)。"),
    ]
    assert columns_told("番号,生年月日,受診日,血糖,HbA1c,体重,取消区分\n1,19700401,20240501,95,5,60,\n", own) == []


def test_a_column_filled_in_a_late_row_is_named_and_many_are_counted() -> None:
    claims = m.named("canonical_claim_status")
    lines = [f"{number},返戻," for number in range(10**16, 10**16 + 60_000)]
    (told,) = columns_told("\n".join(["検索番号,状態,処理区分", *lines, f"{10**16},返戻,2"]), claims)
    assert told[1] == "column_not_read" and told[2].startswith("取消・削除とみられる列") and "「処理区分」" in told[2]
    wide = [f"列{at}" for at in "あいうえおかきくけこ" for _ in range(5)]
    (told,) = columns_told(",".join(["検索番号", "状態", *wide]) + "\n1,返戻" + ",x" * 50, claims)
    assert told[2].count("「列") == 40 and told[2].endswith("、ほか10列。")


def test_a_shipped_mapping_misses_only_columns_that_stay_empty() -> None:
    (told,) = columns_told(f"{MEMBERS}\n{member()}", m.named("members_list"))
    assert told == (None, "column_missing", "対応表にあって、ファイルに列がない項目: 一般・任意継続。")
    (told,) = columns_told(CHECKUPS, m.named("branch_checkup_list"))
    assert "HDLコレステロール" in told[2]
    assert not any(name in told[2] for name in ("収縮期血圧", "枝番", "健診の種類", "空腹時血糖"))


def test_each_sheet_names_its_own_columns() -> None:
    head = ["検索番号", "状態"]
    sheets = {"一": [[*head, "削除"], ["1" * 17, "返戻", 1]], "二": [head, ["2" * 17, "返戻"]]}
    (told,) = columns_told(workbook(sheets), m.named("canonical_claim_status"))
    assert told[:2] == ("一", "column_not_read")


# --- Excel ---------------------------------------------------------------------------------------------


def workbook(sheets: dict[str, list[Sequence[Any]]], hidden: Sequence[str] = ()) -> bytes:
    """Dates become Excel dates."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    day = book.add_format({"num_format": "yyyy/m/d"})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for at, row in enumerate(rows):
            for place, cell in enumerate(row):
                if isinstance(cell, dt.date):
                    sheet.write_datetime(at, place, dt.datetime(cell.year, cell.month, cell.day), day)
                elif cell is not None:
                    sheet.write(at, place, cell)
        if name in hidden:
            sheet.hide()
    book.close()
    return out.getvalue()


def test_excel_lists_with_titles_dates_numbers_and_several_sheets() -> None:
    head = MEMBERS.split(",")
    first = [
        1240019,
        12345678,
        12.0,
        0,
        "ゴウセイ ア",
        dt.date(1970, 4, 1),
        1,
        "本人",
        dt.date(2020, 4, 1),
        None,
        "三重県津市",
        7,
    ]
    second = [
        "01240019",
        "12345678",
        "0013",
        "01",
        "ゴウセイ イ",
        25660,
        "女",
        "妻",
        "R2.4.1",
        dt.date(9999, 12, 31),
        None,
        None,
    ]
    sheets = {
        "表紙": [["説明"]],
        "令和6年度": [[], ["加入者一覧"], [], head, first, [], second],
        "追加": [head, [*first[:2], 14, *first[3:]]],
        "旧": [head, first],
        "空": [],
    }
    rows, rejected = table(workbook(sheets, hidden=["旧"]), "members_list")
    assert rows.select("entry", "line", "insurer", "number", "branch_number", "birth", "sex", "valid_to").rows() == [
        ("令和6年度", 5, "01240019", "12", "00", dt.date(1970, 4, 1), "M", None),
        ("令和6年度", 7, "01240019", "0013", "01", dt.date(1970, 4, 2), "F", None),
        ("追加", 2, "01240019", "14", "00", dt.date(1970, 4, 1), "M", None),
    ]
    assert rejected.select("entry", "line", "rule").rows() == [
        ("令和6年度", 5, "insurer_repaired"),
        ("追加", 2, "insurer_repaired"),
        ("表紙", None, "sheet_ignored"),
        ("旧", None, "sheet_ignored"),
    ]


def test_a_mapping_may_name_the_sheet() -> None:
    text = 'name = "o"\ntable = "claim_status"\nsheet = "二"\n[columns]\n"検索番号" = "claim_key"\n"状態" = "status"'
    sheets = {"一": [["検索番号", "状態"], ["1" * 17, "返戻"]], "二": [["検索番号", "状態"], ["2" * 17, "返戻"]]}
    rows, _ = table(workbook(sheets, hidden=["二"]), mapping_toml.parse_mapping(text, "o"))
    assert rows["claim_key"].to_list() == ["2" * 17]
    (batch,) = read(workbook({"一": sheets["一"]}), mapping_toml.parse_mapping(text, "o"))
    assert (batch.read, batch.rejected["rule"].to_list()) == (1, ["no_sheet"])


def test_digits_that_excel_lost_are_not_taken_for_a_claim_number() -> None:
    sheets = {"返戻": [["検索番号", "状態"], [13450607940000301, "返戻"], ["13450607940000301", "返戻"]]}
    rows, rejected = table(workbook(sheets), "canonical_claim_status")
    assert rows["line"].to_list() == [3]
    assert told(rejected) == [(2, "row", "claim_key", "mangled_number")]


# --- properties ----------------------------------------------------------------------------------------

DAYS = st.dates(dt.date(1926, 12, 26), dt.date(2010, 12, 31))
DAY_FORMS = ["%Y%m%d", "%Y-%m-%d", "%Y/%m/%d", "%Y年%m月%d日", "%Y.%m.%d"]
PEOPLE = st.lists(
    st.tuples(
        st.integers(1, 99_999_999),
        st.integers(1, 9_999_999),
        st.integers(0, 99),
        st.text("アイウエオカキクケコヴー゛ﾀﾁ", min_size=1, max_size=12),
        DAYS,
        st.sampled_from("MF"),
        st.sampled_from(["insured", "dependent"]),
        st.integers(1, 4000),
    ),
    min_size=1,
    max_size=12,
)


def expected(people: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [
        (str(symbol), str(number), f"{branch:02d}", name, birth, sex, relation, birth + dt.timedelta(days=length))
        for symbol, number, branch, name, birth, sex, relation, length in people
    ]


def columns(rows: pl.DataFrame) -> list[tuple[Any, ...]]:
    return rows.select("symbol", "number", "branch_number", "kana", "birth", "sex", "relationship", "valid_from").rows()


@settings(max_examples=30, deadline=None)
@given(PEOPLE, st.randoms(use_true_random=False))
def test_members_come_back_from_csv_as_they_were(people: list[tuple[Any, ...]], rng: random.Random) -> None:
    order = rng.sample(range(9), 9)
    head = MEMBERS.split(",")[:9]
    lines = [",".join(head[at] for at in order)]
    for symbol, number, branch, name, birth, sex, relation, length in people:
        begin = (birth + dt.timedelta(days=length)).strftime(rng.choice(DAY_FORMS))
        who = [
            rng.choice(["01240019", "1240019", "０１２４００１９"]),
            f"{symbol}",
            f"{number}",
            f"{branch}",
            f'"{name}"',
        ]
        words = {"insured": ["本人", "1", "被保険者"], "dependent": ["家族", "２", "長女"]}[relation]
        sexes = {"M": ["1", "男", "Ｍ"], "F": ["2", "女性", "f"]}[sex]
        cells = [*who, birth.strftime(rng.choice(DAY_FORMS)), rng.choice(sexes), rng.choice(words), begin]
        lines.append(",".join(cells[at] for at in order))
    text = rng.choice(["\n", "\r\n"]).join(lines)
    rows, rejected = table(text.encode(rng.choice(["cp932", "utf-8", "utf-8-sig"]), "replace"), "members_list")
    assert columns(rows) == [tuple(row) for row in expected(people)]
    assert set(rejected["rule"]) <= {"insurer_repaired"}


@settings(max_examples=25, deadline=None)
@given(PEOPLE, st.randoms(use_true_random=False))
def test_members_come_back_from_excel_as_they_were(people: list[tuple[Any, ...]], rng: random.Random) -> None:
    sheet: list[Sequence[Any]] = [MEMBERS.split(",")[:9]]
    for symbol, number, branch, name, birth, sex, relation, length in people:
        begin = birth + dt.timedelta(days=length)
        serial = (begin - dt.date(1899, 12, 30)).days
        begins = [begin, begin.isoformat(), serial if serial >= 10_000 else begin]
        who = [rng.choice([1240019, "01240019"]), rng.choice([int, str, float])(symbol), number, branch, name]
        sheet.append([*who, rng.choice([birth, birth.strftime("%Y%m%d")]), sex, relation, rng.choice(begins)])
    rows, _ = table(workbook({"x": sheet}), "members_list")
    assert columns(rows) == [tuple(row) for row in expected(people)]


# --- damage --------------------------------------------------------------------------------------------


def damaged(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            out[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del out[at : at + rng.choice([1, 2, 30])]
        elif kind == 2:
            out[at:at] = rng.choice(
                [b",", b'"', b"\x00", b"\x81", b"\x1a", b"9" * 400, "、①".encode("cp932"), b"\xef\xbb\xbf"]
            )
        elif kind == 3:
            out[at:at] = out[: rng.randrange(40)]
        else:
            out = out[: max(at, 1)]
    return bytes(out)


def test_ten_thousand_damaged_rows_leave_their_neighbours_alone() -> None:
    rng = random.Random(7)
    count = 10_000
    whole = [member(番号=str(at), 住所=rng.choice(["三重県津市", "愛知県", ""])) for at in range(10**6, 10**6 + count)]
    lines = []
    for line in whole:
        lines += [line.encode("cp932"), damaged(rng, line.encode("cp932")).replace(b"\n", b" ").replace(b"\r", b" ")]
    batches = read(b"\r\n".join([MEMBERS.encode("cp932"), *lines]), m.named("members_list"))
    rows = pl.concat([batch.rows["members"] for batch in batches])
    rejected = pl.concat([batch.rejected for batch in batches])
    refused = rejected.filter(pl.col("level") == "row")
    kept = rows.filter(pl.col("line") % 2 == 0)
    assert kept["number"].to_list() == [str(at) for at in range(10**6, 10**6 + count)]
    assert refused.filter(pl.col("line") % 2 == 0).is_empty()
    blank = sum(not line.strip(b", \x1a") for line in lines)
    assert sum(batch.read for batch in batches) == rows.height + refused.height == 2 * count - blank
    assert refused.height < count - 300  # some damage leaves a member who can be
    assert (rows["valid_to"].is_null() | (rows["valid_to"] > rows["valid_from"])).all()
    spoken = rejected.select(pl.concat_str("reason", pl.col("item").fill_null(""))).to_series()
    assert not spoken.str.contains("ゴウセイ|タロウ|100|津市|1970").any()


def test_damaged_files_are_refused_or_balance() -> None:
    rng = random.Random(11)
    csv = "\n".join(["一覧,,", CHECKUPS, *["1-2,ゴウセイ,1970/4/1,1,所,2024/5/1,170,95,5,3,いいえ,60,10"] * 3]).encode(
        "cp932"
    )
    rules = set()
    for _ in range(40):
        batches = read(damaged(rng, csv), m.named("branch_checkup_list"))
        assert sum(batch.read for batch in batches) <= 12
        rules |= {rule for batch in batches for rule in batch.rejected["rule"]}
    assert {"no_header", "ragged"} <= rules


def test_damaged_workbooks_are_refused_or_balance() -> None:
    rng = random.Random(13)
    book = workbook({"返戻": [["検索番号", "状態"], ["1" * 17, "返戻"], ["2" * 17, "再請求"]]})
    mapping = m.named("canonical_claim_status")
    whole = refused = 0
    for _ in range(1_000):
        batches = read(b"PK\x03\x04" + damaged(rng, book)[4:], mapping)
        whole += [row for batch in batches for row in batch.rows.get("claim_status", pl.DataFrame()).rows()] != []
        refused += any(batch.rejected["rule"].to_list() == ["unreadable"] for batch in batches)
    assert refused > 500


# --- the page for analysts -----------------------------------------------------------------------------


def test_the_example_of_the_page_does_what_the_page_says() -> None:
    page = (Path(__file__).parents[1] / "docs" / "ingest.md").read_text(encoding="utf-8")
    parts = dict(re.findall(r"<!-- example: (\w+) -->\n```\w+\n(.*?)```", page, re.DOTALL))
    mapping = mapping_toml.parse_mapping(parts["toml"], "docs/ingest.md")
    rows_of_file = [line.split(",") for line in parts["csv"].splitlines()]
    assert m.find_header(rows_of_file) is None  # unknown without the mapping
    assert m.find_header(rows_of_file, [mapping]) == m.Match(1, mapping)
    rows, rejected = table(parts["csv"], mapping)
    assert "読んだ4件のうち取り込み3件、隔離1件" in page
    assert (rows.height, rejected.filter(pl.col("level") == "row").height) == (3, 1)
    assert rows.select("birth", "fpg", "hba1c", "sbp", "smoking", "medication_glucose", "insurer").rows() == [
        (dt.date(1970, 3, 12), None, 5.6, 128.0, "yes", False, "01240019"),
        (dt.date(1985, 4, 1), 98.0, 5.4, None, "no", False, "01240019"),
        (dt.date(1959, 11, 8), None, 6.1, 135.0, None, True, "01240019"),
    ]
    said = re.findall(r"^\| (\d+) \| (\w+) \| (\w+) \|", page, re.MULTILINE)
    assert told(rejected.select("line", pl.lit("x").alias("level"), "item", "rule")) == [
        (int(line), "x", item, rule) for line, item, rule in said
    ]


def test_the_page_names_every_key_that_is_not_a_column() -> None:
    page = (Path(__file__).parents[1] / "docs" / "ingest.md").read_text(encoding="utf-8")
    for key in (
        "insurer",
        "symbol_number",
        "branch_number",
        "kana",
        "filed",
        "address",
        "changed_from",
        "action",
        "claim_key",
    ):
        assert f"`{key}`" in page
    for name in ("name", "table", "sheet", "encoding"):
        assert f"| `{name}` |" in page
