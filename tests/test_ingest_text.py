"""Texts of real files: every form formats name, every boundary, and damage that must not pass for a value."""

from __future__ import annotations

import datetime as dt
import io
import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kenpo_analytics.errors import IngestError
from kenpo_analytics.ingest.files.lines import MAX_LINE_BYTES, decode
from kenpo_analytics.ingest.rules import REASONS, reason
from kenpo_analytics.ingest.values.columns import days, figures
from kenpo_analytics.ingest.values.text import date, insurer_number, number, sex


def lines_of(data: bytes, block: int = 7) -> tuple[str, str, list[int]]:
    encoding, blocks = decode(io.BytesIO(data), block)
    read = list(blocks)
    first = 1
    for each in read:
        assert each.first == first and each.text.endswith("\n")
        first += each.text.count("\n")
    return encoding, "".join(each.text for each in read), [line for each in read for line in each.bad]


# --- lines ---------------------------------------------------------------------------------------------

TEXT = "髙﨑①㈱～－,ﾃｽﾄ\n2,あ\n"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (TEXT.encode("cp932"), "cp932"),
        (TEXT.replace("\n", "\r\n").encode("cp932"), "cp932"),
        (TEXT.replace("\n", "\r").encode("cp932"), "cp932"),
        (TEXT.encode(), "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8"),
        (TEXT.strip().encode("cp932"), "cp932"),
        (TEXT.encode("cp932") + b"\x1a", "cp932"),
        (b"\x1a" + TEXT.encode("cp932") + b"\x1a\r\n"[:1], "cp932"),
    ],
)
def test_decodes_every_encoding_and_line_end(data: bytes, encoding: str) -> None:
    assert lines_of(data) == (encoding, TEXT, [])
    assert lines_of(data, 2**20) == (encoding, TEXT, [])


def test_joined_files_lose_their_end_marks_and_byte_order_marks() -> None:
    one = "あ,1\r\n"
    assert lines_of((one + "\x1a" + one).encode("cp932")) == ("cp932", "あ,1\nあ,1\n", [])
    assert lines_of((one + "\ufeff" + one).encode())[1] == "あ,1\nあ,1\n"
    assert lines_of(b"a\r\n\x1a\r\nb\r\n")[1] == "a\n\nb\n"  # the line stays: line numbers do not shift


def test_a_carriage_return_alone_is_no_line_end_in_a_file_with_line_feeds() -> None:
    assert lines_of(b"a\rb,1\r\nc\r\n")[1] == "a b,1\nc\n"


def test_undecodable_bytes_are_told_by_line() -> None:
    data = b"".join("あい,1\r\n".encode("cp932") for _ in range(5)) + b"\x81,2\r\n" + b"x\x80\xa0\xfd\r\n"
    encoding, text, bad = lines_of(data)
    assert (encoding, bad) == ("cp932", [6, 7])
    assert text.split("\n")[5:7] == ["\ufffd,2", "x\ufffd\ufffd\ufffd"]
    whole = "あい,1\n".encode() * 5
    assert lines_of(whole + b"\x82\xa0,2\n" + whole)[::2] == ("utf-8", [6])  # one damaged line does not turn a file


def test_ascii_is_decided_by_the_first_line_that_is_not() -> None:
    data = b"1,2\n" * 400_000 + "あ,い\n".encode("cp932")
    encoding, blocks = decode(io.BytesIO(data))
    text = "".join(block.text for block in blocks)
    assert encoding == "ascii" and text.endswith("1,2\nあ,い\n")


def test_half_width_kana_that_happen_to_be_utf_8_stay_kana() -> None:
    data = "ﾐｱ,1\nﾏｴ,2\n".encode("cp932")
    assert data.decode("utf-8") == "б,1\nϴ,2\n"
    assert lines_of(data) == ("cp932", "ﾐｱ,1\nﾏｴ,2\n", [])
    assert lines_of("36.5℃,γ-GT\n".encode())[0] == "utf-8"


def test_refuses_utf_16_and_endless_lines() -> None:
    with pytest.raises(IngestError, match="UTF-16"):
        decode(io.BytesIO("あ".encode("utf-16")))
    with pytest.raises(IngestError, match="長すぎ"):
        list(decode(io.BytesIO(b"x" * (MAX_LINE_BYTES + 2**20)))[1])


def test_nothing() -> None:
    assert lines_of(b"") == ("ascii", "", [])
    assert lines_of(b"\x1a") == ("ascii", "", [])
    assert lines_of(b"\n\n") == ("ascii", "\n\n", [])


@settings(max_examples=25, deadline=None)
@given(st.text("あ髙,1\r\n\x1a", max_size=40), st.integers(1, 9))
def test_blocks_of_any_size_give_the_same_lines(text: str, block: int) -> None:
    data = b"0\n" * 2**19 + text.encode("cp932")  # longer than the sample that is read at once
    assert lines_of(data, block) == lines_of(data, 2**20)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_no_byte_is_lost_silently(data: bytes) -> None:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return
    encoding, text, bad = lines_of(data)
    if not bad and encoding != "ascii" and not {0x0D, 0x1A, 0xEF} & set(data):
        assert text.removesuffix("\n") == data.decode(encoding).removesuffix("\n")
    assert all("\ufffd" in line for at, line in enumerate(text.split("\n"), 1) if at in bad)


# --- numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("120", 120),
        ("１２０", 120),
        ("１２０．５", 120.5),
        (" 120 \t", 120),
        ("120.0", 120),
        ("120.", 120),
        ("+120", 120),
        ("120mmHg", 120),
        ("120 mm[Hg]", 120),
        ("１２０㎜Hg", 120),
        ("060", 60),
        ("300", 300),
    ],
)
def test_numbers(text: str, value: float) -> None:
    assert number(text, 60, 300, "sbp") == (value, None)


@pytest.mark.parametrize("text", [None, "", " ", "　", "-", "－", "―", "--", "未実施", "未検査", "検査なし", "NULL"])
def test_never_measured_is_neither_value_nor_rejection(text: str | None) -> None:
    assert number(text, 60, 300, "sbp") == (None, None)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (text, "censored")
        for text in ("H", "L", "Ｈ", "l", "<60", "＜60", "≧300", "60未満", "300以上", "300 以上", ">=300")
    ]
    + [(text, "not_measurable") for text in ("測定不能", "測定不可能", "検査不能", "測定不能(体動)", "検体不良")]
    + [(text, "range") for text in ("9000", "0", "59.9", "300.1", "-120")]
    + [
        (text, "not_a_number")
        for text in ("12O", "120 130", "120/80", "1.2E+2", "5²", "①", "1.2.3", "12,0", "??", "120H")
    ]
    + [
        (text, "not_a_number")
        for text in ("***", "＊＊＊", "*", "nan", "inf", "0x78", "١٢٠", "１２０Ａ", "=120", "120;")
    ]
    + [(text, "unit_suspected") for text in ("16.0kPa", "120 mg/dL")],
)
def test_what_is_no_number(text: str, rule: str) -> None:
    assert number(text, 60, 300, "sbp") == (None, rule)


@pytest.mark.parametrize(
    ("item", "low", "high", "suspected", "plain"),
    [
        ("fpg", 20, 600, ("1.1", "5.6", "19.9", "5.6 mmol/L"), ("1.0", "19.95", "601")),
        ("hba1c", 3, 20, ("30", "56", "200", "0.056", "38mmol/mol"), ("29.9", "201", "2.9", "20.1")),
        ("height", 100, 250, ("1.70", "1700"), ("99.9", "250.1", "17")),
        ("tg", 10, 2000, ("1.5", "9.9"), ("0", "2001")),
    ],
)
def test_another_unit_is_suspected_not_converted(item, low, high, suspected, plain) -> None:  # type: ignore[no-untyped-def]
    assert {number(text, low, high, item) for text in suspected} == {(None, "unit_suspected")}
    assert {number(text, low, high, item) for text in plain} == {(None, "range")}
    assert [number(str(at), low, high, item).value for at in (low, high)] == [low, high]
    assert "疑い" in reason("unit_suspected", item)


def test_thousands_and_own_units() -> None:
    assert number("1,234", 10, 2000, "tg").value == 1234
    assert number("1,23", 10, 2000, "tg").rule == "not_a_number"
    assert number("5.6 %", 3, 20, "hba1c").value == 5.6
    assert number("5.6 %", 20, 600, "fpg").rule == "unit_suspected"
    assert number("22.0kg/㎡", 10, 100, "bmi").value == 22
    assert number("25IU/L", 0, 1000, "ast").value == 25


def test_a_column_reads_as_its_texts() -> None:
    texts = ["120", None, "H", "未実施", "9000", "120", "x"]
    values, rules = figures(60, 300, "sbp")(pl.Series("sbp", texts))
    assert values.to_list() == [120, None, None, None, None, 120, None]
    assert rules.to_list() == [None, None, "censored", None, "range", None, "not_a_number"]
    assert (values.dtype, rules.dtype) == (pl.Float64, pl.String)
    empty = figures(1, 2)(pl.Series([], dtype=pl.String))
    assert [each.dtype for each in empty] == [pl.Float64, pl.String]


@settings(max_examples=500, deadline=None)
@given(st.text("0123456789０１２３４５６７８９.．,-+eEHL<≧*%/ 未実施測定不能mgdl²", max_size=8))
def test_a_value_is_always_literally_there(text: str) -> None:
    value, rule = number(text, 60, 300)
    assert rule is None or (value is None and rule in REASONS)
    if value is not None:
        plain = "".join(chr(ord(c) - 0xFEE0) if "！" <= c <= "～" else c for c in text).strip().replace(",", "")
        assert float(plain) == value and 60 <= value <= 300


# --- dates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "2024-10-01",
        "2024/10/1",
        "20241001",
        "令和6年10月1日",
        "R6.10.1",
        "R06.10.01",
        "5061001",
        "２０２４年１０月１日",
        "45566",
        "45566.0",
        "2024/10/01 0:00",
        "2024-10-01T00:00:00",
        "2024-10-01 09:30:00.000",
        " 2024.10.1 ",
    ],
)
def test_days(text: str) -> None:
    assert date(text) == (dt.date(2024, 10, 1), None)


@pytest.mark.parametrize(
    "text", ["20241301", "2024-02-30", "1052-01-01", "99999999", "H40.1.1", "x", "43101", "2024-10", "1"]
)
def test_no_days(text: str) -> None:
    assert date(text) == (None, "not_a_date")


def test_years_serials_and_columns() -> None:
    assert date("43101", serial=True) == (dt.date(2018, 1, 1), None)  # else also 平成31年1月
    following = dt.date.today().year + 1
    assert date(f"{following}0101")[1] is None and date(f"{following + 1}0101")[1] == "not_a_date"
    assert date("19000101")[1] is None and date("18991231")[1] == "not_a_date"
    values, rules = days()(pl.Series(["S48.06.01", None, "", "2024-13-01"]))
    assert values.to_list() == [dt.date(1973, 6, 1), None, None, None]
    assert rules.to_list() == [None, None, None, "not_a_date"]


# --- people --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("01240019", ("01240019", False)),
        ("０１２４００１９", ("01240019", False)),
        (" 01240019 ", ("01240019", False)),
        ("1240019", ("01240019", True)),
        ("1240019.0", ("01240019", True)),
        ("1.240019E+06", ("01240019", True)),
        ("1.24E+06", (None, False)),  # digits are lost
        ("01240018", (None, False)),
        ("133066", ("133066", False)),
        ("  133066", ("133066", False)),
        ("00133066", ("133066", False)),
        ("10017", ("010017", True)),
        ("", (None, False)),
        (None, (None, False)),
        ("00000000", (None, False)),
        ("0124001９x", (None, False)),
        ("101240019", (None, False)),
    ],
)
def test_insurer_numbers(text: str | None, found: tuple[str | None, bool]) -> None:
    assert insurer_number(text) == found


def test_every_single_wrong_digit_of_an_insurer_number_is_found() -> None:
    """Weights 2 and 1 with digit sums find every single error (検証番号, 保険者番号等の設定について)."""
    for place in range(8):
        for digit in "0123456789".replace("01240019"[place], ""):
            assert insurer_number("01240019"[:place] + digit + "01240019"[place + 1 :]) == (None, False)


def test_sexes() -> None:
    assert [sex(text) for text in ("1", "１", "男", "男性", "m", "Ｍ", "01")] == ["M"] * 7
    assert [sex(text) for text in ("2", "女", "F", "女性")] == ["F"] * 4
    assert [sex(text) for text in (None, "", "0", "9", "3", "男女")] == [None] * 6


def test_ten_thousand_damaged_texts_never_raise() -> None:
    rng = random.Random(3)
    texts = ["120", "令和6年10月1日", "1.240019E+06", "測定不能", "<3", "5.6 %", "45566", "20241001"]
    for _ in range(10_000):
        chars = list(rng.choice(texts))
        for _ in range(rng.randint(1, 3)):
            chars.insert(
                rng.randrange(len(chars) + 1), chr(rng.choice((rng.randrange(0x80), rng.randrange(0x3000, 0xFFFF))))
            )
        text = "".join(c for c in chars if not 0xD800 <= ord(c) < 0xE000)
        assert number(text, 3, 20, "hba1c").rule in (None, *REASONS)
        assert date(text)[1] in (None, "not_a_date")
        found = insurer_number(text)[0]
        assert found is None or insurer_number(found) == (found, False)
        sex(text)
