"""May this cumulative curve be shown? At months between which, and beside other figures, nobody can be counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from kenpo_analytics.disclosure.checked import Checked
from kenpo_analytics.disclosure.finish import finish
from kenpo_analytics.disclosure.nested import too_close
from kenpo_analytics.disclosure.roles import Roles, eager, validate
from kenpo_analytics.disclosure.rules import DisclosureRules
from kenpo_analytics.disclosure.suppress import PRIMARY, SHOWN
from kenpo_analytics.errors import DisclosureError


def check_curve(
    curve: Any,
    *,
    at: str = "month",
    events: str = "events",
    estimates: Sequence[str] = ("estimate", "lower", "upper"),
    plain: Sequence[str] = ("level",),
    beside: Iterable[int | None] = (),
    rules: DisclosureRules | None = None,
) -> Checked:
    """At which months may a cumulative estimate be shown? Where what was added since any shown one is 0 or enough.

    A cumulative estimate is a sum: a small step that is masked alone comes back as the difference of its neighbours.

    Parameters
    ----------
    curve
        One curve: a row per month in order (`at`), `events` people in that month, `estimates` up to it.
    beside
        People counts the reader sees beside the curve (everybody, the events of the KPI windows; null: masked there).
        A month is masked when its cumulative count is within 1 to 9 of one of them. The last month is served first.

    `events` is shown where the month and the one before are. All other columns must be `plain` or texts.

    Raises
    ------
    DisclosureError
        Months out of order or repeated, numbers without a role.
    """
    if isinstance(curve, Checked):
        return curve
    rules = rules or DisclosureRules()
    frame = eager(curve)
    roles = Roles((events,), {}, dict.fromkeys(estimates, (events,)), [], {}, (at,), tuple(plain), {}, None)
    validate(frame, roles)
    months = frame[at].to_list()
    if months != sorted(set(months)) or frame[events].null_count():
        raise DisclosureError(
            "累積の曲線は、月の順に1行ずつ、人数の欠けのない表で渡してください。", hint="群ごとに分けてください。"
        )
    total = list(accumulate(frame[events].to_list()))
    known = {0, *(value for value in beside if value is not None)}
    hidden = [PRIMARY] * frame.height
    for row in [frame.height - 1, *range(frame.height - 1)] if frame.height else []:
        if not too_close(total[row], known, rules.min_cell):
            hidden[row] = SHOWN
            known.add(total[row])
    step = [max(pair) for pair in zip([SHOWN, *hidden[:-1]], hidden, strict=True)] if hidden else []
    mask = {events: step} | dict.fromkeys(estimates, hidden)
    return finish(frame, roles, mask, rules, blurred=False)
