"""Whom do files name? 記号・番号, 枝番 and an invented name per number spell, and the ids that ingest makes of them.

The formulas are those of the ingest room, retyped here: nothing is imported, so that a mistake on one side shows.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kenpo_analytics.sample import days as d
from kenpo_analytics.sample.constants import rows
from kenpo_analytics.sample.params import stream
from kenpo_analytics.sample.people import People
from kenpo_analytics.sample.stretches import GAP, VOLUNTARY

Ints = NDArray[np.int64]
INSURER = "01240019"
SECRET = hashlib.sha256(b"kenpo_analytics: published key of the synthetic sample").digest()
"""No secret: the people are invented, and whoever rebuilds the sample must get the same ids."""

_SMALL = str.maketrans("ァィゥェォッャュョヮヵヶ", "アイウエオツヤユヨワカケ", "ー 　")


@dataclass
class Identities:
    """What files call each person, number spell by number spell, and the id that stands for the person."""

    spells: pl.DataFrame
    """i, day (first day of the number), symbol, number, branch (枝番; null for twins), rule, by person and day."""
    ids: Ints
    family: NDArray[np.str_]
    given: NDArray[np.str_]
    birth: Ints
    male: NDArray[np.bool_]
    namesakes: Ints
    """Pairs of people of one name, birthday and sex who are members at the same time: not one person."""

    @property
    def people(self) -> pl.DataFrame:
        """Which person (`i`) bears which id (`person_id`)?"""
        return pl.DataFrame({"person_id": self.ids, "i": np.arange(len(self.ids))})

    def at(self, person: Ints, when: Ints) -> pl.DataFrame:
        """What would a file of this day call these people? The number in force, else the one before, else the first."""
        i, day = self.spells["i"].to_numpy(), self.spells["day"].to_numpy()
        wide = np.int64(1 << 20)
        at = np.searchsorted(i * wide + day + 100_000, person * wide + when + 100_000, side="right") - 1
        first = np.searchsorted(i, person)
        chosen = self.spells[np.maximum(at, first)].select("symbol", "number", "branch", "rule")
        return chosen.with_columns(
            pl.Series("family", self.family[person], dtype=pl.String),
            pl.Series("given", self.given[person], dtype=pl.String),
            d.to_date(self.birth[person]).alias("birth"),
            pl.Series("sex", np.where(self.male[person], "1", "2"), dtype=pl.String),
        )


def seal(text: str) -> int:
    """Which 63-bit number stands for this text? The first eight bytes of its HMAC-SHA-256, sign bit dropped."""
    return int.from_bytes(hmac.digest(SECRET, text.encode(), "sha256")[:8], "big") >> 1


def identify(people: People, stretches: pl.DataFrame, twins: Ints, seed: int) -> Identities:
    """Who is called what, from when to when?"""
    family, given = _names(people, seed)
    plain = _spells(stretches)
    namesakes = _namesakes(plain, people, twins)
    for names in (family, given):
        names[namesakes[:, 1]] = names[namesakes[:, 0]]
    spells = _numbers(plain, people, twins)
    ids = _person_ids(spells, people, family, given)
    return Identities(spells, ids, family, given, people.birth, people.male, namesakes)


def spell_number(stretches: pl.DataFrame) -> pl.Series:
    """Which number spell (0, 1, ...) of its person is each stretch? A move keeps the number, the employer too."""
    before = pl.col("place", "insured", "end").shift(1).over("i").name.suffix("_before")
    s = stretches.with_columns(before)
    gap = (pl.col("kind") == GAP) & (pl.col("day") > pl.col("end_before"))
    other = (pl.col("place") != pl.col("place_before")) | (pl.col("insured") != pl.col("insured_before"))
    new = (pl.col("kind") == VOLUNTARY) | gap | other
    return s.select(new.fill_null(False).cum_sum().over("i").cast(pl.Int64).alias("spell"))["spell"]


def _spells(stretches: pl.DataFrame) -> pl.DataFrame:
    s = stretches.filter(pl.col("day") < d.SNAPSHOT_END)
    s = s.with_columns(spell_number(s))
    spells = s.group_by("i", "spell", maintain_order=True).agg(
        pl.col("day", "kind", "place", "insured").first(), pl.col("end").last()
    )
    before = pl.col("end").shift(1).over("i")
    rule = pl.when(before.is_null()).then(pl.lit("exact")).when(before == pl.col("day")).then(pl.lit("number_change"))
    return spells.with_columns(rule.otherwise(pl.lit("rejoined")).alias("rule"))


def _numbers(spells: pl.DataFrame, people: People, twins: Ints) -> pl.DataFrame:
    """A 記号 per workplace (任意継続 has its own), a 番号 in order of entry; the second twin bears the first one's."""
    symbol = pl.when(pl.col("kind") == VOLUNTARY).then(24_990_001).otherwise(24_000_101 + pl.col("place") * 13)
    spells = spells.with_columns(symbol=symbol).sort("symbol", "day", "i")
    spells = spells.with_columns(number=pl.int_range(1, pl.len() + 1).over("symbol")).sort("i", "day")
    i = spells["i"].to_numpy()
    dependant = pl.concat_str(pl.lit("0"), 1 + pl.col("i") % 3)
    branch = pl.when("insured").then(pl.lit("00")).otherwise(dependant)
    twin = pl.Series(np.isin(i, twins))
    spells = spells.with_columns(
        branch=pl.when(twin).then(None).otherwise(branch),
        rule=pl.when(twin).then(pl.lit("twin_unresolved")).otherwise("rule"),
    )
    first = pl.DataFrame({"i": twins[:, 1], "other": twins[:, 0]}, schema={"i": pl.Int64, "other": pl.Int64})
    shared = first.join(spells.unique("i", keep="first").select("i", "symbol", "number"), left_on="other", right_on="i")
    spells = spells.join(shared.drop("other"), on="i", how="left", suffix="_shared", maintain_order="left")
    return spells.select(
        "i",
        "day",
        symbol=pl.coalesce("symbol_shared", "symbol").cast(pl.String),
        number=pl.coalesce("number_shared", "number").cast(pl.String),
        branch="branch",
        rule="rule",
    )


def _names(people: People, seed: int) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """No two people of one birthday and sex share a name: a draw per birthday, then one step per person born on it.

    The names are no one's: words such as 合成, 架空, 見本 for families, letters and numbers as given names.
    """
    rng = stream(seed, "names")
    family, given = (
        np.array([row["name"] for row in rows("names.csv") if row["part"] == part]) for part in ("family", "given")
    )
    frame = pl.DataFrame({"birth": people.birth, "male": people.male, "u": rng.integers(0, 10**6, people.size)})
    drawn = frame.select(pl.col("u").first().over("birth", "male") + 47 * pl.int_range(pl.len()).over("birth", "male"))
    pick = drawn["u"].to_numpy() % (len(family) * len(given))
    return family[pick // len(given)], given[pick % len(given)]


def _namesakes(spells: pl.DataFrame, people: People, twins: Ints) -> Ints:
    """Three pairs, if there are any: born on one day, of one sex, each with one number, members at the same time."""
    single = spells.filter(pl.len().over("i") == 1, ~pl.col("i").is_in(twins.ravel().tolist()))
    i = single["i"].to_numpy()
    born = single.with_columns(birth=pl.Series(people.birth[i]), male=pl.Series(people.male[i]))
    born = born.sort("birth", "male", "day", "i")
    following = [pl.col(name).shift(-1).alias(f"{name}_next") for name in ("i", "birth", "male", "day")]
    pairs = born.with_columns(following).filter(
        pl.col("birth") == pl.col("birth_next"),
        pl.col("male") == pl.col("male_next"),
        pl.col("end") > pl.col("day_next") + 365,
    )
    return pairs.select("i", "i_next").gather_every(7).head(3).to_numpy().astype(np.int64)


def _person_ids(spells: pl.DataFrame, people: People, family: NDArray[np.str_], given: NDArray[np.str_]) -> Ints:
    """The id of the earliest spell: its number, the birthday and sex, and the name made comparable."""
    first = spells.unique("i", keep="first", maintain_order=True)
    names = {
        name: seal(f"kana|{name.translate(_SMALL)}") for name in {a + b for a, b in zip(family, given, strict=True)}
    }
    days = d.to_date(people.birth).dt.to_string("%Y-%m-%d")
    births = [f"birth|{day}|{'M' if male else 'F'}" for day, male in zip(days, people.male, strict=True)]
    born = {text: seal(text) for text in set(births)}
    ids = np.zeros(people.size, dtype=np.int64)
    for i, symbol, number in first.select("i", "symbol", "number").iter_rows():
        number_id = seal(f"family|{INSURER}|{symbol}|{number}")
        ids[i] = seal(f"person|{number_id}|{born[births[i]]}|{names[family[i] + given[i]]}")
    return ids
