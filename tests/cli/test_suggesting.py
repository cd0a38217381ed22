"""What ``check`` suggests: exactly the profiles that make a finding go away, and how to run them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from ocpp_proxy_plugins.quirks import PROFILES, Profile

from ocpp_proxy.checks import REGISTRY, Settings
from ocpp_proxy.cli.app import run_app
from ocpp_proxy.cli.suggesting import MOST_TRIED, Suggester, advice, told_of
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.model import Finding, Frame, Link, Opcode, Side
from ocpp_proxy.records import Found, FrameSeen, Handshake, LinkOpened, Record
from ocpp_proxy.testing import START_NS
from ocpp_proxy.wire.http import parse_request

TOLERATED = {"short-zone"}                  # ISO 8601 allows it: a finding only at the strictest grade
JUDGED = [
    profile for profile in PROFILES.values()
    if (profile.repairs or profile.mends) and set(profile.detects) & set(REGISTRY.rules) and profile.name not in TOLERATED
]


def suggested(
    conversation: str, protocol: str = "ocpp1.6", offered: tuple[str, ...] = ("ocpp1.6",), verdict: str = "",
) -> tuple[Suggester, list[Finding]]:
    suggester, analyser, findings = Suggester(), Analyser(Settings(), Ids(), None), list[Finding]()
    link = Link(1, START_NS, "", identity="CP1", protocol=protocol, status=101, offered=offered)
    sources: list[Any] = [LinkOpened(link), Handshake(START_NS, link, request_frame=1 if not protocol else 0)]
    for number, line in enumerate(line for line in conversation.strip().splitlines() if line.startswith(("> ", "< "))):
        sender = Side.STATION if line[0] == ">" else Side.CSMS
        raw = line[2:].encode()
        frame = Frame(number + 1, 1, number, START_NS + number, 0, sender, Opcode.TEXT, payload=raw, verdict=verdict)
        sources.append(FrameSeen(frame))
    for source in sources:
        out: list[Record] = []
        analyser.feed(source, out)
        for record in out:
            suggester.see(record)
        findings += [record.finding for record in out if isinstance(record, Found)]
    return suggester, findings


def names(conversation: str) -> set[str]:
    return {name for found in suggested(conversation)[0].repaired.values() for name in found}


@pytest.mark.parametrize("profile", JUDGED, ids=lambda profile: profile.name)
def test_a_profile_is_suggested_for_what_it_repairs(profile: Profile) -> None:
    assert profile.name in names(profile.conversation)


@pytest.mark.parametrize("profile", JUDGED, ids=lambda profile: profile.name)
def test_a_profile_is_not_suggested_for_its_twin(profile: Profile) -> None:
    assert profile.name not in names(profile.untouched)


def test_a_profile_that_does_not_help_is_not_suggested() -> None:
    """Its code fits, the message goes through it unchanged, or changed and still wrong."""
    assert names('> [2,"1","StatusNotification",{"connectorId":1,"errorCode":"Errrr","status":"Available"}]') == set()
    assert names('> [2,"1","MeterValues",{"connectorId":"one","meterValue":[]}]') == set()
    assert names('> [2,"1","StopTransaction",{"transactionId":-1,"meterStop":1,"timestamp":"2027-01-15T08:00:00Z"}]') == set()


def test_what_a_plugin_has_repaired_already_is_not_suggested_again() -> None:
    conversation = PROFILES["letter-case"].conversation
    assert names(conversation) == {"letter-case", "sample-context"}
    assert suggested(conversation, verdict="replaced")[0].repaired == {}
    assert suggested(conversation, verdict="translated")[0].repaired == {}       # that one a bridge made


def test_handshakes() -> None:
    found = suggested("", "", ())[0].repaired
    assert {told[0]: names for told, names in found.items()} == {"T01": ("no-subprotocol",)}
    assert ("subprotocol-spelling",) in suggested("", "", ("OCPP1.6",))[0].repaired.values()


def opened(head: str) -> tuple[set[str], list[str]]:
    """The codes for which the lenient handshake is suggested, and all codes found."""
    read = parse_request(head.encode())
    link = Link(1, START_NS, "", identity="CP1", status=400, target=read.target_text, offered=read.offered)
    frame = Frame(1, 1, 1, START_NS, 0, Side.STATION, Opcode.HTTP_REQ, header=head.encode())
    suggester, analyser, findings = Suggester(), Analyser(Settings(), Ids(), None), list[Finding]()
    for source in (LinkOpened(link), FrameSeen(frame), Handshake(START_NS, link, 1, problems=read.problems)):
        out: list[Record] = []
        analyser.feed(source, out)
        for record in out:
            suggester.see(record)
        findings += [record.finding for record in out if isinstance(record, Found)]
    return {str(told[0]) for told, names in suggester.repaired.items() if "upgrade-headers" in names}, [
        finding.code for finding in findings]


KEY = "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ocpp1.6\r\n"


def test_a_head_that_the_lenient_handshake_repairs() -> None:
    rest = "Host: h\r\nSec-WebSocket-Version: 13\r\n"
    assert opened(f"GET /CP1 HTTP/1.1\r\n{KEY}{rest}\r\n")[0] == {"T05"}
    assert opened(f"GET //CP1 HTTP/1.1\r\n{KEY}{rest}Connection: Upgrade\r\n\r\n")[0] == {"T06"}
    assert opened(f"GET /CP1 HTTP/1.1\r\n{KEY}{rest}Connection: Upgrade\r\n\r\n")[0] == set()
    found, codes = opened(f"GET /CP1/ HTTP/1.1\r\n{KEY}{rest}Connection: Upgrade\r\n\r\n")
    assert found == set() and "T06" in codes                # a slash at the end may be meant


def test_no_more_than_so_many_are_tried() -> None:
    wrong = '{"connectorId":1,"errorCode":"NoError","status":"available"}'
    suggester, findings = suggested(f'> [2,"1","StatusNotification",{wrong}]')
    assert suggester.tried.total() == len(findings) == 1
    for _ in range(2 * MOST_TRIED):
        suggester.found(findings[0])
    suggester.found(structs.replace(findings[0], code="V05"))       # of another rule: still tried
    assert suggester.tried == {"V01": MOST_TRIED, "V05": 1}


def test_the_advice_counts_findings_and_gives_the_commands() -> None:
    suggester, findings = suggested(PROFILES["letter-case"].conversation + PROFILES["empty-vendor"].conversation)
    lines = advice(findings, suggester.repaired)
    assert [line.partition(":")[0] for line in lines] == [
        "quirks profile letter-case would repair 4 of these (V01, V05)",
        "quirks profile empty-vendor would repair 1 of these (V03)",
        "quirks profile sample-context would repair 1 of these (V01)", "all of them",
    ]
    assert lines[0].endswith("ocpp-proxy run --plugin quirks:profiles=letter-case")
    assert lines[1].endswith("quirks:profiles=empty-vendor (read about it first)")
    assert lines[3].endswith("quirks:profiles=empty-vendor+letter-case+sample-context")
    assert advice(findings, {}) == []
    assert advice(findings[:1], {told_of(findings[0]): ("upgrade-headers",)}) == [
        "--handshake lenient would repair 1 of these (V01): ocpp-proxy run --handshake lenient"]
    assert {told_of(finding) for finding in findings if finding.code != "R08"} == set(suggester.repaired)


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "log.ndjson"
    rows = [
        {"ts": "2026-11-22T10:00:01Z", "identity": "CP1", "sender": "csms", "raw": '[2,"5","GetConfiguration",{}]'},
        {"ts": "2026-11-22T10:00:02Z", "identity": "CP1", "sender": "station", "raw": '[3,"5",{"configurationKey":]}]'},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return str(path)


def test_check_says_it(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["check", trace]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == (
        "quirks profile configuration-key-json would repair 1 of these (R01):"
        " ocpp-proxy run --plugin quirks:profiles=configuration-key-json"
    )
    assert run_app(["check", trace, "--json"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["code"]: row["quirks"] for row in rows}["R01"] == ["configuration-key-json"]


def test_the_corpus_of_real_quirks() -> None:
    """Of the single messages that the rules find fault with, most are repaired; which ones are not is known."""
    folder = Path(os.environ.get("OCPP_PROXY_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "corpus")
    if not (folder / "quirks.jsonl").exists():
        pytest.skip("no corpus here")
    repaired, left = set[str](), set[str]()
    for line in (folder / "quirks.jsonl").read_text().splitlines():
        quirk = json.loads(line)
        if not quirk["raw"]:
            continue
        mark = ">" if quirk["dir"] == "cp>cs" else "<"
        call = f'{"<" if mark == ">" else ">"} [2,"{quirk["raw"].split(chr(34))[1]}","{quirk.get("answers")}",{{}}]'
        before = f"{call}\n" if quirk.get("answers") else ""
        suggester, findings = suggested(before + f"{mark} {' '.join(quirk['raw'].splitlines())}")
        if findings:
            (repaired if suggester.repaired else left).add(quirk["id"])
    assert repaired >= {
        "Q001", "Q002", "Q003", "Q021", "Q022", "Q024", "Q026", "Q030", "Q037", "Q039", "Q040", "Q041", "Q042", "Q045", "Q052",
    }, (repaired, left)
