"""Quirk profiles: each repairs what it names, leaves its twin alone, and says where the fault is documented."""

import csv
import json
import os
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocpp_proxy_plugins.quirks import LARGEST, PROFILES, Profile, Quirks
from ocpp_proxy_plugins.quirks.document import page, structs_tag
from ocpp_proxy_plugins.quirks.profile import parse
from ocpp_proxy_plugins.quirks.repairs import Repair
from ocpp_proxy_plugins.quirks.stamps import Stamps, repaired
from ocpp_proxy_plugins.quirks.texts import Close, Control, Empty, Envelope, Latin, Mend, mended
from ocpp_proxy_plugins.quirks.work import places

from ocpp_proxy.api import Admit, Call, Side
from ocpp_proxy.checks import REGISTRY
from ocpp_proxy.spec import actions
from ocpp_proxy.testing import START_NS, Stage, play

SPOKEN = [profile for profile in PROFILES.values() if not profile.setting]
EXTERNAL = ("https://github.com/", "OCPP")
FUTURE = {"M03", "P06", "C05", "R13"}       # codes of the catalogue whose rules are not written yet
NO_RULE = {"transaction-id-unset"}          # legal by the schema; a fault for receivers with 32 bits


def named(profile: Profile) -> str:
    return profile.name


def playing(profile: Profile, conversation: str, **options: Any) -> list[tuple[str, str]]:
    version = profile.versions[0] if profile.versions else "1.6"
    return play(Quirks, conversation, options={"profiles": [profile.name], **options}, version=version).findings


@pytest.mark.parametrize("profile", SPOKEN, ids=named)
def test_a_profile_repairs_what_it_names(profile: Profile) -> None:
    assert [code for code, _ in playing(profile, profile.conversation)] == ["quirks-repaired"]


@pytest.mark.parametrize("profile", SPOKEN, ids=named)
def test_a_profile_leaves_its_twin_alone(profile: Profile) -> None:
    assert playing(profile, profile.untouched) == []


@pytest.mark.parametrize("profile", SPOKEN, ids=named)
def test_without_the_profile_nothing_is_repaired(profile: Profile) -> None:
    """The conversation is one that the profile changes: without it, what is expected does not come."""
    with pytest.raises(AssertionError):
        play(Quirks, profile.conversation)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=named)
def test_a_profile_is_documented(profile: Profile) -> None:
    assert profile.source and all(source.startswith(EXTERNAL) for source in profile.source)
    assert set(profile.detects) <= set(REGISTRY.rules) | FUTURE
    assert bool(profile.detects) == (profile.name not in NO_RULE)
    assert profile.title and (profile.repairs or profile.mends or profile.offers or profile.setting)
    assert profile.setting or (profile.conversation and profile.untouched)


def test_there_are_enough_of_them() -> None:
    assert len(PROFILES) >= 15
    assert all(name == profile.name for name, profile in PROFILES.items())


def repaired_by_auto(profile: Profile, conversation: str) -> set[str]:
    """The profiles that repair something of a conversation under ``auto``; what comes out may be several repairs' work."""
    version = profile.versions[0] if profile.versions else "1.6"
    stage = Stage([Quirks], options={"profiles": "auto"}, version=version)
    for line in conversation.strip().splitlines():
        if line.startswith(("> ", "< ")):
            stage.send(Side.STATION if line[0] == ">" else Side.CSMS, line[2:])
        elif line.startswith("open"):
            stage.open(line.split()[1:])
    return {text.partition(":")[0] for _, text in stage.played.findings}


@pytest.mark.parametrize("profile", SPOKEN, ids=named)
def test_auto_takes_what_cannot_do_harm_and_nothing_else(profile: Profile) -> None:
    assert (profile.name in repaired_by_auto(profile, profile.conversation)) == profile.harmless


@pytest.mark.parametrize("profile", SPOKEN, ids=named)
def test_auto_leaves_the_twins_alone_too(profile: Profile) -> None:
    assert profile.name not in repaired_by_auto(profile, profile.untouched)


LEGRAND = PROFILES["legrand-error-code"]
STATUS = '[2,"9","StatusNotification",{"connectorId":0,"errorCode":"Error","status":"Faulted"}]'


def saying(code: str) -> str:
    return STATUS.replace('"Error"', f'"{code}"')


def test_a_charger_that_has_not_said_who_it_is_gets_no_vendor_s_profile() -> None:
    play(Quirks, f"> {STATUS}\n=> {STATUS}", options={"profiles": [LEGRAND.name]})


def test_with_everyone_a_named_profile_is_for_all_chargers() -> None:
    play(Quirks, f"> {STATUS}\n=> {saying('OtherError')}\n! quirks-repaired",
         options={"profiles": [LEGRAND.name], "everyone": True})


def test_names_are_joined_by_plus_on_a_command_line_and_wrong_ones_refused() -> None:
    options = msgspec.convert({"profiles": "frequency-hz + letter-case"}, Quirks.Options)
    play(Quirks, f"> {STATUS.replace('Faulted', 'faulted')}\n=> {STATUS}\n! quirks-repaired", options=options)
    with pytest.raises(msgspec.ValidationError, match="frequenzy-hz: no such profile: did you mean frequency-hz"):
        msgspec.convert({"profiles": "frequenzy-hz"}, Quirks.Options)


def test_what_the_proxy_does_itself_is_no_profile_of_the_plugin() -> None:
    with pytest.raises(msgspec.ValidationError, match="run it with --handshake lenient"):
        msgspec.convert({"profiles": "upgrade-headers"}, Quirks.Options)


def test_a_profile_of_the_users_own() -> None:
    repairs = [{"do": "map", "path": "$.errorCode", "values": {"Error": "NoError"}}]
    own = {"name": "mine", "title": "t", "detects": [], "repairs": repairs}
    play(Quirks, f"> {STATUS}\n=> {saying('NoError')}\n! quirks-repaired",
         options={"own": [own], "profiles": ["mine"]})


def test_without_a_profile_nothing_happens() -> None:
    for profile in SPOKEN:
        for line in profile.conversation.strip().splitlines():
            if line.startswith("> "):
                play(Quirks, f"{line}\n={line}")


def test_the_end_says_how_many_were_repaired() -> None:
    broken = PROFILES["letter-case"].conversation
    play(Quirks, f"{broken}end\n! quirks-repaired", options={"profiles": ["letter-case"]})


def test_the_transaction_is_known_again_after_a_new_connection() -> None:
    """The State is the charger's: what the plugin learnt on one connection helps on the next."""
    start = PROFILES["transaction-id-none"].conversation.split("> [2,\"2\"")[0]
    options = {"profiles": ["transaction-id-none"]}
    first = Stage([Quirks], options=options)
    for line in start.strip().splitlines():
        if line.startswith(("> ", "< ")):
            first.send(Side.STATION if line[0] == ">" else Side.CSMS, line[2:])
    state = first.played.state["quirks"]
    meter = '{"connectorId":1,"transactionId":%s,"meterValue":[]}'
    play(Quirks, f'> [2,"9","MeterValues",{meter % -1}]\n~ invented $.transactionId\n=> [2,"9","MeterValues",{meter % 77}]\n'
                 "! quirks-repaired", options=options, state=state)
    first.send(Side.STATION, '[2,"2","StopTransaction",{"transactionId":77,"meterStop":1,"timestamp":"2026-01-02T04:04:05Z"}]')
    first.send(Side.CSMS, '[3,"2",{}]')
    assert first.onion.seats[0].context.state.transactions == {}


def test_a_vendor_s_profile_is_on_at_once_when_the_charger_dials_again() -> None:
    known = Quirks.State(vendor="Legrand", model="GreenUp")
    play(Quirks, f"> {STATUS}\n=> {saying('OtherError')}\n! quirks-repaired", options={"profiles": "auto"}, state=known)
    play(Quirks, f"> {STATUS}\n=> {STATUS}", options={"profiles": "auto"}, state=Quirks.State(vendor="ACME"))


def test_transactions_are_remembered_only_for_a_profile_that_asks() -> None:
    stage = Stage([Quirks], options={"profiles": "auto"})
    start = '{"connectorId":1,"idTag":"A","meterStart":0,"timestamp":"2026-01-02T03:04:05Z"}'
    stage.send(Side.STATION, f'[2,"1","StartTransaction",{start}]')
    stage.send(Side.CSMS, '[3,"1",{"transactionId":77,"idTagInfo":{"status":"Accepted"}}]')
    assert stage.onion.seats[0].context.state == Quirks.State()


def test_the_values_of_a_mended_call_are_repaired_as_well() -> None:
    sample = '[2,"1","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-01-02T03:04:05Z","sampledValue":[%s]}]}]'
    play(Quirks, f"""
        > {sample % '{"value":6,5,"unit":"Hz"}'}
        => {sample % '{"value":"6.5","unit":"Hertz"}'}
        ! quirks-repaired
        ! quirks-repaired
        ! quirks-repaired
    """, options={"profiles": "auto"})


def admitted(name: str, *offered: str) -> Any:
    return PROFILES[name].admits(offered)


def test_handshakes() -> None:
    assert admitted("no-subprotocol") == Admit(("ocpp1.6",), "")
    assert admitted("no-subprotocol", "ocpp2.0.1") is None
    assert admitted("subprotocol-spelling", "soap", "OCPP1.6") == Admit(("ocpp1.6",), "OCPP1.6")
    assert admitted("subprotocol-spelling", "OCPP1.6", "ocpp1.6") is None
    assert admitted("subprotocol-spelling", "mqtt") is None
    assert admitted("subprotocol-spelling") is None


@pytest.mark.parametrize(("text", "to", "seconds", "right"), [
    ("2027-01-15T13:30:01.5", "zone", None, "2027-01-15T13:30:01.5+05:30"),
    ("2027-01-15 07:59:59", "zone", 7200, "2027-01-15T07:59:59Z"),
    ("2020-01-01T00:00:00", "zone", -3600, "2020-01-01T00:00:00-01:00"),
    ("2020-01-01T00:00:00", "zone", None, "2020-01-01T00:00:00Z"),
    ("1970-01-01T00:00:00", "zone", None, None), ("2020-01-01T00:00:00Z", "zone", 3600, None), ("soon", "zone", 3600, None),
    ("2026-01-02T03:04+0230", "rfc3339", None, "2026-01-02T03:04:00+02:30"),
    ("2026-01-02t03:04:05,5z", "rfc3339", None, "2026-01-02T03:04:05.5Z"),
    ("2026-02-30T03:04:05+01", "rfc3339", None, None), ("2026-01-02T03:04:05", "rfc3339", None, None),
    ("0000-00-00T00:00:00Z", "now", None, "2027-01-15T08:00:00Z"), ("2026-01-02", "now", None, None),
    ("2026-01-02T03:04:05.9+02:00", "utc", None, "2026-01-02T01:04:05Z"), ("2026-01-02T03:04:05", "utc", None, None),
    ("0001-01-01T00:00:00+14:00", "utc", None, None), ("0999-01-01T00:00:00Z", "utc", None, "0999-01-01T00:00:00Z"),
])
def test_time_stamps(text: str, to: str, seconds: int | None, right: str | None) -> None:
    assert repaired(text, to, START_NS, Stamps(seconds)) == right


@pytest.mark.parametrize(("mends", "text", "right"), [
    ((Close(),), '{"a":[1}', '{"a":[1]}'), ((Close(),), '{"a":1}}', None),
    ((Close(),), '{"a":"', None), ((Close(),), '{"a":[{"b":1}', '{"a":[{"b":1}]}'),
    ((Empty(),), '{"a":1,"b":}', '{"a":1}'), ((Empty(("b",)),), '{"b":,"a":1}', '{"b":[],"a":1}'),
    ((Control(),), '{"a":"\t\\""}', '{"a":"\\u0009\\""}'), ((Control(),), '{"a":1}', None), ((Empty(), Close()), "[[[", None),
])
def test_texts_are_mended_into_messages_or_not_at_all(mends: Any, text: str, right: str | None) -> None:
    made = mended(f'[3,"1",{text}]'.encode(), mends)
    assert made == (f'[3,"1",{right}]' if right else None)


@pytest.mark.parametrize(("parts", "text", "right"), [
    ("id", '[3,7,{}]', '[3,"7",{}]'), ("payload", '[3,"7"]', '[3,"7",{}]'), ("payload", '[3,"7",null]', '[3,"7",{}]'),
    ("error", '[4,"7","E",null]', '[4,"7","E","",{}]'), ("type", '["3","7",{}]', '[3,"7",{}]'), ("id", '[2,7,"A"]', None),
    ("payload", '[2,"7","A",3]', None), ("type", '[9,"7","A",{}]', None), ("id", "[2]", None), ("id", "{}", None),
])
def test_envelopes_are_completed_or_left_alone(parts: str, text: str, right: str | None) -> None:
    assert mended(text.encode(), (Envelope((parts,)),)) == right


def test_bytes_that_are_no_utf_8_need_a_mend_of_their_own() -> None:
    raw = b'[3,"1",{"a":"caf\xe9"}]'
    assert mended(raw, (Empty(),)) is None
    assert mended(raw, (Latin(),)) == '[3,"1",{"a":"caf\u00e9"}]'


def test_places_of_a_path() -> None:
    value = {"a": [{"b": 1}, {"c": 2}, 3], "b": {"b": 4}}
    assert [path for _, _, path in places(value, "$.a[*].b")] == ["$.a[0].b"]
    assert [path for _, _, path in places(value, "$..b")] == ["$.b", "$.a[0].b", "$.b.b"]
    assert [path for _, _, path in places([value], "$[*].b.b")] == ["$[0].b.b"]
    assert places(3, "$.a") == [] and places({"a": list(range(5000))}, "$.a[*]")[-1][1] == 1999


def test_what_is_no_profile_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        parse('name = "a"\ntitle = "b"\ndetects = []\nrepairs = [{do = "magic"}]')
    for path in ("a[].b", "$", "$.a["):
        with pytest.raises(msgspec.ValidationError, match="path"):
            parse(f'name = "a"\ntitle = "b"\ndetects = []\nrepairs = [{{do = "text", path = "{path}"}}]')


def test_values_of_the_wrong_kind_are_left_alone() -> None:
    """Every repair on payloads it was not made for: nothing raises, nothing changes that it does not know."""
    for profile in SPOKEN:
        for action in ("StatusNotification", "MeterValues", "StopTransaction", "BootNotification"):
            for payload in ('{"status":3,"info":[],"timestamp":7,"meterValue":{"sampledValue":7},"transactionId":[]}', "{}"):
                findings = playing_any(profile, f'[2,"1","{action}",{payload}]')
                assert not any(code.startswith("plugin-") for code, _ in findings), (profile.name, findings)


def playing_any(profile: Profile, text: str) -> list[tuple[str, str]]:
    stage = Stage([Quirks], options={"profiles": [profile.name], "everyone": True})
    stage.send(Side.STATION, text)
    assert len(stage.played.sent) == 1
    json.loads(stage.played.sent[0][1])
    return stage.played.findings


def test_page_is_up_to_date() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs" / "plugins" / "quirks.md"
    assert docs.read_text() == page(), "run: python -m ocpp_proxy_plugins.quirks > docs/plugins/quirks.md"


def test_the_page_names_every_profile_and_operation() -> None:
    operations = {structs_tag(kind) for union in (Repair, Mend) for kind in get_args(union)}
    assert all(f"\n### {name}\n" in page() for name in PROFILES)
    assert all(f"| `{operation}` |" in page() for operation in operations)


NAMES = sorted({"unit", "timestamp", "value", "status", "extra"} | {
    step for profile in PROFILES.values() for repair in profile.repairs if hasattr(repair, "path")
    for step in repair.path.replace("[*]", "").strip("$.").split(".") if step
})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=60)
    | st.sampled_from(["-1", "6,5", "2027-01-15T08:00:00", "1970-01-01T00:00:00Z", "hz", "9e9"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4), max_leaves=12,
)
PAYLOADS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)
ACTIONS = ("StatusNotification", "MeterValues", "StartTransaction", "StopTransaction", "BootNotification", "heartbeat")


@given(PAYLOADS, st.sampled_from(ACTIONS), st.sampled_from(Side))
@settings(max_examples=60, deadline=None)
def test_no_payload_makes_it_fail(payload: Any, action: str, sender: Side) -> None:
    """All profiles at once: JSON goes in, the same kind of message comes out."""
    stage = Stage([Quirks], options={"profiles": [profile.name for profile in SPOKEN], "everyone": True})
    stage.send(sender, json.dumps([2, "1", action, payload]))
    (_, text), = stage.played.sent
    assert json.loads(text)[:2] == [2, "1"] and isinstance(json.loads(text)[3], dict)
    assert not any(code.startswith("plugin-") for code, _ in stage.played.findings)


def test_a_payload_that_is_too_large_passes() -> None:
    text = f'[2,"1","DataTransfer",{{"vendorId":"v","data":"{"x" * LARGEST}","messageId":null}}]'
    play(Quirks, f"> {text}\n=> {text}", options={"profiles": ["null-members"]})


def test_what_is_right_is_not_even_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick look at the raw payload keeps ``auto`` cheap: of right messages no value is built."""
    decoded: list[str] = []

    def decode(call: Call) -> Any:
        decoded.append(call.action)
        return msgspec.json.decode(call.payload)

    monkeypatch.setattr(Call, "json", decode)
    sample = '{"value":"10","unit":"Wh","context":"Sample.Periodic","measurand":"Voltage","phase":"L1-N","location":"Outlet"}'
    for payload in (
        '{"connectorId":1,"errorCode":"NoError","status":"Available","info":"all right","timestamp":"2026-01-02T03:04:05.5Z"}',
        f'{{"connectorId":1,"transactionId":3,"meterValue":[{{"timestamp":"2026-01-02T03:04:05Z","sampledValue":[{sample}]}}]}}',
    ):
        action = "StatusNotification" if "status" in payload else "MeterValues"
        play(Quirks, f'> [2,"1","{action}",{payload}]\n=> [2,"1","{action}",{payload}]', options={"profiles": "auto"})
    assert decoded == []


def test_auto_changes_nothing_in_two_weeks_of_right_traffic() -> None:
    folder = Path(os.environ.get("OCPP_PROXY_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "corpus")
    if not (folder / "kwwhat-ocpp16-14d.csv").exists():
        pytest.skip("no corpus here")
    stage, callers = Stage([Quirks], options={"profiles": "auto"}), dict[str, Side]()
    with (folder / "kwwhat-ocpp16-14d.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["action"] == "Heartbeat":
                continue
            message = json.loads(row["msg"])
            own = actions.direction("1.6", row["action"]) is not Side.CSMS
            sender = callers.setdefault(message[1], Side.STATION if own else Side.CSMS)
            stage.send(sender if message[0] == 2 else sender.other, row["msg"])
            assert stage.played.sent.pop()[1] == row["msg"]
    assert len(callers) > 800 and stage.played.findings == []
