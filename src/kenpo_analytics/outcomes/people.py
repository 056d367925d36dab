"""Whose outcome is asked? People of a cohort, as an analyst passes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw

from kenpo_analytics import frames
from kenpo_analytics.errors import TableError
from kenpo_analytics.tables import CHECKUPS


def enter_people(people: Any, needed: Sequence[str], result: Sequence[str]) -> nw.LazyFrame:
    """People with the needed columns in canonical types; columns of the analyst's own travel along.

    Raises
    ------
    TableError
        A needed column is missing, or one of the result columns is there already: a second run would mix two results.
    """
    names = frames.columns_of(people)
    if already := [name for name in names if name in result or name.startswith("visited_")]:
        raise TableError(
            f"peopleにすでに結果の列があります: {', '.join(already)}",
            hint="もとの people を渡すか、結果の列を除いてください。",
        )
    return frames.enter(people, CHECKUPS, needed, optional=[name for name in names if name not in needed])
