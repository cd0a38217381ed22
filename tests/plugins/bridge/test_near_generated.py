"""Whatever the schemas of 2.1 and 2.0.1 allow goes through the bridge between them: valid there, or honestly refused."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocpp_proxy.api import Side
from ocpp_proxy.spec import actions, schemas
from tests.plugins.bridge.nearby import CSMS, NEW, OLD, STATION, Came, Near
from tests.plugins.bridge.schema_messages import least, payloads

FEW = settings(max_examples=15, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
GOOD = ("Accepted", "Scheduled", "AcceptedCanceled", "Unlocked", "Unpublished")     # what a refusal never says


def sends(version: str) -> list[tuple[str, str]]:
    """Direction and action of all that a side of a version may call."""
    found = [(way, side) for way, side in ((NEW, STATION), (OLD, CSMS)) if version == "2.1"]
    found += [(way, side) for way, side in ((OLD, STATION), (NEW, CSMS)) if version == "2.0.1"]
    return [(way, name) for way, side in found for name in sorted(actions.known(version))
            if actions.direction(version, name) in (side, "both") and not actions.is_send(version, name)]


def honest(came: Came, link: Near, sender: Side) -> None:
    """A refusal says so."""
    assert came.to is sender
    if came.kind == 4:
        assert came.code in ("NotSupported", "PropertyConstraintViolation", "TypeConstraintViolation",
                             "OccurrenceConstraintViolation") and came.text
    else:
        assert came.kind == 3 and came.payload.get("status") not in GOOD
    assert link.losses() or "bridge-invalid" in link.findings


@pytest.mark.parametrize(("direction", "action"), sends("2.1"))
@FEW
@given(data=st.data())
def test_s55_every_call_of_2_1_comes_out_valid_for_2_0_1_or_is_refused(
    direction: str, action: str, data: st.DataObject,
) -> None:
    link = Near(direction)
    sender = link.side("2.1")
    payload = data.draw(payloads("2.1", action))
    came = link.call(sender, action, payload)
    assert "plugin-failed" not in link.findings
    if not came.went:
        honest(came, link, sender)
        return
    assert (came.action in actions.known("2.0.1")) and came.to is sender.other
    back = link.answer(sender.other, data.draw(payloads("2.0.1", action, True)))
    assert back.to is sender and (back.kind == 3 or "bridge-invalid" in link.findings)
    assert "plugin-failed" not in link.findings


@pytest.mark.parametrize(("direction", "action"), sends("2.0.1"))
@FEW
@given(data=st.data())
def test_s55_every_answer_of_2_1_comes_out_valid_for_2_0_1_or_as_an_error(
    direction: str, action: str, data: st.DataObject,
) -> None:
    link = Near(direction)
    sender = link.side("2.0.1")
    came = link.call(sender, action, least("2.0.1", action))
    assert came.went, came
    back = link.answer(sender.other, data.draw(payloads("2.1", action, True)))
    assert back.to is sender and (back.kind == 3 or (back.code == "InternalError" and (link.losses() or link.findings)))
    assert "plugin-failed" not in link.findings


def demanded(action: str, payload: dict[str, Any]) -> dict[str, Any]:
    """With the one field that 2.1 demands and 2.0.1 does not have."""
    if action != "NotifyMonitoringReport" or "monitor" not in payload:
        return payload
    given = {"eventNotificationType": "CustomMonitor"}
    return {**payload, "monitor": [
        {**one, "variableMonitoring": [{**each, **given} for each in one["variableMonitoring"]]} for one in payload["monitor"]]}


def fits(action: str, answer: bool, payload: dict[str, Any]) -> bool:
    """Whether 2.1 allows it, too: it knows no negative numbers of things, and no fourth phase."""
    return not schemas.check("2.1", action, answer, payload if answer else demanded(action, payload))


@pytest.mark.parametrize(("direction", "action"), sends("2.0.1"))
@FEW
@given(data=st.data())
def test_s56_every_message_of_2_0_1_is_the_same_in_2_1_and_comes_back(direction: str, action: str, data: st.DataObject) -> None:
    link = Near(direction)
    sender = link.side("2.0.1")
    payload = data.draw(payloads("2.0.1", action))
    came = link.call(sender, action, payload)
    if not fits(action, False, payload):
        honest(came, link, sender)
        return
    assert came.went and came.payload == demanded(action, payload)
    if came.payload == payload:
        assert came.text == f'[2,"m1","{action}",{json.dumps(payload)}]'        # byte for byte
    assert {what for what, _ in link.losses()} == ({"invented"} if came.payload != payload else set())
    other = Near(NEW if direction == OLD else OLD)
    again = other.call(other.side("2.1"), action, came.payload)
    assert again.went and again.payload == payload
    back = data.draw(payloads("2.0.1", action, True))
    if fits(action, True, back):                # and so are the answers
        answered = other.answer(other.side("2.0.1"), back)
        assert answered.payload == back
        assert link.answer(sender.other, answered.payload).payload == back


def said(text: str) -> list[tuple[Side, list[Any]]]:
    """The messages of a conversation."""
    return [(STATION if line[0] == ">" else CSMS, json.loads(line[2:]))
            for line in text.splitlines() if line[:3] in ("> [", "< [")]


@pytest.mark.parametrize("direction", [OLD, NEW])
def test_s56_a_healthy_conversation_of_2_0_1_is_the_same_in_2_1(direction: str) -> None:
    """Of a station and a CSMS of 2.0.1: what the one says, the other has from the side that speaks 2.1."""
    text = (Path(__file__).resolve().parents[2] / "conversations" / "healthy_2_0_1.txt").read_text()
    link = Near(direction)
    frames = said(text)
    assert len(frames) > 15
    for side, frame in frames:
        link.stage.send(side, json.dumps(frame))
        sender, came = link.stage.played.sent[-1]
        assert sender is side and json.loads(came) == frame
    assert not link.findings and not link.losses()


def test_s55_real_messages_that_only_2_1_has_go_nowhere() -> None:
    folder = Path(os.environ.get("OCPP_PROXY_CORPUS") or Path(__file__).resolve().parents[4] / "shared" / "corpus")
    if not folder.is_dir():
        pytest.skip("no corpus here")
    quirks = [json.loads(line) for line in (folder / "quirks.jsonl").read_text().splitlines()]
    texts = [quirk["raw"] for quirk in quirks if quirk["version"] == "2.1"]
    assert {text[1] for text in texts} == {"5", "6"}
    for text in texts:
        link = Near(NEW)
        link.stage.send(STATION, text)
        assert not link.stage.played.sent and "plugin-failed" not in link.findings
