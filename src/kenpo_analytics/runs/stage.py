"""What does a finished month consist of? Pages, notebooks, the index, and the manifest, written last."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kenpo_analytics.errors import RunError
from kenpo_analytics.runs import html, manifest, publish
from kenpo_analytics.runs.execute import Outcome
from kenpo_analytics.runs.places import Places
from kenpo_analytics.runs.plan import Task
from kenpo_analytics.runs.progress import Progress
from kenpo_analytics.runs.verify import Verified

FAILED = 1


@dataclass(frozen=True)
class Options:
    """What was asked for. `settings` are further parameters: text, or values of the declared type."""

    month: str | None = None
    branch: str | None = None
    only: Sequence[str] = ()
    jobs: int = 2
    data: Path | None = None
    reports: Path | None = None
    notebooks: Path | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    deadline: float = 900.0
    links: bool | None = None


@dataclass(frozen=True)
class Job:
    """One run under way: its name, month, notebooks, folders, and since when."""

    id: str
    month: str
    branch: str | None
    synthetic: bool
    definitions: Mapping[str, Any]
    tasks: Sequence[Task]
    skipped: Sequence[Mapping[str, Any]]
    places: Places
    options: Options
    progress: Progress
    begin: float
    started: str

    @property
    def work(self) -> Path:
        """Where it happens, on the file system of the reports."""
        return self.places.reports / publish.WORK / f"{self.month}-{self.id}"


def _title(task: Task, found: Verified) -> str:
    """The notebook's own heading, else the one its report shows, else its name."""
    return task.title or found.title or task.name


def page(this: Job, task: Task, found: Verified) -> str:
    """A verified notebook as the page that will be published; refused if it would fetch something."""
    return html.report(
        found.notebook,
        title=_title(task, found),
        month=this.month,
        synthetic=this.synthetic and not found.public,  # published figures are real, whatever the data folder holds
        footer=f"{html.month_label(this.month)} · 実行 {this.id} · 条件は manifest.json にあります",
    )


def stage(this: Job, outcomes: Sequence[Outcome], verified: Mapping[str, Verified], inputs: Mapping[str, str]) -> None:
    """Write everything that will be published; the manifest last."""
    import nbformat

    staged = this.work / "staged"
    entries = []
    _refuse_same_names(verified.values(), this.tasks)
    for outcome in outcomes:
        found, task = verified[outcome.task.name], outcome.task
        manifest.write_text(staged / task.path.name, nbformat.writes(found.notebook) + "\n")
        manifest.write_text(staged / f"{task.name}.html", found.page)
        for file in found.files:
            shutil.copyfile(file, staged / file.name)
        entries.append(_entry(outcome, found, staged))
    masking: dict[str, int] = {}
    for found in verified.values():
        for name, count in found.masking.items():
            masking[name] = masking.get(name, 0) + count
    record = {
        "schema": 1,
        "run": this.id,
        "month": this.month,
        "branch": this.branch,
        "preview": bool(this.options.only),
        "synthetic": this.synthetic,
        "started": this.started,
        "finished": manifest.now(),
        "seconds": round(time.monotonic() - this.begin, 1),
        "inputs": inputs,
        "definitions": this.definitions,
        **manifest.surroundings(this.places.root),
        "masking": masking,
        "notebooks": entries,
        "skipped": list(this.skipped),
    }
    manifest.write_text(staged / "index.html", html.month_index(record))
    missing = [n for e in entries for n in (e["notebook"], e["html"]) if not (staged / n).stat().st_size]
    if missing:
        raise RunError(f"作られるはずのファイルが空です: {'、'.join(missing)}", exit_code=FAILED)
    manifest.write(staged, record)


def _refuse_same_names(verified: Iterable[Verified], tasks: Sequence[Task]) -> None:
    """No attachment may lie over another file of the month."""
    own = [name for task in tasks for name in (task.path.name, f"{task.name}.html")]
    names = [file.name for found in verified for file in found.files]
    if twice := sorted({name for name in names if names.count(name) > 1 or name in (*own, "index.html")}):
        raise RunError(f"同じ名前のファイルが重なっています: {'、'.join(twice)}", exit_code=FAILED)


def _entry(outcome: Outcome, found: Verified, staged: Path) -> dict[str, Any]:
    task = outcome.task
    return {
        "name": task.name,
        "title": _title(task, found),
        "notebook": task.path.name,
        "html": f"{task.name}.html",
        "parameters": task.parameters,
        "types": {name: parameter.type for name, parameter in task.declared.items()},
        "given": sorted(task.given),
        "seconds": outcome.seconds,
        "outputs": found.outputs,
        "public": found.public,
        "source_sha256": manifest.sha256(task.path),
        "notebook_sha256": manifest.sha256(staged / task.path.name),
        "html_sha256": manifest.sha256(staged / f"{task.name}.html"),
        "headline": found.headline,
        "masking": found.masking,
        "attachments": [
            {"name": file.name, "title": found.named[file.name]["title"], "sha256": found.named[file.name]["sha256"]}
            for file in found.files
        ],
    }
