"""Did a leaflet change a yes/no outcome within strata? Mantel-Haenszel, exact where small, and between groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.evaluation.estimate import Estimate, Role, unavailable, wald
from kenpo_analytics.stats._checks import normal_quantile

CELLS = ("exposed_events", "exposed", "control_events", "control")
SMALL = 5.0
"""An expected count below this makes the stratum's asymptotic interval doubtful; the exact one is given too."""
ASSUMPTION = "層の中では、案内を受けるかどうかは結果と関係しない"


@any_frame
def stratified(
    table: pl.DataFrame, *, strata: str, measure: str = "odds_ratio", level: float = 0.95, role: Role = "primary"
) -> Estimate:
    """Which common effect have the strata (金額階層 …), and do they agree?

    Parameters
    ----------
    table
        One row per stratum: `strata`, exposed_events, exposed, control_events, control (people and those with the
        outcome, with and without the leaflet).
    measure
        "odds_ratio" (Mantel-Haenszel, Robins-Breslow-Greenland limits) or "risk_difference" (Mantel-Haenszel, Sato's
        variance).

    Returns
    -------
    Estimate
        `diagnostics["strata"]`: share with and without leaflet, odds ratio with exact conditional limits, risk
        difference, and whether the stratum is small. `diagnostics["homogeneity"]`: Breslow-Day-Tarone p value.
        Warnings where the strata differ (p < 0.05): a common effect then hides something.

    Raises
    ------
    EstimateError
        A column is missing, or more events than people.

    Notes
    -----
    Sources: Mantel, Haenszel (1959) JNCI 22:719; Robins, Breslow, Greenland (1986) Biometrics 42:311; Sato (1989)
    Biometrics 45:1323; Tarone (1985) Biometrika 72:91. Computed by statsmodels and scipy.
    """
    cells = _cells(table, strata)
    names = (
        f"mh_{measure}",
        {"odds_ratio": "層別の共通オッズ比(Mantel–Haenszel)", "risk_difference": "層別の共通リスク差(Mantel–Haenszel)"}[
            measure
        ],
        "案内を受けたことによる、層を通した結果の変化",
        ASSUMPTION,
    )
    unit = "倍" if measure == "odds_ratio" else "ポイント"
    informative = cells[_informative(cells)]
    if not len(informative):
        return unavailable(*names, unit=unit, role=role, reason="比べられる層がありません(どの層も片方しかいません)")
    value, lower, upper = (_odds if measure == "odds_ratio" else _difference)(informative, level)
    homogeneity = _homogeneity(informative)
    differ = homogeneity is not None and homogeneity < 0.05
    people = int(cells[:, 1].sum()), int(cells[:, 3].sum())
    return Estimate(
        *names,
        unit=unit,
        role=role,
        estimate=value,
        lower=lower,
        upper=upper,
        level=level,
        null_value=1.0 if measure == "odds_ratio" else 0.0,
        method="Robins–Breslow–Greenland" if measure == "odds_ratio" else "Sato",
        persons=people[0],
        compared=people[1],
        warnings=(f"層によって効果が違います(Breslow–Day–Tarone p={homogeneity:.3f})",) if differ else (),
        diagnostics={
            "strata": by_stratum(table, strata=strata, level=level),
            "homogeneity": pl.DataFrame(
                {"test": ["Breslow–Day–Tarone"], "p": [homogeneity], "strata": [len(informative)]}
            ),
        },
    )


def _cells(table: pl.DataFrame, strata: str) -> NDArray[np.float64]:
    if missing := [name for name in (strata, *CELLS) if name not in table.columns]:
        raise EstimateError(f"層別の表に列がありません: {', '.join(missing)}")
    if table[strata].n_unique() < table.height:
        raise EstimateError(f"同じ層の行が2つ以上あります(列 {strata})", hint="層ごとに1行に集計してください。")
    cells = table.select(CELLS).cast(pl.Float64).to_numpy()
    if (cells < 0).any() or (cells[:, 0] > cells[:, 1]).any() or (cells[:, 2] > cells[:, 3]).any():
        raise EstimateError("結果のある人が、人数より多い層があります", hint="分子と分母を確かめてください。")
    return cells


def _informative(cells: NDArray[np.float64]) -> NDArray[np.bool_]:
    events, people = cells[:, 0] + cells[:, 2], cells[:, 1] + cells[:, 3]
    return np.asarray((cells[:, 1] > 0) & (cells[:, 3] > 0) & (events > 0) & (events < people))


def _tables(cells: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return [np.array([[a, n - a], [c, m - c]]) for a, n, c, m in cells]


def _odds(cells: NDArray[np.float64], level: float) -> tuple[float, float | None, float | None]:
    from statsmodels.stats.contingency_tables import StratifiedTable

    found = StratifiedTable(_tables(cells))
    if not (np.isfinite(found.oddsratio_pooled) and found.oddsratio_pooled > 0):
        return float(found.oddsratio_pooled), None, None
    lower, upper = found.oddsratio_pooled_confint(alpha=1 - level)
    return float(found.oddsratio_pooled), float(lower), float(upper)


def _difference(cells: NDArray[np.float64], level: float) -> tuple[float, float, float]:
    a, n1, c, n0 = cells.T
    n = n1 + n0
    weight = n1 * n0 / n
    value = float(((a / n1 - c / n0) * weight).sum() / weight.sum())
    p = (n1**2 * c - n0**2 * a + n1 * n0 * (n0 - n1) / 2) / n**2
    q = (a * (n0 - c) + c * (n1 - a)) / (2 * n)
    variance = (value * p.sum() + q.sum()) / weight.sum() ** 2
    wide = normal_quantile(level) * float(np.sqrt(variance))
    return value, value - wide, value + wide


def _homogeneity(cells: NDArray[np.float64]) -> float | None:
    from statsmodels.stats.contingency_tables import StratifiedTable

    if len(cells) < 2:
        return None
    return float(StratifiedTable(_tables(cells)).test_equal_odds(adjust=True).pvalue)


@any_frame
def by_stratum(table: pl.DataFrame, *, strata: str, level: float = 0.95) -> pl.DataFrame:
    """What does each stratum say alone? Odds ratios with exact conditional limits: right in small strata, too."""
    from scipy.stats.contingency import odds_ratio

    rows: list[dict[str, Any]] = []
    for name, cells in zip(table[strata].to_list(), _cells(table, strata), strict=True):
        a, n, c, m = (int(x) for x in cells)
        row: dict[str, Any] = {strata: name, "exposed_events": a, "exposed": n, "control_events": c, "control": m}
        row |= {"share": a / n if n else None, "share_control": c / m if m else None}
        expected = min(n, m) * min(a + c, n + m - a - c) / (n + m) if n + m else 0.0
        row["small"] = expected < SMALL
        if _informative(np.array([cells]))[0]:
            found = odds_ratio([[a, n - a], [c, m - c]])
            limits = found.confidence_interval(level)
            row |= {"estimate": float(found.statistic), "lower": float(limits.low), "upper": float(limits.high)}
        else:
            row |= {"estimate": None, "lower": None, "upper": None}
        rows.append(row | {"level": level, "method": "条件付き最尤法、正確"})
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(("estimate", "lower", "upper"), pl.Float64))


@any_frame
def between_groups(
    table: pl.DataFrame, *, group: str, era: str, reference: str, level: float = 0.95, role: Role = "sensitivity"
) -> Estimate:
    """Did the share of one group move more than another's when the leaflet came? Difference-in-differences by group.

    Parameters
    ----------
    table
        One row per `group` x `era` ("before" / "programme"): events, persons. The group that is not `reference` was
        sent the leaflet.

    Notes
    -----
    On the difference of shares, four independent binomials (Wald). The scale decides: equal movement in points need
    not be equal movement in odds; say which before looking.
    """
    names = (
        "did_groups",
        "群間の差の差(割合)",
        "案内を受けた群の割合が、受けていない群よりも余計に動いた大きさ",
        "案内がなければ、両群の割合は同じ大きさ(ポイント)だけ動いた",
    )
    cells = {(row[group], row[era]): (row["events"], row["persons"]) for row in table.iter_rows(named=True)}
    treated = [name for name in table[group].unique(maintain_order=True) if name != reference]
    wanted = [(g, e) for g in (*treated, reference) for e in ("programme", "before")]
    if len(treated) != 1 or any(cells.get(key, (0, 0))[1] == 0 for key in wanted):
        reason = "2つの群の、事業前と事業の両方の人数が要ります"
        return unavailable(*names, unit="ポイント", role=role, reason=reason, state="not_identified")
    shares = [cells[key][0] / cells[key][1] for key in wanted]
    variance = sum(p * (1 - p) / cells[key][1] for p, key in zip(shares, wanted, strict=True))
    value = shares[0] - shares[1] - shares[2] + shares[3]
    return wald(
        *names, value=value, size=variance**0.5, level=level, unit="ポイント", role=role,
        method="4つの独立な割合(Wald)", persons=cells[wanted[0]][1], compared=sum(cells[key][1] for key in wanted[1:]),
    )  # fmt: skip


@any_frame
def misclassified(
    table: pl.DataFrame,
    *,
    strata: str,
    sensitivities: Sequence[float] = (0.8, 0.9, 1.0),
    specificities: Sequence[float] = (0.9, 0.95, 1.0),
) -> pl.DataFrame:
    """What if the rule that names the group errs (カタカナ氏名 as a proxy of nationality)? Corrected odds ratios.

    `table` as in `stratified`, "exposed" being who the rule picks. Sensitivity and specificity of the rule are taken
    equal among people with and without the outcome (non-differential); pairs that would need negative counts are null.

    Returns
    -------
    Frame: `sensitivity`, `specificity`, `estimate` (Mantel-Haenszel odds ratio after correction).
    Source: Lash, Fox, Fink (2009) Applying Quantitative Bias Analysis, ch. 6.
    """
    cells = _cells(table, strata)
    rows = []
    for se in sensitivities:
        for sp in specificities:
            if se + sp <= 1:
                raise EstimateError("感度と特異度の和は1より大きくなければ、補正できません")
            corrected = _corrected(cells, se, sp)
            kept = None if corrected is None else corrected[_informative(corrected)]
            value = _odds(kept, 0.95)[0] if kept is not None and len(kept) else None
            rows.append({"sensitivity": se, "specificity": sp, "estimate": value})
    return pl.DataFrame(rows, schema_overrides={"estimate": pl.Float64})


def _corrected(cells: NDArray[np.float64], se: float, sp: float) -> NDArray[np.float64] | None:
    a, n, c, m = cells.T
    events, others = a + c, (n - a) + (m - c)
    exposed_events = (a - (1 - sp) * events) / (se + sp - 1)
    exposed_others = ((n - a) - (1 - sp) * others) / (se + sp - 1)
    control_events, control_others = events - exposed_events, others - exposed_others
    made = np.column_stack(
        [exposed_events, exposed_events + exposed_others, control_events, control_events + control_others]
    )
    bad = min(part.min() for part in (exposed_events, exposed_others, control_events, control_others)) < -1e-9
    return None if bad else made
