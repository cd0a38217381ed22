"""Fourteen days of two chargers, from a public data set: every exchange is paired, and only what is wrong is found."""

import csv
import json
import os
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from ocpp_proxy.model import Opcode, Side
from ocpp_proxy.records import Source
from ocpp_proxy.spec import actions
from tests.core.streams import Feed, exchanges, findings, messages, play

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("OCPP_PROXY_CORPUS") or ROOT.parent / "shared" / "corpus")
FORTNIGHT = CORPUS / "kwwhat-ocpp16-14d.csv"
ROWS, CALLS, RESULTS = 17_670, 8_955, 8_715


def fortnight() -> list[Source]:
    """The rows as frames; who sends a Call follows from its action, an answer comes from the other side."""
    feed, links, caller = Feed(), dict[str, int](), dict[tuple[str, str], Side]()
    with FORTNIGHT.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            feed.now = round(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000) * 1_000_000 - 10_000_000
            if row["id"] not in links:
                links[row["id"]] = len(links) + 1
                feed.begin(links[row["id"]], row["id"])
            said = json.loads(row["msg"])
            key = (row["id"], said[1])
            if said[0] == 2:
                direction = actions.direction("1.6", said[2])
                assert isinstance(direction, Side), said[2]
                caller[key] = direction
                feed.send(direction, row["msg"], links[row["id"]])
            else:
                feed.send(caller[key].other, row["msg"], links[row["id"]])
    feed.wait(60)
    for link in links.values():
        feed.station(b"\x03\xe8", link, opcode=Opcode.CLOSE)
        feed.close(link)
    return feed.records


@pytest.mark.skipif(not FORTNIGHT.exists(), reason="no corpus: set OCPP_PROXY_CORPUS")
def test_a_fortnight_of_two_chargers() -> None:
    out = play(fortnight())
    said = messages(out)
    assert Counter(message.mtype for message in said) == {2: CALLS, 3: RESULTS}
    assert len(said) == ROWS
    ends = Counter(exchange.outcome for exchange in exchanges(out))
    assert ends == {"ok": RESULTS, "unanswered": CALLS - RESULTS}
    silent, overlapping = by_hand()
    counts: Counter[tuple[str, str]] = Counter()
    for finding in {finding.finding_id: finding for finding in findings(out)}.values():
        counts[finding.code, finding.identity] += finding.count
    assert {name: count for (code, name), count in counts.items() if code == "R07"} == silent
    assert {name: count for (code, name), count in counts.items() if code == "R08"} == overlapping
    assert {code for code, _ in counts} == {"R05", "R07", "R08"}
    reused = repeats()
    assert {name for code, name in counts if code == "R05"} == set(reused) == {"CH-002"}
    assert 0 < counts["R05", "CH-002"] <= reused["CH-002"]          # far apart, the id is forgotten
    assert sum(silent.values()) == CALLS - RESULTS
    assert {finding.blame for finding in findings(out) if finding.code == "R07"} == {"csms"}     # all of StatusNotification


def repeats() -> Counter[str]:
    """How often a Call came again, under the id and with the text of one before."""
    with FORTNIGHT.open(newline="", encoding="utf-8") as file:
        sent = Counter((row["id"], row["msg"]) for row in csv.DictReader(file) if row["msg"].startswith("[2"))
    found: Counter[str] = Counter()
    for (name, _), count in sent.items():
        found[name] += count - 1
    return +found


def by_hand() -> tuple[Counter[str], Counter[str]]:
    """What is wrong in the rows, counted without the analyser: Calls without an answer, Calls sent while one was open."""
    silent, overlapping = Counter[str](), Counter[str]()
    with FORTNIGHT.open(newline="", encoding="utf-8") as file:
        rows = [(datetime.fromisoformat(row["timestamp"]).timestamp(), row["id"], json.loads(row["msg"]))
                for row in csv.DictReader(file)]
    waiting: dict[tuple[str, object], dict[str, float]] = {}
    for at, name, said in rows:
        if said[0] == 2:
            silent[name] += 1
            mine = waiting.setdefault((name, actions.direction("1.6", said[2])), {})
            overlapping[name] += any(at < since + 30 for since in mine.values())
            mine[said[1]] = at
        else:
            for calls in (calls for (owner, _), calls in waiting.items() if owner == name):
                silent[name] -= calls.pop(said[1], 0) > at - 30     # the same few ids are used for new Calls all the time
    return silent, overlapping
