"""Schema findings stay cheap: what is dear is asked once a message; strictness can be set; values of secrets stay out."""

import pytest

from ocpp_proxy.checks import Settings, payload
from ocpp_proxy.core.masking import Masker
from tests.core.streams import Feed, findings, play


def test_other_versions_are_asked_about_once_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counting(action: str, answer: bool, value: object) -> tuple[str, ...]:
        asked.append(action)
        return ()

    monkeypatch.setattr(payload, "fits", counting)
    feed = Feed()
    feed.begin()
    properties = ",".join(f'"p{number}":{number}' for number in range(200))
    feed.station(f'[2,"1","Heartbeat",{{{properties}}}]')
    assert len(findings(play(feed.records))) > 20
    assert asked == ["Heartbeat"]


@pytest.mark.parametrize(("grade", "expected"), [("official", ["V01", "V04", "V05"]), ("errata", ["V01"]), ("field", [])])
def test_the_strictness_decides_what_counts(grade: str, expected: list[str]) -> None:
    feed = Feed()
    feed.begin()
    feed.station('[2,"1","StatusNotification",{"connectorId":1.0,"errorCode":"None","status":"Available"}]')
    feed.csms('[3,"1",{}]')
    feed.station(
        '[2,"2","StopTransaction",{"transactionId":5,"meterStop":9,"timestamp":"2026-01-02T03:04:00Z","transactionData":'
        '[{"timestamp":"2026-01-02T03:04:00Z","sampledValue":[{"value":"50","unit":"Hertz"}]}]}]'
    )
    settings = Settings(grade=grade)        # type: ignore[arg-type]
    assert sorted(finding.code for finding in findings(play(feed.records, settings=settings))) == expected


def test_a_finding_does_not_quote_what_was_masked() -> None:
    feed = Feed()
    feed.begin()
    value = "hunter2-" + "x" * 500
    feed.csms(f'[2,"1","ChangeConfiguration",{{"key":"AuthorizationKey","value":"{value}"}}]')
    (plain,), (masked,) = findings(play(feed.records)), findings(play(feed.records, Masker(b"k")))
    assert (plain.code, plain.path) == (masked.code, masked.path) == ("V02", "$.value")
    assert "hunter2" not in masked.message
