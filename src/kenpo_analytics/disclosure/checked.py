"""What has been through the check? `Checked`: a table from which a report may be made, and nothing else can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, get_args

import polars as pl

from kenpo_analytics.disclosure.rules import DisclosureRules
from kenpo_analytics.errors import DisclosureError

State = Literal["shown", "masked", "masked_secondary", "missing", "not_applicable", "incomplete", "not_evaluated"]
STATES: tuple[str, ...] = get_args(State)
MASKED = ("masked", "masked_secondary")
_TOKEN = object()


class Checked:
    """A table that may be shown. Made by the check functions only; never changes.

    `.table` is polars with null for every masked number; `.states` has the same shape and says for each cell why it
    reads as it does (`STATES`); `.log` counts what was masked or merged; `.source` names the publication when the
    figures are official published ones (`.public`), which are exempt.
    """

    __slots__ = ("_log", "_public", "_rules", "_source", "_states", "_table")
    _table: pl.DataFrame
    _states: pl.DataFrame
    _log: Mapping[str, Any]
    _rules: DisclosureRules
    _public: bool
    _source: str

    def __init__(
        self,
        table: pl.DataFrame,
        states: pl.DataFrame,
        *,
        log: Mapping[str, Any],
        rules: DisclosureRules,
        public: bool = False,
        source: str = "",
        token: object = None,
    ) -> None:
        if token is not _TOKEN:
            raise DisclosureError("Checkedは直接作れません。", hint="disclosure.check(表, counts=…) を通してください。")
        for name, value in (
            ("table", table),
            ("states", states),
            ("log", MappingProxyType(dict(log))),
            ("rules", rules),
            ("public", public),
            ("source", source),
        ):
            object.__setattr__(self, f"_{name}", value)

    def __setattr__(self, name: str, value: object) -> None:
        raise DisclosureError("Checkedは書き換えられません。", hint="元の表を直してから、もう一度checkしてください。")

    @property
    def table(self) -> pl.DataFrame:
        """The numbers that may be shown (a copy: polars frames can be changed in place)."""
        return self._table.clone()

    @property
    def states(self) -> pl.DataFrame:
        """Why does each cell read as it does? One of `STATES` per cell."""
        return self._states.clone()

    @property
    def log(self) -> dict[str, Any]:
        """How many cells were masked or merged, by rule; counts only, never a value."""
        return dict(self._log)

    @property
    def rules(self) -> DisclosureRules:
        """The thresholds that were applied."""
        return self._rules

    @property
    def public(self) -> bool:
        """Are these official published figures (exempt from masking)?"""
        return self._public

    @property
    def source(self) -> str:
        """Where were public figures published?"""
        return self._source

    def __repr__(self) -> str:
        kind = f"公表値({self._source})" if self._public else "秘匿処理済み"
        return f"<Checked {self._table.height}行×{self._table.width}列 {kind}>"

    def __len__(self) -> int:
        return self._table.height

    def select(self, columns: Sequence[str]) -> Checked:
        """Fewer columns of the same checked table: what is left out cannot be shown, so nothing is given away."""
        if unknown := [name for name in columns if name not in self._table.columns]:
            raise DisclosureError(f"表にない列です: {', '.join(unknown)}", hint=f"列: {', '.join(self._table.columns)}")
        return self._like(self._table.select(columns), self._states.select(columns))

    def where(self, **equal: Any) -> Checked:
        """Only the rows whose columns have these values, or one of several: `where(sex="M", level=["a", "b"])`."""
        keep = pl.Series([True] * self._table.height, dtype=pl.Boolean)
        for name, value in equal.items():
            if name not in self._table.columns:
                raise DisclosureError(f"表にない列です: {name}", hint=f"列: {', '.join(self._table.columns)}")
            column = self._table[name]
            several = isinstance(value, list | tuple | set)
            keep = keep & (column.is_in(list(value)) if several else column == value).fill_null(False)
        return self._like(self._table.filter(keep), self._states.filter(keep))

    def having(self, *columns: str) -> Checked:
        """Only the rows that have something in any of these columns: a value, or one that is masked."""
        found = [
            self._table[name].is_not_null() | self._states[name].is_in(list(MASKED))
            for name in self.select(columns).table.columns
        ]
        keep = pl.select(pl.any_horizontal(found)).to_series()
        return self._like(self._table.filter(keep), self._states.filter(keep))

    def sort(self, column: str, *, descending: bool = False) -> Checked:
        """The same rows in the order of one column; masked and missing ones last."""
        order = self._table[column].arg_sort(descending=descending, nulls_last=True)
        return self._like(self._table[order], self._states[order])

    def _like(self, table: pl.DataFrame, states: pl.DataFrame) -> Checked:
        return Checked(
            table,
            states,
            log=self._log,
            rules=self._rules,
            public=self._public,
            source=self._source,
            token=_TOKEN,
        )


def seal(
    table: pl.DataFrame,
    states: pl.DataFrame,
    *,
    log: Mapping[str, Any],
    rules: DisclosureRules,
    public: bool = False,
    source: str = "",
) -> Checked:
    """Close a result of this package; not exported, so that only the check functions call it."""
    return Checked(table, states, log=log, rules=rules, public=public, source=source, token=_TOKEN)
