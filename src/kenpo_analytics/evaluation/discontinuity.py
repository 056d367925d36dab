"""Is there a jump at the letter's threshold, and is it larger than before letters? (不連続、差の不連続)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation._kinds import any_frame
from kenpo_analytics.evaluation._matrix import Floats, clusters, covariates, fit, independent
from kenpo_analytics.evaluation.estimate import Estimate, Role, TooFew, answer, unavailable
from kenpo_analytics.evaluation.lines import LINES, Lines

FEW = 50
PLAIN, DIFFERENCE = "rdd", "diff_in_disc"
LABELS = {PLAIN: "不連続(基準値の前後、通知+結果票)", DIFFERENCE: "差の不連続(基準値の前後 × 事業前後)"}
ESTIMANDS = {
    PLAIN: "基準値ちょうどの人への、通知と結果票の判定を合わせた、次回健診の空腹時血糖への効果",
    DIFFERENCE: "基準値ちょうどの人への、通知だけの、次回健診の空腹時血糖への効果",
}
ASSUMPTIONS = {
    PLAIN: "基準値のすぐ上とすぐ下の人は、通知と結果票の判定のほかは同じである",
    DIFFERENCE: "基準値での結果票などの効果は、事業の前後で変わらない",
}
NO_BEFORE = (
    "通知を始める前の年度のデータがないため、通知だけの効果は識別不能です(同じ値で変わる結果票の判定と分けられません)"
)


@any_frame
def rdd(people: pl.DataFrame, **options: Any) -> Estimate:
    """How large is the jump of next year's FPG at the threshold in the programme era: letter and label together?

    Local linear regression with a triangular kernel on both sides. The result sheet changes at the same value, so the
    jump is never the letter alone (`diff_in_disc`). Options as in `diff_in_disc`.
    """
    programme = people.filter(pl.col("era") == "programme")
    return _estimate(programme, PLAIN, programme_only=True, **options)


@any_frame
def diff_in_disc(people: pl.DataFrame, **options: Any) -> Estimate:
    """How much larger is the jump in the programme era than before letters: the letter alone?

    Parameters
    ----------
    people
        Analysis set: person_id, era, y0, y1 and covariates, of people for whom `y0` alone decides the letter (rule
        "or": HbA1c below 6.0; see `subsets.restricted`).
    cutoff, bandwidth, donut
        In mg/dL; within `donut` of the cutoff nobody counts.
    adjust
        Add the covariates (default): the same jump, more precisely.
    level, role, design, label

    Returns
    -------
    Estimate
        Unidentified (識別不能) without people from before the programme.

    Notes
    -----
    Grembi, Nannicini, Troiano (2016) AEJ Applied 8(3):1-30. Robust errors (HC1), clustered by person where people come
    twice; never by the value of FPG, which makes intervals too short (Kolesár, Rothe 2018 AER 108:2277-2304).
    """
    if people.filter(pl.col("era") == "before").is_empty():
        said = options.get("design") or DIFFERENCE, options.get("label") or LABELS[DIFFERENCE]
        names = (*said, ESTIMANDS[DIFFERENCE], ASSUMPTIONS[DIFFERENCE])
        return unavailable(*names, reason=NO_BEFORE, state="not_identified", role=options.get("role", "sensitivity"))
    return _estimate(people, DIFFERENCE, programme_only=False, **options)


def _estimate(
    people: pl.DataFrame,
    kind: str,
    *,
    programme_only: bool,
    cutoff: float = LINES.cutoff,
    bandwidth: float = LINES.bandwidth,
    donut: float = 0.0,
    adjust: bool = True,
    outcome: str = "y1",
    level: float = 0.95,
    role: Role = "sensitivity",
    design: str | None = None,
    label: str | None = None,
) -> Estimate:
    names = (design or kind, label or LABELS[kind], ESTIMANDS[kind], ASSUMPTIONS[kind])
    seen = near(people, cutoff, bandwidth, donut).filter(pl.col(outcome).is_not_null())
    if _least(seen, cutoff, programme_only) < FEW:
        reason = f"基準値の片側に、次回健診のある人が{FEW}人に満たないため、推定しません"
        return unavailable(*names, reason=reason, role=role)
    try:
        result, position = _jump(seen, cutoff, bandwidth, outcome, adjust, programme_only)
    except TooFew as error:
        return unavailable(*names, reason=error.message, role=role)
    above = seen.filter((pl.col("y0") > cutoff) & (pl.col("era") == "programme")).height
    how = f"局所線形(三角カーネル、幅{bandwidth:g})、頑健標準誤差(個人)"
    counts = {"persons": above, "compared": seen.height - above}
    return answer(*names, result=result, place=position, level=level, role=role, method=how, **counts)


def near(people: pl.DataFrame, cutoff: float, bandwidth: float, donut: float = 0.0) -> pl.DataFrame:
    """Who lies within the bandwidth of the cutoff, but not within the donut?"""
    gap = (pl.col("y0") - cutoff).abs()
    return people.filter((gap < bandwidth) & (gap >= donut))


def _least(seen: pl.DataFrame, cutoff: float, programme_only: bool) -> int:
    cells = seen.group_by("era", pl.col("y0") > cutoff).len()
    return int(cells["len"].min()) if cells.height == (2 if programme_only else 4) else 0  # type: ignore[arg-type]


def _jump(
    seen: pl.DataFrame, cutoff: float, bandwidth: float, outcome: str, adjust: bool, programme_only: bool
) -> tuple[Any, int]:
    """The weighted regression, and the place of the jump among its coefficients."""
    gap: Floats = seen["y0"].to_numpy() - cutoff
    above = (gap > 0).astype(float)
    side = np.column_stack([np.ones(seen.height), above, gap, gap * above])
    if programme_only:
        x, position = side, 1
    else:
        era = (seen["era"] == "programme").cast(pl.Float64).to_numpy()
        x, position = np.column_stack([side, side * era[:, None]]), 5
    lead = x.shape[1]
    if adjust:
        x = np.column_stack([x, covariates(seen)[0]])
    weights = 1 - np.abs(gap) / bandwidth
    y = seen[outcome].cast(pl.Float64).to_numpy()
    return fit(y, independent(x, lead=lead), groups=clusters(seen, "person_id"), weights=weights), position


@any_frame
def bandwidths(
    people: pl.DataFrame, widths: Sequence[float] = (5, 6, 7, 8, 9, 10, 12, 14, 16), **options: Any
) -> pl.DataFrame:
    """Does the jump hang on the bandwidth? The same estimate at each width; those above 9 cross the line at 100."""
    return _table(people, [{"bandwidth": float(width)} for width in widths], **options)


@any_frame
def placebo_cutoffs(
    people: pl.DataFrame, offsets: Sequence[float] = (-6, -5, -4, 4, 5, 6), *, lines: Lines = LINES, **options: Any
) -> pl.DataFrame:
    """Is there a jump where nothing changes? The same estimate `offsets` mg/dL away, on one side of the line at a time.

    Each bandwidth ends at the letter's line and at the guidance line (100): neither may lie within it.
    """
    rows = []
    for offset in offsets:
        cutoff = lines.cutoff + offset
        one_side = people.filter(pl.col("y0") < lines.cutoff if offset < 0 else pl.col("y0") > lines.cutoff)
        width = float(min(lines.bandwidth, abs(offset), abs(cutoff - lines.kink)))
        rows.append(_table(one_side, [{"cutoff": cutoff, "bandwidth": width}], **options))
    return pl.concat(rows)


def _table(people: pl.DataFrame, settings: Sequence[dict[str, float]], **options: Any) -> pl.DataFrame:
    rows = []
    for setting in settings:
        one = diff_in_disc(people, **{**options, **setting})
        here = {"cutoff": LINES.cutoff, "bandwidth": LINES.bandwidth, **options, **setting}
        where = {name: here[name] for name in ("cutoff", "bandwidth")}
        limits = {name: getattr(one, name) for name in ("estimate", "lower", "upper", "level", "persons", "reason")}
        rows.append(where | limits)
    floats = dict.fromkeys(("estimate", "lower", "upper"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides={**floats, "persons": pl.Int64, "reason": pl.String})


@any_frame
def covariate_jumps(
    people: pl.DataFrame, names: Sequence[str] = ("age", "bmi", "prior", "sbp", "ldl"), **options: Any
) -> pl.DataFrame:
    """Do the people on both sides differ in what was there before the letter? Jumps of covariates, holm-corrected."""
    rows = []
    for name in (name for name in names if name in people.columns):
        one = diff_in_disc(people, outcome=name, adjust=False, **options)
        if one.estimate is not None:
            rows.append({"covariate": name, "estimate": one.estimate, "lower": one.lower, "upper": one.upper,
                         "level": one.level, "p": _p(one)})  # fmt: skip
    if not rows:
        raise EstimateError("不連続を確かめられる共変量がありません", hint="解析する表の列を確かめてください。")
    from statsmodels.stats.multitest import multipletests

    table = pl.DataFrame(rows)
    return table.with_columns(p_holm=pl.Series(multipletests(table["p"].to_numpy(), method="holm")[1]))


def _p(one: Estimate) -> float:
    from scipy.special import ndtr

    return float(2 * ndtr(-abs(one.estimate / one.standard_error)))  # type: ignore[operator]


@any_frame
def density(people: pl.DataFrame, *, cutoff: float = LINES.cutoff, width: int = 3, level: float = 0.95) -> pl.DataFrame:
    """Do people heap on one side of the threshold? Counts of the whole values next to it, by era.

    A log-quadratic Poisson curve through the counts within 15 mg/dL, with a step for the `width` values just above and
    one for those just below: `ratio` is the first over the second. Digit preference is taken up as over-dispersion.

    Returns
    -------
    Frame: `era`, `below`, `above`, `ratio`, `lower`, `upper`, `p`.
    """
    rows = [_heap(part, era, cutoff, width, level) for (era,), part in people.group_by("era", maintain_order=True)]
    return pl.DataFrame(rows)


def _heap(part: pl.DataFrame, era: Any, cutoff: float, width: int, level: float) -> dict[str, Any]:
    import statsmodels.api as sm

    counts = part.filter((pl.col("y0") - cutoff).abs() < 15).group_by(pl.col("y0").round(0).alias("v")).len()
    grid = np.arange(np.ceil(cutoff - 15), cutoff + 15)
    found = dict(counts.iter_rows())
    n: NDArray[np.float64] = np.array([found.get(value, 0) for value in grid], dtype=float)
    if n.sum() < FEW:
        raise TooFew(f"基準値の前後15mg/dLに{FEW}人に満たない時期があるため、偏りを調べません")
    gap = (grid - cutoff) / 15
    above = (grid > cutoff) & (grid < cutoff + width)
    below = (grid < cutoff) & (grid > cutoff - width)
    x = np.column_stack([np.ones(len(grid)), gap, gap**2, above.astype(float), below.astype(float)])
    result = sm.GLM(n, x, family=sm.families.Poisson()).fit(scale="X2")  # digit preference is over-dispersion
    step = result.t_test(np.array([0.0, 0.0, 0.0, 1.0, -1.0]))
    lower, upper = step.conf_int(1 - level)[0]
    return {
        "era": era,
        "below": int(n[below].sum()),
        "above": int(n[above].sum()),
        "ratio": float(np.exp(step.effect[0])),
        "lower": float(np.exp(lower)),
        "upper": float(np.exp(upper)),
        "p": float(np.ravel(step.pvalue)[0]),
    }
