"""A held message for who decides about it: what stands in the editor, an answer to begin with, what speaks against."""

import json

import pytest

from ocpp_proxy.core.by_hand import Subject, pretty, pretty_text
from tests.tui.acting_source import ANSWER, BOOT, LINKS, RESET, held

KNOWN = {link.link_id: link for link in LINKS}


def test_the_payload_is_what_is_edited_and_the_version_that_of_its_link() -> None:
    found = Subject.of(RESET, KNOWN)
    assert (found.version, found.payload) == ("1.6", '{\n  "type": "Hard"\n}\n')
    assert Subject.of(ANSWER, KNOWN).version == "2.0.1" and Subject.of(RESET, {}).version == ""


def test_answers_begin_with_the_required_fields() -> None:
    assert Subject.of(BOOT, KNOWN).answer == {"status": "Accepted", "currentTime": "", "interval": 0}
    assert Subject.of(RESET, {}).answer == {}


def test_objections_are_those_of_the_kind_of_message() -> None:
    assert Subject.of(RESET, KNOWN).objections({"type": "Soft"}) == []
    assert Subject.of(RESET, KNOWN).objections({"type": "Warm"})[0].startswith("$.type: ")
    assert Subject.of(RESET, KNOWN).objections({"status": "Accepted"}, True) == []
    assert Subject.of(ANSWER, KNOWN).objections({"status": "Maybe"})[0].startswith("$.status: ")
    error = held("h4", '[4,"mh4","X","",{}]', mtype=4, action="Reset")
    assert Subject.of(error, KNOWN).objections({"whatever": 1}) == []
    assert Subject.of(RESET, {}).objections({"type": "Warm"}) == []


@pytest.mark.parametrize("value", [
    {"a": "\x1b[2J\u202e\u0000\ud800 ü 字 \\ \""}, [1.5, True, None, 2**70], "x\u200by", {"k\x9by": {}},
])
def test_what_stands_in_the_editor_is_the_same_value_and_acts_on_no_terminal(value: object) -> None:
    text = pretty(value)
    assert json.loads(text) == value
    assert not set(text) & set("\x1b\u202e\u200b\x9b\x00\ud800")


def test_what_is_no_json_stays_readable() -> None:
    assert pretty_text(b'{"a":\x1b') == '{"a":\\x1b' and "[[[[" in pretty_text(b"[" * 100_000)
