"""A list that nobody specified is read through a mapping; the known lists are recognised by their headers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.lists import mapping as m
from kenpo_analytics.ingest.lists import mapping_toml
from kenpo_analytics.tables import TABLES

FULL = """
name = "x_clinic"
table = "checkups"
sheet = "結果"
encoding = "cp932"
[columns]
"受 診 日" = "checkup_date"
"生年月日" = { key = "birth", date = "%d/%m/%Y" }
"番号" = "number"
"ＦＢＳ" = { key = "fpg", unit = "mg/dl", codes = { "検査なし" = "" } }
"FBS_2" = "fpg"
"最高血圧1" = { key = "sbp_1", unit = "mm[Hg]" }
"喫煙" = { key = "smoking", codes = { "１" = "yes", "2" = "no" } }
[defaults]
kind = "特定健診"
insurer = "01240019"
"""


def test_a_mapping_says_which_header_is_which_key() -> None:
    mapping = mapping_toml.parse_mapping(FULL, "x.toml")
    assert (mapping.name, mapping.table, mapping.sheet, mapping.encoding) == ("x_clinic", "checkups", "結果", "cp932")
    assert mapping.columns["受診日"] == mapping_toml.Field("checkup_date")
    assert mapping.columns["生年月日"].date == "%d/%m/%Y"
    assert mapping.columns["fbs"] == mapping_toml.Field("fpg", unit="mg/dl", codes={"検査なし": ""})
    assert mapping.columns["喫煙"].codes == {"1": "yes", "2": "no"}
    assert mapping.defaults == {"kind": "特定健診", "insurer": "01240019"}
    headers = ["番号", "FBS", "受診日", "生年月日", "ｆｂｓ", "備考"]
    found = mapping.found(headers)
    assert {key: [place for place, _ in places] for key, places in found.items()} == {
        "checkup_date": [2],
        "birth": [3],
        "number": [0],
        "fpg": [1, 4],
    }
    assert mapping.missing(headers) == []
    assert mapping.missing(["番号", "受診日"]) == ["生年月日", "検査値の列"]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('"number"', '"numbr"', "numbr"),
        ('table = "checkups"', 'table = "checkup"', "checkup"),
        ('"mg/dl"', '"mmol/L"', "mmol/L"),
        ("%d/%m/%Y", "%Q", "%Q"),
        ("%d/%m/%Y", "%d", "%d"),
        ('encoding = "cp932"', 'encoding = "latin-1"', "latin-1"),
        ('sheet = "結果"', 'sheets = "結果"', "sheets"),
        ("unit =", "units =", "units"),
        ('"FBS_2" = "fpg"', '"fbs" = "hba1c"', "fbs"),
        ('kind = "特定健診"', "kind = 1", "kind"),
        ('kind = "特定健診"', 'kinds = "特定健診"', "kinds"),
        ('name = "x_clinic"', "", "name"),
        ('{ "１" = "yes", "2" = "no" }', '{ "1" = 1 }', "1"),
        ('"番号" = "number"', '"番号" = ["number"]', "番号"),
        ("[columns]", "[column]", "column"),
        ("[defaults]", "[defaults", "「[defaults」: カッコが閉じられていません"),
        ('"番号" = "number"', '" " = "number"', " "),
        ('"生年月日" = {', '"生年月日" = { key = "person_id" } \n"x" = {', "person_id"),
        ('"生年月日" = {', '"生年月日" = { key = "birth_month" } \n"x" = {', "birth_month"),
    ],
)
def test_what_a_mapping_may_not_say_is_named(old: str, new: str, named: str) -> None:
    assert old in FULL
    with pytest.raises(IngestError) as error:
        mapping_toml.parse_mapping(FULL.replace(old, new), "x.toml")
    assert named in error.value.message
    assert error.value.hint


@pytest.mark.parametrize(
    ("table", "default", "why"),
    [
        ("checkups", 'insurer = "01240018"', "検証番号"),
        ("checkups", 'insurer = "0124001"', "検証番号"),
        ("checkups", 'kind = "人間ドック"', "この欄の語"),
        ("checkups", 'checkup_date = "2024-04-31"', "ありえない日付"),
        ("checkups", 'received_month = "202413"', "ありえない年月"),
        ("checkups", 'action = "復活"', "この欄の語"),
        ("checkups", 'fpg = "95"', "定数にできません"),
        ("checkups", 'smoking = "yes"', "定数にできません"),
        ("members", 'sex = "9"', "この欄の語"),
        ("members", 'branch = "49"', "この欄の語"),
        ("members", 'valid_to = "来月"', "日付"),
        ("mailings", 'planned_date = "20240632"', "日付"),
        ("mailings", 'status = "紛失"', "この欄の語"),
        ("guidance", 'fiscal_year = "6年"', "年度"),
        ("workplaces", 'insured_count = "-1"', "入力範囲"),
        ("kpi_monthly", 'month = "13月"', "年月"),
        ("claim_status", 'status = "保留"', "この欄の語"),
    ],
)
def test_a_constant_that_no_cell_could_be_is_refused_when_the_mapping_is_read(
    table: str, default: str, why: str
) -> None:
    kind = 'kind = "特定健診"\n' if table == "checkups" and "kind" not in default else ""
    text = f'name = "x"\ntable = "{table}"\n[columns]\n"作成日" = "filed"\n[defaults]\n{kind}{default}\n'
    with pytest.raises(IngestError) as error:
        mapping_toml.parse_mapping(text, "x.toml")
    key, said = default.replace('"', "").split(" = ")
    assert f"[defaults]: {key}" in error.value.message and why in error.value.message
    assert said not in error.value.message and error.value.hint


@pytest.mark.parametrize(
    ("table", "default"),
    [
        ("members", 'insurer = "138057"'),  # 国保: six digits
        ("members", 'insurer = "1240019"'),  # a lost zero is told by the check digit
        ("members", 'valid_to = "9999-12-31"'),
        ("members", 'branch = "三重"'),
        ("members", 'municipality = "242012"'),
        ("mailings", 'sent_date = "R6.6.1"'),
        ("guidance", 'fiscal_year = "令和6年度"'),
        ("kpi_monthly", 'state = "速報"'),
    ],
)
def test_a_constant_may_be_written_as_a_cell_is(table: str, default: str) -> None:
    text = f'name = "x"\ntable = "{table}"\n[columns]\n"作成日" = "filed"\n[defaults]\n{default}\n'
    key, said = default.replace('"', "").split(" = ")
    assert mapping_toml.parse_mapping(text, "x.toml").defaults == {key: said}


def test_a_mapping_file_that_cannot_be_read_is_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    with pytest.raises(IngestError):
        mapping_toml.load_mapping(path)
    path.write_bytes(FULL.encode("cp932"))
    with pytest.raises(IngestError, match="UTF-8"):
        mapping_toml.load_mapping(path)
    path.write_text(FULL, encoding="utf-8-sig")
    assert mapping_toml.load_mapping(path) == mapping_toml.parse_mapping(FULL, "x")


def test_every_staged_table_can_be_read_by_its_own_names() -> None:
    names = {mapping.name for mapping in m.shipped()}
    assert len(names) == len(m.shipped())
    for table in (
        "members",
        "checkups",
        "mailings",
        "guidance",
        "workplaces",
        "claim_status",
        "national",
        "kpi_monthly",
    ):
        for headers in (list(mapping_toml.keys_of(table)), list(mapping_toml.keys_of(table).values())):
            found = m.match(headers)
            assert found is not None and found.table == table
    for table in ("workplaces", "national", "kpi_monthly"):
        assert {column.name for column in TABLES[table].columns} < mapping_toml.keys_of(table).keys()


# 協会けんぽ鹿児島支部「事業者健診結果データの提供」に挙げられた項目の名前
KAGOSHIMA = ["記号・番号", "氏名(カナ)", "生年月日(西暦)", "性別", "健診機関名", "受診日", "医師名", "医師の判断"]
KAGOSHIMA += ["身長", "体重", "BMI", "腹囲", "収縮期血圧", "拡張期血圧", "中性脂肪", "HDLコレステロール"]


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        (KAGOSHIMA, "branch_checkup_list"),
        (["番号", *KAGOSHIMA[1:2], "生年月日", "受診日", "健診種別", "空腹時血糖"], "checkup_list"),
        (["保険者番号", "記号", "番号", "生年月日", "性別", "続柄", "資格取得日"], "members_list"),
        (["保険者番号", "記号番号", "生年月日", "性別", "枝番", "異動年月日"], "members_list"),
        (["記号・番号", "枝番", "通知名", "発送日", "健診日", "空腹時血糖"], "mailing_list"),
        (["支部名", "KPI", "年月", "定義の版", "分子", "分母", "速報・確定"], "kpi_list"),
        (["検索番号", "状態"], "canonical_claim_status"),
    ],
)
def test_the_known_lists_are_recognised(headers: list[str], name: str) -> None:
    found = m.match(headers)
    assert found is not None
    assert found.name == name


def test_a_list_without_what_is_required_is_not_recognised() -> None:
    assert m.match(["番号", "生年月日", "受診日", "空腹時血糖"]) is None  # no kind of checkup: not guessed
    assert m.match(["番号", "生年月日", "受診日", "健診種別"]) is None  # nothing measured
    assert m.match(["記号", "番号", "生年月日", "性別", "続柄", "資格取得日"]) is None  # no insurer
    assert m.match([]) is None


def test_the_users_mapping_comes_first_where_all_its_keys_are_there() -> None:
    own = mapping_toml.parse_mapping(
        'name = "own"\ntable = "checkups"\n[columns]\n"記号・番号" = "symbol_number"\n"生年月日(西暦)" = "birth"\n'
        '"受診日" = "checkup_date"\n"身長" = "height"\n[defaults]\nkind = "特定健診"',
        "own",
    )
    assert m.match(KAGOSHIMA, [own]) is own
    without_height = [header for header in KAGOSHIMA if header != "身長"]
    found = m.match(without_height, [own])
    assert found is not None and found.name == "branch_checkup_list"
    assert m.named("own", [own]) is own
    assert m.named("members_list", [own]).table == "members"
    with pytest.raises(IngestError, match="nobody"):
        m.named("nobody")


def test_a_mapping_that_nearly_fits_is_named_with_the_headers_it_misses() -> None:
    own = mapping_toml.parse_mapping(FULL, "x.toml")
    other = mapping_toml.parse_mapping(
        'name = "o"\ntable = "claim_status"\n[columns]\n"検索番号" = "claim_key"\n"番号" = "status"', "o"
    )
    headers = ["番号", "FBS", "健診を受けた日", "生年月日"]
    said = m.why_not(headers, [other, own])
    assert said == "対応表「x_clinic」に近い表ですが、なくてはならない見出しがありません: 「受診日」。"
    assert m.why_none([["結果一覧"], headers, ["1", "98", "20240501", "01/04/1970"]], [other, own]) == said
    nothing_measured = m.why_not(["番号", "受診日", "生年月日"], [own])
    assert nothing_measured is not None and "「fbs」または「fbs_2」または「最高血圧1」" in nothing_measured
    assert m.why_not([*headers, "受診日"], [own]) is None  # it fits
    assert m.why_not(["番号", "備考"], [own]) is None  # one common name is no nearness
    assert m.why_not(headers) is None and m.why_none([], [own]) is None
    unwritten = mapping_toml.parse_mapping(FULL.replace('"番号" = "number"\n', ""), "x.toml")
    said = m.why_not([*headers, "受診日"], [unwritten])
    assert said is not None and said.endswith(
        "番号または記号・番号またはカナ氏名または氏名(対応表にも書かれていません)。"
    )


def test_the_header_row_is_the_one_with_most_known_names() -> None:
    rows = [["健診結果一覧"], [], ["受診日", "身長"], KAGOSHIMA, ["1-2", "ゴウセイ", "1970/1/1"]]
    found = m.find_header(rows)
    assert found is not None
    assert (found.row, found.mapping.name) == (3, "branch_checkup_list")
    assert m.find_header([["x"]] * 20 + [KAGOSHIMA]) is None
    assert m.find_header([["x"]] * 19 + [KAGOSHIMA]) == m.Match(19, found.mapping)


def test_repeated_headers_are_told_apart_by_order() -> None:
    assert mapping_toml.normal_headers(["既往歴", "既往歴 ", "ＨｂＡ１ｃ\n(NGSP)", "", "既往歴", None, "γ－GT"]) == [
        "既往歴",
        "既往歴_2",
        "hba1c(ngsp)",
        "",
        "既往歴_3",
        "",
        "γ-gt",
    ]


def test_a_header_may_end_in_its_own_unit() -> None:
    headers = [
        *KAGOSHIMA,
        "空腹時血糖(mg/dl)",
        "収縮期血圧[mmHg]",
        "HbA1c(NGSP)【％】",
        "随時血糖(mmol/L)",
        "γ-GTP（IU/L）",
    ]
    found = m.named("branch_checkup_list").found(headers)
    assert found["fpg"][0][0] == len(KAGOSHIMA)
    assert found["hba1c"][0][0] == len(KAGOSHIMA) + 2
    assert found["ggt"][0][0] == len(KAGOSHIMA) + 4
    assert "casual_glucose" not in found
    assert found["sbp"] == [
        (headers.index("収縮期血圧"), mapping_toml.Field("sbp"))
    ]  # the first of two columns of one name
    assert m.match(headers) == m.named("branch_checkup_list")


def test_synonyms_give_one_key_to_each_known_header() -> None:
    assert m.synonyms("checkups")["fbs"] == "fpg"
    assert m.synonyms("members")["被保険者等記号"] == "symbol"
    assert set(m.synonyms("members").values()) <= mapping_toml.keys_of("members").keys()


WIDE = str.maketrans({chr(c): chr(c + 0xFEE0) for c in range(0x21, 0x7F)})


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_width_spaces_and_order_of_headers_do_not_matter(rng: random.Random) -> None:
    headers = rng.sample(KAGOSHIMA, len(KAGOSHIMA))
    changed = [
        rng.choice([str.lower, str.upper, lambda text: text.translate(WIDE), lambda text: "　".join(text)])(header)
        for header in headers
    ]
    found = m.match(changed)
    assert found is not None and found.name == "branch_checkup_list"
    assert found.found(changed).keys() == found.found(headers).keys()


def test_ten_thousand_damaged_mappings_give_a_mapping_or_our_error() -> None:
    rng = random.Random(20241001)
    pieces = [
        '"',
        "=",
        "[columns]",
        "{",
        "}",
        "\n",
        "key",
        "\\u0000",
        "'''",
        "1979-05-27",
        "[[columns]]",
        "\x00",
        "あ",
        "%d",
    ]
    read = 0
    for _ in range(10_000):
        text = list(FULL)
        for _ in range(rng.randint(1, 2)):
            at = rng.randrange(len(text))
            text[at : at + rng.choice([0, 1, 1, 9, 60])] = rng.choice([*pieces, chr(rng.randrange(32, 0x3100))])
        try:
            mapping = mapping_toml.parse_mapping("".join(text), "damaged")
        except IngestError:
            continue
        read += 1
        assert {field.key for field in mapping.columns.values()} <= mapping_toml.keys_of(mapping.table).keys()
    assert 300 < read < 9_000  # both ways out are taken
