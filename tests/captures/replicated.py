"""Owns big captures for tests: a synthetic day through the store, then copied in the file, one day and one fleet for each copy.

Ids, ordinals, times, mask keys and message ids of a copy are its own; calls and answers, transactions, samples and findings
still fit together, and payloads carry the date of their copy. What stays as it was on the first day: serial numbers, and the
times inside the JSON of link events (queries read the columns).
"""

from datetime import date, timedelta
from pathlib import Path

from ocpp_proxy_captures.database import Connection, attach, connect
from ocpp_proxy_captures.progress import Position
from ocpp_proxy_captures.writer import open_store

from tests.captures import synthetic

STATIONS = 52                               # 101,510 messages a day
FIRST = date(2026, 1, 5)
DAY_US = 86_400_000_000
FLEET = 1000                                # what a copy adds to the numbers of its stations
_TS = "make_timestamptz(epoch_us({0}) + {{us}}) AS {0}"
_IDENTITY = "'CP-' || lpad(CAST(CAST(right(identity, 5) AS INTEGER) + {fleet} AS VARCHAR), 5, '0')"
_COPIES = {
    "wire": f"""SELECT * REPLACE (
          no + {{no}} AS no, frame_id + {{frame}} AS frame_id, link_id + {{link}} AS link_id, seq + {{frame}} AS seq,
          msg_no + {{msg}} AS msg_no, {_TS.format("ts")}, {_IDENTITY} AS identity,
          CASE WHEN mask IS NOT NULL THEN CAST(hash(no, {{day}}) & 4294967295 AS UINTEGER) END AS mask,
          CASE WHEN message_id IS NOT NULL THEN regexp_replace(md5(message_id || {{day}}),
               '^(.{{{{8}}}})(.{{{{4}}}})(.{{{{4}}}})(.{{{{4}}}})', '\\1-\\2-\\3-\\4-') END AS message_id,
          CAST(replace(replace(CAST(payload AS VARCHAR), '{{second}}', '{{next}}'), '{{first}}', '{{this}}') AS JSON)
            AS payload)
        FROM wire WHERE no <= {{top}}""",
    **{table: f"""SELECT * REPLACE (msg_no + {{msg}} AS msg_no, {_TS.format("sampled_at")})
        FROM {table} WHERE msg_no <= {{top_msg}}""" for table in ("readings", "odd_samples")},
    "events": f"""SELECT * REPLACE (
          no + {{no}} AS no, {_TS.format("ts")}, link_id + {{link}} AS link_id, {_IDENTITY} AS identity,
          CAST(replace(replace(CAST(body AS VARCHAR), coalesce(identity, 'CP-'), coalesce({_IDENTITY}, 'CP-')),
                       '"link_id":' || link_id || ',', '"link_id":' || (link_id + {{link}}) || ',') AS JSON) AS body)
        FROM events WHERE no <= {{top}}""",
    "found": f"""SELECT * REPLACE (
          no + {{no}} AS no, line_no + {{no}} AS line_no, finding_id + {{finding}} AS finding_id, link_id + {{link}} AS link_id,
          {_IDENTITY} AS identity, {_TS.format("ts")}, msg_no + {{msg}} AS msg_no, [evidence[1] + {{frame}}] AS evidence)
        FROM found WHERE no <= {{top}}""",
}


def build(path: Path, days: int, stations: int = STATIONS) -> int:
    """Make a capture of so many days, about 1,950 messages for a station and day; the number of its messages."""
    store = open_store(path, Position)
    for batch in synthetic.batches(1 << 40, stations=stations):
        store.commit(batch, [], {})
    store.close()
    con = connect()
    try:
        attach(con, path, "capture", read_only=False)
        con.execute("USE capture")
        _copy(con, days)
        con.execute("CHECKPOINT capture")
        return int(con.execute("SELECT count(*) FROM wire WHERE msg_no IS NOT NULL").fetchall()[0][0])
    finally:
        con.close()


def _copy(con: Connection, days: int) -> None:
    """Append all days but the first, which is there."""
    no, frame, link, msg, finding = con.execute("""
        SELECT greatest(max(no), (SELECT max(no) FROM events), (SELECT max(no) FROM found)), max(frame_id), max(link_id),
               max(msg_no), (SELECT coalesce(max(finding_id), 0) FROM found) FROM wire""").fetchall()[0]
    for day in range(1, days):
        values = {
            "top": no, "top_msg": msg, "no": no * day, "frame": frame * day, "link": link * day, "msg": msg * day,
            "finding": finding * day, "day": day, "us": DAY_US * day, "fleet": FLEET * day,
            "first": _date(0), "second": _date(1), "this": _date(day), "next": _date(day + 1),
        }
        for table, sql in _COPIES.items():
            con.execute(f"INSERT INTO {table} BY NAME {sql.format(**values)}")
        if day % 10 == 0:
            con.execute("CHECKPOINT capture")           # what is not in the file yet is in memory


def _date(day: int) -> str:
    """As it stands in payloads, up to the time."""
    return (FIRST + timedelta(days=day)).strftime("%Y-%m-%dT")
