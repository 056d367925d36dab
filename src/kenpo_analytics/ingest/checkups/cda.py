"""What does a 特定健診 document (HL7 CDA R2, hc08) say? One document's bytes → its header and observations.

The structure is that of 特定健診情報ファイル仕様説明書 (厚生労働省; hc08_V08.xsd). Reading does not depend on the order
of elements or the namespace's prefix.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple
from xml.etree.ElementTree import Element

from kenpo_analytics.ingest.checkups.xml_tree import RefusedDocument, tree

_HL7 = "{urn:hl7-org:v3}"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_CODE, _VALUE, _ID, _TIME = _HL7 + "code", _HL7 + "value", _HL7 + "id", _HL7 + "effectiveTime"
_OBSERVATION, _NAME = _HL7 + "observation", _HL7 + "name"
_ORGANISATION = _HL7 + "representedOrganization"
_INSURER, _INSTITUTION, _SYMBOL, _NUMBER, _BRANCH = (
    f"1.2.392.200119.6.{last}" for last in ("101", "102", "204", "205", "211")
)
_TICKET = ("participant", "associatedEntity", "scopingOrganization")  # 受診券: its issuer is the insurer
_ITEM_SYSTEMS = (None, "", "1.2.392.200119.6.1005", "1.2.392.200119.4.504")  # XSD default, 項目コード, JLAC10 of JAHIS
_CODED = ("CD", "CO", "CE", "CV", "CS")
_INTERPRETATION = "2.16.840.1.113883.5.83"  # L / H inside `value`: beyond the input range


class Header(NamedTuple):
    """Who, when, where, as written; null where the element or attribute is absent."""

    insurer: str | None
    symbol: str | None
    number: str | None
    branch_number: str | None
    birth: str | None
    sex: str | None
    kana: str | None
    checkup_date: str | None
    institution: str | None
    report: str | None  # 報告区分
    programme: str | None  # プログラム種別
    filed: str | None  # ClinicalDocument/effectiveTime: the day the file was made


Observation = tuple[str, str | None, str | None, str | None, str]
"""One value of one item as written: item code, text, unit, code system of an answer, state.

States are those of `items.LONG`, and "code_system" (the item code is of an unknown list), "done_and_not_done"
(未実施, and yet a value).
"""


def parse(data: bytes) -> Element:
    """Which tree is in these bytes?

    Raises
    ------
    RefusedDocument
        Too large or deep, a DTD, not UTF-8, UTF-16, CP932 or EUC-JP, not well formed, another root element.
    """
    root = tree(data)
    if root.tag != _HL7 + "ClinicalDocument":
        raise RefusedDocument("root")
    return root


def header(root: Element) -> Header:
    """Whom is the document about, and what is it?"""
    role = _down(root, "recordTarget", "patientRole")
    patient = _down(role, "patient")
    event = _down(root, "documentationOf", "serviceEvent")
    ids = _ids(role)
    name = None if patient is None else patient.find(_NAME)
    return Header(
        insurer=ids.get(_INSURER) or _ids(_down(root, *_TICKET)).get(_INSURER),
        symbol=ids.get(_SYMBOL),
        number=ids.get(_NUMBER),
        branch_number=ids.get(_BRANCH),
        birth=_attribute(patient, _HL7 + "birthTime", "value"),
        sex=_attribute(patient, _HL7 + "administrativeGenderCode", "code"),
        kana=None if name is None else "".join(name.itertext()).strip() or None,
        checkup_date=_exam_date(root),
        institution=_ids(_down(event, "performer", "assignedEntity", "representedOrganization")).get(_INSTITUTION)
        or _ids(_down(root, "author", "assignedAuthor", "representedOrganization")).get(_INSTITUTION),
        report=_attribute(root, _CODE, "code"),
        programme=_attribute(event, _CODE, "code"),
        filed=_attribute(root, _TIME, "value"),
    )  # fmt: skip


def _down(element: Element | None, *names: str) -> Element | None:
    for name in names:
        element = None if element is None else element.find(_HL7 + name)
    return element


def _ids(element: Element | None) -> dict[str | None, str]:
    """`root` → `extension` of the <id> children; the first of a kind counts."""
    if element is None:
        return {}
    found = ((each.get("root"), each.get("extension", "").strip()) for each in reversed(element.findall(_ID)))
    return {root: extension for root, extension in found if extension}


def _attribute(element: Element | None, tag: str, name: str) -> str | None:
    child = None if element is None else element.find(tag)
    return None if child is None else child.get(name, "").strip() or None


def _exam_date(root: Element) -> str | None:
    """健診実施日 is serviceEvent/effectiveTime alone; several days are joined, which is no day."""
    events = (each.find(_HL7 + "serviceEvent") for each in root.findall(_HL7 + "documentationOf"))
    days = {_attribute(event, _TIME, "value") or "" for event in events} - {""}
    return "|".join(sorted(days)) or None


def observations(root: Element, codes: Collection[str]) -> list[Observation]:
    """Which values do the items `codes` have, at whatever depth (entryRelationship) and in whatever section?

    An observation with two different numbers gives both. Wrappers (一連検査グループ), reference ranges and
    interpretationCode (L/H against the reference range) are no values.
    """
    found: list[Observation] = []
    for element in root.iter(_OBSERVATION):
        item = element.find(_CODE)
        code = None if item is None else item.get("code")
        if item is None or code is None or code not in codes:
            continue
        values = element.findall(_VALUE)
        if item.get("codeSystem") not in _ITEM_SYSTEMS:
            found.append((code, None, None, None, "code_system"))
        elif element.get("negationInd") in ("true", "1"):
            state = "done_and_not_done" if any(_reading(value)[0] for value in values) else "not_done"
            found.append((code, None, None, None, state))
        elif len(values) == 1:
            found.append((code, *_reading(values[0])))
        else:
            found += [(code, *reading) for reading in _several(values)]
    return found


_Reading = tuple[str | None, str | None, str | None, str]


def _reading(value: Element) -> _Reading:
    """Text, unit, code system and state of one <value>: PQ in @value, CD and CO in @code, ST in the text."""
    get = value.get
    if get("nullFlavor"):
        return None, None, None, "not_measurable"
    kind = get(_TYPE, "").rpartition(":")[2]
    if kind in _CODED or (not kind and get("code")):
        code, system = (get("code") or get("displayName") or "").strip(), get("codeSystem")
        if code in ("L", "H") and system in (None, _INTERPRETATION):
            return None, None, None, "below" if code == "L" else "above"
        return code or None, None, system, "value"
    if kind.startswith("IVL"):  # an interval instead of a number: only its one bound is known
        return None, None, None, "below" if value.find(_HL7 + "low") is None else "above"
    text = get("value")
    return ("".join(value.itertext()) if text is None else text).strip() or None, get("unit"), None, "value"


def _several(values: list[Element]) -> list[_Reading]:
    """No <value> is no measurement; a number and L/H is beyond the input range; else each that says something else."""
    readings = [_reading(value) for value in values] or [(None, None, None, "not_done")]
    beyond = [reading for reading in readings if reading[3] in ("below", "above")]
    return list(dict.fromkeys(beyond or readings))


def creation_time(data: bytes) -> str | None:
    """On which day was the archive made? creationTime of its index (交換用基本情報 ix08) in any namespace."""
    times = (child for child in tree(data) if child.tag.rpartition("}")[2] == "creationTime")
    return next((time.get("value", "").strip() for time in times), None) or None
