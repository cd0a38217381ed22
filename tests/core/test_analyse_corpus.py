"""The golden bad log gives exactly its table; every quirk of a real charger goes through and gives its finding."""

import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from ocpp_proxy.model import Link, Side
from ocpp_proxy.records import Beat, FrameSeen, Handshake, LinkOpened, MessageSeen, Record
from tests.core.streams import START, Feed, findings, play

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("OCPP_PROXY_CORPUS") or ROOT.parent / "shared" / "corpus")
GOLDEN = CORPUS.parent / "reference" / "golden-bad-log.ndjson"
QUIRKS = CORPUS / "quirks.jsonl"

TABLE = {                                               # line -> findings; the last one comes after the time limit
    1: ["V03"], 3: ["C03", "R05", "V01", "V01"], 7: ["X08"], 8: ["X01"], 9: ["C01", "M01", "X01"], 10: ["R12"], 11: ["X05"],
    14: ["R01"], 15: ["R07"],
}
QUIRK_FINDINGS = {
    "Q001": "R01", "Q002": "R01", "Q003": "R01", "Q006": "R01", "Q008": "R16", "Q010": "T19", "Q019": "X01", "Q021": "R04",
    "Q022": "V04", "Q024": "V03", "Q025": "V01", "Q026": "V05", "Q030": "C01", "Q033": "X01", "Q037": "V04", "Q039": "V02",
    "Q040": "V02", "Q041": "R10", "Q042": "R02", "Q045": "R02", "Q046": "R03", "Q047": "R06", "Q052": "C03", "Q056": "R08",
    "Q060": "V03",
}
HARMLESS = {"Q011", "Q012", "Q013", "Q016", "Q017", "Q031", "Q034", "Q049", "Q051", "Q058"}


@pytest.mark.skipif(not GOLDEN.exists(), reason="the reference folder is not beside this checkout")
def test_golden_bad_log_gives_exactly_its_table() -> None:
    rows = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    feed = Feed()
    identity = rows[0]["identity"]
    link = Link(1, START, "", identity=identity, identity_source="trace", protocol="ocpp1.6")
    feed.records += [LinkOpened(link), Handshake(START, link)]
    for row in rows:
        feed.now = round(datetime.fromisoformat(row["ts"]).timestamp() * 1000) * 1_000_000 - 10_000_000
        feed.send(Side(row["sender"]), row["raw"])
    feed.wait(60)
    out = play(feed.records)
    found: dict[int, list[str]] = {}
    for finding in findings(out):
        found.setdefault(finding.msg_no or 0, []).append(finding.code)
    found[15] = [found[13].pop()]                       # raised on line 13 when its time is up
    del found[13]
    assert {line: sorted(codes) for line, codes in found.items()} == TABLE
    frames = [record.frame.payload for record in out if isinstance(record, FrameSeen)]
    assert frames == [row["raw"].encode() for row in rows]
    assert next(finding for finding in findings(out) if finding.msg_no == 8).blame == "csms"


def quirk_stream(quirk: dict[str, str]) -> list[Record]:
    """The quirk's frame behind what it needs: the Call it answers, an open Call, a transaction."""
    feed = Feed()
    feed.begin(protocol=f"ocpp{quirk['version']}")
    sender = Side.STATION if quirk["dir"] == "cp>cs" else Side.CSMS
    raw = bytes.fromhex(quirk["raw_hex"]) if quirk.get("raw_hex") else quirk["raw"].encode()
    if quirk["id"] == "Q056":
        feed.station('[2,"123","Heartbeat",{}]')
    if quirk.get("answers"):
        number = "x" if quirk["id"] == "Q047" else raw.split(b'"')[1].decode()
        feed.send(sender.other, f'[2,"{number}","{quirk["answers"]}",{{"idTag":"A"}}]')
    faults = ("text_utf8",) if quirk["id"] == "Q010" else ()
    feed.send(sender, raw, faults=faults)
    feed.records.append(Beat(feed.now + 1_000_000_000))
    return play(feed.records)


@pytest.mark.skipif(not QUIRKS.exists(), reason="no corpus: set OCPP_PROXY_CORPUS")
def test_every_quirk_goes_through_and_gives_its_finding() -> None:
    quirks = [json.loads(line) for line in QUIRKS.read_text().splitlines()]
    with_frame = [quirk for quirk in quirks if quirk.get("raw") or quirk.get("raw_hex")]
    assert len(with_frame) >= 36
    missed = {}
    for quirk in with_frame:
        out = quirk_stream(quirk)
        assert any(isinstance(record, MessageSeen) for record in out), quirk["id"]
        codes = {finding.code for finding in findings(out)}
        wanted = QUIRK_FINDINGS.get(quirk["id"])
        if wanted is not None and wanted not in codes:
            missed[quirk["id"]] = (wanted, sorted(codes))
        if quirk["id"] in HARMLESS and codes - {"R06", "R07"}:
            missed[quirk["id"]] = ("nothing", sorted(codes))
    assert missed == {}
