"""Hashes stand for people: equal for every way of writing, different under another key, and nothing else is written."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import os
import stat

import polars as pl
import pytest

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.identity import SEALED, Key, normal_kana, normal_number, read_key, seal_frame
from kenpo_analytics.ingest.records import IDENTITY
from tests.staged_world import KEY, who


def seal(*people: dict) -> pl.DataFrame:
    return seal_frame(pl.DataFrame(list(people), schema=IDENTITY), KEY)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("００１２３", "123"),
        ("12-34", "1234"),
        ("０", "0"),
        ("00", "0"),
        (" 5 6 ", "56"),
        ("ａb－1", "AB1"),
        ("", None),
        ("　", None),
    ],
)
def test_numbers_compare_however_they_are_written(written, plain):
    assert normal_number(written) == plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("ｶﾝｼﾞｬ ｲﾁﾛｳ", "カンジヤイチロウ"),
        ("かんじゃ　いちろう", "カンジヤイチロウ"),
        ("カンジャ・イチロー", "カンジヤイチロ"),
        ("ヴィー", "ヴイ"),
        (" ", None),
    ],
)
def test_names_compare_without_width_spaces_and_small_letters(written, plain):
    assert normal_kana(written) == plain


def test_hashes_are_63_bits_of_hmac_sha256():
    # RFC 2104 with SHA-256, first eight bytes without the sign bit, computed here by hashlib alone
    sealed = seal(who(symbol="２４０１０２０３", number="00015", branch_number="00"))
    block = bytes(range(32)).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + b"family|01240019|24010203|15").digest()
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).digest()
    assert sealed["id_family"].item() == int.from_bytes(outer[:8], "big") >> 1
    number = hmac.digest(bytes(range(32)), b"number|01240019|24010203|15|0", "sha256")
    assert sealed["id_number"].item() == int.from_bytes(number[:8], "big") >> 1


def test_the_same_person_written_differently_has_the_same_hashes():
    a = who()
    b = who(symbol="２４０１-０２０３", number="0015", branch_number="0", kana="ｶｸｳ ﾀﾛｳ")
    first, second = seal(a, b).select(list(SEALED)).rows()
    assert first == second
    other = seal(who(birth=dt.date(1970, 5, 17), sex="F")).select(list(SEALED)).row(0)
    assert [x == y for x, y in zip(first, other, strict=True)] == [True, True, False, True, True]


def test_what_is_missing_has_no_hash():
    sealed = seal(who(branch_number=None), who(symbol=None), who(sex=None), who(kana="　"), who(birth=None))
    missing = [[name for name, value in row.items() if value is None and name != "sex"] for row in sealed.to_dicts()]
    assert missing == [["id_number"], ["id_number", "id_family"], ["id_birth"], ["id_kana"], ["id_birth", "id_born"]]


def test_a_bar_in_a_number_does_not_move_the_border_between_fields():
    a, b = seal(who(symbol="1|2", number="3"), who(symbol="1", number="2|3"))["id_family"]
    assert a != b


def test_no_plain_identity_stays():
    sealed = seal(who())
    assert sealed.columns == ["sex", *SEALED]
    assert set(sealed.dtypes) == {pl.String, pl.Int64}


def test_other_key_other_hashes_and_the_key_is_not_shown():
    other = Key(bytes(32))
    assert other.seal("x") != KEY.seal("x")
    assert other.check != KEY.check
    assert bytes(32).hex() not in repr(other)


def test_a_new_key_is_for_its_owner_alone_and_read_again(tmp_path):
    path, data = tmp_path / "keys" / "kenpo.key", tmp_path / "data"
    first = read_key(path, data=data)
    assert read_key(path, data=data).check == first.check
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o640)
        with pytest.raises(IngestError, match="本人以外"):
            read_key(path, data=data)
        assert read_key(path, data=data, synthetic=True).check == first.check


def test_a_key_in_the_data_folder_or_no_key_at_all_is_refused(tmp_path):
    with pytest.raises(IngestError, match="中にあります"):
        read_key(tmp_path / "data" / "sub" / "key", data=tmp_path / "data")
    for text in ("", "zz", "00" * 31):
        path = tmp_path / "key"
        path.write_text(text)
        path.chmod(0o600)
        with pytest.raises(IngestError, match="鍵ではありません"):
            read_key(path, data=tmp_path / "data")
