"""Can the reports use what lies beside the tables? kpi_published.csv, weights, targets, events, 解析計画 and 割付.

Each is read by the room that uses it, before anything starts: a fault is not first met inside a notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kenpo_analytics.errors import DateError, DefinitionError, KenpoError, ParameterError, RunError

if TYPE_CHECKING:
    from kenpo_analytics.definitions import Definitions
    from kenpo_analytics.runs.plan import Task
    from kenpo_analytics.store import Tables

DATA_INVALID = 65


def look(folder: Path, *, sound: bool) -> tuple[list[str], list[str]]:
    """What does `kenpo check` say of the files beside the tables and of kenpo.toml? Lines to tell, and errors.

    `sound`: the tables have no errors, so that the years of the plan can be held against them.
    """
    told: list[str] = []
    probes: list[Callable[[], Any]] = [lambda: told.extend(_published(folder)), _settings, _targets, _events]
    probes.append(lambda: _run(folder, sound))
    probes.append((lambda: _planned(_loaded(folder), {"protocol": ""})) if sound else (lambda: _declared(folder, "")))
    errors = []
    for probe in probes:
        try:
            probe()
        except KenpoError as error:
            errors.append(str(error).replace("\nヒント: ", "。ヒント: ").replace("。。", "。"))
    return told, list(dict.fromkeys(errors))


def check(tables: Tables, tasks: Sequence[Task]) -> None:
    """May these notebooks begin? Their protocol and assignment, the provider file and the weights can be used.

    Raises
    ------
    DefinitionError, ParameterError
        Weights of kenpo.toml that do not add up; a target or event that cannot be; a file named by a parameter that
        is not there.
    RunError
        Exit code 65: a file of the data folder that cannot be used.
    """
    _weights(tables.definitions)
    _targets()
    _events()
    try:
        _published(tables.folder)
        for values in (task.parameters for task in tasks):
            _planned(tables, values)
            if name := values.get("assignment"):
                from kenpo_analytics.evaluation.choices import find_draws

                _must_be_there(tables.folder, "assignment", str(name))
                find_draws(tables.folder, str(name), programme=_letters(values))
    except (ParameterError, DateError, RunError):
        raise
    except KenpoError as error:
        raise RunError(error.message, exit_code=DATA_INVALID, hint=error.hint) from error


def _letters(values: Mapping[str, Any]) -> str:
    """Of which programme are the letters? 06 can be asked about another than the usual one."""
    from kenpo_analytics.evaluation.letters import LEAFLET

    return str(values.get("programme", LEAFLET))


def _published(folder: Path) -> list[str]:
    from kenpo_analytics.kpi.provider import describe

    return describe(folder)


def _settings() -> None:
    from kenpo_analytics.definitions.kenpo_toml import branch_definitions

    _weights(branch_definitions())


def _run(folder: Path, sound: bool) -> None:
    """What does [run] of kenpo.toml say of the branch and the notebooks? Read as `kenpo run` reads it."""
    from kenpo_analytics.definitions.branch_codes import branch_code
    from kenpo_analytics.definitions.kenpo_toml import CONFIG, settings
    from kenpo_analytics.runs.places import check_known, settle
    from kenpo_analytics.runs.plan import suite

    places = settle(None, folder, None)
    try:
        if places.branch is not None:
            branch_code(places.branch)
        if "notebooks" in settings(places.root / CONFIG)["run"]:
            suite(places.notebooks)
        if places.branch is not None and sound:
            check_known(_loaded(folder), places.branch)
    except KenpoError as error:
        raise ParameterError(f"{CONFIG} の [run]: {error.message}", hint=error.hint) from error


def _targets() -> None:
    """The targets (targets.csv) are judged as they are read."""
    from kenpo_analytics.definitions.kpi import targets

    targets()


def _events() -> None:
    from kenpo_analytics.definitions.calendar import events

    events()


def _weights(used: Definitions) -> None:
    """The weights of every year from which new ones hold."""
    from kenpo_analytics.kpi.weights import FAMILY, incentive_rules

    for year in sorted({row.valid_from // 100 for row in used.family(FAMILY) if row.valid_from}):
        try:
            incentive_rules(year, definitions=used)
        except DefinitionError as error:
            raise DefinitionError(f"kenpo.toml の [definitions]: {error.message}", hint=error.hint) from error


def _loaded(folder: Path) -> Tables:
    from kenpo_analytics.store import load

    return load(folder)


def _declared(folder: Path, name: str) -> Any:
    from kenpo_analytics.evaluation.choices import find_protocol

    if name:
        _must_be_there(folder, "protocol", name)
    return find_protocol(folder, name)


def _planned(tables: Tables, values: Mapping[str, Any]) -> None:
    """Can the years of the plan (解析計画), or those of the parameters, be evaluated with what is there?"""
    from kenpo_analytics.evaluation.choices import choose, letter_years
    from kenpo_analytics.outcomes.checkup_lag import mature_checkup_month

    plan = _declared(tables.folder, str(values["protocol"])) if "protocol" in values else None
    if tables.mailings is None or (plan is None and "programme_years" not in values):
        return
    used, letters = tables.definitions, _letters(values)
    mailed = letter_years(tables.mailings, tables.checkups, programme=letters)
    known = mature_checkup_month(tables.checkups, definitions=used, through=tables.month)
    choose(
        mailed,
        last=known.latest_year(after=int(used.number("next_checkup.max_months"))),
        before=_before(tables, values, mailed) or (plan.before if plan else ()),
        years=values.get("programme_years", ()),
        rule=str(values.get("rule", "")),
        protocol=plan,
        letters=letters,
        definitions=used,
    )


def _before(tables: Tables, values: Mapping[str, Any], mailed: Any) -> tuple[int, ...]:
    """The years before the letters that a notebook asks for: one (02) or several (06)."""
    from kenpo_analytics.evaluation.choices import years_before

    one = [values["reference_year"]] if "reference_year" in values else []
    return years_before(values.get("before_years", one), tables.checkups, mailed)


def _must_be_there(folder: Path, parameter: str, name: str) -> None:
    if not (folder / name).exists():
        raise ParameterError(
            f"パラメータ {parameter} に指定された {name} が、データのフォルダにありません。",
            hint=f"データのフォルダ({folder})から見た場所で指定してください。",
        )
