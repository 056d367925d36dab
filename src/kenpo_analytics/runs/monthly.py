"""Did the monthly run finish? One transaction: plan, execute, verify, publish. Exit codes are in docs/runs.md."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kenpo_analytics.definitions import fingerprint
from kenpo_analytics.errors import DisclosureError, RunError
from kenpo_analytics.runs import beside, html, manifest, publish
from kenpo_analytics.runs.execute import Outcome, Setting, execute
from kenpo_analytics.runs.kernels import environment, home_of
from kenpo_analytics.runs.lock import lock
from kenpo_analytics.runs.places import (
    CANNOT_WRITE,
    DATA_INVALID,
    check_data,
    check_known,
    nothing_left,
    open_data,
    prepare_reports,
    seen_from_here,
    settle,
    unwritable,
    writing,
)
from kenpo_analytics.runs.plan import choose, plan, split, suite
from kenpo_analytics.runs.progress import Progress
from kenpo_analytics.runs.signals import Guard, Interrupted, stoppable
from kenpo_analytics.runs.stage import FAILED, Job, Options, page, stage
from kenpo_analytics.runs.verify import Verified, verify
from kenpo_analytics.tables import TABLES

REFUSED = 69
KEEP_LOGS = 12
UNTOUCHED = "前回までに公開した報告はそのまま残っています。"


@dataclass(frozen=True)
class Published:
    """Where the finished reports are."""

    run: str
    month: str
    folder: Path
    preview: bool


def run(options: Options, *, terminal: bool | None = None) -> Published:
    """Run a month's reports and publish them all at once, or not at all.

    With `only`, the chosen notebooks go to `.preview/` and nothing is published.

    Raises
    ------
    ParameterError, DefinitionError
        An unknown notebook or parameter, a value of the wrong type, or a kenpo.toml that cannot be. Nothing started.
    RunError
        Everything else, with its exit code; published reports are as they were.
    """
    places = settle(options.notebooks, options.data, options.reports)
    paths = choose(suite(places.notebooks), options.only)
    tables = open_data(places.data, options.month)
    month = f"{tables.month // 100:04d}-{tables.month % 100:02d}"
    branch = options.branch or places.branch
    tasks, skipped = split(
        plan(paths, month=month, branch=branch, settings=options.settings),
        [n for n in TABLES if getattr(tables, n) is not None],
    )
    check_data(places.data)
    check_known(tables, branch)
    if not tasks:
        raise nothing_left(skipped)
    beside.check(tables, tasks)
    prepare_reports(places.reports)
    run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    progress = Progress(terminal=terminal)
    this = Job(
        id=run_id,
        month=month,
        branch=branch,
        synthetic=tables.synthetic,
        definitions=fingerprint(tables.definitions),
        tasks=tasks,
        skipped=skipped,
        places=places,
        options=options,
        progress=progress,
        begin=time.monotonic(),
        started=manifest.now(),
    )
    with stoppable() as guard:
        try:
            with lock(places.reports, run_id):
                return _locked(this, guard)
        except Interrupted as stop:
            raise RunError(
                f"{html.month_label(month)}の実行を途中で止めました。{UNTOUCHED}",
                exit_code=stop.exit_code,
                hint="もう一度実行すると、はじめからやり直します。",
            ) from None


def _locked(this: Job, guard: Guard) -> Published:
    home = home_of(this.id)
    try:
        with writing():
            for line in publish.recover(this.places.reports):
                this.progress.say(line)
            _refresh_root(this.places.reports)  # a crash may have come between publishing and the index
            this.progress.log = _open_log(this.places.reports, this.id)
            for folder in ("executed", "staged"):
                (this.work / folder).mkdir(parents=True)
            home.mkdir(mode=0o700)
        return _transact(this, home, guard)
    finally:
        this.progress.end()
        with contextlib.suppress(OSError):
            publish.remove(this.work)
            publish.remove(home)


def _open_log(reports: Path, run_id: str) -> Path:
    folder = reports / ".logs"
    folder.mkdir(exist_ok=True, mode=0o700)
    for old in sorted(folder.glob("*.log"))[: -(KEEP_LOGS - 1)]:
        old.unlink(missing_ok=True)
    return folder / f"{run_id}.log"


def _transact(this: Job, home: Path, guard: Guard) -> Published:
    data = this.places.data
    before, inputs = manifest.state(data), manifest.fingerprints(data)
    this.progress.say(f"{html.month_label(this.month)}の実行 {this.id}: ノートブック {len(this.tasks)} 件")
    this.progress.say(f"使うデータ: {seen_from_here(data)}" + ("(合成データ)" if this.synthetic else ""))
    for left in this.skipped:
        this.progress.say(f"表がないため省いた報告: {left['title']}(必要な表: {'、'.join(left['missing'])})")
    this.progress.begin(this.tasks)
    setting = Setting(
        output=this.work / "executed",
        home=home,
        folder=this.places.root,
        environment=environment(home, month=this.month, data=data, jobs=this.options.jobs),
        jobs=max(1, this.options.jobs),
        deadline=this.options.deadline,
    )
    outcomes = execute(this.tasks, setting, this.progress.event)
    this.progress.end()
    try:
        verified, outcomes = _verify(this, outcomes)
        if any(outcome.status != "ok" for outcome in outcomes):
            raise _failure(this, outcomes)
        if manifest.state(data) != before:
            raise RunError(
                f"実行中に入力データが変わったため、公開しませんでした。{UNTOUCHED}",
                exit_code=DATA_INVALID,
                hint="データの取り込みが終わってから、もう一度実行してください。",
            )
        stage(this, outcomes, verified, inputs)
        return _publish(this, guard)
    except OSError as error:
        failed = unwritable(error)
        raise RunError(failed.message + UNTOUCHED, exit_code=failed.exit_code, hint=failed.hint) from error


def _verify(this: Job, outcomes: Sequence[Outcome]) -> tuple[dict[str, Verified], list[Outcome]]:
    verified: dict[str, Verified] = {}
    judged = []
    for outcome in outcomes:
        if outcome.status == "ok":
            try:
                found = verified[outcome.task.name] = verify(outcome.path)
                this.progress.log_only(found.stderr)
                found.page = page(this, outcome.task, found)
            except (RunError, DisclosureError) as error:
                outcome = replace(outcome, status="refused", message=error.message, error=error)
        judged.append(outcome)
    return verified, judged


def _failure(this: Job, outcomes: Sequence[Outcome]) -> RunError:
    """Tell in one paragraph what happened, and keep the failed notebooks."""
    bad = [outcome for outcome in outcomes if outcome.status != "ok"]
    causes = "".join(
        f"{outcome.task.name}: {outcome.message.rstrip('。').removeprefix(outcome.task.path.name + ' の ')}。"
        for outcome in bad
    )
    story = (
        f"{html.month_label(this.month)}の実行は完了しませんでした"
        f"(ノートブック {len(outcomes)} 件のうち {len(bad)} 件が失敗)。{causes}"
        f"何も公開していません。{UNTOUCHED}"
    )
    try:
        kept = publish.keep_failed(this.places.reports, this.id, [outcome.path for outcome in bad], story)
        story += f"失敗したノートブックは {seen_from_here(kept)} にあります(秘匿処理前の値を含みえます)。"
    except OSError:
        story += "失敗したノートブックは保存できませんでした。"
    told = (o.error.hint if isinstance(o.error, DisclosureError | RunError) else o.hint for o in bad)
    hint = next(filter(None, told), None)
    this.progress.log_only(story + "\n")  # the caller prints it: once is enough
    return RunError(
        story, exit_code=_code(bad), hint=hint or "原因を直してから、同じコマンドをもう一度実行してください。"
    )


def _code(bad: Sequence[Outcome]) -> int:
    writes = [outcome.error for outcome in bad if outcome.status == "write_failed"]
    if writes:
        return unwritable(writes[0]).exit_code if isinstance(writes[0], OSError) else CANNOT_WRITE
    return REFUSED if all(isinstance(outcome.error, DisclosureError) for outcome in bad) else FAILED


def _publish(this: Job, guard: Guard) -> Published:
    reports, staged = this.places.reports, this.work / "staged"
    if this.options.only:
        folder = publish.publish_preview(staged, reports, this.month)
        this.progress.say("試し実行が終わりました。公開はしていません。")
        return Published(this.id, this.month, folder, preview=True)
    guard.held = True
    publish.publish(staged, reports, this.month, this.id, links=this.options.links)
    try:
        _refresh_root(reports)
    except OSError as error:
        raise RunError(
            f"{html.month_label(this.month)}の報告は公開しましたが、全体の一覧を更新できませんでした({error.strerror})。",
            exit_code=CANNOT_WRITE,
            hint="一覧は次の実行のはじめに作り直されます。ディスクの空き容量を確かめてください。",
        ) from error
    this.progress.say(f"{html.month_label(this.month)}の報告を公開しました。")
    return Published(this.id, this.month, reports / this.month, preview=False)


def _refresh_root(reports: Path) -> None:
    manifests = manifest.read_all(reports)
    if manifests or (reports / "index.html").exists():
        manifest.write_text(reports / "index.html", html.root_index(manifests))
