"""What did it cost, and what for each person who improved? Only where an effect is shown (費用)."""

from __future__ import annotations

from typing import Any

from kenpo_analytics.errors import EstimateError
from kenpo_analytics.evaluation.estimate import Estimate
from kenpo_analytics.evaluation.improved import needed

NOT_SHOWN = "主解析で効果が示されていないか、改善した人が増えたとは示されていないため、計算しません"

_PER_PERSON = ("per_improved", "lower", "upper", "letters_per_improved", "letters_lower", "letters_upper")


def cost(total_yen: float, letters: int, improved: Estimate | None = None, *, shown: bool = True) -> dict[str, Any]:
    """Yen per letter and, where the interval of the improved share leaves out zero, per additional improved person.

    Parameters
    ----------
    total_yen
        Cost of the programme in its year.
    letters
        Letters sent for it.
    improved
        Difference of the improved share (`share_difference`), above 0.
    shown
        Does the declared primary design show an effect? Without it no cost per person, whatever a secondary one says.

    Returns
    -------
    `per_letter`; `per_improved`, `lower`, `upper` (yen; null without a shown effect), `letters_per_improved` (あと何人)
    with `letters_lower`, `letters_upper`, and `reason` where they are null.
    """
    if letters <= 0 or total_yen < 0:
        raise EstimateError("費用を計算できない値です", hint="通数は1以上、費用は0以上にしてください。")
    each = total_yen / letters
    found: dict[str, Any] = {"per_letter": each}
    nnt = None if improved is None or (improved.estimate or 0.0) <= 0 else needed(improved)
    if not shown or nnt is None or nnt["nnt"] is None:
        return found | dict.fromkeys(_PER_PERSON) | {"reason": NOT_SHOWN}
    values = {name: None if nnt[key] is None else each * nnt[key]  # type: ignore[operator]
              for name, key in (("per_improved", "nnt"), ("lower", "lower"), ("upper", "upper"))}  # fmt: skip
    counts = {"letters_per_improved": nnt["nnt"], "letters_lower": nnt["lower"], "letters_upper": nnt["upper"]}
    return found | values | counts | {"reason": None}
