"""Does a signal stop the run once, at a safe moment, and not where the caller had ignored it?"""

from __future__ import annotations

import os
import signal
import threading

import pytest

from kenpo_analytics.runs.signals import Interrupted, stoppable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX のシグナルが要ります")


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_becomes_an_interruption(name, code):
    before = signal.getsignal(getattr(signal, name))
    with pytest.raises(Interrupted) as caught, stoppable():
        signal.raise_signal(getattr(signal, name))
    assert caught.value.exit_code == code
    assert signal.getsignal(getattr(signal, name)) == before


def test_a_second_signal_does_not_disturb_the_cleaning_up():
    cleaned = []
    with pytest.raises(Interrupted), stoppable():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            cleaned.append(True)
    assert cleaned == [True]


def test_a_publication_is_finished_first():
    with stoppable() as guard:
        guard.held = True
        signal.raise_signal(signal.SIGTERM)


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_nothing_is_touched():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def inside():
        with stoppable():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [before]
