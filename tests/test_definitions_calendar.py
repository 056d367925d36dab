"""The calendar of events: what lies on which trend, and that no unconfirmed date passes as confirmed."""

from __future__ import annotations

import datetime

from kenpo_analytics.definitions import kpi as registry
from kenpo_analytics.definitions.calendar import ALL, events

SUBJECTS = {ALL, "checkups", "claims"}


def ids(*affects: str, **span: int) -> list[str]:
    return [event.id for event in events(affects, **span)]


def test_the_dates_are_those_of_the_sources():
    dates = {event.id: (event.date, event.status) for event in events()}
    assert dates["phase_4"] == (datetime.date(2024, 4, 1), "確認済")
    assert dates["fee_2024"] == (datetime.date(2024, 6, 1), "確認済")
    assert dates["selected_drugs"] == (datetime.date(2024, 10, 1), "確認済")
    assert dates["fee_2026"] == (datetime.date(2026, 6, 1), "仮定")
    covid = next(event for event in events() if event.id == "covid")
    assert (covid.month, covid.until_month) == (202004, 202305)


def test_only_what_affects_a_kpi_lies_on_its_trend():
    span = {"first": 202304, "last": 202510}
    assert ids("generic_share", **span) == ["covid", "selected_drugs"]
    assert ids("assessment_rate", **span) == ["covid", "definition_assessment_rate", "fee_2024"]
    assert ids("checkups", **span) == ["covid", "copayment_2023", "phase_4"]
    assert ids("sns_posts", first=202306) == [] and ids("sns_posts", first=202305) == ["covid"]
    assert "fee_2026" in ids("claims") and "fee_2026" not in ids("claims", last=202605)


def test_every_break_of_the_registry_is_an_event_once():
    broken = [v for item in registry.kpis() for v in registry.versions(item.id) if v.break_reason]
    found = [event for event in events() if event.id.startswith("definition_")]
    assert {(event.affects[0], event.month) for event in found} == {(v.kpi_id, v.valid_from) for v in broken}
    assert len(found) == len(broken) >= 3


def test_every_event_is_whole_and_names_things_that_are():
    known = SUBJECTS | {item.id for item in registry.kpis()}
    all_of_them = events()
    assert len({event.id for event in all_of_them}) == len(all_of_them)
    for event in all_of_them:
        assert set(event.affects) <= known and event.affects and event.source and event.short and event.label
        assert event.status in ("確認済", "仮定")
        assert event.until is None or event.until > event.date
    assert list(all_of_them) == sorted(all_of_them, key=lambda event: event.date)
