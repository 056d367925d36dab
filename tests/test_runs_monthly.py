"""Does the whole run keep its promises, with real kernels and with every fault we could think of?"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import nbformat
import polars as pl
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from kenpo_analytics.disclosure.stamp import stamp
from kenpo_analytics.errors import ParameterError, RunError
from kenpo_analytics.runs import html, manifest, monthly, places
from kenpo_analytics.runs.kernels import home_of
from kenpo_analytics.runs.lock import lock
from kenpo_analytics.runs.monthly import run
from tests.runs_helpers import SHOW, make_world, picture, tables

KENPO = [sys.executable, "-m", "kenpo_analytics.cli"]
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX のシグナルが要ります")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """One whole run, in spite of a foreign kernel of the same name and a person's start-up file."""
    world = make_world(tmp_path_factory.mktemp("published"))
    strange = world.root / "jupyter" / "kernels" / "python3"
    strange.mkdir(parents=True)
    (strange / "kernel.json").write_text('{"argv": ["false"], "display_name": "x", "language": "python"}')
    startup = world.root / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("print('from my start-up file')")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(world.root / "jupyter"))
        patch.setenv("IPYTHONDIR", str(world.root / "ipython"))
        result = run(world.options(branch="23", settings={"levels": "1,2,3", "strict": False}), terminal=False)
    return world, result


@pytest.fixture
def earlier(published, tmp_path):
    """A fresh world that holds an earlier, published report; returns it with the picture of its reports."""
    world = make_world(tmp_path / "w", suite=False)
    subprocess.run(["cp", "-a", str(published[0].reports), str(world.reports)], check=True)
    return world, picture(world.reports)


def fails(world, **changes) -> RunError:
    with pytest.raises(RunError) as caught:
        run(world.options(**changes), terminal=False)
    assert not list((world.reports / ".work").iterdir())
    assert not (world.reports / ".lock").exists()
    return caught.value


def story(world) -> str:
    return max((world.reports / ".failed").iterdir()).joinpath("failure.txt").read_text(encoding="utf-8")


# --- a run that succeeds -------------------------------------------------------------------------------------------


def test_everything_is_published_under_the_latest_month_of_the_data(published):
    world, result = published
    assert (result.month, result.preview, result.folder) == ("2025-10", False, world.reports / "2025-10")
    names = ["01_first.html", "01_first.ipynb", "02_second.html", "02_second.ipynb", "index.html", "manifest.json"]
    assert sorted(path.name for path in result.folder.iterdir()) == names
    assert not list((world.reports / ".work").iterdir())
    assert not (world.reports / ".lock").exists()
    assert not home_of(result.run).exists()


def test_the_manifest_tells_everything(published):
    world, result = published
    found = manifest.read(result.folder)
    data = world.data / "claims.parquet"
    assert found["inputs"]["claims.parquet"] == manifest.sha256(data)
    assert (found["run"], found["month"], found["branch"]) == (result.run, "2025-10", "23")
    assert found["synthetic"] is True
    assert found["preview"] is False
    assert found["masking"] == {"masked": 3, "secondary": 1}
    assert found["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert found["packages"]["polars"] == pl.__version__
    assert set(found) >= {"definitions", "git", "platform", "seconds", "started", "finished", "schema"}
    first, second = found["notebooks"]
    assert first["parameters"] == {"month": "2025-10", "branch": "23", "fiscal_year": 2024, "levels": [1, 2, 3]}
    assert second["parameters"] == {"month": "2025-10", "ratio": 0.5, "strict": False}
    assert first["types"]["levels"] == "list[int]"
    assert first["headline"]["rate"]["estimate"] == 0.3456
    assert first["source_sha256"] == manifest.sha256(world.notebooks / "01_first.ipynb")
    assert first["notebook_sha256"] == manifest.sha256(result.folder / "01_first.ipynb")
    assert first["html_sha256"] == manifest.sha256(result.folder / "01_first.html")
    assert first["seconds"] > 0
    text = (result.folder / "manifest.json").read_text(encoding="utf-8")
    assert str(world.root) not in text
    assert platform.node() not in text


def test_parameters_arrive_typed(published):
    """papermill's command line makes the int 202510 of a month and the text 'true' of a flag."""
    first = nbformat.read(published[1].folder / "01_first.ipynb", 4)
    second = nbformat.read(published[1].folder / "02_second.ipynb", 4)
    assert first.cells[-1].outputs[0].data["text/plain"] == "2025-10 23 2024 [1, 2, 3]"
    assert second.cells[-1].outputs[0].data["text/plain"] == "2025-10 0.5 False"
    injected = [cell for cell in first.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert 'month = "2025-10"' in injected[0].source


def test_stderr_is_in_the_log_and_not_in_the_report(published):
    world, result = published
    for path in result.folder.iterdir():
        assert "内緒の警告\n" not in path.read_text(encoding="utf-8").replace("\\n", "¶")
    log = (world.reports / ".logs" / f"{result.run}.log").read_text(encoding="utf-8")
    assert "内緒の警告\n" in log
    assert "01_first 完了" in log


def test_no_page_needs_the_network(published):
    world, result = published
    pages = [world.reports / "index.html", *result.folder.glob("*.html")]
    assert len(pages) == 4
    for path in pages:
        assert html.external(path.read_text(encoding="utf-8")) == []


def test_indexes_lead_to_the_reports(published):
    world, result = published
    month = (result.folder / "index.html").read_text(encoding="utf-8")
    root = (world.reports / "index.html").read_text(encoding="utf-8")
    assert 'href="01_first.html"' in month
    assert "未治療者の受診率" in month
    assert "34.6%" in month
    assert "31.0% 〜 38.0%" in month
    assert "1,234 / 3,571" in month
    assert 'href="2025-10/index.html"' in root
    for page in (month, root, (result.folder / "01_first.html").read_text(encoding="utf-8")):
        assert "合成データ" in page


def test_only_previews_and_never_publishes(earlier):
    world, before = earlier
    world.notebook("07_new", SHOW)
    result = run(world.options(only=["07"], month="2025-09"), terminal=False)
    assert result.preview
    assert result.folder == world.reports / ".preview" / "2025-09"
    assert "試し実行" in (result.folder / "index.html").read_text(encoding="utf-8")
    assert manifest.read(result.folder)["preview"] is True
    assert picture(world.reports) == before


def test_the_root_index_is_rebuilt_from_manifests(earlier):
    world, _ = earlier
    (world.reports / "index.html").write_text("lost", encoding="utf-8")
    world.notebook("01_x", SHOW)
    run(world.options(month="2025-09"), terminal=False)
    page = (world.reports / "index.html").read_text(encoding="utf-8")
    assert page.find('href="2025-10/index.html"') < page.find('href="2025-09/index.html"')
    assert 'href="2025-10/02_second.html"' in page


def test_a_branch_own_definitions_are_in_the_manifest(tmp_path, monkeypatch):
    world = make_world(tmp_path / "w", suite=False, synthetic=False)
    world.notebook("01_x", SHOW)
    (world.root / "kenpo.toml").write_text('[definitions]\n"prediabetes.fpg.lower" = 100\n', encoding="utf-8")
    monkeypatch.chdir(world.root)
    result = run(world.options(), terminal=False)
    found = manifest.read(result.folder)
    assert found["definitions"]["overrides"] == {"prediabetes.fpg.lower": 100.0}
    assert found["synthetic"] is False
    for page in (world.reports / "index.html", *result.folder.glob("*.html")):
        assert "合成データ" not in page.read_text(encoding="utf-8")


# --- notebooks that fail -------------------------------------------------------------------------------------------


def test_every_way_to_fail_is_told_and_nothing_is_published(earlier):
    """A dead kernel and a timeout leave every cell 'completed' in papermill's metadata; they are failures here."""
    world, before = earlier
    world.notebook("01_good", SHOW)
    world.notebook("02_error", SHOW, "raise ValueError('壊れた値')")
    world.notebook("03_killed", SHOW, "import os; os._exit(9)")
    world.notebook("04_slow", SHOW, "import time; time.sleep(120)")
    world.notebook("05_unchecked", SHOW, "import IPython\nIPython.display.display({'text/html': '<b>7</b>'}, raw=True)")
    world.notebook("06_print", SHOW, "print('5人')")
    world.notebook("07_exit", "import sys; sys.exit(3)")
    skipped = new_code_cell(SHOW, metadata={"tags": ["skip-execution"]}, execution_count=5)
    skipped.outputs = [new_output("display_data", data={"text/plain": "old"}, metadata=stamp({"text/plain": "old"}))]
    nbformat.write(new_notebook(cells=[new_code_cell(SHOW), skipped]), world.notebooks / "08_skipped.ipynb")
    error = fails(world, deadline=10)
    assert error.exit_code == 1
    told = story(world)
    assert "ノートブック 8 件のうち 7 件が失敗" in told
    assert "02_error: 3 番目のコードセルで ValueError: 壊れた値。" in told
    assert "03_killed: Python(カーネル)が途中で終了しました。" in told
    assert "04_slow: 10 秒の制限時間を超えた" in told
    assert "05_unchecked: 3 番目のコードセル「import IPython」に秘匿処理の印が無い" in told
    assert "06_print: 3 番目のコードセル「print('5人')」が文字を直接出力" in told
    assert "07_exit: 2 番目のコードセルで SystemExit: 3" in told
    assert "08_skipped: 2 番目のコードセル「from IPython.display import display」が実行されていません。" in told
    assert "前回までに公開した報告はそのまま" in error.message
    kept = sorted(path.stem for path in max((world.reports / ".failed").iterdir()).glob("*.ipynb"))
    assert kept == ["02_error", "03_killed", "04_slow", "05_unchecked", "06_print", "07_exit", "08_skipped"]
    assert picture(world.reports) == before


def test_a_disclosure_refusal_alone_has_its_own_code(earlier):
    world, before = earlier
    world.notebook("01_x", SHOW + "\n1 + 1")
    error = fails(world)
    assert error.exit_code == 69
    assert "disclosure.check" in str(error.hint)
    assert picture(world.reports) == before


ATTACH = (
    "import os, pathlib\n"
    "from kenpo_analytics.report.attachments import attach, made\n"
    "attach(made('07_a.html', '会議資料', '<p>合成データ</p>'.encode()), made('07_a.xlsx', '表', b'PK'))"
)


def test_attachments_are_published_beside_the_page_and_linked(tmp_path):
    world = make_world(tmp_path / "w", suite=False)
    world.notebook("07_x", SHOW, ATTACH)
    result = run(world.options(), terminal=False)
    assert (result.folder / "07_a.html").read_text(encoding="utf-8") == "<p>合成データ</p>"
    (entry,) = manifest.read(result.folder)["notebooks"]
    assert [(a["name"], a["title"]) for a in entry["attachments"]] == [("07_a.html", "会議資料"), ("07_a.xlsx", "表")]
    assert entry["attachments"][1]["sha256"] == manifest.sha256(result.folder / "07_a.xlsx")
    assert '<a href="07_a.html">会議資料</a>' in (result.folder / "index.html").read_text(encoding="utf-8")
    assert '<a href="2025-10/07_a.xlsx">表</a>' in (world.reports / "index.html").read_text(encoding="utf-8")
    assert 'href="07_a.xlsx"' in (result.folder / "07_x.html").read_text(encoding="utf-8")


def test_a_file_slipped_beside_the_page_stops_the_run(earlier):
    world, before = earlier
    slip = "(pathlib.Path(os.environ['KENPO_ATTACHMENTS']) / 'b.html').write_text('5人')"
    world.notebook("07_x", SHOW, ATTACH, f"_ = {slip}")
    error = fails(world)
    assert (error.exit_code, "07_x: 添付ファイル b.html に秘匿処理の印がありません。" in story(world)) == (69, True)
    assert picture(world.reports) == before


def test_two_pages_may_not_attach_the_same_name(earlier):
    world, before = earlier
    world.notebook("07_x", SHOW, ATTACH)
    world.notebook("08_x", SHOW, ATTACH)
    error = fails(world)
    assert (error.exit_code, "重なっています: 07_a.html、07_a.xlsx" in error.message) == (1, True)
    assert picture(world.reports) == before


def test_a_page_that_would_fetch_something_is_not_published(earlier):
    world, before = earlier
    image = "data = {'text/html': '<img src=\"https://a.example/x.png\">'}"
    world.notebook("01_x", SHOW.replace("data = {'text/plain': 'checked'}", image))
    error = fails(world)
    assert (error.exit_code, "開くと外部に接続する" in story(world)) == (1, True)
    assert picture(world.reports) == before


def test_data_that_change_during_the_run_are_not_published(earlier):
    world, before = earlier
    change = "import os, pathlib\n_ = (pathlib.Path(os.environ['KENPO_DATA']) / 'new.csv').write_text('a')"
    world.notebook("01_x", SHOW, change)
    assert fails(world).exit_code == 65
    assert picture(world.reports) == before


# --- a disk that fails ---------------------------------------------------------------------------------------------


def full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_root_index_that_cannot_be_written_is_told_and_made_next_time(earlier, monkeypatch):
    world, _ = earlier
    world.notebook("01_x", SHOW)
    real = manifest.write_text

    def no_index(path, text):
        full() if path == world.reports / "index.html" and "2025年9月" in text else real(path, text)

    monkeypatch.setattr(manifest, "write_text", no_index)
    error = fails(world, month="2025-09")
    assert (error.exit_code, "公開しましたが" in error.message) == (74, True)
    assert manifest.read(world.reports / "2025-09")["month"] == "2025-09"
    monkeypatch.undo()
    monthly._refresh_root(world.reports)
    assert "2025年9月" in (world.reports / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("where", ["papermill", "page", "publishing"])
def test_a_full_disk_publishes_nothing(earlier, monkeypatch, where):
    """papermill writes in place: on a full disk it leaves half a file where a good one was."""
    world, before = earlier
    world.notebook("01_x", SHOW)
    if where == "papermill":
        monkeypatch.setattr("papermill.iorw.LocalHandler.write", full)
    elif where == "page":
        monkeypatch.setattr(manifest, "write", full)
    else:
        monkeypatch.setattr("kenpo_analytics.runs.publish.sync", full)
    assert fails(world).exit_code == 74
    monkeypatch.undo()
    assert picture(world.reports) == before


def test_a_disk_that_is_nearly_full_starts_nothing(earlier, monkeypatch):
    world, before = earlier
    world.notebook("01_x", "raise SystemError('never reached')")
    usage = places.shutil.disk_usage(world.root)
    monkeypatch.setattr(places.shutil, "disk_usage", lambda _: usage._replace(free=2**20))
    error = fails(world)
    assert (error.exit_code, "空き容量" in error.message) == (74, True)
    assert picture(world.reports) == before


def test_reports_that_cannot_be_written(tmp_path):
    world = make_world(tmp_path / "w")
    world.reports.write_text("a file in the way", encoding="utf-8")
    with pytest.raises(RunError) as caught:
        run(world.options(), terminal=False)
    assert caught.value.exit_code == 73


# --- refused before anything starts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": {"fiscal_yaer": "2024"}},
        {"settings": {"fiscal_year": "x"}},
        {"month": "2025-13"},
        {"branch": "48"},
        {"only": ["09"]},
    ],
)
def test_wrong_parameters_start_nothing(tmp_path, changes):
    world = make_world(tmp_path / "w")
    with pytest.raises(ParameterError):
        run(world.options(**changes), terminal=False)
    assert not world.reports.exists()


def test_a_month_after_the_data_is_refused(tmp_path):
    """Last month's numbers never appear under this month's name."""
    world = make_world(tmp_path / "w")
    with pytest.raises(RunError, match="2025-10受領分まで") as caught:
        run(world.options(month="2025-11"), terminal=False)
    assert caught.value.exit_code == 65
    assert not world.reports.exists()


def test_a_notebook_without_its_table_is_left_out_and_told(tmp_path, capsys):
    world = make_world(tmp_path / "w", suite=False)
    world.notebook("01_x", SHOW)
    world.notebook("04_index", SHOW, parameters='needs: list[str] = ["national", "mailings"]')
    result = run(world.options(), terminal=False)
    assert "表がないため省いた報告: 04_index(必要な表: national、mailings)" in capsys.readouterr().err
    found = manifest.read(result.folder)
    assert [entry["name"] for entry in found["notebooks"]] == ["01_x"]
    assert found["skipped"] == [{"name": "04_index", "title": "04_index", "missing": ["national", "mailings"]}]
    page = (result.folder / "index.html").read_text(encoding="utf-8")
    assert "表がないため省いた報告: 04_index (必要な表: national、mailings)" in page
    with pytest.raises(
        RunError, match=r"実行できる報告がありません: 04_index\(必要な表: national、mailings\)"
    ) as caught:
        run(world.options(only=["4"]), terminal=False)
    assert caught.value.exit_code == 65


def test_a_branch_without_members_is_refused_before_anything_starts(tmp_path, monkeypatch):
    world = make_world(tmp_path / "w", suite=False)
    world.notebook("01_x", "raise SystemError('never reached')")
    monkeypatch.chdir(world.root)
    with pytest.raises(RunError, match="データに支部13の加入者がいません") as caught:
        run(world.options(branch="13"), terminal=False)
    assert caught.value.exit_code == 65
    (world.root / "kenpo.toml").write_text('[run]\nbranch = "13"\n', encoding="utf-8")
    with pytest.raises(RunError, match="支部13"):
        run(world.options(), terminal=False)
    assert not world.reports.exists()


def test_the_branch_of_the_project_is_used_and_the_command_line_wins(tmp_path, monkeypatch):
    world = make_world(tmp_path / "w", suite=False)
    world.notebook("01_x", SHOW, parameters='branch: str = "24"')
    (world.root / "kenpo.toml").write_text('[run]\nbranch = "23"\n', encoding="utf-8")
    monkeypatch.chdir(world.root)
    for given, used in ((None, "23"), ("24", "24")):
        found = manifest.read(run(world.options(branch=given), terminal=False).folder)
        assert (found["branch"], found["notebooks"][0]["parameters"]["branch"]) == (used, used)


@pytest.mark.parametrize("month", ["2010-01", None])
def test_data_without_a_row_for_the_month_are_refused(tmp_path, month):
    world = make_world(tmp_path / "w")
    if month is None:  # fees came in October only
        fees = tables()["claim_fees"].with_columns(received_month=pl.lit(202510))
        fees.write_parquet(world.data / "claim_fees.parquet")
        month, said = "2025-09", "2025-09までに分かっているclaim_feesの行が1行もありません"
    else:
        said = "2010-01の受領データがありません"
    with pytest.raises(RunError, match=said) as caught:
        run(world.options(month=month), terminal=False)
    assert caught.value.exit_code == 65
    assert not world.reports.exists()


@pytest.mark.parametrize("name", ["members", "checkups", "claims", "claim_fees"])
def test_an_empty_table_stops_the_run(tmp_path, name):
    world = make_world(tmp_path / "w")
    tables()[name].clear().write_parquet(world.data / f"{name}.parquet")
    with pytest.raises(RunError, match=rf"{name}: 必要な表に行が1行もない") as caught:
        run(world.options(), terminal=False)
    assert caught.value.exit_code == 65
    assert not world.reports.exists()


def test_input_errors_stop_and_warnings_do_not(tmp_path):
    world = make_world(tmp_path / "w")
    checkups = tables()["checkups"]
    values = [checkups.with_columns(record_id=pl.lit(i), hba1c=pl.lit(v)) for i, v in ((1, 55.0), (2, 5.5))]
    pl.concat(values).write_parquet(world.data / "checkups.parquet")
    places.check_data(world.data)
    values[0].write_parquet(world.data / "checkups.parquet")  # of every row: a lost decimal point
    with pytest.raises(RunError, match=r"checkups\.hba1c: 想定する範囲の外 1行.*半数を超える") as caught:
        run(world.options(), terminal=False)
    assert caught.value.exit_code == 65
    checkups.drop("kind").write_parquet(world.data / "checkups.parquet")
    with pytest.raises(RunError, match=r"1 種類.*checkups\.kind: 必要な列がない") as caught:
        run(world.options(), terminal=False)
    assert caught.value.exit_code == 65
    assert not world.reports.exists()


def test_a_second_run_ends_with_75(earlier):
    world, before = earlier
    world.notebook("01_x", SHOW)
    with lock(world.reports, "20251101-090000-first"):
        with pytest.raises(RunError, match="20251101-090000-first") as caught:
            run(world.options(), terminal=False)
        assert caught.value.exit_code == 75
        assert (world.reports / ".lock").exists()
    assert picture(world.reports) == before


# --- killed and told to stop ---------------------------------------------------------------------------------------


def start(world, *words: str) -> subprocess.Popen[str]:
    """A run in its own process, once its kernel is at work."""
    ready = world.root / "ready"
    world.notebook(
        "01_long",
        SHOW,
        f"import os, pathlib, time\n_ = pathlib.Path({str(ready)!r}).write_text(str(os.getpid()))\ntime.sleep(120)",
    )
    process = subprocess.Popen([*KENPO, *world.command(*words)], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (ready.exists() and ready.read_text()) and time.monotonic() < until:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    return process


def gone(pid: int) -> bool:
    """Has the kernel ended?"""
    for _ in range(100):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return True
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_told_to_stop(earlier, number, code):
    world, before = earlier
    process = start(world)
    process.send_signal(number)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == code
    assert "途中で止めました" in said
    assert "Kernel died" not in said
    assert "Traceback" not in said
    assert gone(int((world.root / "ready").read_text()))
    assert not (world.reports / ".lock").exists()
    assert not list((world.reports / ".work").iterdir())
    assert picture(world.reports) == before


@posix
def test_killed_in_the_middle_and_run_again(earlier):
    world, before = earlier
    process = start(world)
    process.kill()
    process.communicate()
    assert picture(world.reports) == before
    assert (world.reports / ".lock").exists()
    left = next((world.reports / ".work").iterdir()).name[8:]
    assert home_of(left).exists()
    assert gone(int((world.root / "ready").read_text()))
    (world.notebooks / "01_long.ipynb").unlink()
    world.notebook("01_x", SHOW)
    result = run(world.options(), terminal=False)
    assert [entry["name"] for entry in manifest.read(result.folder)["notebooks"]] == ["01_x"]
    assert not list((world.reports / ".work").iterdir())
    assert not home_of(left).exists()


@posix
def test_a_kernel_that_will_not_start_is_tried_twice(earlier, monkeypatch):
    from kenpo_analytics.runs import kernels

    world, before = earlier
    world.notebook("01_x", SHOW)
    starts: list[int] = []
    real = kernels.Kernel._async_start_kernel

    async def once_broken(self, **options):
        starts.append(1)
        if len(starts) == 1:
            raise RuntimeError("Kernel died before replying to kernel_info")
        await real(self, **options)

    monkeypatch.setattr(kernels.Kernel, "start_kernel", once_broken)
    assert run(world.options(month="2025-09"), terminal=False).month == "2025-09"
    assert len(starts) == 2
    assert {name: picture(world.reports)[name] for name in before if "index" not in name}


def test_the_progress_bar_in_a_terminal(published, capsys):
    from kenpo_analytics.runs import plan
    from kenpo_analytics.runs.execute import Event, Outcome
    from kenpo_analytics.runs.progress import Progress

    task = plan.plan([published[0].notebooks / "01_first.ipynb"], month="2025-10")[0]
    outcome = Outcome(task, published[0].notebooks, "ok", 1.5)
    progress = Progress(terminal=True)
    progress.begin([task])
    for event in (Event("start", task), Event("cell", task), Event("end", task, replace(outcome, seconds=2.0))):
        progress.event(event)
    progress.end()
    said = capsys.readouterr().err
    assert "01_first 完了 2.0 秒" in said
    assert "1/4" in said


def test_the_manifest_is_json_without_surprises(published):
    json.loads((published[1].folder / "manifest.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
