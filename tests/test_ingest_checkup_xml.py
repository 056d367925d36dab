"""特定健診 XML: what each rule of 特定健診情報ファイル仕様説明書 makes of a document, and what damage does to it."""

from __future__ import annotations

import datetime as dt
import io
import random
import re
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from kenpo_analytics.ingest.checkups.item_values import items
from kenpo_analytics.ingest.checkups.xml import BATCH, read_checkup_xml
from kenpo_analytics.ingest.checkups.xml_tree import MAX_BYTES, MAX_MARKS
from kenpo_analytics.ingest.files.sources import Source
from kenpo_analytics.ingest.records import CHECKUPS, Batch
from tests.checkup_documents import (
    INTERPRETATION,
    OID,
    Document,
    beyond,
    cd,
    check,
    group,
    index,
    not_done,
    null,
    observation,
    pq,
    reference,
    st,
)

HEIGHT, WEIGHT, WAIST = "9N001000000000001", "9N006000000000001", "9N016160100000001"
SBP_1, SBP_2, SBP = "9A751000000000001", "9A752000000000001", "9A755000000000001"
FPG, CASUAL, HDL, LDL = "3D010000001926101", "3D010129901926101", "3F070000002327101", "3F077000002327101"
AST, CREATININE, SMOKING, DRAWN = "3B035000002327201", "3C015000002327101", "9N736000000000011", "9N141000000000011"
NGSP, JDS, GAIN = "3D046000001906202", "3D045000001906202", "9N741000000000011"


@dataclass(frozen=True)
class Files(Source):
    """Documents in memory."""

    files: dict[str, bytes] = field(default_factory=dict)

    def open(self, entry: str | None = None) -> Any:
        return io.BytesIO(self.files[entry or ""])


def source(files: dict[str, bytes]) -> Files:
    entries = tuple(name for name in files if "DATA/" in name)
    return Files(Path("a.zip"), "a.zip", "0", "checkup_xml", 0, entries=entries, files=files)


def read(*documents: bytes) -> Batch:
    batches = list(read_checkup_xml(source({f"a/DATA/h{at}.xml": data for at, data in enumerate(documents)})))
    assert sum(batch.read for batch in batches) == len(documents)
    return batches[0]


def row(document: Document | bytes) -> dict[str, Any]:
    """The one record of a document without any rejection."""
    if isinstance(document, Document):
        check(document.xml())
        document = document.bytes()
    batch = read(document)
    assert batch.rejected.is_empty(), batch.rejected["rule"].to_list()
    return batch.rows["checkups"].row(0, named=True)


def refused(document: Document | bytes) -> list[tuple[str, str, str]]:
    """(level, item, rule) of what is rejected."""
    data = document.bytes() if isinstance(document, Document) else document
    return list(read(data).rejected.select("level", "item", "rule").iter_rows())


def lost(data: bytes) -> str:
    """The rule under which a document is no record."""
    ((level, _, rule),) = refused(data)
    assert level == "row"
    return rule


def holding(*entries: str, **fields: Any) -> Document:
    return Document(entries=entries, **fields)


def number(*entries: str, column: str, **fields: Any) -> Any:
    return row(holding(*entries, **fields))[column]


# --- header --------------------------------------------------------------------------------------------


def test_a_document_says_who_when_and_where() -> None:
    found = row(Document())
    expected = {
        "entry": "a/DATA/h0.xml", "line": 1, "filed": 20240527, "insurer": "01240019", "symbol": "1234",
        "number": "56", "branch_number": "01", "birth": dt.date(1970, 1, 1), "sex": "M", "kana": "ゴウセイタロウ",
        "checkup_date": dt.date(2024, 4, 1), "received_month": 202405, "institution": "2411000001",
        "kind": "特定健診", "action": "put",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert all(found[name] is None for name in CHECKUPS if name not in expected)


def test_exam_date_is_that_of_the_service_event_alone() -> None:
    document = Document(filed="20240930", exam="20240602")
    assert row(document)["checkup_date"] == dt.date(2024, 6, 2)
    assert refused(document.changed(exam=None)) == [("row", "checkup_date", "missing")]


def test_events_on_several_days_name_no_day() -> None:
    text = Document().xml()
    event = text[text.index("<documentationOf>") : text.index("</documentationOf>") + len("</documentationOf>")]
    assert row(text.replace(event, event * 2).encode())["checkup_date"] == dt.date(2024, 4, 1)
    other = event.replace("20240401", "20240402")
    assert lost(text.replace(event, event + other).encode()) == "not_a_date"


def test_timestamps_are_cut_to_the_day() -> None:
    found = row(Document(exam="20240401093000+0900", filed="202405271200", birth="19700101"))
    assert (found["checkup_date"], found["filed"]) == (dt.date(2024, 4, 1), 20240527)


@pytest.mark.parametrize(
    "exam", ["20240230", "2024", "202404", "2024040", "20080331", "99991231", "２０２４０４０１", "20240401x", "R6.4.1"]
)
def test_an_impossible_exam_date_is_no_record(exam: str) -> None:
    assert refused(Document(exam=exam)) == [("row", "checkup_date", "not_a_date")]


def test_first_day_of_checkups_is_read() -> None:
    assert row(Document(exam="20080401"))["checkup_date"] == dt.date(2008, 4, 1)


@pytest.mark.parametrize(
    ("fields", "item", "rule"),
    [
        ({"birth": None}, "birth", "missing"),
        ({"birth": "10520101"}, "birth", "not_a_date"),  # as in a public sample file
        ({"birth": "20240402"}, "birth", "not_a_date"),  # born after the exam
        ({"sex": None}, "sex", "missing"),
        ({"sex": "3"}, "sex", "unknown_word"),
        ({"report": "1O"}, "report", "unknown_code"),
        ({"programme": "020"}, "kind", "kind"),
    ],
)
def test_a_header_that_cannot_be_is_no_record(fields: dict[str, Any], item: str, rule: str) -> None:
    ((level, where, found),) = refused(Document(**fields))
    assert (level, where, found) == ("row", item, rule)


def test_a_document_with_several_faults_is_one_rejected_row() -> None:
    batch = read(Document(birth=None, sex="9", exam="x").bytes(), Document().bytes())
    assert batch.rejected["level"].to_list() == ["row"]
    assert batch.rows["checkups"].height == 1


@pytest.mark.parametrize(
    ("report", "programme", "kind", "action"),
    [
        ("10", "010", "特定健診", "put"),
        ("10", None, "特定健診", "put"),
        ("19", "010", "特定健診", "delete"),
        ("40", "030", "事業者健診", "put"),
        ("41", "030", "事業者健診", "put"),
        ("41", None, "事業者健診", "put"),
        ("49", "030", "事業者健診", "delete"),
        ("40", "990", "生活習慣病予防健診", "put"),
        ("40", "010", "特定健診", "put"),  # the programme that is told wins
        ("42", "010", "特定健診", "put"),
        ("49", "000", "生活習慣病予防健診", "delete"),
    ],
)
def test_kind_and_action_follow_report_and_programme(report: str, programme: str, kind: str, action: str) -> None:
    found = row(Document(report=report, programme=programme).bytes())
    assert (found["kind"], found["action"]) == (kind, action)


def test_other_checkups_of_another_insurer_have_no_kind() -> None:
    assert refused(Document(report="40", programme="990", insurer="06139463"))[0][2] == "kind"


def test_institution_is_the_performer_else_the_author() -> None:
    assert row(Document(author_institution="2411000009"))["institution"] == "2411000001"
    assert row(Document(institution=None, author_institution="2411000009"))["institution"] == "2411000009"
    document = Document(institution="123456789")
    assert refused(document) == [("value", "institution", "institution")]
    assert read(document.bytes()).rows["checkups"]["institution"].to_list() == [None]


def test_insurer_is_repaired_by_its_check_digit_and_reported() -> None:
    document = Document(insurer="1240019")
    assert read(document.bytes()).rows["checkups"]["insurer"].to_list() == ["01240019"]
    assert refused(document) == [("note", "insurer", "insurer_repaired")]
    assert read(document.bytes(), document.bytes()).rejected["entry"].to_list() == ["a/DATA/h0.xml"]  # said once
    assert refused(Document(insurer="01240018")) == [("value", "insurer", "insurer_number")]
    assert row(Document(insurer=None, ticket="01240019"))["insurer"] == "01240019"


def test_symbol_branch_and_name_may_be_absent() -> None:
    found = row(Document(symbol=None, branch=None, kana=None))
    assert [found[name] for name in ("symbol", "number", "branch_number", "kana")] == [None, "56", None, None]


def archived(told: bytes, *documents: Document) -> Batch:
    files = {f"a/DATA/h{at}.xml": document.bytes() for at, document in enumerate(documents)}
    (batch,) = read_checkup_xml(replace(source({**files, "a/ix08_V08.xml": told}), index="a/ix08_V08.xml"))
    return batch


@pytest.mark.parametrize(
    ("told", "month"),
    [
        (index("20240610"), 202406),
        (index("20240610", "https://www.mhlw.go.jp/stf/seisakunitsuite/bunya/0000161103.html"), 202406),
        (b"<index", 202405),
        (b"<index/>", 202405),
        (b"<!DOCTYPE x>" + index("20240610").partition(b"?>")[2], 202405),
    ],
)
def test_the_month_of_receipt_is_that_of_the_archive_if_it_says_so(told: bytes, month: int) -> None:
    found = archived(told, Document()).rows["checkups"]
    assert found.select("filed", "received_month").row(0) == (20240527, month)


def test_versions_are_ranked_by_the_day_of_the_document_however_packed() -> None:
    old, new = Document(filed="20240527"), Document(filed="20240605")
    ranks = {
        tuple(archived(index("20240610"), *documents).rows["checkups"]["filed"])
        for documents in ((old, new), (new, old))
    }
    assert ranks == {(20240527, 20240605), (20240605, 20240527)}
    (alone,) = archived(index("20240612"), old).rows["checkups"].select("filed", "received_month").rows()
    assert alone == (20240527, 202406)


OWN, WHOLE = "作成日: ", "作成日(交換用基本情報): "


@pytest.mark.parametrize(
    ("index_day", "own", "filed", "month", "said"),
    [
        ("20240610", None, 20240610, 202406, []),
        ("20240610", "20240331", 20240610, 202406, [("note", OWN)]),  # before the exam
        ("20990101", "20240527", 20240527, 202405, [("note", WHOLE)]),
        ("2024061O", "20240527", 20240527, 202405, [("note", WHOLE)]),
        ("20990101", None, None, None, [("value", WHOLE)]),
        ("20990101", "20990101", None, None, [("value", OWN), ("note", WHOLE)]),
    ],
)
def test_each_day_of_making_is_judged_by_itself(
    index_day: str, own: str | None, filed: int | None, month: int | None, said: list[tuple[str, str]]
) -> None:
    batch = archived(index(index_day), Document(filed=own))
    assert batch.rows["checkups"].select("filed", "received_month").row(0) == (filed, month)
    assert batch.rejected.select("item", "rule").unique().rows() == [("filed", "not_a_date")] * bool(said)
    found = batch.rejected.select("level", "reason").rows()
    assert [(level, reason.partition(" ")[0] + " ") for level, reason in found] == said


def test_a_wrong_day_of_the_archive_is_told_once() -> None:
    batch = archived(index("20990101"), Document(), Document(), Document())
    assert batch.rejected.select("entry", "level").rows() == [("a/DATA/h0.xml", "note")]


def test_a_file_made_before_the_exam_leaves_the_month_open() -> None:
    document = Document(filed="20240331")
    assert read(document.bytes()).rows["checkups"].select("filed", "received_month").row(0) == (None, None)
    assert refused(document) == [("value", "filed", "not_a_date")]
    assert row(Document(filed="20240401"))["filed"] == 20240401


# --- observations --------------------------------------------------------------------------------------


def test_code_system_of_an_item_may_be_absent_but_not_another() -> None:
    for system in (None, OID + "1005", "1.2.392.200119.4.504"):
        assert number(observation(HEIGHT, pq("170.2", "cm"), system=system), column="height") == 170.2
    document = holding(observation(HEIGHT, pq("170.2", "cm"), system="1.2.3"))
    assert refused(document) == [("value", "height", "code_system")]


def test_observations_are_read_at_any_depth_and_in_any_section() -> None:
    reason = observation("3C015161002399949", st("医師の判断"))
    deep = group(group(group(observation(FPG, pq(101, "mg/dL")))), group(observation(AST, pq(20, "U/L"))))
    document = holding(
        group(observation(CREATININE, pq("0.81", "mg/dL")), reason, kinds=("COMP", "RSON")),
        deep,
        more={"01990": (observation(HDL, pq(60, "mg/dL")),)},
    )
    found = row(document)
    assert [found[name] for name in ("creatinine", "fpg", "ast", "hdl")] == [0.81, 101, 20, 60]


def test_codes_are_read_by_item_and_code_system() -> None:
    old, new = OID + "2003", OID + "24060"
    assert number(observation(SMOKING, cd(2, old)), column="smoking") == "no"
    assert number(observation(SMOKING, cd(2, new)), column="smoking") == "past"
    assert number(observation(SMOKING, cd(3, new, "CO")), column="smoking") == "no"
    assert number(observation(SMOKING, cd(2)), column="smoking", exam="20240331", filed="20240501") == "no"
    assert number(observation(SMOKING, cd(2)), column="smoking", exam="20240401") == "past"
    assert number(observation(DRAWN, cd(3, OID + "2202")), column="fasting") == "casual"
    assert refused(holding(observation(SMOKING, cd(3, old)))) == [("value", "smoking", "unknown_code")]


def test_not_done_is_an_absence_and_not_measurable_a_rejection() -> None:
    assert number(not_done(HDL), observation(LDL, pq(120, "mg/dL")), column="hdl") is None
    assert number(observation(HDL, attributes=' negationInd="1"'), column="hdl") is None
    assert number(observation(HDL, pq(60, "mg/dL"), attributes=' negationInd="false"'), column="hdl") == 60
    document = holding(observation(HDL, null()), observation(GAIN, null("CD")))
    assert refused(document) == [("value", "hdl", "not_measurable"), ("value", "weight_gain_10kg", "not_measurable")]


def test_a_value_of_what_was_not_done_is_not_taken() -> None:
    document = holding(observation(HDL, pq(60, "mg/dL"), attributes=' negationInd="true"'))
    assert read(document.bytes()).rows["checkups"]["hdl"].to_list() == [None]
    assert refused(document) == [("value", "hdl", "done_and_not_done")]


@pytest.mark.parametrize("sign", ["L", "H"])
def test_beyond_the_input_range_there_is_no_number(sign: str) -> None:
    """Two values since 2013-04-01, the sign alone before (特定健診データ入力ソフト CC2X 2013 の解説)."""
    both = holding(observation(HDL, pq(5, "mg/dL"), beyond(sign)))
    alone = holding(observation(HDL, beyond(sign)), exam="20130331")
    swapped = holding(observation(HDL, beyond(sign), pq(60, "mg/dL")))
    for document in (both, alone, swapped):
        assert refused(document) == [("value", "hdl", "censored")]
        assert read(document.bytes()).rows["checkups"]["hdl"].to_list() == [None]


@pytest.mark.parametrize("judged", ["L", "N", "H"])
def test_beyond_the_reference_range_there_is_a_number(judged: str) -> None:
    tail = reference(40, 96, "mg/dL", judged)
    assert number(observation(HDL, pq(103, "mg/dL"), tail=tail), column="hdl") == 103


def test_two_different_numbers_are_a_conflict_and_equal_ones_are_not() -> None:
    assert number(observation(HDL, pq(60, "mg/dL"), pq(60, "mg/dL")), column="hdl") == 60
    for document in (
        holding(observation(HDL, pq(60, "mg/dL"), pq(61, "mg/dL"))),
        holding(observation(HDL, pq(60, "mg/dL")), more={"01990": (observation(HDL, pq(61, "mg/dL")),)}),
    ):
        assert refused(document) == [("note", "hdl", "conflict")]
        assert read(document.bytes()).rows["checkups"]["hdl"].to_list() == [60]


def test_input_range_is_inclusive_and_never_clipped() -> None:
    for value in (100, 250):
        assert number(observation(HEIGHT, pq(value, "cm")), column="height") == value
    for value in ("99.9", "250.1", "9000", "0", "-170"):
        document = holding(observation(HEIGHT, pq(value, "cm")))
        assert refused(document) == [("value", "height", "range")]
        assert read(document.bytes()).rows["checkups"]["height"].to_list() == [None]


def test_blood_pressure_glucose_and_jds() -> None:
    twice = (observation(SBP_1, pq(130, "mm[Hg]")), observation(SBP_2, pq(121, "mm[Hg]")))
    assert number(*twice, column="sbp") == 125.5
    assert number(*twice, observation(SBP, pq(126, "mm[Hg]")), column="sbp") == 126
    found = row(holding(observation(FPG, pq(99, "mg/dL")), observation(CASUAL, pq(142, "mg/dL"))))
    assert (found["fpg"], found["casual_glucose"]) == (99, 142)
    assert refused(holding(observation(FPG, pq("5.6", "mmol/L")))) == [("value", "fpg", "unit_suspected")]
    assert number(observation(JDS, pq("5.2", "%")), column="hba1c", exam="20120601", filed="20120701") == 5.6
    assert refused(holding(observation(JDS, pq("5.2", "%")))) == [("value", "hba1c", "jds")]


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ('<value xsi:type="PQ" value="測定不能" unit="%"/>', "not_measurable"),
        ('<value xsi:type="PQ" value="abc" unit="%"/>', "not_a_number"),
        ('<value xsi:type="PQ" value="&lt;3" unit="%"/>', "censored"),
        ('<value xsi:type="IVL_PQ"><high value="3" unit="%"/></value>', "censored"),
        ('<value xsi:type="CD" code="L"/>', "censored"),
        (f'<value xsi:type="CD" code="N" codeSystem="{INTERPRETATION}"/>', "not_a_number"),
    ],
)
def test_what_is_not_a_number_is_rejected(value: str, rule: str) -> None:
    assert refused(holding(observation(NGSP, value))) == [("value", "hba1c", rule)]


@pytest.mark.parametrize("value", ["", '<value xsi:type="PQ" value="" unit="%"/>', '<value xsi:type="PQ" unit="%"/>'])
def test_nothing_written_is_no_measurement(value: str) -> None:
    assert number(observation(NGSP, value), column="hba1c") is None


def test_items_outside_the_list_and_wrappers_are_no_values() -> None:
    assert number(observation("9N999000000000001", pq(1, "cm")), group(), column="height") is None


# --- namespaces, order, encodings ----------------------------------------------------------------------


def _prefixed(text: str) -> str:
    text = re.sub(r"<(/?)(?=[A-Za-z])", r"<\1hl7:", text).replace("xmlns=", "xmlns:hl7=")
    return text.replace('xsi:type="', 'xsi:type="hl7:')


def test_prefixed_namespaces_are_read() -> None:
    document = holding(observation(HEIGHT, pq("170.2", "cm")), group(observation(SMOKING, cd(2, OID + "24060"))))
    text = _prefixed(document.xml())
    assert "<hl7:observation" in text
    assert row(text.encode()) == row(document)


def test_order_of_elements_does_not_matter() -> None:
    document = holding(observation(HEIGHT, pq("170.2", "cm"), tail=reference(1, 2, "cm")))
    tree = ElementTree.fromstring(document.xml())
    for element in tree.iter():
        element[:] = element[::-1]
    assert row(ElementTree.tostring(tree)) == row(document)


def test_names_of_doctors_and_places_are_not_the_persons() -> None:
    doctor = "<assignedPerson><name>カクウイシ</name></assignedPerson>"
    tail = f"<author><time/><assignedAuthor><id/>{doctor}</assignedAuthor></author>"
    found = row(holding(observation(HEIGHT, pq(170, "cm"), tail=tail)).bytes())
    assert (found["kana"], found["institution"]) == ("ゴウセイタロウ", "2411000001")


@pytest.mark.parametrize("bom", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf"])
def test_a_byte_order_mark_is_normal(bom: bytes) -> None:
    assert row(bom + Document().bytes())["kana"] == "ゴウセイタロウ"


@pytest.mark.parametrize(
    ("name", "codec"),
    [("Shift_JIS", "cp932"), ("Windows-31J", "cp932"), ("EUC-JP", "euc_jp"), ("UTF-16", "utf-16"), ("utf-8", "utf-8")],
)
def test_declared_encodings_are_honoured(name: str, codec: str) -> None:
    text = Document(kana="ケンポ ハナコ").xml(declaration=f"<?xml version='1.0' encoding='{name}'?>\n")
    assert row(text.encode(codec))["kana"] == "ケンポ ハナコ"


def test_bytes_that_are_not_of_the_declared_encoding_are_refused() -> None:
    text = Document().xml()
    assert lost(text.encode("cp932")) == "unreadable"
    assert lost(text.replace("UTF-8", "Shift_JIS").encode()) == "encoding"
    assert lost(text.replace("UTF-8", "ISO-2022-JP").encode()) == "encoding"
    assert lost(text.replace("UTF-8", "UTF-16").encode()) == "encoding"
    assert lost(text.encode("utf-16")[:-1]) == "encoding"


# --- safety --------------------------------------------------------------------------------------------

BOMB = "".join(f'<!ENTITY a{at + 1} "{f"&a{at};" * 10}">' for at in range(9))


@pytest.mark.parametrize(
    "declarations",
    [
        f'<!DOCTYPE x [<!ENTITY a0 "ha">{BOMB}]>',
        '<!DOCTYPE x [<!ENTITY a9 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd">',
        "<!DOCTYPE ClinicalDocument>",
    ],
)
@pytest.mark.parametrize("codec", ["utf-8", "utf-16", "utf-16-le", "cp932"])
def test_a_document_type_is_refused_in_every_encoding(declarations: str, codec: str) -> None:
    name = "Shift_JIS" if codec == "cp932" else codec
    text = Document(kana="ゴウセイ").xml(declaration=f'<?xml version="1.0" encoding="{name}"?>{declarations}')
    assert lost(text.encode(codec)) == "dtd"


def test_an_undeclared_entity_is_refused() -> None:
    assert lost(Document().xml().replace("ゴウセイタロウ", "&a9;").encode()) == "unreadable"


@pytest.mark.parametrize("name", ["component", "observation", "hl7:x"])
def test_nesting_has_a_limit(name: str) -> None:
    for depth in (101, 10_000):
        nest = f"<{name.removeprefix('hl7:')}>" * depth + f"</{name.removeprefix('hl7:')}>" * depth
        assert lost(Document(entries=(nest,)).bytes()) == "too_large"


def test_depth_of_one_hundred_is_read() -> None:
    for depth, rule in ((98, None), (99, "too_large")):
        data = Document().xml().replace("<custodian>", "<custodian>" + "<x>" * depth + "</x>" * depth).encode()
        assert read(data).rejected["rule"].to_list() == ([rule] if rule else [])


def test_size_and_number_of_elements_have_limits() -> None:
    assert lost(Document(kana="ア" * (MAX_BYTES // 3)).bytes()) == "too_large"
    assert lost(Document(entries=("<observation/>" * MAX_MARKS,)).bytes()) == "too_large"
    many = " ".join(f'a{at}=""' for at in range(MAX_MARKS))
    assert lost(Document(entries=(f"<observation {many}/>",)).bytes()) == "too_large"


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "unreadable"),
        (b"\xef\xbb\xbf", "unreadable"),
        (b"not xml", "unreadable"),
        (b"<a/>", "root"),
        (b"<ClinicalDocument/>", "root"),
        (b'<ClinicalDocument xmlns="urn:hl7-org:v2"/>', "root"),
        (b"\0\0\0\0", "unreadable"),
        (Document().bytes()[:-1], "unreadable"),
        (Document().bytes() + b"<x/>", "unreadable"),
    ],
)
def test_what_is_no_document_is_one_rejected_row(data: bytes, rule: str) -> None:
    assert lost(data) == rule


def test_a_file_that_cannot_be_opened_is_one_rejected_row() -> None:
    @dataclass(frozen=True)
    class Broken(Files):
        def open(self, entry: str | None = None) -> Any:
            if "h1" in (entry or ""):
                raise OSError("bad CRC")
            return super().open(entry)

    files = {f"a/DATA/h{at}.xml": Document().bytes() for at in range(3)}
    broken = Broken(Path("a.zip"), "a.zip", "0", "checkup_xml", 0, entries=tuple(files), files=files)
    (batch,) = read_checkup_xml(broken)
    assert (batch.read, batch.rows["checkups"].height) == (3, 2)
    assert batch.rejected.select("entry", "rule").rows() == [("a/DATA/h1.xml", "unreadable")]


def test_a_single_document_is_a_source_too() -> None:
    alone = Files(Path("h.xml"), "h.xml", "0", "checkup_xml", 0, files={"": Document().bytes()})
    (batch,) = read_checkup_xml(alone)
    assert batch.rows["checkups"].select("entry", "sex").row(0) == (None, "M")


def test_no_rejection_tells_of_a_person() -> None:
    document = Document(
        kana="ヒミツノナマエ",
        symbol="９８７６",
        number="７６５４",
        birth="19711231x",
        entries=(observation(HDL, pq("60.7x", "g")),),
    )
    batch = read(document.bytes(), document.changed(birth="19711231").bytes())
    text = (
        batch.rejected.select(pl.concat_str(pl.all().cast(pl.String), ignore_nulls=True)).to_series().str.join().item()
    )
    assert batch.rejected.height == 2
    assert not any(secret in text for secret in ("ヒミツ", "９８７６", "７６５４", "1971", "60.7"))


def test_batches_hold_two_thousand_documents_or_64_mib() -> None:
    data = Document().bytes()
    files = {f"a/DATA/h{at}.xml": data for at in range(BATCH + 1)}
    assert [batch.read for batch in read_checkup_xml(source(files))] == [BATCH, 1]
    large = Document(kana="ア" * 2**22).bytes()
    files = {f"a/DATA/h{at}.xml": large for at in range(7)}
    assert [batch.read for batch in read_checkup_xml(source(files))] == [6, 1]


# --- round trip and damage -----------------------------------------------------------------------------

NUMBERS = {
    "height": (HEIGHT, "cm", 100, 250), "weight": (WEIGHT, "kg", 20, 250), "waist": (WAIST, "cm", 40, 250),
    "sbp": (SBP, "mm[Hg]", 60, 300), "fpg": (FPG, "mg/dL", 20, 600), "hba1c": (NGSP, "%", 3, 20),
    "hdl": (HDL, "mg/dL", 10, 500), "ldl": (LDL, "mg/dL", 20, 1000), "ast": (AST, "U/L", 0, 1000),
}  # fmt: skip
SMOKED = {"yes": 1, "past": 2, "no": 3}
days = some.dates(dt.date(2024, 4, 1), dt.date(2026, 3, 31))
numbers = some.fixed_dictionaries(
    {
        name: some.none() | some.integers(10 * low, 10 * high).map(lambda n: n / 10)
        for name, (_, _, low, high) in NUMBERS.items()
    }
)
people = some.fixed_dictionaries(
    {
        "symbol": some.none() | some.text("0123456789０１２３-ー ア津三&<", min_size=1, max_size=8).map(str.strip),
        "number": some.integers(0, 10**8).map(str),
        "branch": some.none() | some.integers(0, 99).map("{:02}".format),
        "kana": some.text("アカガサザタダパンーッャヴ 　ｱｶﾞ", min_size=1, max_size=20),
        "sex": some.sampled_from("12"),
        "birth": some.dates(dt.date(1930, 1, 1), dt.date(1990, 12, 31)),
        "institution": some.integers(0, 10**10 - 1).map("{:010}".format),
    }
)


@settings(max_examples=100, deadline=None)
@given(people, days, days, numbers, some.none() | some.sampled_from(list(SMOKED)), some.booleans(), some.booleans())
def test_generated_people_come_back(
    person: dict[str, Any], one: dt.date, other: dt.date, found: dict[str, float | None], smoked: str | None,
    prefixed: bool, nested: bool,
) -> None:  # fmt: skip
    exam, filed = sorted((one, other))
    entries = [
        not_done(code) if found[name] is None else observation(code, pq(found[name], unit), tail=reference(1, 2, unit))
        for name, (code, unit, _, _) in NUMBERS.items()
    ]
    if smoked:
        entries.append(observation(SMOKING, cd(SMOKED[smoked], OID + "24060")))
    document = Document(
        **{**person, "birth": f"{person['birth']:%Y%m%d}"}, exam=f"{exam:%Y%m%d}", filed=f"{filed:%Y%m%d}",
        entries=(group(*entries),) if nested else tuple(entries),
    )  # fmt: skip
    check(document.xml())
    back = row((_prefixed(document.xml()) if prefixed else document.xml()).encode())
    assert {name: back[name] for name in NUMBERS} == found
    assert (back["smoking"], back["checkup_date"], back["birth"]) == (smoked, exam, person["birth"])
    assert back["sex"] == "MF"[int(person["sex"]) - 1]
    assert (back["number"], back["branch_number"]) == (person["number"], person["branch"])
    assert (back["symbol"] or "", back["kana"] or "") == (
        unicodedata.normalize("NFKC", person["symbol"] or "").strip(),
        person["kana"].strip(),
    )
    assert (back["filed"], back["institution"]) == (int(f"{filed:%Y%m%d}"), person["institution"])


def _sound(rng: random.Random) -> bytes:
    entries = [
        observation(
            code, pq(round(rng.uniform(low, high), 1), unit), tail=reference(1, 2, unit) if rng.random() < 0.3 else ""
        )
        for code, unit, low, high in NUMBERS.values()
    ]
    entries += [
        observation(SMOKING, cd(rng.randint(1, 3), OID + "24060")),
        not_done(CREATININE),
        observation(CASUAL, null()),
    ]
    entries.append(observation(DRAWN, cd(2, OID + "2202")))
    rng.shuffle(entries)
    return Document(entries=(group(*entries[:4]), *entries[4:])).bytes(bom=rng.random() < 0.5)


def _truncated(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 20))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _digits(data: bytes, rng: random.Random) -> bytes:
    """Characters of attribute values changed: still well formed."""
    changed = bytearray(data)
    places = [match.start() for match in re.finditer(rb"[0-9](?=[^<>]*/>)", data)]
    for place in rng.sample(places, 3):
        changed[place] = rng.choice(b"0123456789.-eHL x")
    return bytes(changed)


def _swapped(data: bytes, rng: random.Random) -> bytes:
    pieces = re.split(rb"(?=<)", data)
    one, other = rng.randrange(1, len(pieces)), rng.randrange(1, len(pieces))
    pieces[one], pieces[other] = pieces[other], pieces[one]
    return b"".join(pieces)


def _doubled(data: bytes, rng: random.Random) -> bytes:
    elements = [match[0] for match in re.finditer(rb"<[^<>]*/>", data)]
    return data.replace(old := rng.choice(elements), old + rng.choice(elements), 1)


def _dropped(data: bytes, rng: random.Random) -> bytes:
    return data.replace(rng.choice(re.findall(rb"<[^<>]*/>|[a-zA-Z]+=\"[^\"]*\"", data)), b"", 1)


def _recoded(data: bytes, rng: random.Random) -> bytes:
    return data.decode("utf-8-sig").encode(rng.choice(("cp932", "utf-16", "utf-16-be", "utf-32", "euc_jp", "utf-7")))


def _huge(data: bytes, rng: random.Random) -> bytes:
    number = rng.choice(
        (b"9" * 400, b"1" * 50_000, b"1e308", b"1e400", b"-0", b"NaN", b"inf", "１２０".encode(), b"0x1F")
    )
    values = re.findall(rb'value="[^"]*"', data)
    return data.replace(rng.choice(values), b'value="' + number + b'"', 1)


def _nested(data: bytes, rng: random.Random) -> bytes:
    tag = rng.choice((b"observation", b"entryRelationship", b"value"))
    depth = rng.choice((2, 90, 200, 10_000))
    return data.replace(b"<observation", (b"<%s>" % tag) * depth + b"<observation", 1)


def _bombed(data: bytes, rng: random.Random) -> bytes:
    return data.replace(b"<ClinicalDocument", b'<!DOCTYPE x [<!ENTITY a "b">]><ClinicalDocument', 1)


DAMAGE = (
    _truncated, _flipped, _flipped, _digits, _digits, _swapped, _doubled, _dropped, _recoded, _huge, _nested, _bombed
)  # fmt: skip


def _explained(data: bytes) -> dict[str, set[float]]:
    """Every number that stands in a PQ <value> of an observation, by column: what an accepted value may be."""
    columns = {item.code: item.column for item in items().values()}
    found: dict[str, set[float]] = {}
    codec = {b"\xff\xfe": "utf-16", b"\0<": "utf-16-be"}.get(data[:2], "utf-8-sig")
    text = data.decode(codec).partition("?>")[2]  # a byte order mark outweighs a damaged declaration
    for element in ElementTree.fromstring(text).iter("{urn:hl7-org:v3}observation"):
        code = element.find("{urn:hl7-org:v3}code")
        for value in element.findall("{urn:hl7-org:v3}value"):
            if code is not None and re.fullmatch(
                r" *[-+]?[0-9.]+(e[0-9]+)? *|[０-９]+", written := value.get("value", "")
            ):
                found.setdefault(columns.get(code.get("code", ""), ""), set()).add(_float(written))
    return found


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def test_ten_thousand_damaged_documents_give_rejections_and_no_other_values() -> None:
    rng = random.Random(20240401)
    sound = [_sound(rng) for _ in range(100)]
    files = {f"a/DATA/h{at}.xml": DAMAGE[at % len(DAMAGE)](rng.choice(sound), rng) for at in range(10_000)}
    read_rows = read_documents = 0
    for batch in read_checkup_xml(source(files)):
        read_documents += batch.read
        for found in batch.rows["checkups"].iter_rows(named=True):
            read_rows += 1
            data = files[found["entry"]]
            explained = _explained(data)
            assert all(
                found[name] in explained[name] for name in (*NUMBERS, "casual_glucose") if found[name] is not None
            )
            plain = data.replace(b"\0", b"")
            assert all(f"{found[name]:%Y%m%d}".encode() in plain for name in ("checkup_date", "birth"))
    assert read_documents == 10_000
    assert 3_000 < read_rows < 7_000  # damage that changes a record, and damage that ends it
