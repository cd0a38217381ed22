"""No credential reaches the stream; everything else keeps its bytes, and the findings are the same with and without masks."""

import re

import orjson
import pytest

from ocpp_proxy.core.masking import Masker
from ocpp_proxy.model import Opcode
from ocpp_proxy.records import FrameSeen, MessageSeen
from tests.core.streams import Feed, findings, messages, play, random_stream

MASKER = Masker(b"a key of this capture")
SECRET = "hunter2-canary"

CASES = {
    "ChangeConfiguration": ("ocpp1.6", '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"S"}]', ""),
    "blanks and another case": ("ocpp1.6", '[2, "1", "ChangeConfiguration", { "value" : "S", "key":"authorizationKEY" }]', ""),
    "escaped": ("ocpp1.6", '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"hunter2\\u002dcanary"}]', ""),
    "named twice": ("ocpp1.6", '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"S","value":"x"}]', ""),
    "a number": ("ocpp1.6", '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":["S"]}]', ""),
    "FTP URL": ("ocpp1.6", '[2,"1","GetDiagnostics",{"location":"ftp://bob:S@files.example/x"}]', ""),
    "GetConfiguration": (
        "ocpp1.6", '[2,"1","GetConfiguration",{}]',
        '[3,"1",{"configurationKey":[{"key":"AuthorizationKey","readonly":false,"value":"S"}]}]',
    ),
    "SetVariables": (
        "ocpp2.0.1",
        '[2,"1","SetVariables",{"setVariableData":[{"attributeValue":"S","component":{"name":"SecurityCtrlr"},'
        '"variable":{"name":"BasicAuthPassword"}}]}]', "",
    ),
    "SetNetworkProfile": (
        "ocpp2.0.1",
        '[2,"1","SetNetworkProfile",{"configurationSlot":1,"connectionData":{"apn":{"apn":"a","apnPassword":"S"}}}]', "",
    ),
    "not JSON": ("ocpp1.6", '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"S"', ""),
    "misspelt action": ("ocpp1.6", '[2,"1","changeconfiguration",{"key":"AuthorizationKey","value":"S"}]', ""),
    "echoed by an error": (
        "ocpp1.6", '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"S"}]',
        '[4,"1","InternalError","",{"key":"AuthorizationKey","value":"S"}]',
    ),
    "an answer nobody asked for": (
        "ocpp1.6", "", '[3,"9",{"configurationKey":[{"key":"AuthorizationKey","readonly":false,"value":"S"}]}]',
    ),
}


def feed_of(case: str) -> Feed:
    protocol, call, answer = CASES[case]
    feed = Feed()
    feed.begin(protocol=protocol)
    if call:
        feed.csms(call.replace("S\"", f'{SECRET}"').replace(":S@", f":{SECRET}@"))
    if answer:
        feed.station(answer.replace('"S"', f'"{SECRET}"'))
    return feed


@pytest.mark.parametrize("case", CASES)
def test_the_secret_is_nowhere_in_the_stream(case: str) -> None:
    feed = feed_of(case)
    plain, masked = play(feed.records), play(feed.records, MASKER)
    assert SECRET in repr(plain) or "hunter2" in repr(plain)
    assert SECRET not in repr(masked)
    assert "hunter2" not in repr(masked)
    assert any(record.frame.masked for record in masked if isinstance(record, FrameSeen))
    assert any(message.masked for message in messages(masked))
    assert [finding.code for finding in findings(masked)] == [finding.code for finding in findings(plain)]


def test_only_the_secret_changes_and_equal_secrets_look_equal() -> None:
    first, second = (play(feed_of(case).records, MASKER) for case in ("ChangeConfiguration", "blanks and another case"))
    one, other = messages(first)[0], messages(second)[0]
    name = orjson.loads(one.payload)["value"]
    assert re.fullmatch("secret_[0-9a-f]{8}", name)
    assert one.payload == f'{{"key":"AuthorizationKey","value":"{name}"}}'.encode()
    assert other.payload == f'{{ "value" : "{name}", "key":"authorizationKEY" }}'.encode()
    assert other.prefix + other.payload + other.suffix == next(
        record.frame.payload for record in second if isinstance(record, FrameSeen)
    )
    assert Masker(b"another key").pseudonym(SECRET) != name


def test_what_holds_no_secret_is_passed_as_it_is() -> None:
    for seed in range(6):
        for record in play(random_stream(seed), MASKER):
            if isinstance(record, MessageSeen) and b"secret_" not in record.message.payload:
                assert not record.message.masked
    feed = Feed()
    feed.begin()
    feed.station('[2,"1","Heartbeat",{}]')
    feed.csms('[2,"2","ChangeConfiguration",{"key":"HeartbeatInterval","value":"60"}]')
    frames = [record for record in feed.records if isinstance(record, FrameSeen)]
    assert [record for record in play(feed.records, MASKER) if isinstance(record, FrameSeen)] == frames


def fragments(text: str) -> Feed:
    feed = Feed()
    feed.begin()
    half = text.index("hunter") + 3
    feed.csms(text[:half], fin=False)
    feed.csms(text[half:], opcode=Opcode.CONTINUATION, text=text.encode())
    return feed


def test_a_secret_in_fragments_is_masked_in_all_of_them() -> None:
    feed = fragments(f'[2,"1","ChangeConfiguration",{{"key":"AuthorizationKey","value":"{SECRET}"}}]')
    out = play(feed.records, MASKER)
    assert "hunter" not in repr(out)
    frames = [record.frame for record in out if isinstance(record, FrameSeen)]
    assert [frame.masked for frame in frames] == [True, True]
    assert frames[0].payload == b""


def test_what_the_other_side_says_meanwhile_gives_no_fragment_away() -> None:
    feed = Feed()
    feed.begin()
    text = f'[2,"1","ChangeConfiguration",{{"key":"AuthorizationKey","value":"{SECRET}"}}]'
    feed.csms(text[:-3], fin=False)
    feed.station('[2,"1","Heartbeat",{}]')
    feed.station('[2,"2","Data', fin=False)
    feed.station('Transfer",{"vendorId":"V"}]', opcode=Opcode.CONTINUATION, text=b'[2,"2","DataTransfer",{"vendorId":"V"}]')
    feed.csms(text[-3:], opcode=Opcode.CONTINUATION, text=text.encode())
    out = play(feed.records, MASKER)
    assert "hunter" not in repr(out)
    assert [record.frame.masked for record in out if isinstance(record, FrameSeen)] == [False, False, False, True, True]


def test_fragments_beyond_the_bound_are_given_without_payload() -> None:
    feed = Feed()
    feed.begin()
    for _ in range(5):
        feed.station(b"x" * 300_000, fin=False)
    frames = [record.frame for record in play(feed.records, MASKER) if isinstance(record, FrameSeen)]
    assert [(frame.masked, frame.payload) for frame in frames] == [(True, b"")] * 4


def test_fragments_without_a_secret_keep_their_bytes_and_order() -> None:
    feed = fragments('[2,"1","DataTransfer",{"vendorId":"hunters"}]')
    frames = [record.frame for record in play(feed.records, MASKER) if isinstance(record, FrameSeen)]
    assert frames == [record.frame for record in feed.records if isinstance(record, FrameSeen)]


def test_fragments_that_never_end_are_given_when_the_link_ends() -> None:
    feed = Feed()
    feed.begin()
    feed.station(b'[2,"1","Heart', fin=False)
    feed.close()
    frames = [record.frame for record in play(feed.records, MASKER) if isinstance(record, FrameSeen)]
    assert [frame.payload for frame in frames] == [b'[2,"1","Heart']


def test_the_authorization_header_is_masked() -> None:
    feed = Feed()
    head = b"GET /CP1 HTTP/1.1\r\nHost: x\r\nAuthorization: Basic aHVudGVyMi1jYW5hcnk=\r\n\r\n"
    feed.station(b"", opcode=Opcode.HTTP_REQ, header=head)
    soap = b"<x><ns:key>AuthorizationKey</ns:key><ns:value>hunter2</ns:value></x>"
    feed.station(soap, opcode=Opcode.HTTP_REQ, header=b"")
    frames = [record.frame for record in play(feed.records, MASKER) if isinstance(record, FrameSeen)]
    assert b"aHVudGVyMi1jYW5hcnk=" not in frames[0].header
    assert frames[0].masked
    assert b"hunter2" not in frames[1].payload
    assert frames[1].masked
