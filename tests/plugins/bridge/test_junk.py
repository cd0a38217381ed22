"""Whatever a peer says, in every action of both directions and in every answer, the bridge does not fail and answers."""

import json
from random import Random
from typing import Any

import pytest
from ocpp_proxy_plugins.bridge.tables import book

from ocpp_proxy.api import Side
from ocpp_proxy.spec.schemas import check
from tests.plugins.bridge.bridged import DOWN, UP, Bridged
from tests.plugins.bridge.strange import JUNK, paths, put, spoilt, whole

ACTIONS = [(direction, side, action) for direction in (UP, DOWN) for side, action in book(direction).actions]
NAMES = [f"{way}-{side}-{name}" for way, side, name in ACTIONS]


class Talk:
    """One link on which both sides say what they like. ``answers``: how an answer of the schema is spoilt."""

    def __init__(self, direction: str, chance: Random, careless: float = 0.5) -> None:
        self.link = Bridged(direction, {"answer_seconds": 5})
        self.chance, self.careless = chance, careless
        self.open: set[str] = set()
        self.asked: list[tuple[Side, list[Any]]] = []
        self.count = self.seen = 0

    def ask(self, side: Side, action: str, payload: Any) -> None:
        """A side sends a Call."""
        self.count += 1
        self.open.add(f"{side}{self.count}")
        self.link.stage.send(side, json.dumps([2, f"{side}{self.count}", action, payload]))

    def say(self, side: Side, action: str, payload: Any) -> None:
        """A side sends a Call, and what follows is answered."""
        self.ask(side, action, payload)
        self.settle()

    def answer(self, frame: list[Any], side: Side) -> Any:
        """What a side answers to a Call of ours."""
        found = whole(self.link.versions[side], frame[2], True)
        return spoilt(self.chance, found) if self.chance.random() < self.careless else found

    def look(self) -> None:
        """What was told is valid; Calls of ours are in ``asked``."""
        sent = self.link.stage.played.sent
        while self.seen < len(sent):
            sender, text = sent[self.seen]
            self.seen += 1
            side, frame = sender.other, json.loads(text)
            if frame[0] != 2:
                self.open.remove(frame[1])
                continue
            faults = [one for one in check(self.link.versions[side], frame[2], False, frame[3]) if one.grade != "official"]
            assert not faults, (frame, faults)
            self.asked.append((side, frame))

    def settle(self) -> None:
        """What was told is answered, often by nonsense."""
        stage = self.link.stage
        self.look()
        while self.asked:
            side, frame = self.asked.pop(0)
            drawn = self.chance.random()
            if drawn < 0.06:
                stage.send(side, json.dumps([4, frame[1], self.chance.choice(("NotImplemented", "Bogus")), "why", {}]))
            elif drawn < 0.98:
                stage.send(side, json.dumps([3, frame[1], self.answer(frame, side)]))
            else:
                stage.wait(6)               # no answer: by then the bridge waits no longer
            self.look()

    def end(self) -> None:
        """Nothing failed, and every Call was answered by its deadline."""
        for _ in range(3):
            self.link.stage.wait(3)
            self.settle()
        played = self.link.stage.played
        assert [text for code, text in played.findings if code.startswith("plugin-")] == []
        assert not played.disconnected and not self.open


@pytest.mark.parametrize(("direction", "side", "action"), ACTIONS, ids=NAMES)
def test_nothing_in_a_call_makes_it_fail(direction: str, side: Side, action: str) -> None:
    chance = Random(action)
    talk = Talk(direction, chance, 0)
    payload = whole(talk.link.versions[side], action)
    every = [(path, junk) for path in list(paths(payload))[:60] for junk in (*JUNK, ...)]
    for path, junk in chance.sample(every, min(40, len(every))):
        talk.say(side, action, put(payload, path, junk))
    talk.end()


@pytest.mark.parametrize(("direction", "side", "action"), ACTIONS, ids=NAMES)
def test_nothing_in_an_answer_makes_it_fail(direction: str, side: Side, action: str) -> None:
    talk = Talk(direction, Random(action), 0.9)
    payload = whole(talk.link.versions[side], action)
    for _ in range(25):
        talk.say(side, action, payload)
    talk.end()


@pytest.mark.parametrize("direction", [UP, DOWN])
@pytest.mark.parametrize("seed", range(4))
def test_nothing_in_a_conversation_makes_it_fail(direction: str, seed: int) -> None:
    chance = Random(seed)
    talk = Talk(direction, chance)
    actions = sorted(book(direction).actions)
    for _ in range(100):
        side, action = chance.choice(actions)
        talk.say(side, action, spoilt(chance, whole(talk.link.versions[side], action)))
        if chance.random() < 0.1:
            talk.link.stage.wait(chance.choice((1, 3, 20, 70)))
            talk.settle()
    talk.end()


@pytest.mark.parametrize("direction", [UP, DOWN])
@pytest.mark.parametrize("seed", range(4))
def test_many_calls_at_once_answered_late_and_in_any_order(direction: str, seed: int) -> None:
    chance = Random(seed)
    talk = Talk(direction, chance, 0.2)
    actions, stage = sorted(book(direction).actions), talk.link.stage
    for _ in range(150):
        if chance.random() < 0.4 and len(talk.open) < 20:
            side, action = chance.choice(actions)
            talk.ask(side, action, spoilt(chance, whole(talk.link.versions[side], action)))
        elif talk.asked:
            side, frame = talk.asked.pop(chance.randrange(len(talk.asked)))
            stage.send(side, json.dumps([3, frame[1], talk.answer(frame, side)]))
        else:
            stage.wait(chance.choice((0.5, 1, 3)))
        talk.look()
    for _ in range(30):
        stage.wait(3)
        talk.look()
    talk.end()
