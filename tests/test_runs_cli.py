"""Does the door answer in Japanese, with documented exit codes and without a traceback?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from kenpo_analytics import cli
from kenpo_analytics.errors import DateError, DefinitionError, DisclosureError, ParameterError, RunError, TableError
from tests.runs_helpers import SHOW, make_world, tables

KENPO = [sys.executable, "-m", "kenpo_analytics.cli"]


def kenpo(*words: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*KENPO, *words], capture_output=True, text=True, timeout=120, **options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "--set", "nope=1"), "パラメータ nope を宣言している"),
        (("run", "--set", "fiscal_year"), "名前=値"),
        (("run", "--set", "a=1", "--set", "a = 2"), "二度"),
        (("run", "--set", "9 . fiscal_year = 1"), "9 . fiscal_year に当たる"),
        (("run", "--month", "2025/13"), "YYYY-MM"),
        (("run", "--bogus"), "--bogus"),
        (("run", "--jobs", "0"), "--jobs"),
        (("fly",), "fly"),
        (("sample",), "OUT"),
    ],
)
def test_misuse_ends_with_64_before_anything_starts(tmp_path, words, message):
    world = make_world(tmp_path / "w")
    done = kenpo(*(world.command(*words[1:]) if words[0] == "run" else words))
    assert done.returncode == 64
    assert message in done.stderr
    assert "ヒント" in done.stderr or "エラー" in done.stderr
    assert "Traceback" not in done.stderr
    assert not world.reports.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "--bogus"), "エラー: --bogus という指定はありません。"),
        (("run", "--mont", "2025-10"), "エラー: --mont という指定はありません。"),
        (("run", "--jobs", "0"), "エラー: --jobs の値が正しくありません: "),
        (("run", "--jobs", "x"), "エラー: --jobs の値が正しくありません: 整数ではありません"),
        (("run", "--deadline", "x"), "エラー: --deadline の値が正しくありません: 数値ではありません"),
        (("run", "--month"), "エラー: --month には値が要ります。"),
        (("run", "extra"), "エラー: 余分な指定があります: extra"),
        (("fly",), "エラー: fly というコマンドはありません。"),
        (("sample",), "エラー: OUT の指定がありません。"),
    ],
)
def test_misuse_is_told_in_japanese(words, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kenpo", *words])
    with pytest.raises(SystemExit) as left:
        cli.app()
    said = capsys.readouterr().err
    assert left.value.code == 64
    assert said.splitlines()[0].startswith(message)
    assert said.splitlines()[1:] == ["ヒント: kenpo --help で使い方を見られます。"]
    for english in ("No such", "Invalid", "Missing", "Input should", "range"):
        assert english not in said


def test_kenpo_alone_shows_its_help(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kenpo"])
    with pytest.raises(SystemExit) as left:
        cli.app()
    shown = capsys.readouterr().err
    assert left.value.code == 64
    assert shown.startswith("Usage: ")
    assert "月次の報告を実行し" in shown
    assert "エラー" not in shown


def test_a_failure_is_told_once_with_its_cell_and_where_to_look(tmp_path):
    world = make_world(tmp_path / "w", suite=False)
    world.notebook("01_x", SHOW, "import kenpo_analytics as ka\nka.load('/none')")
    done = kenpo(*world.command("--month", "令和7年10月"), cwd=world.root)
    assert done.returncode == 1
    assert done.stderr.count("完了しませんでした") == 1
    assert "01_x: 3 番目のコードセルで データのフォルダがありません: /none" in done.stderr
    assert "import kenpo_analytics" not in done.stderr
    assert "ヒント: フォルダの場所を確かめてください。" in done.stderr
    told = done.stderr.partition("失敗したノートブックは ")[2].partition(" にあります")[0]
    assert told.startswith("reports")
    assert (world.root / told / "01_x.ipynb").is_file()
    log = next((world.reports / ".logs").iterdir()).read_text(encoding="utf-8")
    assert "完了しませんでした" in log
    away = kenpo(*world.command(), cwd=world.notebooks).stderr
    whole = away.partition("失敗したノートブックは ")[2].partition(" にあります")[0]
    assert whole.startswith(str(world.reports))
    assert Path(whole).is_dir()


def test_a_project_is_found_upwards_and_a_run_prints_where_to_look(tmp_path):
    world = make_world(tmp_path / "w", suite=False)
    world.notebook("01_x", SHOW)
    world.notebooks.rename(world.root / "帳票")
    (world.root / "kenpo.toml").write_text('[run]\nnotebooks = "帳票"\nreports = "out"\n', encoding="utf-8")
    done = kenpo("run", "--data", str(world.data), cwd=world.root / "帳票")
    assert (done.returncode, done.stdout.strip()) == (0, str(world.root / "out" / "2025-10" / "index.html")), (
        done.stderr
    )
    assert (world.root / "out" / "2025-10" / "manifest.json").is_file()
    lines = done.stderr.splitlines()
    assert all(line[2] == line[5] == ":" for line in lines)  # plain lines with the time, for a log
    assert "\x1b" not in done.stderr
    assert any(f"使うデータ: {world.data.resolve()}(合成データ)" in line for line in lines)


def test_a_missing_data_folder_ends_with_65(tmp_path):
    world = make_world(tmp_path / "w")
    done = kenpo("run", "--data", str(tmp_path / "none"), "--notebooks", str(world.notebooks), cwd=world.root)
    assert done.returncode == 65
    assert "KENPO_DATA" in done.stderr


def test_a_file_that_is_no_table_ends_with_65(tmp_path):
    world = make_world(tmp_path / "w")
    (world.data / "claims.parquet").write_text("not parquet", encoding="utf-8")
    done = kenpo(*world.command())
    assert (done.returncode, "誤り claims: ファイルを読めない" in done.stderr) == (65, True)
    assert "Traceback" not in done.stderr


def test_a_csv_in_place_of_a_table_is_pointed_out(tmp_path):
    world = make_world(tmp_path / "w")
    (world.data / "claims.parquet").rename(world.data / "claims.csv")
    done = kenpo(*world.command())
    assert (done.returncode, "claims.csv がありますが、CSVは読みません" in done.stderr) == (65, True)


@pytest.mark.parametrize("how", ["KENPO_DATA", "kenpo.toml", "data/sample"])
def test_check_without_a_folder_checks_what_a_run_would_read(tmp_path, monkeypatch, how):
    world = make_world(tmp_path / "w")
    monkeypatch.delenv("KENPO_DATA", raising=False)
    if how == "KENPO_DATA":
        monkeypatch.setenv("KENPO_DATA", str(world.data))
    elif how == "kenpo.toml":
        (world.root / "kenpo.toml").write_text('[data]\npath = "data"\n', encoding="utf-8")
    else:
        world.data.rename(world.root / "sample")
        world.data.mkdir()
        (world.root / "sample").rename(world.data / "sample")
    done = kenpo("check", cwd=world.root)
    folder = world.data / "sample" if how == "data/sample" else world.data
    assert (done.returncode, done.stdout) == (0, f"点検するデータ: {folder}\n問題は見つかりませんでした。\n")


def test_help_is_japanese_and_needs_nothing_heavy():
    text = kenpo("--help").stdout
    assert "月次の報告を実行し" in text
    code = "import sys, kenpo_analytics.cli; print(sorted(m.partition('.')[0] for m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("papermill", "nbconvert", "polars", "pandas", "matplotlib", "numpy"):
        assert f"'{heavy}'" not in loaded


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunError("x", exit_code=75), 75),
        (ParameterError("x"), 64),
        (DateError("x"), 64),
        (DisclosureError("x"), 69),
        (TableError("x"), 65),
        (DefinitionError("x"), 64),
    ],
)
def test_exit_codes(error, code):
    assert cli.exit_code(error) == code


def test_an_unexpected_error_is_told_without_a_traceback(monkeypatch, capsys):
    def broken(**_):
        raise ZeroDivisionError("計算できません")

    monkeypatch.setattr(sys, "argv", ["kenpo", "go"])
    door = cli.Door()
    door.command("go")(lambda: broken())
    door.command("other")(lambda: None)
    for debug in (False, True):
        monkeypatch.setenv("KENPO_DEBUG", "1" if debug else "")
        with pytest.raises(SystemExit) as left:
            door()
        said = capsys.readouterr().err
        assert left.value.code == 70
        assert "計算できません" in said
        assert ("Traceback" in said) is debug


def test_check_prints_violations_and_ends_with_65_on_errors(tmp_path, monkeypatch, capsys):
    world = make_world(tmp_path / "w")

    def checked() -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["kenpo", "check", str(world.data)])
        with pytest.raises(SystemExit) as left:
            cli.app()
        return left.value.code, capsys.readouterr().out

    assert checked() == (0, "問題は見つかりませんでした。\n")
    checkups = tables()["checkups"]
    values = pl.concat([checkups.with_columns(record_id=pl.lit(i), hba1c=pl.lit(v)) for i, v in ((1, 55.0), (2, 5.5))])
    values.write_parquet(world.data / "checkups.parquet")
    code, said = checked()
    assert (code, "注意 checkups.hba1c" in said, "誤り 0 種類、注意 1 種類" in said) == (0, True, True)
    pl.concat([checkups, checkups.with_columns(kind=pl.lit("他"))]).write_parquet(world.data / "checkups.parquet")
    code, said = checked()
    assert (code, "誤り 2 種類、注意 0 種類" in said) == (65, True)
    assert "55" not in said


def test_sample_refuses_what_cannot_be(tmp_path):
    done = kenpo("sample", str(tmp_path / "s"), "--persons", "10")
    assert (done.returncode, "2,000" in done.stderr, "Traceback" in done.stderr) == (64, True, False)
