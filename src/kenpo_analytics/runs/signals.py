"""Was the run told to stop? Signals become an exception at a moment when stopping is safe."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupted(BaseException):
    """A signal asked the run to stop. Not an `Exception`: no library on the way may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class Guard:
    """While `held`, a signal waits: a publication of a few milliseconds is finished first."""

    def __init__(self) -> None:
        self.held = False

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Stop once; a second signal must not disturb the cleaning up."""
        if self.held:
            return
        self.held = True
        raise Interrupted(number)


@contextmanager
def stoppable() -> Iterator[Guard]:
    """Turn SIGINT, SIGTERM and SIGHUP into `Interrupted` inside; only the main thread can."""
    guard = Guard()
    if threading.current_thread() is not threading.main_thread():
        yield guard
        return
    known = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    asked = [number for number in known if signal.getsignal(number) != signal.SIG_IGN]  # nohup means it
    before = {number: signal.signal(number, guard.handle) for number in asked}
    try:
        yield guard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
