"""What plugins did, in SQL: original and sent frame linked, the verdict, the note; one message and one exchange each."""

from pathlib import Path

from ocpp_proxy_captures.reader import FileReader

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.records import FrameSeen
from ocpp_proxy.wire.spool import Disposition, Kind, encode_body
from tests.captures.capture_streams import everything, fill
from tests.core.feeds import CSMS, STATION, Relay, wire_frame

MASK = b"\x11\x22\x33\x44"
FROM, TO = b'[2,"a","Authorize",{"idTag":"A"}]', b'[2,"a","Authorize",{"idTag":"B"}]'


def test_original_and_sent_frame_are_linked_and_counted_once(tmp_path: Path) -> None:
    relay = Relay()
    relay.tunnel(1)
    first, second = wire_frame(FROM[:9], fin=False, mask=MASK), wire_frame(FROM[9:], opcode=0, mask=MASK)
    at = relay.offsets[1, STATION] + len(first + second)
    relay.data(1, STATION, first)
    relay.add(Kind.DISP, 1, STATION, encode_body(Disposition((), "replaced", "rewrite", "why")), at=at)
    relay.data(1, STATION, second)
    relay.add(Kind.OUT, 1, STATION, wire_frame(TO, mask=b"abcd"), at=at)
    relay.data(1, CSMS, wire_frame(b'[3,"a",{"idTagInfo":{"status":"Accepted"}}]'))
    out = Pipeline(Settings(), Ids(), None).feed(relay.records)
    fill(tmp_path / "a.duckdb", out)
    reader = FileReader(tmp_path / "a.duckdb")
    with reader.reading() as con:
        linked = con.execute("""
            SELECT o.verdict, s.verdict, decode(o.payload), decode(s.payload), len(s.cause)
            FROM frames s JOIN frames o ON o.frame_id = list_last(s.cause) WHERE s.verdict = 'modified'""").fetchall()
        exchanges = con.execute("SELECT message_id, outcome FROM exchanges").fetchall()
        counts = con.execute("SELECT mtype, count(*) FROM messages GROUP BY mtype ORDER BY mtype").fetchall()
        notes = con.execute("SELECT text FROM notes WHERE kind = 'plugin'").fetchall()
    reader.close()
    assert linked == [("replaced", "modified", FROM[9:].decode(), TO.decode(), 2)]
    assert (exchanges, counts) == ([("a", "ok")], [(2, 1), (3, 1)])
    assert notes == [("rewrite: replaced: why (frame 4)",)]
    stored = [record for record in everything(tmp_path / "a.duckdb") if isinstance(record, FrameSeen)]
    assert stored == [record for record in out if isinstance(record, FrameSeen)]
