"""May this attrition flow be shown? Small steps are merged with a neighbour, so that the flow still adds up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from kenpo_analytics.disclosure.checked import Checked, seal
from kenpo_analytics.disclosure.roles import eager
from kenpo_analytics.disclosure.rules import DisclosureRules
from kenpo_analytics.errors import DisclosureError

MERGED_LABEL = "(少数のため統合)"


@dataclass(frozen=True)
class _Step:
    """One step of the flow: what it is called, how many it took out, how many stay."""

    texts: dict[str, str]
    unit: str
    excluded: int | None
    remaining: int
    merged: int = 1
    hide_excluded: bool = False
    hide_remaining: bool = False

    @property
    def taken(self) -> int:
        """How many left here (0 when it could not be judged)."""
        return self.excluded or 0

    @property
    def addition(self) -> bool:
        """Is this a line below the end rather than a step?"""
        return self.texts.get("kind") in ("of_which", "reference")


def check_flow(
    flow: Any,
    *,
    label: str = "label",
    excluded: str = "excluded",
    remaining: str = "remaining",
    unit: str | None = "unit",
    rules: DisclosureRules | None = None,
) -> Checked:
    """Which steps of a flow may be shown? A step that took out 1 to 9 is merged with its neighbour and says so.

    Parameters
    ----------
    flow
        The attrition table (`Cohort.flow`), in order: one row per step, the first being the start. `excluded` is what
        the step took out (null: could not be judged, 未評価), `remaining` what stays, `unit` whether rows or people
        are counted; steps are merged within a unit if they can be, else across (then in the later unit). Rows with
        `kind` of_which or reference may follow the end. A running number `step` is left out (merging would break it);
        other text columns are kept.
    label
        The column that names the step; merged steps read "A・B(少数のため統合)".

    Where nothing is left to merge with, the step's number and the counts before it are masked; where fewer people
    remain than may be shown, so are they and the step that led to them. Additions (of_which, reference) are masked
    when they, or what they leave of the end, are too few.

    Raises
    ------
    DisclosureError
        Columns are missing, or the flow does not add up.
    """
    if isinstance(flow, Checked):
        return flow
    rules = rules or DisclosureRules()
    frame = eager(flow)
    frame = frame.drop("step") if "step" in frame.columns and frame["step"].dtype.is_integer() else frame
    texts = _validate(frame, label, excluded, remaining, unit)
    steps = [
        _Step(
            {name: str(row[name] or "") for name in texts},
            str(row[unit]) if unit else "",
            None if row[excluded] is None else int(row[excluded]),
            int(row[remaining]),
        )
        for row in frame.iter_rows(named=True)
    ]
    done: list[_Step] = []
    for stretch in _stretches([step for step in steps if not step.addition]):
        done += _hide(_merge(stretch, rules.min_cell, label), rules.min_cell)
    done += _additions([step for step in steps if step.addition], done, rules.min_cell)
    return _seal(done, frame.height, texts, excluded, remaining, unit, rules)


def _validate(frame: pl.DataFrame, label: str, excluded: str, remaining: str, unit: str | None) -> list[str]:
    needed = [label, excluded, remaining, *([unit] if unit else [])]
    if missing := [name for name in needed if name not in frame.columns]:
        raise DisclosureError(
            f"フローに必要な列がありません: {', '.join(missing)}", hint=f"列: {', '.join(frame.columns)}"
        )
    texts = [name for name in frame.columns if name not in (excluded, remaining, unit)]
    if loose := [name for name in texts if frame[name].dtype.is_numeric()]:
        raise DisclosureError(
            f"フローに扱えない数値の列があります: {', '.join(loose)}", hint="除外数と残数だけにしてください。"
        )
    if frame[remaining].null_count() or (frame[remaining] < 0).any() or (frame[excluded] < 0).any():
        raise DisclosureError("フローの残数・除外数は0以上の整数です(残数は空にできません)。")
    return texts


def _stretches(steps: list[_Step]) -> list[list[_Step]]:
    """Steps each of which follows from the one before; a new stretch only where the unit changes and numbers too."""
    found: list[list[_Step]] = []
    for step in steps:
        follows = bool(found) and found[-1][-1].remaining - step.taken == step.remaining
        if follows:
            found[-1].append(step)
        elif not found or found[-1][-1].unit != step.unit:
            found.append([step])
        else:
            raise DisclosureError(
                "フローの除外数と残数が合いません。", hint="各段で「前の残数-除外数=残数」になる表を渡してください。"
            )
    return found


def _merge(stretch: list[_Step], least: int, label: str) -> list[_Step]:
    """Join small steps with the nearest step that took somebody out, and all that lies between; of that unit if any.

    Across units too: where the numbers of a stretch run on, one of the old unit is one of the new.
    """
    start, steps = stretch[0], stretch[1:]
    while True:
        pairs = [
            (other.unit != step.unit, abs(i - j), steps[j].taken, i, j)
            for i, step in enumerate(steps)
            for j, other in enumerate(steps)
            if i != j and 1 <= step.taken < least and other.taken
        ]
        if not pairs:
            return [start, *steps]
        low, high = sorted(min(pairs)[3:])
        steps[low : high + 1] = [_joined(steps[low : high + 1], label)]


def _additions(additions: list[_Step], steps: list[_Step], least: int) -> list[_Step]:
    """Lines below the end: k of n (of_which) and what another rule would have given (reference)."""
    end = steps[-1] if steps else None
    known = [] if end is None or end.hide_remaining else [end.remaining]
    done: list[_Step] = []
    for step in additions:
        few = any(1 <= abs(step.remaining - other) < least for other in known) or 1 <= step.remaining < least
        done.append(replace(step, hide_remaining=few))
        if step.texts["kind"] == "reference" and not few:
            known.append(step.remaining)
    return done


def _joined(steps: list[_Step], label: str) -> _Step:
    def text(name: str) -> str:
        words = [step.texts[name].removesuffix(MERGED_LABEL) for step in steps]
        joined = "・".join(dict.fromkeys(word for word in words if word))
        return joined + MERGED_LABEL if name == label else joined

    return replace(
        steps[-1],
        texts={name: text(name) for name in steps[0].texts},
        excluded=sum(step.taken for step in steps),
        merged=sum(step.merged for step in steps),
    )


def _hide(stretch: list[_Step], least: int) -> list[_Step]:
    """Mask what merging could not save: a lone small step with the counts before it, and small remainders."""
    lone = {i for i, step in enumerate(stretch) if 1 <= step.taken < least}
    last = max(lone, default=0)
    hidden = []
    for i, step in enumerate(stretch):
        few = 1 <= step.remaining < least
        led_here = few and step.taken > 0
        hidden.append(replace(step, hide_remaining=few or i < last, hide_excluded=i in lone or led_here))
    return hidden


def _seal(
    steps: list[_Step],
    rows: int,
    texts: list[str],
    excluded: str,
    remaining: str,
    unit: str | None,
    rules: DisclosureRules,
) -> Checked:
    columns: dict[str, list[Any]] = {name: [step.texts[name] for step in steps] for name in texts}
    states = {name: ["shown"] * len(steps) for name in texts}
    if unit:
        columns[unit], states[unit] = [step.unit for step in steps], ["shown"] * len(steps)
    columns[excluded] = [None if step.hide_excluded else step.excluded for step in steps]
    states[excluded] = [
        "masked" if step.hide_excluded else "not_evaluated" if step.excluded is None else "shown" for step in steps
    ]
    columns[remaining] = [None if step.hide_remaining else step.remaining for step in steps]
    states[remaining] = ["masked" if step.hide_remaining else "shown" for step in steps]
    columns["merged"] = [step.merged > 1 for step in steps]
    states["merged"] = ["shown"] * len(steps)
    masked = sum(states[name].count("masked") for name in (excluded, remaining))
    schema: dict[str, Any] = dict.fromkeys(columns, pl.String)
    schema |= {excluded: pl.Int64, remaining: pl.Int64, "merged": pl.Boolean}
    log = {
        "rule": "flow",
        "rows": rows,
        "people_cells": 2 * rows,
        "masked": masked,
        "events_masked": 0,
        "rates_masked": 0,
        "merged_steps": rows - len(steps),
        "min_cell": rules.min_cell,
    }
    return seal(
        pl.DataFrame(columns, schema=schema),
        pl.DataFrame(states, schema=dict.fromkeys(columns, pl.String)),
        log=log,
        rules=rules,
    )
