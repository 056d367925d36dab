"""Did each notebook run to its end? Kernels in parallel, each with a deadline for the whole notebook.

Success is what papermill's exception says, never the notebook's metadata: after a dead kernel papermill marks every
cell `completed`.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from kenpo_analytics import errors
from kenpo_analytics.disclosure.stamp import ATTACHMENTS
from kenpo_analytics.runs.kernels import KERNEL, Kernel, bound
from kenpo_analytics.runs.plan import Task, injected

Status = Literal["ok", "cell_error", "kernel_died", "timeout", "start_failed", "write_failed", "failed", "refused"]
START_SECONDS = 120
_NOWHERE = logging.NullHandler()


@dataclass(frozen=True)
class Outcome:
    """How one notebook ended."""

    task: Task
    path: Path
    status: Status
    seconds: float
    message: str = ""
    error: BaseException | None = None
    hint: str | None = None


@dataclass(frozen=True)
class Event:
    """What a progress display is told: a notebook started, executed one more cell, or ended."""

    kind: Literal["start", "cell", "end"]
    task: Task
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Setting:
    """Where and how the notebooks of one run execute."""

    output: Path
    home: Path
    folder: Path
    environment: Mapping[str, str]
    jobs: int = 2
    deadline: float = 900.0
    kernels: list[Kernel] = field(default_factory=list)


def execute(tasks: Sequence[Task], setting: Setting, notify: Callable[[Event], None]) -> list[Outcome]:
    """Run every notebook, `jobs` at a time; a failed one does not stop the others.

    An exception in the calling thread (a signal) kills the kernels, waits for the threads and is raised again.
    """
    import papermill  # noqa: F401 - imported once here: threads importing it at the same time wait for each other

    for name in (
        "papermill",
        "traitlets",
    ):  # what they log to nobody ends on stderr ("Kernel died"); we tell it ourselves
        logging.getLogger(name).addHandler(_NOWHERE)
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
    stop = threading.Event()
    for task in tasks:
        waiting.put(task)
    workers = [
        threading.Thread(target=_work, args=(waiting, events, stop, setting), daemon=True)
        for _ in range(min(setting.jobs, len(tasks)))
    ]
    outcomes: dict[str, Outcome] = {}
    try:
        for worker in workers:
            worker.start()
        while len(outcomes) < len(tasks):
            event = _next(events)
            if isinstance(event, BaseException):
                raise event
            notify(event)
            if event.outcome is not None:
                outcomes[event.task.name] = event.outcome
    except BaseException:
        stop.set()
        _end(setting.kernels, workers)
        raise
    return [outcomes[task.name] for task in tasks]


def attachments_of(path: Path) -> Path:
    """The folder into which an executed notebook may have put files beside its page."""
    return path.with_suffix("")


def _next(events: queue.SimpleQueue[Event | BaseException]) -> Event | BaseException:
    while True:
        try:
            return events.get(timeout=0.5)  # a wait without end would not see a signal on Windows
        except queue.Empty:
            continue


def _end(kernels: Sequence[Kernel], workers: Sequence[threading.Thread]) -> None:
    until = time.monotonic() + 10
    while any(worker.is_alive() for worker in workers) and time.monotonic() < until:
        for kernel in list(kernels):  # again and again: one may just have been starting
            kernel.kill()
        time.sleep(0.1)


def _work(
    waiting: queue.SimpleQueue[Task],
    events: queue.SimpleQueue[Event | BaseException],
    stop: threading.Event,
    setting: Setting,
) -> None:
    try:
        while not stop.is_set():
            try:
                task = waiting.get_nowait()
            except queue.Empty:
                return
            events.put(Event("start", task))
            outcome = _run(task, setting, stop, partial(events.put, Event("cell", task)))
            events.put(Event("end", task, outcome))
    except BaseException as error:  # a worker that vanishes would leave the run waiting for ever
        events.put(error)


def _run(task: Task, setting: Setting, stop: threading.Event, cell: Callable[[], None]) -> Outcome:
    begin = time.monotonic()
    outcome = _attempt(task, setting, cell, begin)
    if outcome.status == "start_failed" and not stop.is_set():  # one retry: a busy machine, a lost race
        outcome = _attempt(task, setting, cell, begin)
    return outcome


def _attempt(task: Task, setting: Setting, cell: Callable[[], None], begin: float) -> Outcome:
    import papermill
    from papermill.exceptions import PapermillExecutionError

    ready = threading.Event()
    late = threading.Event()
    own: list[Kernel] = []
    live: list[Any] = []

    def overdue() -> None:
        late.set()
        for kernel in own:
            kernel.kill()

    def opened(notebook: Any) -> None:
        ready.set()
        live.append(notebook)

    def executed(**_: Any) -> None:
        cell()

    path = setting.output / task.path.name
    environment = {**setting.environment, ATTACHMENTS: str(attachments_of(path))}

    class Registered(bound(setting.home, environment, setting.folder, own)):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            setting.kernels.append(self)

    watch = threading.Timer(setting.deadline, overdue)
    watch.daemon = True
    watch.start()
    error: BaseException | None = None
    try:
        papermill.execute_notebook(
            str(task.path),
            str(path),
            parameters=dict(task.given),
            kernel_name=KERNEL,
            language="python",
            progress_bar=False,
            request_save_on_cell_execute=False,
            autosave_cell_every=0,
            start_timeout=min(START_SECONDS, setting.deadline),
            kernel_manager_class=Registered,
            shutdown_kernel="immediate",
            on_notebook_start=opened,
            on_cell_executed=executed,
        )
    except Exception as caught:
        error = caught
    finally:
        watch.cancel()
    if error is not None and live and not path.exists():
        _keep(live[-1], path)
    seconds = round(time.monotonic() - begin, 2)
    if isinstance(error, PapermillExecutionError) and not late.is_set():
        return Outcome(task, path, "cell_error", seconds, *_told(error, live[-1] if live else None))
    status, message = _judge(error, ready=ready.is_set(), late=late.is_set(), deadline=setting.deadline)
    return Outcome(task, path, status, seconds, message, error)


def _keep(notebook: Any, path: Path) -> None:
    """After a dead kernel papermill writes nothing; what had been executed is worth reading."""
    import nbformat

    with contextlib.suppress(Exception):
        nbformat.write(notebook, path)


def _told(error: Any, notebook: Any) -> tuple[str, BaseException, str | None]:
    """Which cell failed with what? Message, error, and the hint where the error is one of ours."""
    first, *rest = str(error.evalue).splitlines() or [""]  # the rest is in the kept notebook
    ours = getattr(errors, str(error.ename), None)
    hint = None
    if isinstance(ours, type) and issubclass(ours, errors.KenpoError):
        hint = next((line.removeprefix("ヒント: ") for line in rest if line.startswith("ヒント: ")), None)
    else:
        first = f"{error.ename}: {first}"
    cells = [] if notebook is None else [c for c in notebook.cells if c.cell_type == "code" and not injected(c)]
    number = next((i for i, c in enumerate(cells, 1) if c.get("execution_count") == error.exec_count), None)
    where = "セル" if number is None or error.exec_count is None else f"{number} 番目のコードセル"
    return f"{where}で {first}", error, hint


def _judge(error: BaseException | None, *, ready: bool, late: bool, deadline: float) -> tuple[Status, str]:
    from nbclient.exceptions import DeadKernelError

    if late:
        return "timeout", f"{deadline:g} 秒の制限時間を超えたため中止しました"
    if error is None:
        return "ok", ""
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return "write_failed", f"ノートブックを書き込めませんでした({error.strerror or error})"
    if not ready:
        return "start_failed", f"Python(カーネル)を起動できませんでした({error})"
    if isinstance(error, DeadKernelError):
        return "kernel_died", "Python(カーネル)が途中で終了しました。メモリ不足のことがあります"
    return "failed", f"{type(error).__name__}: {error}"
