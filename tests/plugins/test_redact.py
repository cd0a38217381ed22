"""Redact: pseudonyms towards one side, the real values back, in any version; the cipher behind them."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp_proxy_plugins.redact import MOST, Redact, pseudonym

from ocpp_proxy.model import PluginError
from ocpp_proxy.plugins import configured
from ocpp_proxy.testing import play

KEY = "a key of the test"
OPTIONS: dict[str, Any] = {"key": KEY}


def hidden(text: str) -> str:
    return pseudonym(KEY, text)


def test_a_session_of_1_6_works_with_the_token_hidden_from_the_csms() -> None:
    tag = hidden("04A2B3C4")
    assert tag != "04A2B3C4" and re.fullmatch("[0-9A-F]{8}", tag)
    play(Redact, f"""
        > [2,"1","BootNotification",{{"chargePointVendor":"V","chargePointSerialNumber":"SN-0017x"}}]
        => [2,"1","BootNotification",{{"chargePointVendor":"V","chargePointSerialNumber":"{hidden("SN-0017x")}"}}]
        < [3,"1",{{"status":"Accepted","currentTime":"2026-01-01T00:00:00Z","interval":300}}]
        <= [3,"1",{{"status":"Accepted","currentTime":"2026-01-01T00:00:00Z","interval":300}}]
        > [2,"2","Authorize",{{"idTag":"04A2B3C4"}}]
        => [2,"2","Authorize",{{"idTag":"{tag}"}}]
        < [3,"2",{{"idTagInfo":{{"status":"Accepted","parentIdTag":"{hidden("GROUP7")}"}}}}]
        <= [3,"2",{{"idTagInfo":{{"status":"Accepted","parentIdTag":"GROUP7"}}}}]
        < [2,"3","RemoteStartTransaction",{{"idTag":"{tag}","connectorId":1}}]
        <= [2,"3","RemoteStartTransaction",{{"idTag":"04A2B3C4","connectorId":1}}]
        > [3,"3",{{"status":"Accepted"}}]
        => [3,"3",{{"status":"Accepted"}}]
        > [2,"4","StartTransaction",{{"connectorId":1,"idTag":"04A2B3C4","meterStart":0,"timestamp":"2026-01-01T00:00:00Z"}}]
        => [2,"4","StartTransaction",{{"connectorId":1,"idTag":"{tag}","meterStart":0,"timestamp":"2026-01-01T00:00:00Z"}}]
    """, options=OPTIONS)


def test_2_x_and_a_value_the_csms_made_up_comes_back_as_it_sent_it() -> None:
    started = '{{"eventType":"Started","idToken":{{"idToken":"{}","type":"ISO14443"}},"meterValue":[]}}'
    made_up = "APP-USER-1"
    seen = pseudonym(KEY, made_up, False)
    play(Redact, f"""
        < [2,"1","RequestStartTransaction",{{"idToken":{{"idToken":"{made_up}","type":"Central"}},"remoteStartId":1}}]
        <= [2,"1","RequestStartTransaction",{{"idToken":{{"idToken":"{seen}","type":"Central"}},"remoteStartId":1}}]
        > [3,"1",{{"status":"Accepted"}}]
        => [3,"1",{{"status":"Accepted"}}]
        > [2,"2","TransactionEvent",{started.format(seen)}]
        => [2,"2","TransactionEvent",{started.format(made_up)}]
    """, options=OPTIONS, version="2.0.1")


def test_towards_the_station_and_only_what_was_chosen() -> None:
    play(Redact, f"""
        > [2,"1","Authorize",{{"idTag":"{hidden("CARD12")}"}}]
        => [2,"1","Authorize",{{"idTag":"CARD12"}}]
        < [3,"1",{{"idTagInfo":{{"status":"Accepted","parentIdTag":"GROUP7"}}}}]
        <= [3,"1",{{"idTagInfo":{{"status":"Accepted","parentIdTag":"{hidden("GROUP7")}"}}}}]
    """, options={**OPTIONS, "towards": "station"})
    plain = '[2,"1","Authorize",{"idTag":"CARD12"}]'
    play(Redact, f"> {plain}\n=> {plain}", options={**OPTIONS, "fields": ["vehicle"]})
    play(Redact, f"> {plain}\n=> {plain}", options={**OPTIONS, "where": "action != Authorize"})


def test_passwords_are_hidden_and_never_put_right() -> None:
    answer = '[3,"1",{{"configurationKey":[{{"key":"AuthorizationKey","readonly":false,"value":"{}"}}]}}]'
    play(Redact, f"""
        < [2,"1","GetConfiguration",{{}}]
        <= [2,"1","GetConfiguration",{{}}]
        > {answer.format("hunter2hunter2")}
        => {answer.format(hidden("hunter2hunter2"))}
        < [2,"2","ChangeConfiguration",{{"key":"AuthorizationKey","value":"a-new-password-1"}}]
        <= [2,"2","ChangeConfiguration",{{"key":"AuthorizationKey","value":"a-new-password-1"}}]
    """, options=OPTIONS)
    text = '[2,"2","DataTransfer",{{"vendorId":"v","data":"ftp://{}@host/x"}}]'
    play(Redact, f"> {text.format('user:secret-99')}\n=> {text.format(hidden('user:secret-99'))}", options=OPTIONS)


def test_people_are_hidden_one_way_and_messages_for_them_pass() -> None:
    shown = '[2,"1","CostUpdated",{"totalCost":1.5,"transactionId":"t","personalMessage":{"content":"Hello","format":"ASCII"}}]'
    play(Redact, f"< {shown}\n<= {shown}", options=OPTIONS, version="2.1")


def test_the_number_of_a_certificate_is_left_alone() -> None:
    text = ('[2,"1","DeleteCertificate",{"certificateHashData":{"hashAlgorithm":"SHA256","issuerNameHash":"aa",'
            '"issuerKeyHash":"bb","serialNumber":"0123ab"}}]')
    play(Redact, f"< {text}\n<= {text}", options=OPTIONS, version="2.0.1")


def test_further_paths_and_numbers() -> None:
    number = pseudonym(KEY, "4711", True, True)
    play(Redact, f"""
        > [2,"1","DataTransfer",{{"vendorId":"Plate","data":{{"plate":"B-XY 123","n":4711}}}}]
        => [2,"1","DataTransfer",{{"vendorId":"Plate","data":{{"plate":"{hidden("B-XY 123")}","n":{number}}}}}]
        < [3,"1",{{"status":"Accepted","data":{{"plate":"{hidden("B-XY 123")}"}}}}]
        <= [3,"1",{{"status":"Accepted","data":{{"plate":"B-XY 123"}}}}]
    """, options={**OPTIONS, "paths": ["$.data.plate", "$.data.n"]})


def test_what_cannot_be_read_does_not_pass_unless_it_may() -> None:
    broken = '[2,"1","Authorize",{"idTag":"CARD12",}]'
    play(Redact, f"> {broken}", options=OPTIONS)
    play(Redact, f"> {broken}\n=> {broken}", options={**OPTIONS, "unreadable": "pass"})
    play(Redact, f"< {broken}\n<= {broken}", options=OPTIONS)


def test_a_message_without_any_keeps_its_bytes() -> None:
    odd = '[2, "1","Heartbeat" , { }]'
    assert play(Redact, f"> {odd}\n=> {odd}", options=OPTIONS).sent[0][1] == odd


@given(st.text(max_size=60), st.text(min_size=16, max_size=20))
def test_what_is_hidden_is_found_again_and_keeps_its_form(text: str, key: str) -> None:
    made = pseudonym(key, text)
    assert pseudonym(key, made, False) == text and pseudonym(key, pseudonym(key, text, False)) == text
    assert len(made) == len(text)
    for before, after in zip(text, made, strict=True):
        if not (before.isascii() and before.isalnum()):
            assert before == after


@pytest.mark.parametrize("form", ["00", "A1", "Zz", "-7", "f0", "5"])
def test_no_two_values_of_a_form_share_a_pseudonym(form: str) -> None:
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-"
    values = [a + b for a in alphabet for b in alphabet] if len(form) == 2 else list(alphabet)
    assert len({hidden(value) for value in values}) == len(values)


def test_another_key_gives_another_pseudonym_and_long_texts_none() -> None:
    assert hidden("04A2B3C4D5E6F7") != pseudonym(KEY + "2", "04A2B3C4D5E6F7")
    assert hidden("x" * (MOST + 1)) == "redacted"


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_numbers_stay_numbers_of_as_many_digits(digits: int) -> None:
    numbers = [str(number) for number in range(1000) if len(str(number)) == digits]
    made = [pseudonym(KEY, number, True, True) for number in numbers]
    assert sorted(made) == sorted(numbers) and made != numbers
    assert [pseudonym(KEY, number, False, True) for number in made] == numbers


@pytest.mark.parametrize(("options", "said"), [
    ({}, "key"), ({"key": "short"}, "16"), ({**OPTIONS, "fields": ["tokens"]}, "tokens"),
    ({**OPTIONS, "paths": ["a"]}, "begins with $"),
])
def test_wrong_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(PluginError, match=re.escape(said)):
        configured("redact", options)
