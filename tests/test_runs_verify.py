"""Is an executed notebook refused for what must not be published, naming notebook and cell?"""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from kenpo_analytics.disclosure.stamp import stamp
from kenpo_analytics.errors import DisclosureError, RunError
from kenpo_analytics.runs.stage import page
from kenpo_analytics.runs.verify import verify

DATA = {"text/plain": "受診率 34.6%"}
GOOD = new_output("display_data", data=DATA, metadata=stamp(DATA, log={"masked": 2, "min_cell": 10, "rule": "people"}))


def write(tmp_path, *outputs, count=1, source="show(x)", metadata=None, cell_metadata=None):
    cell = new_code_cell(source, outputs=list(outputs), execution_count=count, metadata=cell_metadata or {})
    cells = [new_markdown_cell("# 題"), new_code_cell("", execution_count=None), cell]
    path = tmp_path / "03_x.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=metadata or {}), path)
    return path


def test_a_stamped_notebook_passes_and_is_counted(tmp_path):
    found = verify(write(tmp_path, GOOD, GOOD))
    assert (found.outputs, found.masking) == (2, {"masked": 4})


@pytest.mark.parametrize(
    "output",
    [
        new_output("display_data", data=DATA),
        new_output("execute_result", data=DATA, execution_count=1),
        new_output("display_data", data={"text/html": "<table>7</table>"}, metadata=stamp(DATA)),
        new_output("display_data", data=DATA | {"text/html": "x"}, metadata=stamp(DATA)),
        new_output("stream", name="stdout", text="5人"),
    ],
    ids=["bare", "result", "other content", "one form more", "print"],
)
def test_what_was_not_checked_is_refused_by_name(tmp_path, output):
    with pytest.raises(DisclosureError, match=r"03_x\.ipynb の 2 番目のコードセル「show\(x\)」"):
        verify(write(tmp_path, GOOD, output))


def attached(tmp_path, content=b"<p>34.6%</p>", name="03_meeting.html", sha=None):
    """A notebook whose stamped output names a file, and that file beside it."""
    mark = stamp(DATA)
    mark["kenpo"]["attachments"] = {"03_meeting.html": {"title": "会議資料", "sha256": sha or sha256(b"<p>34.6%</p>")}}
    path = write(tmp_path, new_output("display_data", data=DATA, metadata=mark))
    (tmp_path / "03_x").mkdir()
    if content is not None:
        (tmp_path / "03_x" / name).write_bytes(content)
    return path


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_a_file_that_a_stamped_output_names_goes_along(tmp_path):
    assert [path.name for path in verify(attached(tmp_path)).files] == ["03_meeting.html"]


@pytest.mark.parametrize(
    "change",
    [{"content": b"<p>7</p>"}, {"name": "other.html"}, {"name": "03_meeting.html.exe"}, {"sha": "0" * 64}],
    ids=["changed", "not named", "kind", "digest"],
)
def test_a_file_without_a_stamp_that_fits_is_refused(tmp_path, change):
    with pytest.raises(DisclosureError, match=r"添付ファイル .* に秘匿処理の印がありません"):
        verify(attached(tmp_path, **change))


def test_a_file_that_is_missing_or_fetches_something_is_refused(tmp_path):
    fetching = b'<img src="https://a.example/x.png">'
    (tmp_path / "a").mkdir()
    with pytest.raises(RunError, match="開くと外部に接続する"):
        verify(attached(tmp_path / "a", fetching, sha=sha256(fetching)))
    with pytest.raises(RunError, match="添付ファイルがありません"):
        verify(attached(tmp_path, None))


def test_a_widget_is_refused(tmp_path):
    with pytest.raises(DisclosureError, match="ウィジェット"):
        verify(
            write(tmp_path, GOOD, metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}}})
        )


def test_a_cell_that_did_not_run_is_refused_whatever_papermill_says(tmp_path):
    lie = {"papermill": {"status": "completed", "exception": None}}
    with pytest.raises(RunError, match="実行されていません"):
        verify(write(tmp_path, GOOD, count=None, cell_metadata=lie))


def test_an_error_that_was_let_pass_is_refused(tmp_path):
    error = new_output("error", ename="ValueError", evalue="x", traceback=[])
    with pytest.raises(RunError, match="エラーが残って"):
        verify(write(tmp_path, GOOD, error, cell_metadata={"tags": ["raises-exception"]}))


def test_a_notebook_that_shows_nothing_is_refused(tmp_path):
    with pytest.raises(RunError, match="1 つも表示"):
        verify(write(tmp_path))


@pytest.mark.parametrize("text", ["", "{", '{"cells": 1}', '{"cells": [], "nbformat": 4}'])
def test_a_torn_file_is_refused(tmp_path, text):
    path = tmp_path / "03_x.ipynb"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match="正しくありません"):
        verify(path)


def test_a_title_shown_by_the_report_is_found(tmp_path):
    data = {"text/html": '<h1 lang="ja">受診 &amp; <b>健診</b></h1>', "text/plain": "x"}
    shown = new_output("display_data", data=data, metadata=stamp(data))
    assert verify(write(tmp_path, GOOD, shown, shown)).title == "受診 & 健診"


def test_what_is_published_has_no_warnings_no_volatile_and_no_unknown_metadata(tmp_path):
    warning = new_output("stream", name="stderr", text="警告: 個人 123")
    shown = new_output("display_data", data=DATA, metadata=stamp(DATA) | {"person": 123})
    volatile = {"papermill": {"status": "completed"}, "execution": {"iopub.status.busy": "2025"}, "tags": ["a"]}
    metadata = {"papermill": {"parameters": {"month": "2025-09"}}, "language_info": {"name": "python", "version": "3"}}
    found = verify(write(tmp_path, warning, shown, cell_metadata=volatile, metadata=metadata))
    cell = found.notebook.cells[2]
    assert len(cell.outputs) == 1
    assert set(cell.outputs[0].metadata) == {"kenpo"}
    assert dict(cell.metadata) == {"tags": ["a"]}
    assert set(found.notebook.metadata) == {"kernelspec", "language_info"}
    assert found.notebook.metadata.language_info == {"name": "python"}
    assert "個人 123" in found.stderr
    nbformat.validate(found.notebook)


def public(rule="public"):
    return new_output("display_data", data=DATA, metadata=stamp(DATA, log={"masked": 0, "min_cell": 10, "rule": rule}))


def test_a_page_is_public_only_if_every_checked_result_is(tmp_path):
    text = new_output("display_data", data=DATA, metadata=stamp(DATA))  # a heading has no log
    assert verify(write(tmp_path, text, public(), public())).public
    assert not verify(write(tmp_path, public(), GOOD)).public
    assert not verify(write(tmp_path, public(), public("flow"))).public
    assert not verify(write(tmp_path, text)).public


def test_a_page_of_public_figures_is_not_called_synthetic(tmp_path):
    job = SimpleNamespace(synthetic=True, month="2025-10", id="x")
    task = SimpleNamespace(title="題", name="03_x")
    banner = "合成データ — 実在の"
    assert banner not in page(job, task, verify(write(tmp_path, public())))
    assert banner in page(job, task, verify(write(tmp_path, GOOD)))
