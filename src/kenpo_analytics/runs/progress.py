"""What is happening now? A progress bar in a terminal, plain lines with the time in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kenpo_analytics.runs.execute import Event
from kenpo_analytics.runs.plan import Task, read_notebook, source

ENDED = {
    "ok": "完了",
    "cell_error": "失敗(セルのエラー)",
    "kernel_died": "失敗(カーネルの停止)",
    "timeout": "失敗(時間切れ)",
    "start_failed": "失敗(起動できない)",
    "write_failed": "失敗(書き込み)",
    "refused": "失敗(検証で拒否)",
    "failed": "失敗",
}


class Progress:
    """Tells a person or a log file how far the run is. Every line also goes to the run's own log."""

    def __init__(self, log: Path | None = None, *, terminal: bool | None = None) -> None:
        self.log = log
        self.terminal = sys.stderr.isatty() if terminal is None else terminal
        self._bar: Any = None
        self._job: Any = None

    def begin(self, tasks: Sequence[Task]) -> None:
        """Start counting the cells of these notebooks."""
        if not self.terminal:
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Bar(*columns, console=Console(stderr=True))
        self._job = self._bar.add_task("実行中", total=sum(map(_cells, tasks)))
        self._bar.start()

    def say(self, text: str) -> None:
        """One line, with the time of day."""
        line = f"{time.strftime('%H:%M:%S')} {text}"
        self.log_only(line + "\n")
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def log_only(self, text: str) -> None:
        """Into the run's log, not onto the screen."""
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as handle:
                handle.write(text)

    def event(self, event: Event) -> None:
        """One step of a notebook."""
        if event.kind == "cell" and self._bar is not None:
            self._bar.advance(self._job)
        elif event.kind == "start":
            self.say(f"{event.task.name} 開始")
        elif event.outcome is not None:
            self.say(f"{event.task.name} {ENDED[event.outcome.status]} {event.outcome.seconds:.1f} 秒")

    def end(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _cells(task: Task) -> int:
    """How many cells will execute, the injected one included."""
    cells = read_notebook(task.path)["cells"]
    return sum(c["cell_type"] == "code" and bool(source(c).strip()) for c in cells) + bool(task.given)
