"""Can the reports use what lies beside the tables? kpi_published.csv, the branch's weights, 解析計画 and 割付.

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
    probes: list[Callable[[], Any]] = [lambda: told.extend(_published(folder)), _settings]
    probes.append((lambda: _planned(_loaded(folder))) if sound else (lambda: _declared(folder, "")))
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
        Weights of kenpo.toml that do not add up; a file named by a parameter that is not there.
    RunError
        Exit code 65: a file of the data folder that cannot be used.
    """
    _weights(tables.definitions)
    try:
        _published(tables.folder)
        for values in (task.parameters for task in tasks):
            if "protocol" in values:
                _planned(tables, values)
            if name := values.get("assignment"):
                from kenpo_analytics.evaluation.suite import find_draws

                _must_be_there(tables.folder, "assignment", str(name))
                find_draws(tables.folder, str(name), **_programme(values))
    except (ParameterError, DateError, RunError):
        raise
    except KenpoError as error:
        raise RunError(error.message, exit_code=DATA_INVALID, hint=error.hint) from error


def _programme(values: Mapping[str, Any]) -> dict[str, str]:
    """The programme of a notebook that can be asked about another than the usual one."""
    return {"programme": str(values["programme"])} if "programme" in values else {}


def _published(folder: Path) -> list[str]:
    from kenpo_analytics.kpi.provider import describe

    return describe(folder)


def _settings() -> None:
    from kenpo_analytics.definitions.kenpo_toml import branch_definitions

    _weights(branch_definitions())


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
    from kenpo_analytics.evaluation.suite import find_protocol

    if name:
        _must_be_there(folder, "protocol", name)
    return find_protocol(folder, name)


def _planned(tables: Tables, values: Mapping[str, Any] | None = None) -> None:
    """Is there a plan (解析計画), and can its years be evaluated with the letters and checkups that are there?"""
    from kenpo_analytics.evaluation import suite
    from kenpo_analytics.outcomes.checkup_lag import mature_checkup_month

    values, used = values or {}, tables.definitions
    plan = _declared(tables.folder, str(values.get("protocol", "")))
    if plan is None or tables.mailings is None:
        return
    known = mature_checkup_month(tables.checkups, definitions=used, through=tables.month)
    suite.choose(
        suite.letter_years(tables.mailings, tables.checkups),
        last=known.latest_year(after=int(used.number("next_checkup.max_months"))),
        before=plan.before,
        years=values.get("programme_years", ()),
        protocol=plan,
        definitions=used,
    )


def _must_be_there(folder: Path, parameter: str, name: str) -> None:
    if not (folder / name).exists():
        raise ParameterError(
            f"パラメータ {parameter} に指定された {name} が、データのフォルダにありません。",
            hint=f"データのフォルダ({folder})から見た場所で指定してください。",
        )
