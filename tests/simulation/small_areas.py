"""Do the intervals of ranks and small areas cover, and does the funnel cry wolf? Known worlds, measured.

`make test-simulation` runs `REPLICATES` worlds of each kind; `tests/test_stats_small_areas.py` runs a few of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv

from kenpo_analytics.stats import poisson
from kenpo_analytics.stats.funnel import funnel
from kenpo_analytics.stats.ranks import bootstrap_ratios, rank, rank_limits
from kenpo_analytics.stats.small_areas import shrink

REPLICATES, SEED, DRAWS = 300, 20260403, 2_000
BRANCHES, TOWNS = 47, 29
BRANCH_EVENTS, BRANCH_SD = 6_000, 0.06
TOWN_EVENTS, TOWN_SD = 60, 0.15
TINY_EVENTS = 15


@dataclass(frozen=True)
class Expected:
    """Between which values must the mean over many worlds lie?"""

    low: float
    high: float


EXPECTED = {
    "rank coverage, posterior": Expected(0.95, 0.985),
    "rank coverage, bootstrap": Expected(0.93, 0.985),
    "rank width, posterior": Expected(10, 15),
    "raw rank right": Expected(0.12, 0.26),
    "ratio coverage, grid": Expected(0.93, 0.965),
    "ratio coverage, plug-in": Expected(0.80, 0.93),
    "squared error, shrunken / raw": Expected(0.2, 0.6),
    "ratio coverage, repeat visitors": Expected(0.92, 0.97),
    "rank coverage, two clusters": Expected(0.94, 0.99),
    "ratio coverage, two clusters": Expected(0.93, 0.965),
    "ratio coverage, tiny towns and repeat visitors": Expected(0.90, 0.98),
    "beyond 3 SD, Paule-Mandel": Expected(0.0, 0.005),
    "beyond 3 SD, Poisson": Expected(0.3, 0.7),
    "outlier of +42 % found": Expected(0.97, 1.0),
}


def ranks_of_branches(rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """47 branches of different sizes."""
    expected = BRANCH_EVENTS * rng.lognormal(-0.18, 0.6, BRANCHES)
    truth = np.exp(rng.normal(0, BRANCH_SD, BRANCHES))
    events = rng.poisson(expected * truth)
    place = rank(truth)
    methods = {
        "posterior": shrink(events, expected).draws(DRAWS, seed=1),
        "bootstrap": bootstrap_ratios(events, expected, size=DRAWS, seed=1),
    }
    for name, draws in methods.items():
        found = rank_limits(draws)
        yield f"rank coverage, {name}", float(((found.lower <= place) & (place <= found.upper)).mean())
        if name == "posterior":
            yield "rank width, posterior", float((found.upper - found.lower + 1).mean())
    yield "raw rank right", float((rank(events / expected) == place).mean())


def ratios_of_towns(rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """29 municipalities with about 60 expected events, many fewer in the small ones."""
    expected = TOWN_EVENTS * rng.lognormal(-0.32, 0.8, TOWNS)
    truth = rng.gamma(TOWN_SD**-2, TOWN_SD**2, TOWNS)
    events = rng.poisson(expected * truth)
    found = shrink(events, expected)
    limits = found.limits()
    yield "ratio coverage, grid", float(((limits.lower <= truth) & (truth <= limits.upper)).mean())
    likeliest = int(found.weight.argmax())
    shape, rate = found.shape[likeliest] + events, found.shape[likeliest] / found.mean[likeliest] + expected
    low, high = (gammaincinv(shape, p) / rate for p in (0.025, 0.975))
    yield "ratio coverage, plug-in", float(((low <= truth) & (truth <= high)).mean())
    raw = float(((events / expected - truth) ** 2).mean())
    yield "squared error, shrunken / raw", float(((found.estimate - truth) ** 2).mean()) / raw


def repeat_visitors(rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Visits per visitor are geometric (half come once): effective counts, jump of each town; towns of two sizes."""
    for events, name in ((TOWN_EVENTS, "repeat visitors"), (TINY_EVENTS, "tiny towns and repeat visitors")):
        yield f"ratio coverage, {name}", _repeat(rng, events)


def _repeat(rng: np.random.Generator, mean_events: float) -> float:
    visits = np.arange(1, 11)
    share = 0.5**visits / (0.5**visits).sum()
    expected = mean_events * rng.lognormal(-0.32, 0.8, TOWNS)
    truth = rng.gamma(TOWN_SD**-2, TOWN_SD**2, TOWNS)
    visitors = rng.poisson((expected * truth / (share @ visits))[:, None] * share)
    events, squares = visitors @ visits, visitors @ visits**2
    jump = poisson.mean_jump(events, squares)
    jump = np.where(events > 0, jump, squares.sum() / events.sum())
    limits = shrink(events / jump, expected / jump).limits()
    return float(((limits.lower <= truth) & (truth <= limits.upper)).mean())


def two_clusters(rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """A world that the model does not know: a quarter of the branches lie far above the others (as Kyushu does)."""
    expected = BRANCH_EVENTS * rng.lognormal(-0.18, 0.6, BRANCHES)
    high = rng.random(BRANCHES) < 0.25
    truth = np.exp(np.where(high, rng.normal(0.25, 0.10, BRANCHES), rng.normal(-0.05, 0.05, BRANCHES)))
    found = shrink(rng.poisson(expected * truth), expected)
    places, limits, place = rank_limits(found.draws(DRAWS, seed=1)), found.limits(), rank(truth)
    yield "rank coverage, two clusters", float(((places.lower <= place) & (place <= places.upper)).mean())
    yield "ratio coverage, two clusters", float(((limits.lower <= truth) & (truth <= limits.upper)).mean())


def false_flags(rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """47 branches of which none is unusual; then one that lies 42 % above."""
    expected = BRANCH_EVENTS * rng.lognormal(-0.18, 0.6, BRANCHES)
    truth = np.exp(rng.normal(0, BRANCH_SD, BRANCHES))
    events = rng.poisson(expected * truth)
    yield "beyond 3 SD, Paule-Mandel", float((np.abs(funnel(events, expected).z) > 3).mean())
    yield "beyond 3 SD, Poisson", float((np.abs(events - expected) > 3 * np.sqrt(expected)).mean())
    truth[0] = 1.42
    yield "outlier of +42 % found", float(funnel(rng.poisson(expected * truth), expected).z[0] > 3)


WORLDS: tuple[Callable[[np.random.Generator], Iterator[tuple[str, float]]], ...] = (
    ranks_of_branches, ratios_of_towns, repeat_visitors, two_clusters, false_flags,
)  # fmt: skip


def measure(replicates: int, seed: int = SEED) -> dict[str, float]:
    """The mean of every quantity over the worlds."""
    found: dict[str, list[float]] = {}
    for rep in range(replicates):
        for i, world in enumerate(WORLDS):
            for name, value in world(np.random.default_rng([seed, i, rep])):
                found.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}


def main() -> int:
    """Print the table; 1 if something lies outside what is expected."""
    found = measure(REPLICATES)
    wrong = 0
    for name, value in found.items():
        fits = EXPECTED[name].low <= value <= EXPECTED[name].high
        wrong += not fits
        print(f"{name:46} {value:8.4f}  {'' if fits else 'outside'}  [{EXPECTED[name].low}, {EXPECTED[name].high}]")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
