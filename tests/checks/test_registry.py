"""Declaring rules, dispatch and settings: what is refused, what is bounded."""

import pytest

from ocpp_proxy.checks import REGISTRY, Settings
from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.registry import Dispatch, Hits, Registry
from ocpp_proxy.checks.state import ANSWERED_IDS, CAUSES, DEADLINES, OPEN_CALLS, Direction, LinkState, OpenCall
from ocpp_proxy.core.exchanges import answered, opened
from ocpp_proxy.model import ConfigError, Severity, Side
from ocpp_proxy.records import ExchangeDone, Record
from tests.core.streams import Feed, findings, messages, play


def nothing(context: Context) -> Hits:
    """Never anything."""
    return ()


def test_a_code_is_declared_once() -> None:
    registry = Registry()
    declare = registry.rule("Z01", "x", severity=Severity.INFO, blame="either", on=("call",), remedy="None.")
    declare(nothing)
    with pytest.raises(ValueError, match="Z01 is declared twice"):
        declare(nothing)


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown events: \\['cal'\\]"):
        Registry().rule("Z01", "x", severity=Severity.INFO, blame="either", on=("cal",), remedy="None.")(nothing)


@pytest.mark.parametrize(("severities", "says"), [
    ({"Q99": "off"}, "rules.Q99: there is no such finding code"),
    ({"R04": "loud"}, 'rules.R04: "loud" is not one of off, hint'),
])
def test_bad_settings_are_a_config_error(severities: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Dispatch(REGISTRY, Settings(severities=severities))


def test_the_issue_has_all_its_codes() -> None:
    wanted = """T01 T02 T04 T05 T06 T07 T08 T09 T10 T12 T13 T15 T16 T17 T18 T19 T20 T21 T22 T23 T24 T25 T26 R01 R02 R03 R04 R05
        R06 R07 R08 R09 R10 R11 R12 R14 R16 V01 V02 V03 V04 V05 V07 C01 C02 C03 B02 B04 X01 X05 X08 X10 M01"""
    assert sorted(REGISTRY.rules) == sorted(wanted.split())


def test_causes_are_counted_at_powers_of_ten_and_at_the_end() -> None:
    feed = Feed()
    feed.begin()
    for number in range(123):
        feed.station(f'[2,"{number}","Authorize",{{"idTag":5}}]')
        feed.csms(f'[3,"{number}",{{"idTagInfo":{{"status":"Accepted"}}}}]')
    feed.station(b"\x03\xe8", opcode="close")
    feed.close()
    found = [finding for finding in findings(play(feed.records)) if finding.code == "V04"]
    assert [finding.count for finding in found] == [1, 10, 100, 123]
    assert len({finding.finding_id for finding in found}) == 1
    assert found[-1].msg_no == found[0].msg_no
    assert found[-1].evidence[0] == found[0].evidence[0]
    assert len(found[-1].evidence) == 2


def test_causes_are_bounded() -> None:
    feed = Feed()
    feed.begin()
    for number in range(CAUSES + 40):
        feed.station(f'[2,"{number}","NoSuch{number}",{{}}]')
        feed.csms(f'[4,"{number}","NotImplemented","",{{}}]')
    out = play(feed.records)
    assert len([finding for finding in findings(out) if finding.code == "R10"]) == CAUSES + 40
    assert len(messages(out)) == 2 * (CAUSES + 40)


def test_deadlines_are_bounded() -> None:
    link = LinkState()
    for number in range(DEADLINES + 3):
        link.remember_deadline(f"X10:{number}", number)
    assert len(link.deadlines) == DEADLINES
    assert link.overflow == 3
    assert min(link.deadlines.values()) == 3


def test_open_calls_are_bounded_and_the_oldest_is_given_up() -> None:
    direction, out = Direction(), list[Record]()
    for number in range(OPEN_CALLS + 2):
        opened(direction, OpenCall(number, number, number, "Heartbeat", str(number)), 1, Side.STATION, out)
    assert len(direction.waiting) == OPEN_CALLS
    assert direction.overflow == 2
    assert [record.exchange.call_no for record in out if isinstance(record, ExchangeDone)] == [0, 1]


def test_answered_ids_are_bounded() -> None:
    direction = Direction()
    for number in range(ANSWERED_IDS + 5):
        opened(direction, OpenCall(number, number, number, "Heartbeat", str(number)), 1, Side.STATION, [])
        assert answered(direction, str(number))[1] == ""
    assert len(direction.answered) == ANSWERED_IDS
    assert answered(direction, "0") == (None, "unknown")
    assert answered(direction, str(ANSWERED_IDS)) == (None, "again")
