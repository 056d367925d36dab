"""How does the incentive programme (インセンティブ制度) weigh its indicators? Dated definitions as rules of a year."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kenpo_analytics.definitions import Definitions, define
from kenpo_analytics.definitions.registry import Definition
from kenpo_analytics.errors import DefinitionError

FAMILY = "incentive"
COMPONENTS = ("level", "rise", "number")
COMPONENT_NAMES = {"level": "実績", "rise": "上昇幅", "number": "件数上昇率"}
_WHOLE = 100.0


@dataclass(frozen=True)
class Indicator:
    """One indicator: its KPI, the points at a deviation value of 50, and the shares of its components (sum 1)."""

    key: str
    kpi_id: str
    label: str
    base: float
    weights: Mapping[str, float]

    @property
    def looks_back(self) -> bool:
        """Is last year's value needed?"""
        return any(self.weights[name] > 0 for name in ("rise", "number"))


@dataclass(frozen=True)
class Rules:
    """The programme of one fiscal year. `sd` is population or sample, `rise` room or points, `top` the last place paid.

    `used` are the definitions behind it, each 仮定, 確認済 or 支部設定.
    """

    fiscal_year: int
    indicators: tuple[Indicator, ...]
    sd: str
    rise: str
    top: int
    used: tuple[Definition, ...]

    def indicator(self, key: str) -> Indicator:
        """One indicator by its key (checkup, guidance, reduction, visit, generic)."""
        found = next((each for each in self.indicators if each.key == key), None)
        if found is None:
            keys = ", ".join(each.key for each in self.indicators)
            raise DefinitionError(f"インセンティブの指標にない名前です: 「{key}」", hint=f"使える名前: {keys}")
        return found


def incentive_rules(fiscal_year: int, *, definitions: Definitions | None = None) -> Rules:
    """Which weights hold in a fiscal year (年度)?

    All of them are definitions (`incentive.*`): a branch sets its own in kenpo.toml. Most are 仮定: no public document
    with them was found.

    Raises
    ------
    DefinitionError
        No rules in that year (the programme began in FY2018), or the components of an indicator do not make 100 %.
    """
    known, month = definitions or define(), fiscal_year * 100 + 4
    used = tuple(row for row in known.family(FAMILY) if row.in_force(month))
    if not used:
        first = min(row.valid_from or 0 for row in known.family(FAMILY)) // 100
        raise DefinitionError(f"{fiscal_year}年度のインセンティブ制度の定義がありません(制度は{first}年度から)。")
    held: dict[str, dict[str, Definition]] = {}
    for row in used:
        parts = row.id.split(".")
        if len(parts) == 3:
            held.setdefault(parts[1], {})[parts[2]] = row
    return Rules(
        fiscal_year,
        tuple(_indicator(key, rows) for key, rows in held.items()),
        known.text("incentive.sd", month),
        known.text("incentive.rise", month),
        int(known.number("incentive.top", month)),
        used,
    )


def scored(fiscal_year: int, *, definitions: Definitions | None = None) -> bool:
    """Was there an incentive programme in a fiscal year (it began in FY2018)?"""
    return any(row.in_force(fiscal_year * 100 + 4) for row in (definitions or define()).family(FAMILY))


def _indicator(key: str, rows: Mapping[str, Definition]) -> Indicator:
    weights = {name: float(rows[name].value) if name in rows else 0.0 for name in COMPONENTS}
    label = rows["base"].label.removeprefix("インセンティブ ").partition(":")[0]
    if abs(sum(weights.values()) - _WHOLE) > 1e-9:
        raise DefinitionError(
            f"インセンティブの{label}の配分の合計が100%ではありません({sum(weights.values()):g}%)",
            hint=f"kenpo.toml の incentive.{key}.* を合わせて100にしてください。",
        )
    shares = {name: weight / _WHOLE for name, weight in weights.items()}
    return Indicator(key, rows["base"].item, label, float(rows["base"].value), shares)
