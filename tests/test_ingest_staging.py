"""A delivery is staged whole or not at all, sealed, under one key; nothing it held is lost."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
import pytest

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.identity import Key
from kenpo_analytics.ingest.store import staged, staging
from tests.staged_world import KEY, balanced, batch, checkup, claim, ingest, member, opened, source, table, who

DAY = dt.date(2024, 5, 1)
OTHER = Key(bytes(32))


def add(store: staging.Store, name: str, *batches, month: int = 202504, origin: str = "option"):
    return store.add(source(name), batches, received_month=month, received_from=origin)


def test_a_reader_that_fails_leaves_nothing(tmp_path):
    def broken():
        yield batch(checkups=[checkup(who(), DAY)])
        raise IngestError("壊れたファイル")

    with opened(tmp_path) as store:
        with pytest.raises(IngestError, match="壊れた"):
            store.add(source("a"), broken(), received_month=202504, received_from="option")
        assert store.held(source("a").digest) is None
        assert store.scan("checkups") is None
        assert [path.name for path in store.folder.iterdir() if path.is_dir()] == []
        add(store, "a", batch(checkups=[checkup(who(), DAY)]))
        assert store.held(source("a").digest) is not None


def test_what_a_killed_ingest_left_is_swept_away(tmp_path):
    with opened(tmp_path) as store:
        half = store.folder / ".tmp-00"
        half.mkdir()
        (half / "source.json").write_text(json.dumps({"digest": "x"}))
        assert store.entries() == []
    with opened(tmp_path) as store:
        assert not half.exists()
        assert store.entries() == []


def test_a_known_content_is_not_read_again(tmp_path):
    with opened(tmp_path) as store:
        first = add(store, "a", batch(checkups=[checkup(who(), DAY)]))

        def never():
            raise AssertionError
            yield

        assert store.add(source("a"), never(), received_month=202504, received_from="today") == first
        assert add(store, "b", batch(checkups=[])).seq == 2


def test_another_key_is_refused(tmp_path):
    with opened(tmp_path):
        pass
    with pytest.raises(IngestError, match="鍵が違います"), opened(tmp_path, key=OTHER):
        pass
    with opened(tmp_path, key=KEY):
        pass


def test_synthetic_and_real_do_not_mix(tmp_path):
    with opened(tmp_path / "made", synthetic=True):
        pass
    assert (tmp_path / "made" / "SYNTHETIC").exists()
    with pytest.raises(IngestError, match="合成データのフォルダに実データ"), opened(tmp_path / "made", synthetic=False):
        pass
    with opened(tmp_path / "real", synthetic=False):
        pass
    assert not (tmp_path / "real" / "SYNTHETIC").exists()
    with pytest.raises(IngestError, match="実データのフォルダに合成データ"), opened(tmp_path / "real", synthetic=True):
        pass


def test_one_ingest_at_a_time(tmp_path):
    with opened(tmp_path), pytest.raises(IngestError, match="進行中"), opened(tmp_path):
        pass
    with opened(tmp_path):
        pass


def test_tables_of_another_origin_are_not_overwritten(tmp_path):
    (tmp_path / "members.parquet").touch()
    with pytest.raises(IngestError, match="取り込みで作られていない表"), opened(tmp_path):
        pass
    assert not (tmp_path / ".ingest").exists()


def test_nothing_on_disk_names_a_person(tmp_path):
    person = who(symbol="98765432", number="1357924", kana="ジュゲム ゴコウ")
    ingest(
        tmp_path,
        ("m", batch(members=[member(person, dt.date(2020, 4, 1))])),
        ("c", batch(checkups=[checkup(person, DAY)], claims=[claim(person, 202404, "98001234567890123")])),
    )
    told = ["98765432", "1357924", "ジュゲム", "ゴコウ", "1970-05-17", "19700517"]
    for path in tmp_path.glob("**/*.parquet"):
        frame = pl.read_parquet(path)
        assert not {"symbol", "number", "branch_number", "birth", "kana", "insurer"} & set(frame.columns)
        text = frame.select(pl.col(pl.String, pl.Date).cast(pl.String)).write_csv()
        assert not [word for word in told if word in text], path
    assert table(tmp_path, "claims")["claim_id"].item() == 98001234567890123
    for path in tmp_path.glob("**/*.json"):
        assert not [word for word in told if word in path.read_text(encoding="utf-8")]


def test_the_month_of_receipt_is_the_files_own_or_the_one_given(tmp_path):
    with opened(tmp_path) as store:
        own = add(store, "own", batch(checkups=[checkup(who(), DAY, received_month=m) for m in (202406, 202407)]))
        mixed = add(store, "mixed", batch(checkups=[checkup(who(), DAY, received_month=202406), checkup(who(), DAY)]))
        plain = add(store, "m", batch(members=[member(who(), DAY)]), origin="name")
        months = store.scan("checkups").select("seq", "received_month").collect().rows()
        made = store.scan("members").select("made").collect().item()
    assert (own.received_month, own.received_from) == (202407, "file")
    assert (mixed.received_month, mixed.received_from) == (202504, "option")
    assert (plain.received_month, plain.received_from) == (202504, "name")
    assert sorted(months) == [(1, 202406), (1, 202407), (2, 202406), (2, 202504)]
    assert made == 20250400


def test_a_record_without_what_its_table_requires_is_quarantined(tmp_path):
    rows = [member(who(), DAY), member(who(number="2"), DAY, municipality=None), member(who(number="3", sex=None), DAY)]
    summary = ingest(tmp_path, ("m", batch(members=rows)))
    lost = summary.quarantine.select("table", "line", "level", "item", "rule").rows()
    assert lost == [("members", 3, "row", "municipality", "missing"), ("members", 4, "row", "sex", "missing")]
    assert balanced(summary)


def test_a_number_too_large_for_its_table_is_a_rejected_value(tmp_path):
    rows = [claim(who(), 202404, "1", points=2**40), claim(who(number="9"), 202404, "2", points=2**31 - 1)]
    summary = ingest(tmp_path, ("m", batch(claims=rows)))
    said = summary.quarantine.filter(pl.col("rule") == "range").select("line", "level", "item").rows()
    assert said == [(2, "value", "points")]
    assert table(tmp_path, "claims").sort("claim_id")["points"].to_list() == [None, 2**31 - 1]
    assert summary.sources["values_rejected"].item() == 1


def test_large_deliveries_are_written_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(staged, "FLUSH", 10)
    batches = [batch(members=[member(who(number=str(7 * i + k)), DAY) for k in range(7)]) for i in range(6)]
    with opened(tmp_path) as store:
        entry = add(store, "m", *batches)
        files = sorted((store.folder / entry.digest).glob("members.*.parquet"))
        assert (entry.read, entry.rows) == (42, {"members": 42})
        assert [pl.read_parquet(path).height for path in files] == [14, 14, 14]
        assert store.scan("members").select(pl.len()).collect().item() == 42


def test_claim_ids_are_the_number_itself_or_a_hash():
    keys = pl.Series(["12345678901234567", "0" * 10 + "42", "1" * 18, "1" * 19, "2410000001|202404|7"])
    ids = staged.claim_ids(keys, KEY).to_list()
    assert ids[:3] == [12345678901234567, 42, int("1" * 18)]
    assert ids[3:] == [KEY.seal("claim|" + "1" * 19), KEY.seal("claim|2410000001|202404|7")]
