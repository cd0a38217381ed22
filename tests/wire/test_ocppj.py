"""Message decoding: canonical texts, quirks of the field, the fuzz list, hostile JSON. The text always comes back."""

import json
import os
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ocpp_proxy.wire.ocppj import FAULTS, NOT_STRICT, Envelope, Refused, decode, load, rebuild

CORPUS = Path(os.environ.get("OCPP_PROXY_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))


def back(envelope: Envelope) -> bytes:
    return rebuild(
        envelope.mtype, envelope.message_id, envelope.action, envelope.payload, envelope.prefix, envelope.suffix,
        envelope.error_code, envelope.error_desc,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'[2,"1","Heartbeat",{}]', Envelope(2, "1", "Heartbeat", b"{}", {})),
        (b'[3,"1",{"a":1.10}]', Envelope(3, "1", "", b'{"a":1.10}', {"a": 1.1})),
        (b'[4,"1","GenericError","x",{}]', Envelope(4, "1", "", b"{}", {}, error_code="GenericError", error_desc="x")),
        (b'[5,"1","GenericError","x",{}]', Envelope(5, "1", "", b"{}", {}, error_code="GenericError", error_desc="x")),
        (b'[6,"1","NotifyPeriodicEventStream",{}]', Envelope(6, "1", "NotifyPeriodicEventStream", b"{}", {})),
        ('[2,"é","X",{"a":"é"}]'.encode(), Envelope(2, "é", "X", '{"a":"é"}'.encode(), {"a": "é"})),
        (b'[2,"1","BootNotification-Signed",{}]', Envelope(2, "1", "BootNotification-Signed", b"{}", {})),
        (b'[2,"1","X",{"a":18446744073709551615,"b":-9223372036854775808}]',
         Envelope(2, "1", "X", b'{"a":18446744073709551615,"b":-9223372036854775808}', {"a": 2**64 - 1, "b": -(2**63)})),
    ],
)
def test_canonical_messages_need_no_prefix(text: bytes, expected: Envelope) -> None:
    assert decode(text) == expected
    assert back(expected) == text


@pytest.mark.parametrize(
    ("text", "prefix", "suffix"),
    [
        (b'[2, "1", "X", {"a": 1}]', b'[2, "1", "X", ', b"]"),
        (b' [2,"1","X",{"a":1} ]\n', b' [2,"1","X",', b" ]\n"),
        (b'[2,"\\u0031","X",{}]', b'[2,"\\u0031","X",', b"]"),
        (b'[3,"1", {}]', b'[3,"1", ', b"]"),
    ],
)
def test_other_spellings_keep_what_stands_around_the_payload(text: bytes, prefix: bytes, suffix: bytes) -> None:
    envelope = decode(text)
    assert (envelope.prefix, envelope.suffix, envelope.message_id, envelope.faults) == (prefix, suffix, "1", ())
    assert back(envelope) == text


FUZZ: list[tuple[bytes, int, str, tuple[str, ...]]] = [
    (b"", 0, "", ("not_json",)),
    (b"   ", 0, "", ("not_json",)),
    (b"hello", 0, "", ("not_json",)),
    (b"{}", 0, "", ("shape",)),
    (b"null", 0, "", ("shape",)),
    (b'"[2]"', 0, "", ("shape",)),
    (b"[]", 0, "", ("shape",)),
    (b"[2]", 0, "", ("shape",)),
    (b'[2,"1"]', 2, "1", ("shape",)),
    (b'["2","1","X",{}]', 2, "1", ("type_not_integer",)),
    (b'[2.0,"1","X",{}]', 2, "1", ("type_not_integer",)),
    (b'[true,"1","X",{}]', 0, "1", ("type_unknown",)),
    (b'[1,"1","X",{}]', 0, "1", ("type_unknown",)),
    (b'[7,"1","X",{}]', 0, "1", ("type_unknown",)),
    (b'[[2],"1","X",{}]', 0, "1", ("type_unknown",)),
    (b'[2,1,"X",{}]', 2, "1", ("id_not_string",)),
    (b'[2,{"a":1},"X",{}]', 2, '{"a":1}', ("id_not_string",)),
    (b'[2,null,"X",{}]', 2, "null", ("id_null",)),
    (b'[2,"","X",{}]', 2, "", ("id_empty",)),
    (b'[2,"' + b"x" * 36 + b'","X",{}]', 2, "x" * 36, ()),
    (b'[2,"' + b"x" * 37 + b'","X",{}]', 2, "x" * 37, ("id_long",)),
    (b'[2,"1","X",{},{}]', 2, "1", ("shape",)),
    (b'[2,"1",5,{}]', 2, "1", ("shape",)),
    (b'[2,"1","X"]', 2, "1", ("shape",)),
    (b'[3,"1"]', 3, "1", ("shape",)),
    (b'[3,"1",{},{}]', 3, "1", ("shape",)),
    (b'[4,"1","GenericError",""]', 4, "1", ("details",)),
    (b'[4,"1","GenericError"]', 4, "1", ("shape",)),
    (b'[4,"1","GenericError","",null]', 4, "1", ("details",)),
    (b'[4,"1","GenericError",null,{}]', 4, "1", ("shape",)),
    (b'[3,"1",null]', 3, "1", ("payload_null",)),
    (b'[3,"1",[]]', 3, "1", ("payload_not_object",)),
    (b'[2,"1","X","{}"]', 2, "1", ("payload_not_object",)),
    (b'[2,"1","X",{"a":NaN}]', 2, "1", ("nan",)),
    (b'[2,"1","X",{"a":-Infinity,"b":"],"}]', 2, "1", ("nan",)),
    (b'[2,"1","X",{"a":1e999}]', 2, "1", ("big_number",)),
    (b'[2,"1","X",{"a":18446744073709551616}]', 2, "1", ("big_number",)),
    (b'[2,"1","X",{"a":' + b"9" * 5000 + b"}]", 2, "1", ("big_number",)),
    (b'[2,"1","X",{"a":1e999,"b":-' + b"9" * 350 + b"}]", 2, "1", ("big_number",)),
    (b'[2,"1","X",{"a":1,"a":2}]', 2, "1", ("duplicate_keys",)),
    (b'[2,"1","X",{"b":{"a" : 1, "a" : 1}}]', 2, "1", ("duplicate_keys",)),
    (b'[2,"1","X",{"a":1,"a":2,"b":"\\u0022:"}]', 2, "1", ("duplicate_keys",)),
    (b'[2,"1","X",{"a":"\\ud800"}]', 2, "1", ("surrogate",)),
    (b'[2,"\\ud800","X",{}]', 2, "?", ("surrogate",)),
    (b'\xef\xbb\xbf[2,"1","X",{}]', 2, "1", ("bom",)),
    (b'[2,"1","X",{"a":"\xe9"}]', 2, "1", ("utf8",)),
    (b'[2,"1","X",{"a":"\x00"}]', 0, "1", ("not_json",)),
    (b'[2,"1","X",{"a":1,}]', 0, "1", ("not_json",)),
    (b'[2,"1","X",{"a":01}]', 0, "1", ("not_json",)),
    (b'[2,"1","X",{}', 0, "1", ("not_json",)),
    (b'[2,"1","X",{}]]', 0, "1", ("not_json",)),
    (b'[2,"1","X",{}}]', 0, "1", ("not_json",)),
    (b'[2,"1","X",' + b"[" * 10000 + b"]" * 10000 + b"]", 0, "1", ("depth",)),
    (b'[2,"1","X",{"a":' + b"[" * 600 + b"]" * 600 + b"}]", 0, "1", ("depth",)),
    (b'[2,"1","DataTransfer",{"a":' + b"[" * 300 + b"]" * 300 + b"}]", 0, "1", ("depth",)),     # few bytes, still too deep
    (b'[2,"1","DataTransfer",{"a":' + b"[" * 199 + b"]" * 199 + b"}]", 0, "1", ("depth",)),
    (b'[2,"1","DataTransfer",{"a":' + b"[" * 198 + b"]" * 198 + b"}]", 2, "1", ()),
    (b"[" * 100000, 0, "", ("depth",)),
    (b"[" + b"[]," * 1000 + b"[]]", 0, "", ("shape",)),
]


@pytest.mark.parametrize(("text", "mtype", "message_id", "faults"), FUZZ)
def test_the_fuzz_list_is_classified(text: bytes, mtype: int, message_id: str, faults: tuple[str, ...]) -> None:
    envelope = decode(text)
    assert (envelope.mtype, envelope.message_id, envelope.faults) == (mtype, message_id, faults)
    assert back(envelope) == text
    assert envelope.payload in text
    orjson.dumps([envelope.message_id, envelope.action, envelope.error_code, envelope.error_desc, envelope.error])


def test_every_fault_has_a_case() -> None:
    assert {fault for *_, faults in FUZZ for fault in faults} == set(FAULTS) - {"size"}


def test_what_json_says_is_kept_for_a_broken_text() -> None:
    envelope = decode(b'[2,"a1","MeterValues",{"transactionId":,"x":1}]')
    assert (envelope.mtype, envelope.message_id, envelope.action, envelope.faults) == (0, "a1", "MeterValues", ("not_json",))
    assert (envelope.error_at, bool(envelope.error)) == (39, True)


def test_a_number_that_would_change_is_told_and_the_bytes_stay() -> None:
    envelope = decode(b'[2,"1","X",{"a":12345678901234567890123,"b":8.10}]')
    assert (envelope.faults, envelope.payload) == (("big_number",), b'{"a":12345678901234567890123,"b":8.10}')
    assert decode(b'[2,"1","X",{"a":"12345678901234567890123"}]').faults == ()


def test_values_of_texts_only_a_tolerant_decoder_takes() -> None:
    assert decode(b'[2,"1","X",{"a":NaN,"b":1}]').value == {"a": None, "b": 1}
    assert decode(b'[2,"1","X",{"a":"\xe9"}]').value == {"a": "?"}
    assert decode(b'[2,"1","X",{"a":"\\ud800"}]').value is UNSET


def test_a_message_over_the_cap_is_cut_out_but_not_decoded() -> None:
    payload = b"[" + b"[]," * 16_000_000 + b"[]]"
    envelope = decode(b'[2,"1","NotifyReport",' + payload + b"]")
    assert (envelope.mtype, envelope.message_id, envelope.action, envelope.value) == (2, "1", "NotifyReport", UNSET)
    assert (envelope.faults, envelope.prefix, envelope.payload == payload) == (("size",), b"", True)
    answer = decode(b'[3, "7", ' + payload + b" ]")
    assert (answer.mtype, answer.message_id, answer.prefix, answer.suffix) == (3, "7", b'[3, "7", ', b" ]")
    bare = decode(payload)
    assert (bare.mtype, bare.faults, bare.payload is payload) == (0, ("size",), True)
    assert decode(b'[4,"1","E","",{"a":"' + b"x" * (1 << 20) + b'"}]').faults == ("size",)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"a":[1,2.5,null]}', {"a": [1, 2.5, None]}), (b"{", Refused), (b"", Refused), (b"\xff", Refused),
        (b"[" * 5000, Refused), (b" " * (1 << 20) + b"{}", Refused), (b'{"a":NaN}', Refused),
    ],
)
def test_load_gives_a_value_or_says_why_not(payload: bytes, expected: object) -> None:
    value = load(payload)
    assert isinstance(value, Refused) if expected is Refused else value == expected


def test_load_names_the_reason() -> None:
    reasons = [load(payload) for payload in (b"{", b'{"a":NaN}', b'{"a":1e999}', b'"\xff"', b"[" * 600, b" " * (2 << 20))]
    assert [reason.fault for reason in reasons if isinstance(reason, Refused)] == [
        "not_json", "nan", "big_number", "utf8", "depth", "size",
    ]


def test_the_quirks_of_the_field_decode_as_recorded() -> None:
    path = CORPUS / "quirks.jsonl"
    if not path.exists():
        pytest.skip(f"no corpus at {CORPUS}")
    seen = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        quirk = json.loads(line)
        if quirk["raw"] is None and not quirk.get("raw_hex"):
            continue
        text = bytes.fromhex(quirk["raw_hex"]) if quirk.get("raw_hex") else quirk["raw"].encode()
        envelope = decode(text)
        assert NOT_STRICT.isdisjoint(envelope.faults) is quirk["json"], quirk["id"]
        assert back(envelope) == text, quirk["id"]
        seen += 1
    assert seen == 36


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=12,
)
_TYPE = st.sampled_from([2, 3, 4, 5, 6, 2, 3, 9, "2", True, None])


@given(st.lists(_JSON, max_size=5), _TYPE, st.booleans(), st.booleans())
def test_any_json_array_comes_back(parts: list[object], kind: object, ascii_: bool, tight: bool) -> None:
    text = json.dumps([kind, *parts], ensure_ascii=ascii_, separators=(",", ":") if tight else None).encode("utf-8", "replace")
    envelope = decode(text)
    assert back(envelope) == text
    assert set(envelope.faults) <= set(FAULTS)
    if envelope.mtype and envelope.value is not UNSET and not envelope.faults:
        assert load(envelope.payload) == envelope.value


_TOKENS = st.sampled_from([
    b"[", b"]", b"{", b"}", b",", b":", b'"', b"2", b"3", b'"1"', b'"X"', b"{}", b" ", b"\\", b"NaN", b"1e999", b"\xff",
    b"\\ud800",
])


@given(st.one_of(st.binary(max_size=80), st.lists(_TOKENS, max_size=25).map(b"".join)))
def test_any_bytes_never_raise_and_come_back(text: bytes) -> None:
    for one in (text, b'[2,"1","X",' + text + b"]", b'[2,"1","X",{"a":' + text + b"}]"):
        assert back(decode(one)) == one
    load(text)
