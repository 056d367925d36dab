"""`kenpo ingest` as a whole: what goes in, what is told, and what a second, corrected or newer delivery changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest import deliver as deliver_module
from kenpo_analytics.ingest.deliver import deliver, received_month
from kenpo_analytics.ingest.files.sources import Source
from kenpo_analytics.months import this_month

MEMBERS = """保険者番号,記号,番号,枝番,カナ氏名,生年月日,性別,資格取得日,資格喪失日,本人家族,住所,事業所番号
1240019,１２３,0045,00,ゴウセイ タロウ,S45.1.1,男,H30.4.1,,本人,三重県津市1-1,W1
01240019,456,7,00,ゴウセイ ハナコ,1980/4/1,女,2019/4/1,2022/4/1,本人,愛知県名古屋市,W2
01240019,789,8,00,ゴウセイ　ハナコ,1980/4/1,女,2022/4/1,,本人,,W3
"""
CHECKUPS = """保険者番号,記号,番号,枝番,生年月日,性別,受診日,健診機関コード,独自の血糖,収縮期血圧
01240019,123,45,00,19700101,1,R6.6.3,2411000001,112,9000
01240019,789,8,00,S55.4.1,2,令和6年7月1日,2411000001,101,128
01240019,999,9,00,S55.4.1,1,令和6年7月1日,2411000001,101,128
"""
MAPPING = """name = "own"
table = "checkups"
[columns]
"保険者番号" = "insurer"
"記号" = "symbol"
"番号" = "number"
"枝番" = "branch_number"
"生年月日" = "birth"
"性別" = "sex"
"受診日" = "checkup_date"
"健診機関コード" = "institution"
"独自の血糖" = "fpg"
"収縮期血圧" = "sbp"
[defaults]
kind = "生活習慣病予防健診"
"""


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "members.csv").write_bytes(MEMBERS.encode("cp932"))
    (folder / "checkups_20240805.csv").write_bytes(CHECKUPS.encode("cp932"))
    return folder


def take_in(raw: Path, tmp_path: Path, **options: object):
    return deliver(raw, tmp_path / "data", key_file=tmp_path / "keys" / "person.key", jobs=1, **options)  # type: ignore[arg-type]


def balance(sources: pl.DataFrame) -> list[tuple[str, int, int, int, int]]:
    return sources.sort("source").select("source", "read", "accepted", "quarantined", "duplicate").rows()


def test_a_file_that_nobody_understands_goes_in_once_there_is_a_mapping(raw: Path, tmp_path: Path) -> None:
    first = take_in(raw, tmp_path)
    assert balance(first.summary.sources) == [("checkups_20240805.csv", 1, 0, 1, 0), ("members.csv", 3, 3, 0, 0)]
    assert first.summary.quarantine.filter(level="row")["rule"].to_list() == ["unknown_layout"]
    assert not (tmp_path / "data" / "checkups.parquet").exists()

    (raw / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    second = take_in(raw, tmp_path)
    assert (second.new, second.known) == (("checkups_20240805.csv",), ("members.csv",))
    assert balance(second.summary.sources)[0] == ("checkups_20240805.csv", 3, 2, 1, 0)
    told = second.summary.quarantine.sort("line").filter(pl.col("source") == "checkups_20240805.csv")
    assert told.select("line", "level", "item", "rule").rows() == [
        (2, "value", "sbp", "range"),
        (4, "row", None, "not_enrolled"),
    ]
    checkups = pl.read_parquet(tmp_path / "data" / "checkups.parquet").sort("checkup_date")
    assert checkups.select("fpg", "sbp", "received_month").rows() == [(112.0, None, 202408), (101.0, 128.0, 202408)]
    members = pl.read_parquet(tmp_path / "data" / "members.parquet")
    assert members["person_id"].n_unique() == 2
    assert members.sort("valid_from")["link_rule"].to_list() == ["exact", "exact", "number_change"]
    assert set(members["municipality"]) == {"24201", "県外", "不明"}


def test_a_corrected_mapping_reads_the_same_file_again(raw: Path, tmp_path: Path) -> None:
    (raw / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    take_in(raw, tmp_path)
    (raw / "mapping.toml").write_text(MAPPING.replace("生活習慣病予防健診", "事業者健診"), encoding="utf-8")
    again = take_in(raw, tmp_path)
    assert again.new == ("checkups_20240805.csv",)
    assert set(pl.read_parquet(tmp_path / "data" / "checkups.parquet")["kind"]) == {"事業者健診"}
    assert again.summary.sources.height == 2


def test_the_same_delivery_again_changes_nothing(raw: Path, tmp_path: Path) -> None:
    (raw / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    first = take_in(raw, tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "data").glob("*.parquet")}
    (raw / "copy of members.csv").write_bytes(MEMBERS.encode("cp932"))
    second = take_in(raw, tmp_path)
    assert second.new == () and set(second.known) == {"checkups_20240805.csv", "copy of members.csv", "members.csv"}
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "data").glob("*.parquet")}
    assert second.summary.quarantine.equals(first.summary.quarantine)


def test_files_side_by_side_give_what_one_after_the_other_gives(raw: Path, tmp_path: Path) -> None:
    (raw / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    take_in(raw, tmp_path)
    deliver(raw, tmp_path / "two", key_file=tmp_path / "keys" / "person.key", jobs=2)
    for name in ("members", "checkups", "sources", "quarantine"):
        one, two = (pl.read_parquet(tmp_path / folder / f"{name}.parquet") for folder in ("data", "two"))
        assert one.equals(two), name


def test_nothing_personal_is_written(raw: Path, tmp_path: Path) -> None:
    (raw / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    take_in(raw, tmp_path)
    for path in (tmp_path / "data").rglob("*.parquet"):
        frame = pl.read_parquet(path)
        texts = [text for name in frame.columns if frame[name].dtype == pl.String for text in frame[name].drop_nulls()]
        for personal in ("ゴウセイ", "タロウ", "津市", "1970-01-01", "19700101", "S45.1.1", "0045", "１２３", "名古屋"):
            assert not any(personal in text for text in texts), (path.name, personal)
        assert not any(frame[name].dtype == pl.Date and name == "birth" for name in frame.columns)


def test_a_reader_that_fails_costs_its_own_file(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (raw / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    right = deliver_module._batches

    def failing(source: Source, ways: object):
        if "checkups" in source.name:
            raise ZeroDivisionError("山田太郎")
        return right(source, ways)  # type: ignore[arg-type]

    monkeypatch.setattr(deliver_module, "_batches", failing)
    monkeypatch.delenv("KENPO_DEBUG", raising=False)
    done = take_in(raw, tmp_path)
    assert balance(done.summary.sources)[1] == ("members.csv", 3, 3, 0, 0)
    (told,) = done.summary.quarantine.filter(rule="unreadable").iter_rows(named=True)
    assert "ZeroDivisionError" in told["reason"] and "山田" not in told["reason"]


def test_where_the_month_of_receipt_comes_from() -> None:
    def of(name: str, given: int | None = None) -> tuple[int, str]:
        return received_month(Source(Path("x"), name, "00", "cc2x", 1), given)

    assert of("a_20240805.csv") == (202408, "file_name")
    assert of("a_20240805.csv", 202501) == (202501, "given")
    assert of("a_20241340.csv") == (this_month(), "ingest")
    assert of("a_20991231.csv") == (this_month(), "ingest")
    assert of("0120240805.csv") == (this_month(), "ingest")


def test_a_data_folder_inside_the_raw_one_is_refused(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="元のファイルのフォルダの中"):
        deliver(raw, raw / "data", key_file=tmp_path / "k")
    with pytest.raises(IngestError, match="鍵ファイルがデータのフォルダの中"):
        deliver(raw, tmp_path / "data", key_file=tmp_path / "data" / "k")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kenpo_analytics.cli", "ingest", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)


@pytest.mark.e2e
def test_the_command_tells_what_became_of_every_file(raw: Path, tmp_path: Path) -> None:
    (raw / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    key, out = tmp_path / "k" / "person.key", tmp_path / "rejected.csv"
    done = run(raw, "--into", tmp_path / "data", "--key", key, "--rejected", out, "--jobs", 1)
    assert done.returncode == 0, done.stderr
    assert "members 3行" in done.stdout and "隔離した行 1件" in done.stdout
    assert key.stat().st_mode & 0o077 == 0
    assert pl.read_csv(out)["rule"].sort().to_list() == ["column_missing", "insurer_repaired", "not_enrolled", "range"]

    other = run(raw, "--into", tmp_path / "data", "--key", tmp_path / "k" / "other.key")
    assert (other.returncode, other.stderr.count("鍵が違います")) == (65, 1)
    assert run().returncode == 64
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "x.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert run(tmp_path / "nothing", "--into", tmp_path / "d2", "--key", key).returncode == 65


def test_a_mapping_that_is_not_at_hand_takes_nothing_back(raw: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "own.toml"
    mapping.write_text(MAPPING, encoding="utf-8")
    first = take_in(raw, tmp_path, mappings=[mapping])
    assert first.summary.rows["checkups"] == 2
    again = take_in(raw, tmp_path)
    assert (again.new, again.summary.rows["checkups"]) == ((), 2)


def test_a_table_of_which_nothing_is_left_goes(raw: Path, tmp_path: Path) -> None:
    (raw / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    take_in(raw, tmp_path)
    letters = MAPPING.replace('table = "checkups"', 'table = "mailings"').replace('"checkup_date"', '"planned_date"')
    letters = letters.replace('"健診機関コード" = "institution"\n"独自の血糖" = "fpg"\n"収縮期血圧" = "sbp"\n', "")
    letters = letters.replace('kind = "生活習慣病予防健診"', 'programme = "p"\nstatus = "送付"')
    (raw / "mapping.toml").write_text(letters, encoding="utf-8")
    again = take_in(raw, tmp_path)
    assert "checkups" not in again.summary.rows and again.summary.rows["mailings"] == 2
    assert not (tmp_path / "data" / "checkups.parquet").exists()


def test_another_month_of_receipt_reads_again_what_does_not_say_its_own(raw: Path, tmp_path: Path) -> None:
    (raw / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    (raw / "checkups_20240805.csv").rename(raw / "checkups.csv")
    assert set(take_in(raw, tmp_path).summary.sources["received_from"]) == {"ingest"}
    later = take_in(raw, tmp_path, received="2024-09")
    assert set(later.new) == {"checkups.csv", "members.csv"}
    assert set(pl.read_parquet(tmp_path / "data" / "checkups.parquet")["received_month"]) == {202409}
    assert take_in(raw, tmp_path).new == ()


def test_a_correction_of_the_same_name_is_told_as_what_it_is(raw: Path, tmp_path: Path) -> None:
    (raw / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    take_in(raw, tmp_path)
    (raw / "checkups_20240805.csv").write_bytes(CHECKUPS.replace(",112,", ",115,").encode("cp932"))
    second = take_in(raw, tmp_path)
    fresh = second.summary.sources.filter(pl.col("digest").is_in(list(second.digests)))
    assert fresh.select("source", "accepted").rows() == [("checkups_20240805.csv#2", 2)]
    told = second.summary.quarantine.filter(rule="replaced")
    assert told.select("source", "line", "level").rows() == [("checkups_20240805.csv", 2, "note")]


def test_the_insurer_of_records_that_do_not_say_it(raw: Path, tmp_path: Path) -> None:
    without = "\n".join(line.partition(",")[2] for line in CHECKUPS.splitlines())
    mapping = MAPPING.replace('"保険者番号" = "insurer"\n', "")
    (raw / "mapping.toml").write_text(mapping, encoding="utf-8")
    (raw / "checkups_20240805.csv").write_bytes(without.encode("cp932"))
    linked = take_in(raw, tmp_path, insurer="01240019").summary.sources.filter(table="checkups")
    assert linked.select("accepted", "linked_number").rows() == [(2, 2)]
    with pytest.raises(IngestError, match="検証番号"):
        take_in(raw, tmp_path, insurer="01240018")


def test_a_mapping_that_nearly_fits_is_named(raw: Path, tmp_path: Path) -> None:
    (raw / "mapping.toml").write_text(MAPPING.replace('"受診日"', '"健診を受けた日"'), encoding="utf-8")
    told = take_in(raw, tmp_path).summary.quarantine.filter(rule="unknown_layout")
    assert "「own」" in told["reason"][0] and "健診を受けた日" in told["reason"][0]
