"""Is it more than elsewhere? Standardised index (地域差指数), contributions, rank intervals, standardised rates."""

from kenpo_analytics.regional.branches import branch_cells, branch_years
from kenpo_analytics.regional.cells import ledger_size, total_of
from kenpo_analytics.regional.change import contribution_changes, index_change
from kenpo_analytics.regional.index import Index, compare, regional_index
from kenpo_analytics.regional.judge import funnel, ranks, shrunken
from kenpo_analytics.regional.kinds import (
    change_by_kind,
    changes_since_last_year,
    compare_by_kind,
    index_by_kind,
    index_trend,
    judged,
    rows_by_kind,
)
from kenpo_analytics.regional.parts import contributions_by
from kenpo_analytics.regional.rates import standardised_rate

__all__ = [
    "Index",
    "branch_cells",
    "branch_years",
    "change_by_kind",
    "changes_since_last_year",
    "compare",
    "compare_by_kind",
    "contribution_changes",
    "contributions_by",
    "funnel",
    "index_by_kind",
    "index_change",
    "index_trend",
    "judged",
    "ledger_size",
    "ranks",
    "regional_index",
    "rows_by_kind",
    "shrunken",
    "standardised_rate",
    "total_of",
]
