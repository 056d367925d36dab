"""What has the branch set itself? `kenpo.toml`: where the data lie, how the month runs, its own definitions."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from kenpo_analytics.definitions.registry import Definitions, define
from kenpo_analytics.definitions.toml_text import why_not_toml
from kenpo_analytics.errors import DefinitionError

CONFIG = "kenpo.toml"
SETTINGS = {"data": ("path",), "run": ("notebooks", "reports", "branch"), "definitions": ()}


def upwards(name: str) -> Path | None:
    """The nearest file of this name from the working directory upwards."""
    here = Path.cwd()
    return next((folder / name for folder in (here, *here.parents) if (folder / name).is_file()), None)


def settings(path: Path | None = None) -> dict[str, dict[str, Any]]:
    """What does kenpo.toml say? Its tables ([data], [run], [definitions]) by name; an absent one is empty.

    Parameters
    ----------
    path
        The file; default the nearest kenpo.toml from the working directory upwards. Without one everything is empty.

    Raises
    ------
    DefinitionError
        Not TOML, a table or key that nobody reads (misspelt), or a value of [data] or [run] that is not a text. The
        ids of [definitions] are judged by `define`.
    """
    found: dict[str, Any] = {}
    path = path or upwards(CONFIG)
    if path is not None and path.is_file():
        raw = path.read_bytes()
        try:
            found = tomllib.loads(raw.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:  # not TOML, or not UTF-8
            why, hint = why_not_toml(raw, error)
            raise DefinitionError(f"{CONFIG} を読めません: {why}", hint=hint) from error
    for name, held in found.items():
        _refuse_misspelt(name, held)
    return {name: found.get(name, {}) for name in SETTINGS}


def _refuse_misspelt(name: str, held: Any) -> None:
    if name not in SETTINGS:
        raise DefinitionError(
            f"{CONFIG} の [{name}] は使われない名前です",
            hint=f"使える表: {', '.join(f'[{each}]' for each in SETTINGS)}",
        )
    if not isinstance(held, dict):
        raise DefinitionError(
            f"{CONFIG} の [{name}] は表ではありません", hint=f"[{name}] の下に 名前 = 値 と書きます。"
        )
    if name == "definitions":
        return
    for key, value in held.items():
        if key not in SETTINGS[name]:
            raise DefinitionError(
                f"{CONFIG} の [{name}] {key} は使われない名前です", hint=f"使える名前: {', '.join(SETTINGS[name])}"
            )
        if not isinstance(value, str):
            raise DefinitionError(
                f"{CONFIG} の [{name}] {key} は文字ではありません: 「{value}」", hint=f'{key} = "…" のように書きます。'
            )


def branch_definitions() -> Definitions:
    """Which definitions does the branch use? The packaged ones with its own values from `[definitions]`."""
    own = _overrides()
    try:
        return define(overrides=own)
    except DefinitionError as error:
        raise DefinitionError(f"{CONFIG} の [definitions]: {error.message}", hint=error.hint) from error


def _overrides() -> dict[str, Any]:
    """Both ways to write an id in TOML: "a.b" = 1 in quotes, and a.b = 1, which TOML reads as nested tables."""

    def flat(prefix: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            return {prefix: value}
        return {key: held for name, inner in value.items() for key, held in flat(f"{prefix}.{name}", inner).items()}

    return {key: held for name, value in settings()["definitions"].items() for key, held in flat(name, value).items()}
