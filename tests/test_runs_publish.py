"""Is a month there whole or not at all, wherever the process is killed? Every step of publishing, with kill -9."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from kenpo_analytics.runs import html, manifest, publish
from tests.runs_helpers import picture

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="子プロセスの複製ができない環境です")
MONTH = "2025-10"


def staged(reports: Path, text: str) -> Path:
    folder = reports / ".work" / f"{MONTH}-{text}" / "staged"
    folder.mkdir(parents=True)
    (folder / "01.html").write_text(text, encoding="utf-8")
    manifest.write(folder, {"month": MONTH, "run": text, "notebooks": [], "finished": "2025-11-01T00:00:00"})
    return folder


def shown(reports: Path) -> str | None:
    """What a reader sees: the text of the report, if it is there, which then must be whole."""
    folder = reports / MONTH
    if not folder.exists():
        return None
    text = (folder / "01.html").read_text(encoding="utf-8")
    assert manifest.read(folder)["run"] == text
    return text


def killed_at(step: int, reports: Path, links: bool) -> bool:
    """Publish in a child that is killed just before its n-th change of the file system; False if it had fewer."""
    child = os.fork()
    if child == 0:
        left = step

        def deadly(function):
            def call(*args, **kwargs):
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)

            return call

        for name in ("rename", "replace", "symlink_to", "unlink", "mkdir"):
            setattr(Path, name, deadly(getattr(Path, name)))
        publish.shutil.rmtree = deadly(publish.shutil.rmtree)
        try:
            publish.publish(reports / ".work" / f"{MONTH}-new" / "staged", reports, MONTH, "new", links=links)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("links", [True, False], ids=["link", "rename"])
@pytest.mark.parametrize("earlier", [True, False], ids=["again", "first"])
def test_killed_at_every_step(tmp_path, links, earlier):
    seen, gaps, step = [], 0, 0
    while True:
        reports = tmp_path / str(step)
        reports.mkdir()
        if earlier:
            publish.publish(staged(reports, "old"), reports, MONTH, "old", links=links)
        staged(reports, "new")
        if not killed_at(step, reports, links):
            seen.append(shown(reports))
            break
        at_once = shown(reports)
        gaps += at_once is None and earlier
        publish.recover(reports)
        seen.append(shown(reports))
        assert at_once in (None, seen[-1]) or (at_once == "old" and (reports / MONTH).exists())
        assert {p.name for p in reports.glob(".*")} <= {".runs", ".work"}
        assert not list((reports / ".work").iterdir())
        assert len(list((reports / ".runs").glob("*"))) == (links and seen[-1] is not None)
        step += 1
    before = "old" if earlier else None
    assert set(seen) == {before, "new"}
    assert seen == sorted(seen, key=lambda text: text == "new")  # before one step the old, from it on the new
    assert gaps == (0 if links else earlier)  # only two renames leave a moment without a report, and it is repaired


def test_links_replace_links_and_leave_one_run(tmp_path):
    for text in ("a", "b", "c"):
        publish.publish(staged(tmp_path, text), tmp_path, MONTH, text)
    assert shown(tmp_path) == "c"
    assert [p.name for p in (tmp_path / ".runs").iterdir()] == ["c"]


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_both_ways_replace_each_other(tmp_path, order):
    for text, links in zip("ab", order, strict=True):
        publish.publish(staged(tmp_path, text), tmp_path, MONTH, text, links=links)
        assert shown(tmp_path) == text
    assert len(list((tmp_path / ".runs").glob("*"))) == 0


def test_without_symbolic_links(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for text in "ab":
        publish.publish(staged(tmp_path, text), tmp_path, MONTH, text)
    assert shown(tmp_path) == "b"
    assert not (tmp_path / MONTH).is_symlink()


@pytest.mark.parametrize("failing", [".runs", "2025-10"])
def test_a_rename_that_fails_goes_back_to_what_was(tmp_path, monkeypatch, failing):
    """On Windows a folder with an open file cannot be renamed."""
    publish.publish(staged(tmp_path, "old"), tmp_path, MONTH, "old", links=False)
    folder, real = staged(tmp_path, "new"), Path.rename

    def held(self, target):
        if (failing == ".runs" and self.parent.name == ".runs") or self.name == failing:
            raise PermissionError(13, "in use")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", held)
    with pytest.raises(PermissionError):
        publish.publish(folder, tmp_path, MONTH, "new", links=False)
    monkeypatch.undo()
    assert shown(tmp_path) == "old"
    publish.recover(tmp_path)
    assert shown(tmp_path) == "old"


def test_other_months_are_never_touched(tmp_path):
    publish.publish(staged(tmp_path, "old"), tmp_path, "2025-09", "old")
    before = picture(tmp_path)
    publish.publish(staged(tmp_path, "new"), tmp_path, MONTH, "new")
    publish.recover(tmp_path)
    assert {name: picture(tmp_path)[name] for name in before} == before


def test_a_lost_run_is_not_an_entrance_to_nothing(tmp_path):
    publish.publish(staged(tmp_path, "a"), tmp_path, MONTH, "a")
    publish.remove(tmp_path / ".runs" / "a")
    assert any("失われ" in line for line in publish.recover(tmp_path))
    assert not (tmp_path / MONTH).is_symlink()


def test_a_torn_journal_does_no_harm(tmp_path):
    publish.publish(staged(tmp_path, "a"), tmp_path, MONTH, "a", links=False)
    (tmp_path / publish.JOURNAL).write_text("{", encoding="utf-8")
    publish.recover(tmp_path)
    assert shown(tmp_path) == "a"
    assert not (tmp_path / publish.JOURNAL).exists()


def test_failed_notebooks_are_kept_for_the_last_five_runs(tmp_path):
    source = tmp_path / "x.ipynb"
    source.write_text("{}", encoding="utf-8")
    for number in range(7):
        publish.keep_failed(tmp_path, f"2025110{number}-x", [source, tmp_path / "none.ipynb"], f"経緯 {number}")
    kept = sorted((tmp_path / ".failed").iterdir())
    assert [path.name for path in kept] == [f"2025110{number}-x" for number in range(2, 7)]
    assert sorted(p.name for p in kept[-1].iterdir()) == ["failure.txt", "x.ipynb"]
    assert (kept[-1] / "failure.txt").read_text(encoding="utf-8") == "経緯 6\n"
    assert kept[-1].stat().st_mode & 0o077 == 0


def test_the_root_index_comes_from_manifests(tmp_path):
    for month in ("2025-08", "2025-10", "2025-09"):
        folder = staged(tmp_path, month)
        record = manifest.read(folder) | {"month": month, "synthetic": month == "2025-08"}
        manifest.write(folder, record)
        publish.publish(folder, tmp_path, month, month)
    (tmp_path / "2025-07").mkdir()  # without a manifest: not complete, not listed
    page = html.root_index(manifest.read_all(tmp_path))
    places = [page.find(f'href="2025-{number}/index.html"') for number in ("10", "09", "08")]
    assert places == sorted(places)
    assert min(places) > 0
    assert "2025-07" not in page
    assert "合成データ" in page
