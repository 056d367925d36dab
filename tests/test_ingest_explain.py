"""--explain: what is shown, that a proposal can be used as it stands, and that no value is ever shown."""

from __future__ import annotations

import random
import re
from pathlib import Path

import polars as pl
import pytest

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.explain import explain
from kenpo_analytics.ingest.files.sources import find
from kenpo_analytics.ingest.lists.mapping_toml import parse_mapping
from kenpo_analytics.ingest.lists.propose import propose
from tests.test_ingest_recognise import TEXTS
from tests.test_ingest_sources import DOCUMENT, delivery, zipped

HEADERS = (
    "施設コード,受診年月日,保険証記号,番号,枝番,ﾌﾘｶﾞﾅ,生年月日,性別,BMI判定,身長(cm),HbA1c(NGSP)%,FBS,血圧(上),血圧(下),"
    "メモ,メモ"
)
ROWS = (
    "2410000001,R6.10.1,１２３４,5678,01,ヤマダ タロウ,S40.12.31,1,要精査,170.1,5.6,101,H,81,,極秘",
    "2410000001,R6.10.2,１２３５,5679,02,スズキ ハナコ,S41.11.30,2,正常,160.2,未実施,,121,82,,",
)
SECRETS = re.compile(r"ヤマダ|スズキ|S40|S41|１２３|567[89]|170\.1|5\.6|101\b|要精査|極秘|2410000001")


def explained(tmp_path: Path, text: str, name: str = "x_clinic.csv") -> str:
    path = tmp_path / name
    path.write_bytes(text.encode("cp932"))
    return explain(path)


def test_an_unknown_list_gets_a_mapping_in_which_only_the_kind_has_to_be_chosen(tmp_path: Path) -> None:
    shown = explained(tmp_path, "\r\n".join(("結果一覧", HEADERS, *ROWS, "")))
    for line in ("CP932(Shift_JIS)", "# 行数       4行", "# 見出し行   2行目", "16列のうち13列(推定5列)"):
        assert line in shown
    assert '"FBS" = "fpg"  # 空腹時血糖 [数値 1、空 1]' in shown
    assert '"血圧(上)" = "sbp"  # 推定です。確かめてください: 収縮期血圧 [H・L・未満など 1、数値 1]' in shown
    assert '# "メモ_2" = ""' in shown and '# "BMI判定" = ""' in shown
    with pytest.raises(IngestError, match="健診の種類") as refused:
        parse_mapping(shown, "shown")
    assert refused.value.hint is not None and "どれかを選び、# を外してください" in refused.value.hint
    mapping = parse_mapping(shown.replace("# kind =", "kind ="), "shown")
    assert (mapping.name, mapping.table, mapping.defaults) == ("x_clinic", "checkups", {"kind": "事業者健診"})
    assert not mapping.missing(HEADERS.split(","))
    assert [source.layout for source in find(tmp_path, [mapping])] == ["mapped:x_clinic"]
    assert not SECRETS.search(shown)


def test_the_proposed_mapping_reads_the_values(tmp_path: Path) -> None:
    from kenpo_analytics.ingest.lists.reader import read_mapped

    mapping = parse_mapping(explained(tmp_path, "\n".join((HEADERS, *ROWS))).replace("# kind =", "kind ="), "shown")
    [source] = find(tmp_path, [mapping])
    batches = list(read_mapped(source, mapping))
    read = pl.concat(batch.rows["checkups"] for batch in batches if batch.rows)
    assert read.select("height", "hba1c", "fpg", "sbp", "dbp").rows() == [
        (170.1, 5.6, 101, None, 81),
        (160.2, None, None, 121, 82),
    ]
    assert [rule for batch in batches for rule in batch.rejected["rule"]].count("censored") == 1


@pytest.mark.parametrize(
    ("headers", "table"),
    [
        ("保険者番号 記号 番号 生年月日 性別 資格取得年月日 喪失日 続柄区分", "members"),
        ("記号番号 枝番 事業名 発送日 予定日 健診日", "mailings"),
        ("番号 氏名カナ 生年月日 年度 支援レベル 初回面接日", "guidance"),
        ("検索番号 状態", "claim_status"),
    ],
)
def test_the_table_is_told_from_the_headers(headers: str, table: str) -> None:
    proposal = propose(headers.split())
    assert proposal is not None and proposal.table == table


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    shown = explained(tmp_path, "記号,番号,身長(cm)\n1,2,170\n")
    assert "不足       生年月日、健診日。" in shown
    assert '# insurer = "01240019"  # 例です' in shown
    parse_mapping(shown.replace("# kind =", "kind ="), "shown")


def test_a_smoking_code_is_told_to_depend_on_the_day(tmp_path: Path) -> None:
    head = "番号,生年月日,受診日,喫煙,HbA1c\n"
    assert "2024年3月まで「いいえ」" in explained(tmp_path, head + "1,19700401,20240501,2,5.6\n")
    assert "2024年3月まで" not in explained(tmp_path, head + "1,19700401,20240501,いいえ,5.6\n")


def test_a_table_without_headers_shows_no_cell(tmp_path: Path) -> None:
    shown = explained(tmp_path, "ヤマダ タロウ,19700101,1,170.1\nスズキ ハナコ,19710101,2,160.2\n")
    assert "見つかりません" in shown and not SECRETS.search(shown)
    shown = explained(tmp_path, "スズキ ハナコ,喫煙,インスリン 服薬,19700101\n" * 3)
    assert "見つかりません" in shown and "スズキ" not in shown


def test_headers_nobody_knows_are_listed_with_types(tmp_path: Path) -> None:
    shown = explained(tmp_path, "subj,seen_at,glu\nA,2024-01-01,100\nB,2024-01-02,101\n")
    assert "案を作れません" in shown
    assert "「seen_at」 → 使いません [日付 2]" in shown and "「glu」 → 使いません [数値 2]" in shown


@pytest.mark.parametrize(
    ("layout", "lines"),
    [
        (
            "cc2x",
            (
                "CC2X型",
                "見出し行   2行目",
                "「受診者保険者番号」 → 保険者番号(insurer)",
                "→ 身長(height)",
                "行数       4行",
            ),
        ),
        ("fkac522", ("FKAC522", "→ 身長(height)", "(項目コードでない欄)")),
        ("fkac167", ("FKAC167", "見出し行   2行目", "「ＢＭＩ」 → BMI(bmi)", "「既往歴」 → 使いません")),
        ("recodeinfo", ("RECODEINFO", "MN 1、RE 1、YK 1")),
        ("uke", ("RECEIPTC.UKE", "HO 1、IR 1、RE 1")),
        ("fee_master", ("医科診療行為マスター",)),
        (
            "mapped:members_list",
            ("対応表「members_list」で読む表(members)", "「続柄」 → 本人・家族(relationship) [文字 1]"),
        ),
    ],
)
def test_known_layouts_say_what_they_read(tmp_path: Path, layout: str, lines: tuple[str, ...]) -> None:
    shown = explained(tmp_path, TEXTS[layout])
    for line in lines:
        assert line in shown
    assert "R05.07.01" not in shown and "病院" not in shown and "S40.1.1" not in shown
    assert all(line.startswith("#") for line in shown.splitlines())


def test_archives_and_workbooks(tmp_path: Path) -> None:
    item = '<code code="9N001000000000001"/><code displayName="x" code="9N999000000000001" codeSystem="1.2"/>'
    members = {name: str(data).replace("</id>", "</id>" + item) for name, data in delivery().items()}
    (tmp_path / "a.zip").write_bytes(zipped({**members, "../x": DOCUMENT}))
    assert "理由       zipに、フォルダの外を指す名前" in explain(tmp_path / "a.zip")
    (tmp_path / "b.zip").write_bytes(zipped(members))
    shown = explain(tmp_path / "b.zip")
    assert "文書       3件" in shown and "9N001000000000001  身長 → height(3件)" in shown
    assert "使わない項目 1種類: 9N999000000000001" in shown
    pl.DataFrame({"受診日": ["2024-10-01"], "謎": [1]}).write_excel(tmp_path / "c.xlsx", "結果")
    assert "シート「結果」" in explain(tmp_path / "c.xlsx")
    (tmp_path / "d").mkdir()
    assert "取り込むファイルがありません" in explain(tmp_path / "d")


def test_three_hundred_damaged_lists_show_no_value(tmp_path: Path) -> None:
    rng = random.Random(5)
    whole = "\r\n".join((HEADERS, *ROWS, "")).encode("cp932")
    header = len(HEADERS.encode("cp932"))
    for number in range(300):
        made = bytearray(whole)
        for _ in range(rng.randint(1, 4)):  # the header row stays: what stands in it is no value
            at = rng.randrange(header + 2, len(made))
            made[at : at + rng.choice((0, 1, 30))] = rng.choice((b"", b'"', b"\0", b",", rng.randbytes(3)))
        path = tmp_path / f"n{number}x.csv"
        path.write_bytes(made)
        shown = explain(path)
        assert not SECRETS.search(shown)
        parse_mapping(shown.replace("# kind =", "kind ="), "shown")
