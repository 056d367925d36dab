"""Definitions: dated values, overrides, and the pages that are generated from them."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from kenpo_analytics.definitions import allowed, define, fingerprint
from kenpo_analytics.definitions.pages import DOCS, FAMILIES, HOURS, NOTE, pages, write
from kenpo_analytics.definitions.toml_text import why_not_toml
from kenpo_analytics.errors import DefinitionError
from kenpo_analytics.tables import TABLES

USED = define()


def test_every_id_and_month_has_one_value_at_most():
    for id in {row.id for row in USED.rows}:
        versions = USED.versions(id)
        edges = {m for row in versions for m in (row.valid_from, row.valid_to) if m} | {190001, 210012}
        for month in edges:
            USED.at(id, month)  # raises when two apply
        assert len({row.clock for row in versions}) == 1
        assert len({row.unit for row in versions}) == 1


def test_every_row_is_either_confirmed_or_an_assumption_and_has_a_source():
    assert {row.status for row in USED.rows} == {"確認済", "仮定"}
    assert all(row.source and row.label for row in USED.rows)
    assert {row.clock for row in USED.rows} == {"checkup", "letter", "kpi"}
    assert {row.op for row in USED.rows} <= {">=", "<", "<=", "="}


# 協会けんぽ 三重支部 令和7年度事業計画 p.27; 業績評価シート p.58
AUTHORITY = [
    ("prediabetes.fpg.lower", 202404, 110),
    ("prediabetes.fpg.upper", 202404, 126),
    ("prediabetes.hba1c.lower", 202404, 6.0),
    ("prediabetes.hba1c.upper", 202404, 6.5),
    ("untreated.first.letter.sbp", 202404, 160),
    ("untreated.first.letter.dbp", 202404, 100),
    ("untreated.first.letter.fpg", 202404, 126),
    ("untreated.first.letter.hba1c", 202404, 6.5),
    ("untreated.first.letter.ldl", 202404, 180),
    ("untreated.second.letter.sbp", 202404, 180),
    ("untreated.second.letter.dbp", 202404, 110),
    ("untreated.second.letter.fpg", 202404, 160),
    ("untreated.second.letter.hba1c", 202404, 8.4),
    ("followup.months", 202404, 10),
]


@pytest.mark.parametrize(("id", "month", "value"), AUTHORITY)
def test_values_of_the_plan_and_the_scoring_sheet(id, month, value):
    assert USED.number(id, month) == value


def test_an_override_replaces_marks_and_changes_the_version():
    used = define(overrides={"prediabetes.rule": "and", "next_checkup.dead_band.fpg": 8})
    assert used.text("prediabetes.rule") == "and"
    assert used.number("next_checkup.dead_band.fpg") == 8
    assert {row.id: row.status for row in used.overrides()} == {
        "prediabetes.rule": "支部設定",
        "next_checkup.dead_band.fpg": "支部設定",
    }
    assert used.version != USED.version
    assert repr(used) == f"Definitions({used.version}: {len(used.rows)}行, 支部設定 2, 仮定 {len(used.assumptions())})"
    assert define().version == USED.version
    assert fingerprint(used)["overrides"] == {"prediabetes.rule": "and", "next_checkup.dead_band.fpg": 8}
    assert fingerprint(used)["assumptions"] == len(USED.assumptions()) - 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"prediabetes.fpg": 100}, "^定義にない名前です: 「prediabetes.fpg」"),
        ({"prediabetes.fpg.lower": "high"}, "型が違います: 「high」"),
        ({"prediabetes.rule": 1}, "型が違います: 「1」"),
        ({"visit.inpatient": True}, "型が違います: 「True」"),
        ({"prediabetes.fpg.lower": float("nan")}, "有限の数ではありません: 「nan」"),
        ({"prediabetes.fpg.lower": float("inf")}, "有限の数ではありません: 「inf」"),
        ({"prediabetes.fpg.upper": float("-inf")}, "有限の数ではありません: 「-inf」"),
        ({"visit.kind": "外来"}, r"「visit\.kind」の値「外来」は使えません\(使える値: 入院外 / 入院 / 歯科 / 調剤\)"),
        ({"prediabetes.rule": "xor"}, r"「xor」は使えません\(使える値: or / and\)"),
        ({"prediabetes.rule": "nan"}, "「nan」は使えません"),
        ({"checkup.pick": "best"}, r"\(使える値: last / first\)"),
        ({"fasting.unconfirmed": "Use"}, r"「Use」は使えません\(使える値: use / drop\)"),
        ({"out_of_hours.age": "at_visit"}, r"\(使える値: fiscal_year_end\)"),
        ({"visit.inpatient": 2}, r"「2」は使えません\(使える値: 0 / 1\)"),
        ({"untreated.drop_self_reported": 0.5}, "「0.5」は使えません"),
        ({"prediabetes.fpg.lower": -5}, r"「-5」は使えません\(使える値: 20～1000\)"),
        ({"untreated.first.kpi.hba1c": 65}, r"「65」は使えません\(使える値: 3～20\)"),
        ({"untreated.second.kpi.domains": 4}, r"\(使える値: 1～3の整数\)"),
        ({"runout.share": 1.5}, r"「1\.5」は使えません\(使える値: 0より大きく1以下\)"),
        ({"runout.share": 0}, "「0」は使えません"),
        ({"untreated.letter_lag": -1}, r"「-1」は使えません\(使える値: 0～120の整数\)"),
        ({"followup.months": 10.5}, r"「10\.5」は使えません\(使える値: 1～120の整数\)"),
        ({"followup.months": 0}, "「0」は使えません"),
        ({"next_checkup.dead_band.fpg": -1}, r"\(使える値: 0～100\)"),
        (
            {"prediabetes.fpg.lower": 130},
            r"「prediabetes\.fpg\.lower」の値「130」は「prediabetes\.fpg\.upper」の値「126」より小さく",
        ),
        ({"prediabetes.hba1c.upper": 6}, r"hba1c\.lower」の値「6」は「prediabetes\.hba1c\.upper」の値「6」より小さく"),
        ({"population.insured.age.lower": 75}, r"「population\.insured\.age\.upper」の値「74」より小さく"),
        ({"next_checkup.min_months": 24}, r"「next_checkup\.max_months」の値「18」より小さく"),
    ],
)
def test_wrong_overrides_are_refused(overrides, message):
    with pytest.raises(DefinitionError, match=message):
        define(overrides=overrides)


def test_every_packaged_value_is_one_that_a_branch_may_set_too():
    allowed.refuse_impossible(USED.rows, {row.id: row.value for row in USED.rows})
    kinds = {column.name: column.values for column in TABLES["checkups"].columns}
    assert USED.versions("population.insured.kind")[0].values == "|".join(kinds["kind"])
    claims = {column.name: set(column.values) for column in TABLES["claims"].columns}
    assert set(USED.versions("visit.kind")[0].values.split("|")) == claims["kind"]
    both = define(overrides={"prediabetes.fpg.lower": 127, "prediabetes.fpg.upper": 140})  # judged together
    assert both.number("prediabetes.fpg.lower") == 127


def test_what_cannot_be_told_is_refused():
    with pytest.raises(DefinitionError, match=r"「no\.such」"):
        USED.number("no.such")
    with pytest.raises(DefinitionError, match=r"有効な値がありません\(2022-09\)"):
        USED.number("untreated.first.letter.ldl", 202209)
    with pytest.raises(DefinitionError, match="数値ではありません"):
        USED.number("prediabetes.rule")
    with pytest.raises(DefinitionError, match="0か1です"):
        USED.flag("followup.months")


def test_fee_codes_are_unique_and_typed():
    codes = [fee.code for fee in USED.fee_codes]
    assert len(codes) == len(set(codes)) == 156
    assert Counter(fee.visit_type for fee in USED.fee_codes) == {"return": 119, "first": 37}
    assert all(fee.code.isdecimal() and len(fee.code) == 9 for fee in USED.fee_codes)
    assert {fee.out_of_hours for fee in USED.fee_codes} == set(HOURS)


# --- pages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["definitions.md", "assumptions.md", "kpi.md", "tables.md"])
def test_the_committed_pages_are_what_the_definitions_say(name):
    text = (DOCS / name).read_text(encoding="utf-8")
    assert NOTE in text
    assert text == pages()[name], "python -m kenpo_analytics.definitions.pages で作り直してください"


def test_the_pages_tell_everything():
    made = pages()
    for row in USED.rows:
        assert f"| `{row.id}` |" in made["definitions.md"]
        assumed = any(version.status == "仮定" for version in USED.versions(row.id))
        assert (f"| `{row.id}` |" in made["assumptions.md"]) == assumed
    for table in TABLES.values():
        assert f"## {table.name}\n" in made["tables.md"]
        assert made["tables.md"].count("\n| `") == sum(len(each.columns) for each in TABLES.values())
    assert {row.id.split(".")[0] for row in USED.rows} == set(FAMILIES)


def test_every_decision_that_is_cited_is_explained():
    text = pages()["assumptions.md"].split("## 決めたこと (D1–D9)")[1]
    told = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| D")}
    assert told == {f"D{number}" for number in range(1, 10)}
    package = Path(allowed.__file__).parents[1]
    files = [path for ending in ("py", "csv") for path in package.rglob(f"*.{ending}") if path.name != "decisions.csv"]
    cited = {name for path in files for name in re.findall(r"\bD\d\b", path.read_text(encoding="utf-8"))}
    assert {"D1", "D2", "D3", "D4"} <= cited <= told


def test_the_code_counts_of_the_page_add_up():
    fees = pages()["definitions.md"].split("## 時間外加算の診療行為コード")[1]
    counts = [int(line.split("|")[-2]) for line in fees.splitlines() if line.startswith(("| 初診 |", "| 再診 |"))]
    assert sum(counts) == 156


def test_a_page_shows_validity_unit_and_the_branchs_own_value():
    line = next(line for line in pages()["definitions.md"].splitlines() if "`untreated.first.letter.ldl`" in line)
    assert "≧180 mg/dL | 10～1000 | 2022-10～ | 勧奨月 | 確認済" in line
    own = pages(define(overrides={"prediabetes.hba1c.lower": 5.6}))["definitions.md"]
    assert "| ≧5.6 % | 3～20 | 全期間 | 健診月・診療月 | 支部設定 | 支部による(既定 6.0) |" in own


def test_pages_are_written_where_they_are_wanted(tmp_path):
    assert [path.name for path in write(tmp_path)] == ["definitions.md", "assumptions.md", "kpi.md", "tables.md"]
    assert (tmp_path / "tables.md").read_bytes().decode("utf-8") == pages()["tables.md"]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ('[run]\nbranch = "24\n', "2行目「branch", "文字列が閉じられていません"),
        ('branch = "24', "1行目「branch", "文字列が閉じられていません"),
        ("x = 1\nbranch 24", "2行目「branch 24」", "= がありません"),
        ("branch = ”24”", "1行目「branch", "値を読めません"),
        ("branch = 三重", "1行目「branch", "値を読めません"),
        ("day = 2026-13-01", "1行目「day", "日付を読めません"),
        ("x = 1\nday = 2026/4/1", "2行目「day", "日付を読めません"),
        ("支部 = 24", "1行目「支部", "名前として読めません"),
        ("a = 1\nb = 2\na = 3\n\n", "3行目「a = 3」", "同じ名前が二度書かれています"),
        ("[run]\n[run]", "2行目「[run]」", "同じ名前が二度書かれています"),
        ("[run\n", "1行目「[run」", "カッコが閉じられていません"),
        ("a = 1 b = 2", "1行目「a = 1 b", "値の後に余分な文字があります"),
        ('[data]\npath = "C:\\kenpo"', "2行目「path", "\\ を読めません"),
        ('path = "C:\\Users"', "1行目「path", "\\ を読めません"),
    ],
)
def test_toml_that_cannot_be_read_is_told_in_japanese_with_its_line(text, line, why):
    with pytest.raises(tomllib.TOMLDecodeError) as caught:
        tomllib.loads(text)
    reason, hint = why_not_toml(text.encode(), caught.value)
    assert reason.startswith(line)
    assert reason.endswith(why)
    assert hint


def test_a_file_in_another_encoding_is_told_so():
    with pytest.raises(UnicodeDecodeError) as caught:
        "支部".encode("cp932").decode("utf-8")
    assert "UTF-8" in why_not_toml("支部".encode("cp932"), caught.value)[0]


def test_families_and_single_definitions_are_listed_in_the_order_asked() -> None:
    used = define()
    rows = used.listed("checkup.pick", "followup")
    assert [row.id for row in rows] == ["checkup.pick", *(row.id for row in used.family("followup"))]
    with pytest.raises(DefinitionError, match="定義にない名前"):
        used.listed("followups")
