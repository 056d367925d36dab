"""From how many rows to how many people? A cohort and its attrition (対象者フロー).

Every stage of a cohort carries an `exit_step` column (0 = goes on). One aggregation over it gives the counts, so the
steps add up by construction. A step that could not be judged reads 未評価; a step nobody left at is kept as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import narwhals as nw
import polars as pl

from kenpo_analytics import frames
from kenpo_analytics.errors import TableError

Kind = Literal["start", "exclude", "of_which", "end", "reference"]
EXIT = "exit_step"
_STRETCH = ("person_id", "valid_from")


@dataclass(frozen=True)
class Step:
    """One reason to leave; `judged=False` when the data to judge it were not given."""

    key: str
    label: str
    judged: bool = True


@dataclass(frozen=True)
class Stage:
    """Rows (or people) at one level, each with the number of the step it leaves at, and what that level can tell.

    `begins` marks a level whose total is smaller than the survivors of the level before: the difference left at this
    step (rows that found no enrolled member, rows that were not the one picked).
    """

    plan: nw.LazyFrame
    steps: tuple[Step, ...]
    unit: Literal["行", "人"]
    begins: Step | None = None
    overlaps: nw.LazyFrame | None = None
    """How many people (column n) hold several stretches on one day: more than none is refused."""
    extra: tuple[tuple[str, str, Kind], ...] = ()
    """(column of 0/1 among those who stay — or all for `reference` —, label, kind)."""

    def counts(self) -> nw.LazyFrame:
        """Rows by exit step, and the sums of the extra columns."""
        sums = [nw.col(name).cast(nw.Int64).sum().cast(nw.Int64).alias(name) for name, _, _ in self.extra]
        return self.plan.group_by(EXIT).agg(nw.len().cast(nw.Int64).alias("n"), *sums)


class Cohort:
    """Who is it about, and how did one get there?

    Attributes
    ----------
    people
        One row per person, of the kind of frame that went in. Lazy stays lazy: members whose stretches overlap are
        then refused only by `flow` or `collect()`.
    flow
        The attrition table, eager (pandas for pandas, else polars): `step`, `kind` (start, exclude, of_which, end,
        reference), `key`, `label`, `unit` (行 until one row is one person, then 人), `excluded`, `remaining`, `status`
        (評価 / 未評価).
    """

    def __init__(
        self,
        classified: nw.LazyFrame,
        stages: Sequence[Stage],
        source: frames.Source,
        *,
        keep: Sequence[str],
        end_label: str,
        attributes: nw.LazyFrame | None = None,
    ) -> None:
        self._stages, self._source, self._keep, self._end_label = tuple(stages), source, tuple(keep), end_label
        self._attributes = attributes
        self._classified = classified
        if source.kind in ("pandas", "polars"):
            self._hold()

    def _hold(self) -> None:
        """Run the plan once and answer people and flow from the one result."""
        last = self._stages[-1]
        names = self._classified.collect_schema().names()
        needed = {*self._keep, *_STRETCH, EXIT, *(name for name, _, _ in last.extra)}
        plans = [self._classified.select(*(name for name in names if name in needed))]
        if self._attributes is not None:
            plans.append(self._theirs(survivors(self._classified)))
        held, *rest = self._run(plans, self._stages[:-1])
        counts = rest[len(plans) - 1 :]
        if self._attributes is not None:
            self._attributes = nw.from_native(rest[0].lazy())
        self._classified = nw.from_native(held.lazy())
        final = replace(last, plan=self._classified)
        self._counts: list[pl.DataFrame] = [*counts, frames.collect(final.counts())]

    @cached_property
    def people(self) -> Any:
        """One row per person."""
        return frames.leave(self._people(), self._source)

    @cached_property
    def flow(self) -> Any:
        """The attrition table."""
        if not hasattr(self, "_counts"):
            self._counts = self._run([], self._stages)
        return frames.small(_assemble(self._stages, self._counts, self._end_label), self._source)

    def _run(self, plans: list[nw.LazyFrame], stages: Sequence[Stage]) -> list[pl.DataFrame]:
        """Run plans and counts together, and refuse members whose stretches overlap."""
        guards = [stage.overlaps for stage in stages if stage.overlaps is not None]
        wanted = [*plans, *(stage.counts() for stage in stages)]
        results = frames.collect_all([*wanted, *guards])
        if overlapping := sum(int(guard["n"].sum()) for guard in results[len(wanted) :]):
            raise TableError(
                f"加入期間が同じ人の中で重なっています({overlapping}人)",
                hint="kenpo check で行番号を見て、重なりを直してください。",
            )
        return results[: len(wanted)]

    def collect(self) -> Cohort:
        """Run a lazy cohort once; afterwards `people` is an eager polars frame and the flow costs nothing."""
        if self._source.kind in ("polars-lazy", "duckdb"):
            self._hold()
            self._source = frames.Source("polars")
            self.__dict__.pop("people", None)
        return self

    def _people(self) -> nw.LazyFrame:
        people = survivors(self._classified)
        if self._attributes is not None:
            people = people.join(self._theirs(people), on=list(_STRETCH), how="left")
        return people.select(*self._keep)

    def _theirs(self, people: nw.LazyFrame) -> nw.LazyFrame:
        """The attributes of these people, one row per stretch."""
        theirs: Any = self._attributes
        return theirs.join(people.select("person_id"), on="person_id", how="semi").unique(list(_STRETCH))

    def __repr__(self) -> str:
        size = "未実行"
        if hasattr(self, "_counts"):
            size = f"{int(self._counts[-1].filter(pl.col(EXIT) == 0)['n'].sum()):,}人"
        return f"Cohort({self._end_label} {size}, {self._source.kind})"


def first_exit(*conditions: nw.Expr) -> nw.Expr:
    """Number of the first condition that holds (1, 2, …), 0 when none does. Conditions must not be null."""
    result: Any = nw.lit(0)
    for number in range(len(conditions), 0, -1):
        result = nw.when(conditions[number - 1]).then(nw.lit(number)).otherwise(result)
    return result.cast(nw.Int32).alias(EXIT)


def survivors(plan: nw.LazyFrame) -> nw.LazyFrame:
    """Those who have not left yet."""
    return plan.filter(nw.col(EXIT) == 0)


def _assemble(stages: Sequence[Stage], counts: Sequence[pl.DataFrame], end_label: str) -> pl.DataFrame:
    last, remaining = stages[-1], int(counts[0]["n"].sum())
    lines = [_line(Step("start", "読み込んだ行"), "start", stages[0].unit, 0, remaining)]
    for stage, count in zip(stages, counts, strict=True):
        left = dict(zip(count[EXIT].to_list(), count["n"].to_list(), strict=True))
        if stage.begins is not None:
            lost = remaining - sum(left.values())
            remaining -= lost
            lines.append(_line(stage.begins, "exclude", "行", lost, remaining))
        for number, step in enumerate(stage.steps, start=1):
            lost = left.get(number, 0)
            remaining -= lost
            lines.append(_line(step, "exclude", stage.unit, lost, remaining))
    lines.append(_line(Step("end", end_label), "end", last.unit, 0, remaining))
    staying = counts[-1].filter(pl.col(EXIT) == 0)
    for name, label, kind in last.extra:
        total = int((counts[-1] if kind == "reference" else staying)[name].sum() or 0)
        lines.append(_line(Step(name, label), kind, last.unit, 0, total))
    return pl.DataFrame(lines, schema=_FLOW, orient="row").with_row_index("step").cast({"step": pl.Int32})


_FLOW = {
    "kind": pl.String,
    "key": pl.String,
    "label": pl.String,
    "unit": pl.String,
    "excluded": pl.Int64,
    "remaining": pl.Int64,
    "status": pl.String,
}


def _line(step: Step, kind: Kind, unit: str, lost: int, remaining: int) -> tuple[object, ...]:
    """One row of the flow, in the order of `_FLOW`."""
    excluded, status = (lost, "評価") if step.judged else (None, "未評価")
    return kind, step.key, step.label, unit, excluded, remaining, status
