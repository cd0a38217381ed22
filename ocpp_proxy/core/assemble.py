"""The assembler: spool records in, source records out. Links, HTTP heads and bodies, frames, handshakes, ends, gaps.

Pure and restartable: all state is structs (``core.link_state``); after ``restore`` of what ``changed`` gave, the output
goes on as if nothing had happened, at any record. Nothing a peer sends raises. Rules of what it makes:

- one FrameSeen per WebSocket frame; ``text`` holds the joined, inflated message on its last frame;
- one FrameSeen per HTTP head (``header``; ``text``: the head as passed on, where it differs), then one per piece of body
  (``header`` empty). ``fin`` is set on the last piece of a request or answer;
- bytes nobody can read as either: opcode ``raw``. Bytes missing in a direction make the frame around them ``partial``.
"""

from collections.abc import Mapping

import msgspec

from ocpp_proxy import records
from ocpp_proxy.core import framed, gaps, http_side
from ocpp_proxy.core.facts import fact, unreadable
from ocpp_proxy.core.link_state import Direction, Ended, Ids, LinkState, Seen, Stamp, WorkerState
from ocpp_proxy.core.messages import follow
from ocpp_proxy.core.pieces import Pieces
from ocpp_proxy.model import Frame, Link, Opcode, Side
from ocpp_proxy.wire.deflate import Inflater
from ocpp_proxy.wire.frames import FrameReader, WireFrame
from ocpp_proxy.wire.http import find_head
from ocpp_proxy.wire.spool import (
    SIDES,
    Disposition,
    End,
    GapBody,
    Head,
    Kind,
    Open,
    SpoolRecord,
    decode_body,
)

__all__ = ["Assembler", "Ids"]

OPCODES = {
    -1: Opcode.RAW, 0: Opcode.CONTINUATION, 1: Opcode.TEXT, 2: Opcode.BINARY, 8: Opcode.CLOSE, 9: Opcode.PING,
    10: Opcode.PONG,
}
_encode = msgspec.msgpack.Encoder().encode
_decode_link = msgspec.msgpack.Decoder(LinkState).decode
_decode_worker = msgspec.msgpack.Decoder(WorkerState).decode
_decode_ids = msgspec.msgpack.Decoder(Ids).decode
MAX_HELD = 1 << 20                      # bytes held of a station that does not wait for the answer to its upgrade
LARGE = 64 << 10                        # an unfinished frame or message up to here costs nothing of the budget
BUDGET = 256 << 20                      # bytes that all unfinished frames and messages may keep together
_IN, _BEAT, _TEXT, _Seen = Kind.IN, Kind.BEAT, Opcode.TEXT, records.FrameSeen
Out = list[records.Source]
Key = tuple[int, int]                   # incarnation, link number of the relay


class Assembler:
    """Turns spool records, in their merged order, into source records."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._links: dict[Key, LinkState] = {}
        self._workers: dict[int, WorkerState] = {}
        self._inflaters: dict[tuple[int, int, int], Inflater] = {}
        self._dirty: set[Key] = set()
        self._dirty_workers: set[int] = set()
        self._gone: set[int] = set()                    # link_ids whose state may be forgotten
        self._pieces = Pieces()
        self._kept = 0                                  # bytes of unfinished frames and messages over LARGE, all links

    # ---- records ----

    def feed(self, record: SpoolRecord, out: Out) -> None:
        """Take the next record; append what it gives to ``out``."""
        worker = self._workers.get(record.worker)
        if worker is None or worker.incarnation != record.incarnation:
            self._new_worker(record, out)
        if record.kind is _IN:
            self._bytes(record, out)
        elif record.kind is _BEAT:
            self._beat(record, out)
        else:
            try:
                self._event(record, out)
            except msgspec.MsgspecError as error:
                out.append(unreadable(record, self._link_id(record), error))

    def lost(self, worker: int, gap: records.Gap, out: Out) -> None:
        """The reader found a hole in a worker's spool. Which links it hit shows in the offsets of what follows."""
        out.append(gap if gap.worker == worker else msgspec.structs.replace(gap, worker=worker))

    def _event(self, record: SpoolRecord, out: Out) -> None:
        if record.kind is Kind.OUT:
            self._made(record, out)
            return
        body = decode_body(record)
        match body:
            case Open():
                self._open(record, body, out)
            case Head():
                self._head(record, body, out)
            case End():
                self._end(record, body, out)
            case GapBody():
                out.append(fact(record, body, 0))
                for boundary in body.boundaries:
                    there = self._state(msgspec.structs.replace(record, link=boundary.link), out)
                    gaps.name(there, boundary)
            case Disposition() if framed.disposed(self._state(record, out).directions[record.direction], record.offset, body):
                pass                                    # told on the frame it is about
            case _:
                out.append(fact(record, body, self._link_id(record)))

    # ---- workers ----

    def _new_worker(self, record: SpoolRecord, out: Out) -> None:
        """A relay process appears. What an earlier life of that worker left open ended with it."""
        before = self._workers.get(record.worker, WorkerState(0))
        if record.incarnation in before.past:           # a straggler of an earlier life changes nothing
            return
        past = [*before.past, before.incarnation][-8:]
        self._workers[record.worker] = WorkerState(record.incarnation, before.beat_ns, past)
        self._dirty_workers.add(record.worker)
        left = sorted(
            (key for key, state in self._links.items() if state.worker == record.worker and key[0] != record.incarnation),
            key=lambda key: self._links[key].link.link_id,      # restored links stand in any order
        )
        if left:
            out.append(records.Note(record.time_ns, 0, "worker_lost", None, f"worker {record.worker}, {len(left)} links"))
        for key in left:
            stamp = Stamp.of(record)
            for place, direction in enumerate(self._links[key].directions):
                self._finish(key, place, direction, stamp, out)
            self._close(key, stamp, "lost", None, out)

    def _beat(self, record: SpoolRecord, out: Out) -> None:
        """Record time is the least of all workers' beats, and never goes back."""
        before = min(worker.beat_ns for worker in self._workers.values())
        worker = self._workers[record.worker]
        worker.beat_ns = max(worker.beat_ns, record.time_ns)
        self._dirty_workers.add(record.worker)
        now = min(worker.beat_ns for worker in self._workers.values())
        if now > before:
            out.append(records.Beat(now))

    # ---- links ----

    def _link_id(self, record: SpoolRecord) -> int:
        state = self._links.get((record.incarnation, record.link))
        return state.link.link_id if state else 0

    def _open(self, record: SpoolRecord, body: Open, out: Out) -> LinkState:
        link = Link(
            self._ids.link_id, record.time_ns, body.remote, record.worker, body.listener, station_tls=body.tls,
        )
        self._ids.link_id += 1
        state = LinkState(record.worker, record.incarnation, record.link, link)
        key = (record.incarnation, record.link)
        self._links[key] = state
        self._dirty.add(key)
        out.append(records.LinkOpened(link))
        return state

    def _state(self, record: SpoolRecord, out: Out) -> LinkState:
        """The link of a record; one whose OPEN is missing begins here, in the middle."""
        key = (record.incarnation, record.link)
        self._dirty.add(key)
        state = self._links.get(key)
        if state is None:
            state = self._open(record, Open("", ""), out)
        return state

    # ---- bytes ----

    def _bytes(self, record: SpoolRecord, out: Out) -> None:
        key = (record.incarnation, record.link)
        state = self._links.get(key)
        if state is None:
            state = self._state(record, out)
        self._dirty.add(key)
        place, data = record.direction, record.data
        direction = state.directions[place]
        if record.offset != direction.offset:
            data = self._misplaced(key, state, record, out)
        end = record.offset + len(record.data)
        if end > direction.offset:
            direction.offset = end
        reader = direction.reader
        if reader is None:
            self._http_bytes(state, direction, record, data, out)
            return
        # the quick way: a whole text message in one faultless frame
        if direction.message is None and not (direction.kept or direction.told):
            whole = reader.text(data)
            if whole is not None:
                header, mask, payload = whole
                ids = self._ids
                out.append(_Seen(Frame(
                    ids.frame_id, state.link.link_id, record.seq, record.time_ns, record.mono_ns, direction.side, _TEXT,
                    header, mask, payload,
                )))
                ids.frame_id += 1
                return
        wires: list[WireFrame] = []
        begun = list(direction.message.frames) if direction.told and direction.message is not None else []
        reader.feed(data, wires)
        if wires:
            self._give(key, state, direction, record, wires, out)
        if direction.told:
            framed.settle(direction, begun, wires, out, state.link, record)
        if reader.have > LARGE or direction.message is not None or direction.kept:
            self._budget(key, state, direction, record, out)

    def _budget(self, key: Key, state: LinkState, direction: Direction, stamp: Seen, out: Out) -> None:
        """Bound what all links together keep: over the budget, the one that just grew is let go as too large."""
        weight = direction.weigh()
        self._kept -= direction.kept
        direction.kept = weight if weight > LARGE else 0
        self._kept += direction.kept
        if self._kept <= BUDGET or direction.reader is None:
            return
        self._kept -= direction.kept
        direction.kept = 0
        if direction.message is not None:
            direction.message.cut, direction.message.parts = "too_large", []
        wires: list[WireFrame] = []
        direction.reader.let_go("too_large", wires)
        self._give(key, state, direction, stamp, wires, out)

    def _give(
        self, key: Key, state: LinkState, direction: Direction, stamp: Seen, wires: list[WireFrame], out: Out,
    ) -> None:
        """Give out frames and what they complete."""
        ids, link_id, side = self._ids, state.link.link_id, direction.side
        for wire in wires:
            opcode, text, faults = _TEXT, b"", wire.faults
            if faults or wire.header[0] != 0x81:
                opcode = OPCODES.get(wire.opcode, Opcode.RAW) if not wire.raw else Opcode.RAW
                before = direction.message
                text, more = follow(direction, wire, self._inflater(key, direction))
                framed.follow_frames(direction, before, wire.opcode, ids.frame_id)
                if more:
                    faults = tuple(dict.fromkeys((*faults, *more)))
                if wire.opcode == 8 and not state.close_code and not wire.raw:
                    state.close_code, state.close_reason = _close_code(wire.payload)
            out.append(records.FrameSeen(Frame(
                ids.frame_id, link_id, stamp.seq, stamp.time_ns, stamp.mono_ns, side, opcode, wire.header, wire.mask,
                wire.payload, wire.raw, text, wire.fin, faults,
            )))
            ids.frame_id += 1

    def _made(self, record: SpoolRecord, out: Out) -> None:
        """Frames or an HTTP answer we made ourselves: they belong to no position of the direction."""
        state = self._state(record, out)
        if state.directions[record.direction].reader is None and record.data.startswith(b"HTTP/"):
            self._made_answer(state, record, out)
            return
        reader, wires = FrameReader(record.direction == 0), list[WireFrame]()
        reader.feed(record.data, wires)
        reader.end(wires)
        aside = Direction(SIDES[record.direction])
        first = len(out)
        self._give((-1, 0), state, aside, Stamp.of(record), wires, out)
        verdict, cause = framed.origin(state.directions[record.direction], record.offset, state.link)
        for place in range(first, len(out)):
            seen = out[place]
            if isinstance(seen, records.FrameSeen):
                out[place] = records.FrameSeen(msgspec.structs.replace(seen.frame, verdict=verdict, cause=cause))

    def _made_answer(self, state: LinkState, record: SpoolRecord, out: Out) -> None:
        """The relay answered in the CSMS's place (502, 400 ...): a whole head with its body."""
        cut = max(0, find_head(record.data)) or len(record.data)
        out.append(records.FrameSeen(Frame(
            self._ids.frame_id, state.link.link_id, record.seq, record.time_ns, record.mono_ns, SIDES[record.direction],
            Opcode.HTTP_RES, record.data[:cut], b"", record.data[cut:], verdict="injected",
        )))
        self._ids.frame_id += 1

    def _inflater(self, key: Key, direction: Direction) -> Inflater | None:
        if direction.inflater is None:
            return None
        place = (*key, 0 if direction.side is Side.STATION else 1)
        inflater = self._inflaters.get(place)
        if inflater is None:
            inflater = self._inflaters[place] = Inflater(direction.inflater)
        return inflater

    def _misplaced(self, key: Key, state: LinkState, record: SpoolRecord, out: Out) -> bytes:
        """Bytes of a direction are missing before this record, or it repeats some."""
        direction, hole = state.directions[record.direction], record.offset - state.directions[record.direction].offset
        if hole < 0:
            return record.data[-hole:]
        stamp = Stamp.of(record)
        if direction.reader is None and http_side.assume_tunnel(state):
            self._release(key, state, out)
        if direction.reader is not None:
            wires: list[WireFrame] = []
            boundary = gaps.known_boundary(direction, record.offset)
            direction.reader.hole(hole, wires)
            self._give(key, state, direction, stamp, wires, out)
            if boundary is not None:
                gaps.resume(direction, boundary, self._inflater(key, direction))
        elif direction.body is not None:
            direction.body.skip(hole)
        return record.data

    # ---- HTTP ----

    def _http_bytes(self, state: LinkState, direction: Direction, stamp: Seen, data: bytes, out: Out) -> None:
        """Body bytes, bytes held until a tunnel opens, or bytes that follow no head at all."""
        if not data:
            return
        if direction.side is Side.STATION and any(asked.upgrade for asked in state.asked):
            direction.held.append((Stamp(stamp.seq, stamp.time_ns, stamp.mono_ns), data))
            if sum(len(held) for _, held in direction.held) > MAX_HELD:
                self._give_up(state, direction, out)
            return
        taken = direction.body.feed(data) if direction.body is not None else 0
        opcode = Opcode.HTTP_REQ if direction.side is Side.STATION else Opcode.HTTP_RES
        if taken and direction.body is not None:
            self._frame(state, direction, stamp, out, opcode, payload=data[:taken], fin=direction.body.ended)
        if taken < len(data):
            self._frame(state, direction, stamp, out, Opcode.RAW, raw=data[taken:], fin=False, faults=("no_head",))

    def _frame(
        self, state: LinkState, direction: Direction, stamp: Seen, out: Out, opcode: Opcode, *, header: bytes = b"",
        payload: bytes = b"", raw: bytes = b"", text: bytes = b"", fin: bool = True, faults: tuple[str, ...] = (),
    ) -> int:
        """Give out a frame that is no WebSocket frame; gives its number."""
        number = self._ids.frame_id
        self._ids.frame_id += 1
        out.append(records.FrameSeen(Frame(
            number, state.link.link_id, stamp.seq, stamp.time_ns, stamp.mono_ns, direction.side, opcode, header, b"",
            payload, raw, text, fin, faults,
        )))
        return number

    def _head(self, record: SpoolRecord, body: Head, out: Out) -> None:
        state = self._state(record, out)
        direction, stamp = state.directions[record.direction], Stamp.of(record)
        self._give_up(state, direction, out)
        direction.offset = record.offset + body.size
        opcode = Opcode.HTTP_REQ if direction.side is Side.STATION else Opcode.HTTP_RES
        ended = http_side.begin_body(state, direction, body)
        number = self._frame(state, direction, stamp, out, opcode, header=body.raw, text=body.sent, fin=ended)
        if direction.side is Side.STATION:
            out.extend(http_side.request(state, body, number, stamp))
            return
        handshake = http_side.answer(state, body, number, stamp)
        if handshake is not None:
            out.append(handshake)
        if state.directions[0].reader is not None or not any(asked.upgrade for asked in state.asked):
            self._release((record.incarnation, record.link), state, out)

    def _release(self, key: Key, state: LinkState, out: Out) -> None:
        """It is known now what the station's held bytes are."""
        direction = state.directions[0]
        held, direction.held = direction.held, []
        for stamp, data in held:
            if direction.reader is not None:
                wires: list[WireFrame] = []
                direction.reader.feed(data, wires)
                self._give(key, state, direction, stamp, wires, out)
            else:
                self._http_bytes(state, direction, stamp, data, out)

    def _give_up(self, state: LinkState, direction: Direction, out: Out) -> None:
        """Held bytes will never be read as anything."""
        held, direction.held = direction.held, []
        for stamp, data in held:
            self._frame(state, direction, stamp, out, Opcode.RAW, raw=data, fin=False, faults=("no_head",))

    # ---- ends ----

    def _end(self, record: SpoolRecord, body: End, out: Out) -> None:
        state, stamp = self._state(record, out), Stamp.of(record)
        key, direction = (record.incarnation, record.link), state.directions[record.direction]
        self._finish(key, record.direction, direction, stamp, out)
        direction.ended = Ended(body.how, body.first, body.unsent)
        both = [end.ended for end in state.directions if end.ended is not None]
        if len(both) < 2:
            return
        by = next((end.side for end in state.directions if end.ended is not None and end.ended.first), None)
        how = next((ended.how for ended in both if ended.first), direction.ended.how)
        self._close(key, stamp, how, by, out)

    def _finish(self, key: Key, place: int, direction: Direction, stamp: Seen, out: Out) -> None:
        """No more bytes come in this direction: give out what was begun."""
        state = self._links[key]
        self._give_up(state, direction, out)
        if direction.reader is not None:
            wires: list[WireFrame] = []
            direction.reader.end(wires)
            self._give(key, state, direction, stamp, wires, out)

    def _close(self, key: Key, stamp: Seen, how: str, by: Side | None, out: Out) -> None:
        state = self._links.pop(key)
        out.extend(http_side.unanswered(state, stamp))
        unsent = [end.ended.unsent if end.ended is not None else 0 for end in state.directions]
        out.append(records.LinkClosed(
            stamp.time_ns, state.link.link_id, how, by, state.close_code, state.close_reason, unsent[0], unsent[1],
        ))
        self._gone.add(state.link.link_id)
        self._kept -= sum(end.kept for end in state.directions)
        self._dirty.discard(key)
        for place in (0, 1):
            self._inflaters.pop((*key, place), None)

    # ---- state ----

    def changed(self) -> dict[str, bytes | None]:
        """State pieces that changed since the last call; None: forget that key. Keys start with ``a/``."""
        pieces: dict[str, bytes | None] = {"a/ids": _encode(self._ids)}
        for link_id in self._gone:
            pieces[f"a/l/{link_id}"] = None
            self._pieces.forget(link_id, pieces)
        pieces.update((f"a/w/{number}", _encode(self._workers[number])) for number in self._dirty_workers)
        for key in self._dirty:
            state = self._links[key]
            for place, direction in enumerate(state.directions):
                inflater = self._inflaters.get((*key, place))
                if inflater is not None and direction.inflater is not None:
                    inflater.fold()                     # brings direction.inflater up to date
            taken = self._pieces.split(state, pieces)
            pieces[f"a/l/{state.link.link_id}"] = _encode(state)
            self._pieces.join(state, taken)
        self._dirty, self._dirty_workers, self._gone = set(), set(), set()
        return pieces

    def restore(self, pieces: Mapping[str, bytes]) -> None:
        """Take up the state of an earlier assembler (keys of others are passed over)."""
        self._pieces.load(pieces)
        for key, piece in pieces.items():
            if key == "a/ids":
                ids = _decode_ids(piece)
                self._ids.link_id, self._ids.frame_id = ids.link_id, ids.frame_id
            elif key.startswith("a/w/"):
                self._workers[int(key[4:])] = _decode_worker(piece)
            elif key.startswith("a/l/"):
                state = _decode_link(piece)
                self._pieces.restore(state)
                self._links[state.incarnation, state.number] = state
                self._kept += sum(end.kept for end in state.directions)


def _close_code(payload: bytes) -> tuple[int, str]:
    """Code and reason of a Close frame; 1005 when it has none."""
    if len(payload) < 2:
        return 1005, ""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode("utf-8", "replace")
