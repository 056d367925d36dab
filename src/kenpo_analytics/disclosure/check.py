"""May this table leave the building? Masking of people counts that survives totals, complements and rates."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from kenpo_analytics.disclosure.checked import Checked
from kenpo_analytics.disclosure.finish import finish
from kenpo_analytics.disclosure.nested import nested_sums
from kenpo_analytics.disclosure.roles import Columns, Roles, all_rates, eager, implied_parts, names_in, validate
from kenpo_analytics.disclosure.rules import DisclosureRules
from kenpo_analytics.disclosure.suppress import PRIMARY, SECONDARY, Cells, Sum, suppress
from kenpo_analytics.errors import DisclosureError


def check(
    table: Any,
    *,
    counts: Columns = (),
    events: Mapping[str, str | Columns] | None = None,
    rates: Mapping[str, str | Columns] | Literal["all"] | None = None,
    splits: Mapping[str, Columns] | None = None,
    within: Mapping[str, str] | None = None,
    totals: Mapping[str, str | None] | None = None,
    by: Columns | None = None,
    plain: Columns = (),
    reasons: Mapping[str, str] | None = None,
    municipality: str | None = None,
    nested: Mapping[str, Mapping[str, Any]] | None = None,
    labels: Columns = (),
    hidden: Mapping[str, Sequence[bool]] | None = None,
    rules: DisclosureRules | None = None,
) -> Checked:
    """Which cells of this table may be shown? Every numeric column must be given a role.

    Parameters
    ----------
    table
        A small eager polars or pandas frame. A `Checked` comes back as it is.
    counts
        Columns that count people.
    events
        Columns that count events (visits), with the people column behind them: `{"events": "persons"}`. They are
        hidden where those people are, and where an event total would give them back.
    rates
        Rates, means, intervals, ranks, with the count columns they could give back: `{"estimate": ("persons",
        "denominator")}`. Hidden when one of these is. Two people columns also mean that the first is part of the
        second, so that a small `n - k` is protected. "all": every numeric column without another role, behind it all
        counts and events of the table; refused with more than two counts.
    splits
        Columns of a row that add up (or nearly): `{"n": ("improved", "unchanged", "worsened")}`; what is left over is
        protected too.
    within
        `{"k": "n"}`: k people out of n, in the same row.
    totals
        How rows add up: the key column and the label of its total row, `{"sex": "計", "age_band": "計"}` (margins of a
        two-way table). None as label: the total is not a row here but known to the reader from elsewhere.
    by
        All key columns of the table (default: those of `totals`). They must identify the rows.
    plain
        Numeric columns that say nothing about single people (years, limits, standardised differences).
    reasons
        Value column -> a column of this table that says why a null is null (a state other than shown or masked), or
        one such state. Nulls are `missing` otherwise. Reason columns are not shown.
    municipality
        The column with five-digit municipality codes; turns on the population-dependent threshold.
    nested
        Count columns whose rows hold overlapping groups (windows 0-9 and 0-10 of the same people), with the labels of
        the row that matters most: `{"events": {"window": "0-10"}}`. Among rows that differ only in these keys, one
        whose count is within 1 to 9 of another shown count is masked; the main row stays.
    labels
        Text columns that look like numbers but are headings or codes. Other texts that say a number are refused.
    hidden
        Count column -> for each row, is it masked whatever its size? Where it stands beside this table, too, and a
        smaller group would come out of both.

    Raises
    ------
    DisclosureError
        A column without a role or with two, counts that are no counts, totals that do not add up or are not declared,
        keys that are not unique, a pandas index that holds keys, or a table that cannot be protected.
    """
    if isinstance(table, Checked):
        return table
    rules = rules or DisclosureRules()
    roles = Roles(
        tuple(counts),
        {name: names_in(people) for name, people in (events or {}).items()},
        {} if rates == "all" else {name: names_in(behind) for name, behind in (rates or {}).items()},
        [(whole, tuple(parts)) for whole, parts in (splits or {}).items()]
        + [(whole, (part,)) for part, whole in (within or {}).items()],
        dict(totals or {}),
        tuple(by if by is not None else (totals or {})),
        tuple(plain),
        dict(reasons or {}),
        municipality,
        tuple(labels),
        {name: dict(keys) for name, keys in (nested or {}).items()},
    )
    frame = eager(table)
    if rates == "all":
        roles.rates = all_rates(frame, roles)
    validate(frame, roles)
    roles.splits += implied_parts(frame, roles)
    floors = _floors(frame, roles, rules)
    mask, blurred = _mask_people(frame, roles, floors, hidden or {})
    _mask_events(frame, roles, floors, mask)
    for rate, behind in roles.rates.items():
        mask[rate] = [max(states) for states in zip(*(mask[name] for name in behind), strict=True)]
    return finish(frame, roles, mask, rules, blurred=blurred)


def check_public(
    table: Any, *, source: str, reasons: Mapping[str, str] | None = None, rules: DisclosureRules | None = None
) -> Checked:
    """May official published figures be shown? Yes, as they are, with their source.

    `source` names the publication; it is printed under every table and figure made from the result.
    """
    if not source.strip():
        raise DisclosureError(
            "公表値には出典が必要です。", hint='source="NDBオープンデータ 第10回" のように書いてください。'
        )
    frame = eager(table)
    roles = Roles((), {}, {}, [], {}, (), tuple(frame.columns), dict(reasons or {}), None)
    return finish(frame, roles, {}, rules or DisclosureRules(), blurred=False, public=True, source=source)


def _floors(frame: pl.DataFrame, roles: Roles, rules: DisclosureRules) -> list[float]:
    if roles.municipality is None:
        return [rules.min_cell] * frame.height
    return [rules.floor(None if code is None else str(code)) for code in frame[roles.municipality]]


def _mask_people(
    frame: pl.DataFrame, roles: Roles, floors: list[float], hidden: Mapping[str, Sequence[bool]]
) -> tuple[dict[str, list[int]], bool]:
    cells = Cells()
    _add_cells(cells, frame, roles, roles.counts, floors)
    for name, flags in hidden.items():
        for cell in (roles.grid[row, name] for row, flag in enumerate(flags) if flag):
            cells.mask[cell] = cells.mask[cell] or SECONDARY
    sums = _row_sums(cells, frame, roles, floors)
    for name in roles.counts:
        sums += _column_sums(cells, frame, roles, name, min(floors, default=0))
    for name, main in roles.nested.items():
        sums += nested_sums(cells, frame, roles, name, main)
    blurred = suppress(cells, sums)
    mask = {name: [cells.mask[roles.grid[row, name]] for row in range(frame.height)] for name in roles.counts}
    if blurred:
        mask = {name: [min(state, PRIMARY) for state in states] for name, states in mask.items()}
    return mask, blurred


def _mask_events(frame: pl.DataFrame, roles: Roles, floors: list[float], mask: dict[str, list[int]]) -> None:
    for name, behind in roles.events.items():
        cells = Cells(people=False)
        hidden = [any(mask[person][row] for person in behind) for row in range(frame.height)]
        _add_cells(cells, frame, roles, (name,), floors, hidden)
        suppress(cells, _column_sums(cells, frame, roles, name, 0))
        mask[name] = [cells.mask[roles.grid[row, name]] for row in range(frame.height)]


def _add_cells(
    cells: Cells,
    frame: pl.DataFrame,
    roles: Roles,
    columns: Columns,
    floors: list[float],
    hidden: list[bool] | None = None,
) -> None:
    keys = [tuple(str(value) for value in key) for key in frame.select(roles.by).rows()] if roles.by else []
    for name in columns:
        for row, value in enumerate(frame[name].fill_null(0).to_list()):
            order = (*(keys[row] if keys else ()), name)
            masked = bool(hidden and hidden[row] and frame[name][row] is not None)
            roles.grid[row, name] = cells.add(float(value), floors[row], order, masked=masked)


def _row_sums(cells: Cells, frame: pl.DataFrame, roles: Roles, floors: list[float]) -> list[Sum]:
    """Parts of a whole within a row; what is left over becomes a cell that is never shown but must not come out."""
    sums = []
    for (whole, parts), row in itertools.product(roles.splits, range(frame.height)):
        names = (whole, *parts)
        if any(frame[name][row] is None for name in names):
            continue
        left = float(frame[whole][row]) - float(sum(frame[name][row] for name in parts))
        if left < 0:
            raise DisclosureError(
                f"{'・'.join(parts)}の合計が{whole}を超える行があります。", hint="内訳と全体の列を確かめてください。"
            )
        rest = cells.add(left, floors[row], ("", whole, *parts), rest=True)
        sums.append(Sum(roles.grid[row, whole], (*(roles.grid[row, name] for name in parts), rest)))
    return sums


def _column_sums(cells: Cells, frame: pl.DataFrame, roles: Roles, name: str, floor: float) -> list[Sum]:
    """Rows that add up to a total row, along each key column, within the same values of the others."""
    sums: list[Sum] = []
    for key, label in roles.totals.items():
        before = len(sums)
        others = [other for other in roles.by if other != key]
        groups: dict[tuple[Any, ...], list[int]] = {}
        for row, values in enumerate(frame.select(others).rows() if others else [()] * frame.height):
            groups.setdefault(values, []).append(row)
        for rows in groups.values():
            parts = tuple(row for row in rows if label is None or frame[key][row] != label)
            total = [row for row in rows if row not in parts]
            if not parts or (label is not None and not total):
                continue
            members = tuple(roles.grid[row, name] for row in parts)
            value = sum(cells.values[cell] for cell in members)
            if total:
                _must_add_up(frame[name], parts, total[0], value, name)
            shown = roles.grid[total[0], name] if total else cells.add(value, floor, ("", name), fixed=True)
            sums.append(Sum(shown, members))
        if len(sums) == before and any(frame[key][row] != label for row in range(frame.height)):
            raise DisclosureError(
                f"{key}の合計の行「{label}」に、対応する内訳の行がありません。",
                hint="合計の行でも内訳の行でも値が同じ列だけを、ほかのbyに残してください(名称の列はbyに入れない)。",
            )
    return sums


def _must_add_up(column: pl.Series, parts: tuple[int, ...], total: int, value: float, name: str) -> None:
    if column[total] is None or any(column[row] is None for row in parts):
        return
    if float(column[total]) != value:
        raise DisclosureError(
            f"{name}の合計の行が内訳の和と一致しません。", hint="totalsの見出しと、行の抜け・重なりを確かめてください。"
        )
