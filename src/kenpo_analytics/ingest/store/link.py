"""Whose record is it? Every identity that records bear is compared with those the members were listed under."""

from __future__ import annotations

import datetime as dt

import polars as pl

from kenpo_analytics.ingest.identity import SEALED, Key
from kenpo_analytics.ingest.store.people import People, from_records
from kenpo_analytics.ingest.store.staging import Store

IDS = list(SEALED)
LINKS = ("number", "birth", "kana", "record")
OF_PEOPLE = {
    "checkups": pl.col("checkup_date"),
    "claims": pl.date(pl.col("treatment_month") // 100, pl.col("treatment_month") % 100, 1),
    "guidance": pl.coalesce("first_interview", pl.date(pl.col("fiscal_year"), 4, 1)),
    "mailings": pl.col("planned_date"),
}
"""The tables whose records are about people, and the day each was about them."""
_NEVER = dt.date(9999, 12, 31)


def identities(store: Store) -> pl.DataFrame:
    """Which identities do the staged records bear? The hashes, and `valid_from`: the first day each was seen on."""
    found = [
        staged.select(*IDS, day.fill_null(_NEVER).alias("valid_from"))
        for table, day in OF_PEOPLE.items()
        if (staged := store.scan(table)) is not None
    ]
    if not found:
        return pl.DataFrame(schema={**SEALED, "valid_from": pl.Date})
    return pl.concat(found).group_by(IDS).agg(pl.col("valid_from").min()).sort(IDS).collect(engine="streaming")


def link(found: pl.DataFrame, people: People | None, key: Key) -> pl.DataFrame:
    """Who is meant by each identity? The hashes with `person_id` and `link`, or with `refused`, the rule that says no.

    `twin`: made of records, one of several people of one number and birthday that only the name keeps apart.

    With members, in this order (birthday always means birth date and sex):

    - "number": 記号・番号・枝番 and birthday fit. Where they fit but the birthday does not: "identity_conflict".
    - "birth": 記号・番号 and birthday fit one person; the name decides between twins, else "twin_ambiguous".
      A 枝番 that is not the person's is an "identity_conflict" unless the name fits.
    - "kana": name and birthday fit one person in all, whatever the number; else "same_name_and_birth_ambiguous".
    - else "not_enrolled": the record waits until a list names the person.

    Where a file does not tell the sex, the birth date alone takes the birthday's place; without a birth date a number
    must be one person's alone ("no_birth"). Without any members, people are made of the records ("record").
    """
    if people is not None:
        return _linked(found, people.nodes, people.unclear).with_columns(twin=pl.lit(False))
    nodes, unclear = from_records(found, key)
    linked = _linked(found, nodes, unclear)
    rule = pl.when(pl.col("refused") == "not_enrolled").then(pl.lit("no_identity")).otherwise("refused")
    made = pl.when(pl.col("link").is_not_null()).then(pl.lit("record"))
    return linked.with_columns(link=made, refused=rule, twin=pl.col("person_id").is_in(_twins(nodes).implode()))


def _twins(nodes: pl.DataFrame) -> pl.Series:
    pairs = nodes.drop_nulls("id_family").group_by("id_family", "id_birth")
    found = pairs.agg(pl.col("person_id").unique(), branched=pl.col("id_number").is_not_null().any())
    found = found.filter((pl.col("person_id").list.len() > 1) & ~pl.col("branched"))
    return found.explode("person_id")["person_id"].unique()


def join(rows: pl.DataFrame, linked: pl.DataFrame) -> pl.DataFrame:
    """Staged records with `person_id`, `link`, `refused` and `twin` in place of their hashes, in the same order."""
    return rows.join(linked, on=IDS, how="left", nulls_equal=True, maintain_order="left").drop(IDS)


def _linked(found: pl.DataFrame, nodes: pl.DataFrame, unclear: pl.DataFrame) -> pl.DataFrame:
    found = found.select(IDS)
    birth, born = pl.col("id_birth").is_not_null(), pl.col("id_born").is_not_null()
    parts = [
        _judge(found.filter(birth), nodes, unclear, ["id_birth"]),
        _judge(found.filter(~birth & born), nodes, unclear.clear(), ["id_born"]),
        _judge(found.filter(~birth & ~born), nodes, unclear.clear(), []),
    ]
    return pl.concat(parts)


def _judge(found: pl.DataFrame, nodes: pl.DataFrame, unclear: pl.DataFrame, day: list[str]) -> pl.DataFrame:
    """`day` is the hash that stands for the birthday: [] where there is none, and then a name proves nothing."""
    number, branched = nodes.drop_nulls("id_number"), nodes.drop_nulls(["id_number", "id_family"])
    found = _fits(found, number, "known", ["id_number"])
    found = _fits(found, number, "number", ["id_number", *day])
    found = _fits(found, nodes, "family", ["id_family", *day])
    found = _fits(found, nodes, "twin", ["id_family", *day, "id_kana"])
    found = _fits(found, branched, "branched", ["id_family", *day])
    found = _fits(found, nodes if day else nodes.clear(), "kana", ["id_kana", *day])
    doubt = unclear.select("id_family", "id_birth", doubt=pl.lit(True))
    found = found.join(doubt, on=["id_family", "id_birth"], how="left").with_columns(pl.col("doubt").fill_null(False))
    other_branch = pl.col("id_number").is_not_null() & (pl.col("branched") == 1)
    verdict = (
        pl.when(pl.col("number") == 1)
        .then(pl.lit("number"))
        .when(pl.col("known") > 0)
        .then(pl.lit("identity_conflict" if day else "no_birth"))
        .when((pl.col("family") == 1) & other_branch & (pl.col("twin") != 1))
        .then(pl.lit("identity_conflict"))
        .when((pl.col("family") == 1) & ~pl.col("doubt"))
        .then(pl.lit("birth"))
        .when(pl.col("twin") == 1)
        .then(pl.lit("twin"))
        .when((pl.col("family") > 0) | pl.col("doubt"))
        .then(pl.lit("twin_ambiguous" if day else "no_birth"))
        .when(pl.col("kana") == 1)
        .then(pl.lit("kana"))
        .when(pl.col("kana") > 1)
        .then(pl.lit("same_name_and_birth_ambiguous"))
        .when(pl.all_horizontal(pl.col("id_number", "id_family", "id_kana").is_null()))
        .then(pl.lit("no_identity"))
        .otherwise(pl.lit("not_enrolled"))
    )
    found = found.with_columns(verdict=verdict)
    chosen = {"number": "number_person", "birth": "family_person", "twin": "twin_person", "kana": "kana_person"}
    person = pl.coalesce(pl.when(pl.col("verdict") == rule).then(pl.col(who)) for rule, who in chosen.items())
    linked = pl.col("verdict").is_in(list(chosen))
    return found.select(
        *IDS,
        person_id=person,
        link=pl.when(linked).then(pl.col("verdict").replace("twin", "birth")),
        refused=pl.when(~linked).then("verdict"),
    )


def _fits(found: pl.DataFrame, nodes: pl.DataFrame, name: str, keys: list[str]) -> pl.DataFrame:
    """How many people bear these hashes (`name`), and who is the one (`<name>_person`)? A missing hash fits nobody."""
    held = nodes.select("person_id", *keys).drop_nulls().unique()
    held = held.group_by(keys).agg(pl.len().alias(name), pl.col("person_id").min().alias(f"{name}_person"))
    return found.join(held, on=keys, how="left").with_columns(pl.col(name).fill_null(0))
