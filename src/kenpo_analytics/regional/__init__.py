"""Is it more than elsewhere? Standardised index (地域差指数), contributions, ranks, standardised rates."""

from kenpo_analytics.regional.branches import branch_cells
from kenpo_analytics.regional.cells import total_of
from kenpo_analytics.regional.index import Index, compare, regional_index
from kenpo_analytics.regional.rates import standardised_rate

__all__ = ["Index", "branch_cells", "compare", "regional_index", "standardised_rate", "total_of"]
