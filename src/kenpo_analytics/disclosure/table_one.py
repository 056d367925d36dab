"""May table 1 be shown? Levels, the people with a value, the missing and everybody, tied together as they add up."""

from __future__ import annotations

from typing import Any

import polars as pl

from kenpo_analytics.disclosure.checked import Checked
from kenpo_analytics.disclosure.finish import finish
from kenpo_analytics.disclosure.roles import Roles, eager, validate
from kenpo_analytics.disclosure.rules import DisclosureRules
from kenpo_analytics.disclosure.suppress import PRIMARY, SHOWN, Cells, Sum, suppress
from kenpo_analytics.errors import DisclosureError

_KEYS = ("variable", "level")
_MISSING, _MEAN = "missing", "mean"
_COUNTS, _RATES = ("n", "known"), ("share", "mean", "sd")


def check_table_one(table: Any, *, rules: DisclosureRules | None = None) -> Checked:
    """Which numbers of `table_one` may be shown? Few missing people come back from no level, share or mean.

    Parameters
    ----------
    table
        The result of `table_one`: rows by variable and level (`persons`/`all` first, `missing` last of each variable),
        for each group `n_<g>`, `share_<g>`, `mean_<g>`, `sd_<g>`, `known_<g>` (without groups no suffix), and `smd`.

    Within a variable the levels add up to the people with a value (`known`), and these with the missing to everybody,
    who are taken as known to the reader. A share is hidden where its number or its denominator is: number and share
    give the denominator back, and that the missing. So are mean and sd (times the people they give a whole sum), and
    `smd` where anything else of its variable is.

    Raises
    ------
    DisclosureError
        No table 1, or numbers that do not add up, or a group of 1 to 9 people.
    """
    if isinstance(table, Checked):
        return table
    rules = rules or DisclosureRules()
    frame = eager(table)
    groups = _groups(frame)
    counts = tuple(f"{name}{group}" for group in groups for name in _COUNTS)
    blank = [f"{name}{group}" for group in groups for name in _RATES]
    roles = Roles(
        counts,
        {},
        {f"{name}{group}": (f"n{group}", f"known{group}") for group in groups for name in _RATES} | {"smd": counts},
        [],
        {},
        _KEYS,
        (),
        dict.fromkeys([*blank, "smd"], "not_applicable"),
        None,
    )
    validate(frame, roles)
    cells = Cells()
    sums = [item for group in groups for item in _group_sums(cells, frame, roles, group, rules.min_cell)]
    blurred = suppress(cells, sums)
    mask = {name: [cells.mask[roles.grid[row, name]] for row in range(frame.height)] for name in counts}
    if blurred:
        mask = {name: [min(state, PRIMARY) for state in states] for name, states in mask.items()}
    return finish(frame, roles, mask | _rates(frame, groups, mask), rules, blurred=blurred)


def _groups(frame: pl.DataFrame) -> list[str]:
    """What the columns of each group end in."""
    groups = [name.removeprefix("known") for name in frame.columns if name == "known" or name.startswith("known_")]
    wanted = {*_KEYS, "smd", *(f"{name}{group}" for group in groups for name in (*_COUNTS, *_RATES))}
    if not groups or wanted != set(frame.columns):
        odd = sorted(wanted ^ set(frame.columns))
        raise DisclosureError(
            f"表1の列ではありません: {', '.join(odd) or 'known'}", hint="table_oneの結果をそのまま渡してください。"
        )
    return groups


def _variables(frame: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Variable -> level -> row."""
    found: dict[str, dict[str, int]] = {}
    for row, (variable, level) in enumerate(frame.select(_KEYS).rows()):
        found.setdefault(variable, {})[level] = row
    everybody = found.get("persons", {})
    if len(everybody) != 1 or any(_MISSING not in levels for name, levels in found.items() if name != "persons"):
        raise DisclosureError(
            "表1に全員の行または欠測の行がありません。", hint="table_oneの結果をそのまま渡してください。"
        )
    return found


def _group_sums(cells: Cells, frame: pl.DataFrame, roles: Roles, group: str, floor: float) -> list[Sum]:
    """The cells of one group: one for each number, also where the table repeats it; and how they add up."""
    n, known = f"n{group}", f"known{group}"
    variables = _variables(frame)
    (first,) = variables["persons"].values()
    everybody = cells.add(float(frame[n][first]), floor, ("", group), fixed=frame[n][first] >= floor)
    roles.grid[first, n] = roles.grid[first, known] = everybody
    sums = []
    for variable, levels in variables.items():
        if variable == "persons":
            continue
        missing = levels[_MISSING]
        complete = not frame[n][missing]  # then everybody has a value: one number
        with_value = everybody if complete else cells.add(float(frame[known][missing]), floor, (variable, group, known))
        for level, row in levels.items():
            roles.grid[row, known] = with_value
            same = level == _MEAN
            roles.grid[row, n] = (
                with_value if same else cells.add(float(frame[n][row]), floor, (variable, group, level))
            )
        if not complete:
            sums.append(Sum(everybody, (with_value, roles.grid[missing, n])))
        if parts := tuple(roles.grid[row, n] for level, row in levels.items() if level not in (_MISSING, _MEAN)):
            sums.append(Sum(with_value, parts))
            if not complete:
                sums.append(Sum(everybody, (*parts, roles.grid[missing, n])))
    for item in sums:
        if cells.values[item.total] != sum(cells.values[part] for part in item.parts):
            raise DisclosureError("表1の人数が合いません。", hint="table_oneの結果をそのまま渡してください。")
    return sums


def _rates(frame: pl.DataFrame, groups: list[str], mask: dict[str, list[int]]) -> dict[str, list[int]]:
    """Shares, means and sds behind their number and their denominator; smd behind all of its variable."""
    hidden: dict[str, list[int]] = {}
    everybody = frame["variable"].to_list().index("persons")
    for group in groups:
        n, known = mask[f"n{group}"], mask[f"known{group}"]
        of = [n[everybody] if level == _MISSING else known[row] for row, level in enumerate(frame["level"])]
        behind = [max(pair) for pair in zip(n, of, strict=True)]
        hidden |= {f"{name}{group}": behind for name in _RATES}
    worst: dict[str, int] = {}
    for row, variable in enumerate(frame["variable"]):
        worst[variable] = max(worst.get(variable, SHOWN), *(states[row] for states in mask.values()))
    return hidden | {"smd": [worst[variable] for variable in frame["variable"]]}
