"""特定健診 documents (hc08_V08) for tests: an own writer, which shares no code with the reader.

Element order and required elements: 特定健診情報ファイル仕様説明書 (厚生労働省) §3.2, §3.3; `check` holds
each document against that order, as the official schema may not be copied here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

OID = "1.2.392.200119.6."
HL7 = "urn:hl7-org:v3"
INTERPRETATION = "2.16.840.1.113883.5.83"
ORDER = {
    "ClinicalDocument": "typeId id code effectiveTime confidentialityCode recordTarget author custodian participant* "
    "documentationOf component",
    "recordTarget": "patientRole",
    "patientRole": "id+ addr? telecom? patient",
    "patient": "name? administrativeGenderCode birthTime",
    "author": "time assignedAuthor",
    "assignedAuthor": "id representedOrganization",
    "representedOrganization": "id name telecom? addr?",
    "custodian": "assignedCustodian",
    "assignedCustodian": "representedCustodianOrganization",
    "representedCustodianOrganization": "id",
    "participant": "functionCode time associatedEntity",
    "associatedEntity": "id scopingOrganization",
    "scopingOrganization": "id",
    "documentationOf": "serviceEvent",
    "serviceEvent": "code effectiveTime performer",
    "performer": "assignedEntity",
    "assignedEntity": "id representedOrganization",
    "structuredBody": "component+",
    "section": "code title? text entry*",
    "entry": "observation",
    "observation": "code value* interpretationCode? methodCode? referenceRange? entryRelationship*",
    "entryRelationship": "observation",
    "referenceRange": "observationRange",
    "observationRange": "value",
}


@dataclass(frozen=True)
class Document:
    """One person's examination, as its maker states it; `None` leaves the element or attribute out."""

    report: str | None = "10"
    programme: str | None = "010"
    filed: str | None = "20240527"
    exam: str | None = "20240401"
    insurer: str | None = "01240019"
    symbol: str | None = "１２３４"
    number: str | None = "５６"
    branch: str | None = "01"
    kana: str | None = "ゴウセイタロウ"
    sex: str | None = "1"
    birth: str | None = "19700101"
    institution: str | None = "2411000001"
    author_institution: str = "2411000001"
    entries: tuple[str, ...] = ()
    more: dict[str, tuple[str, ...]] = field(default_factory=dict)  # further sections: code → entries
    ticket: str | None = None

    def xml(self, *, declaration: str = '<?xml version="1.0" encoding="UTF-8"?>\n') -> str:
        """The document's text in the order of the official schema."""
        sections = {"01010": self.entries, **self.more}
        body = "".join(_section(code, entries) for code, entries in sections.items())
        return (
            f"{declaration}<ClinicalDocument xmlns={quoteattr(HL7)} "
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
            'xsi:schemaLocation="urn:hl7-org:v3 ../XSD/hc08_V08.xsd">\n'
            '<typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/><id nullFlavor="NI"/>'
            f"{_element('code', code=self.report, codeSystem=OID + '1001')}"
            f"{_element('effectiveTime', value=self.filed)}"
            '<confidentialityCode code="N"/>\n'
            f"{self._target()}{self._author()}"
            "<custodian><assignedCustodian><representedCustodianOrganization>"
            '<id nullFlavor="NI"/></representedCustodianOrganization></assignedCustodian></custodian>\n'
            f"{self._ticket()}<documentationOf><serviceEvent>"
            f"{_element('code', code=self.programme, codeSystem=OID + '1002')}"
            f"{_element('effectiveTime', value=self.exam)}"
            f'<performer typeCode="PRF"><assignedEntity><id nullFlavor="NI"/>{_organisation(self.institution)}'
            "</assignedEntity></performer></serviceEvent></documentationOf>\n"
            f"<component><structuredBody>\n{body}</structuredBody></component></ClinicalDocument>"
        )

    def bytes(self, *, bom: bool = False) -> bytes:
        """As files hold it."""
        return (b"\xef\xbb\xbf" if bom else b"") + self.xml().encode()

    def changed(self, **fields: object) -> Document:
        """The same examination with some fields stated otherwise."""
        return replace(self, **fields)  # type: ignore[arg-type]

    def _target(self) -> str:
        numbers = (("101", self.insurer), ("204", self.symbol), ("205", self.number), ("211", self.branch))
        ids = "".join(_element("id", root=OID + kind, extension=text) for kind, text in numbers)
        name = "" if self.kana is None else f"<name>{escape(self.kana)}</name>"
        return (
            f"<recordTarget><patientRole>{ids}<addr><postalCode>514-0000</postalCode>三重県津市</addr><patient>{name}"
            f"{_element('administrativeGenderCode', code=self.sex, codeSystem=OID + '1104')}"
            f"{_element('birthTime', value=self.birth)}</patient></patientRole></recordTarget>\n"
        )

    def _author(self) -> str:
        return (
            f'<author><time value="{self.filed or "20240527"}"/><assignedAuthor><id nullFlavor="NI"/>'
            f"{_organisation(self.author_institution)}</assignedAuthor></author>\n"
        )

    def _ticket(self) -> str:
        if self.ticket is None:
            return ""
        return (
            '<participant typeCode="HLD"><functionCode code="1" codeSystem="1.2.392.200119.6.208"/>'
            '<time><high value="20250331"/></time><associatedEntity classCode="IDENT">'
            f'<id root="1.2.392.200119.6.209.1{self.ticket}" extension="24010000001"/>'
            f'<scopingOrganization><id root="1.2.392.200119.6.101" extension="{self.ticket}"/></scopingOrganization>'
            "</associatedEntity></participant>\n"
        )


def _element(name: str, **attributes: str | None) -> str:
    """An empty element; none where its first-class attribute is None."""
    if None in attributes.values():
        return ""
    return f"<{name} {' '.join(f'{key}={quoteattr(str(text))}' for key, text in attributes.items())}/>"


def _organisation(code: str | None) -> str:
    identity = '<id nullFlavor="NI"/>' if code is None else _element("id", root=OID + "102", extension=code)
    return f"<representedOrganization>{identity}<name>架空健診センター</name></representedOrganization>"


def _section(code: str, entries: tuple[str, ...]) -> str:
    inside = "".join(f"<entry>{entry}</entry>\n" for entry in entries)
    return (
        f'<component><section><code code="{code}" codeSystem="{OID}1010"/><title>検査</title><text/>\n'
        f"{inside}</section></component>\n"
    )


def observation(code: str, *values: str, attributes: str = "", system: str | None = None, tail: str = "") -> str:
    """An <observation> of an item with its <value> elements."""
    stated = f" codeSystem={quoteattr(system)}" if system else ""
    return (
        f'<observation classCode="OBS" moodCode="EVN"{attributes}><code code="{code}"{stated} displayName="項目"/>'
        f"{''.join(values)}{tail}</observation>"
    )


def pq(value: object, unit: str) -> str:
    """A physical quantity."""
    return f'<value xsi:type="PQ" value={quoteattr(str(value))} unit={quoteattr(unit)}/>'


def cd(code: object, system: str | None = None, kind: str = "CD") -> str:
    """A coded answer (CD, CO)."""
    stated = f" codeSystem={quoteattr(system)}" if system else ""
    return f'<value xsi:type="{kind}" code="{code}"{stated}/>'


def st(text: str) -> str:
    """A text."""
    return f'<value xsi:type="ST">{escape(text)}</value>'


def null(kind: str = "PQ", flavour: str = "NI") -> str:
    """測定不可能."""
    return f'<value xsi:type="{kind}" nullFlavor="{flavour}"/>'


def beyond(sign: str) -> str:
    """以下 or 以上 the input range: L or H inside <value>."""
    name = {"L": "以下", "H": "以上"}[sign]
    return f'<value xsi:type="CD" code="{sign}" codeSystem="{INTERPRETATION}" displayName="{name}"/>'


def not_done(code: str) -> str:
    """未実施."""
    return observation(code, attributes=' negationInd="true"')


def reference(low: object, high: object, unit: str, judged: str = "N") -> str:
    """interpretationCode (against the reference range) and the reference range."""
    return (
        f'<interpretationCode code="{judged}"/><referenceRange><observationRange classCode="OBS" moodCode="EVN.CRT">'
        f'<value xsi:type="IVL_PQ"><low value="{low}" unit="{unit}"/><high value="{high}" unit="{unit}"/></value>'
        "</observationRange></referenceRange>"
    )


def group(*related: str, kinds: tuple[str, ...] = ()) -> str:
    """一連検査グループ: a wrapper without a value around observations."""
    inside = "".join(
        f'<entryRelationship typeCode="{kind}">{each}</entryRelationship>'
        for each, kind in zip(related, kinds or ("COMP",) * len(related), strict=True)
    )
    return f'<observation classCode="OBS" moodCode="EVN"><code nullFlavor="NA"/>{inside}</observation>'


def index(day: str = "20240601", namespace: str = "http://tokuteikenshin.jp/checkup/2007") -> bytes:
    """ix08_V08.xml of an archive."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><index xmlns="{namespace}"><interactionType code="6"/>'
        f'<creationTime value="{day}"/><sender><id root="{OID}102" extension="2411000001"/></sender>'
        f'<receiver><id root="{OID}101" extension="01240019"/></receiver>'
        '<serviceEventType code="1"/><totalRecordCount value="1"/></index>'
    ).encode()


def check(text: str) -> None:
    """Whether the elements stand in the schema's order, with none missing; AssertionError names the place."""
    for element in ET.fromstring(text.encode()).iter():
        name = element.tag.removeprefix(f"{{{HL7}}}")
        if name in ORDER and not (name == "component" or (name == "author" and len(element) == 0)):
            _check_order(name, [child.tag.removeprefix(f"{{{HL7}}}") for child in element])


def _check_order(name: str, found: list[str]) -> None:
    rest = list(found)
    for allowed in ORDER[name].split():
        tag, often = allowed.rstrip("?*+"), allowed[-1] if allowed[-1] in "?*+" else ""
        count = 0
        while rest and rest[0] == tag and (count == 0 or often in ("*", "+")):
            rest.pop(0)
            count += 1
        assert count or often in ("?", "*"), f"{name} lacks {tag}: {found}"
    assert not rest, f"{name} holds {rest[0]} out of order: {found}"
