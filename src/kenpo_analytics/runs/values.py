"""Is this value of the declared type? The types of notebook parameters, and values typed on a command line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kenpo_analytics.errors import ParameterError

TYPES = ("str", "int", "float", "bool", "list[int]", "list[str]")

Value = str | int | float | bool | list[int] | list[str]


@dataclass(frozen=True)
class Parameter:
    """One declared parameter of a notebook: its type as written, and its default."""

    name: str
    type: str
    default: Value


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "bool"
    return {"str": isinstance(value, str), "int": isinstance(value, int)}.get(kind, False)


def typed(value: object, kind: str, name: str) -> Value:
    """The value, if it is of the declared type; an int also counts as a float. Never converted from text."""
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind.startswith("list[") and isinstance(value, list) and all(_is(v, kind[5:-1]) for v in value):
        return value
    if _is(value, kind):
        return value  # type: ignore[return-value]
    found = type(value).__name__
    raise ParameterError(f"パラメータ {name} は {kind} 型ですが、{found} 型の値 {value!r} が渡されました。")


def parse(text: str, kind: str, name: str) -> Value:
    """A value typed on the command line (`--set name=value`), read as the declared type demands."""
    value: object = text
    if kind in {"int", "float"}:
        value = _number(text, kind)
    elif kind == "bool":
        value = {"true": True, "false": False}.get(text.lower(), text)
    elif kind.startswith("list["):
        parts = [part.strip() for part in text.strip("[]").split(",") if part.strip()]
        value = [_number(part, "int") for part in parts] if kind == "list[int]" else parts
    return typed(value, kind, name)


def _number(text: str, kind: str) -> object:
    pattern = r"[+-]?[0-9]+" if kind == "int" else r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
    if not re.fullmatch(pattern, text.strip()):
        return text
    return int(text) if kind == "int" else float(text)


def setting(value: object, parameter: Parameter) -> Value:
    """A given value as its parameter takes it: text is read as the declared type demands."""
    if isinstance(value, str):
        return parse(value, parameter.type, parameter.name)
    return typed(value, parameter.type, parameter.name)
