"""Kept segments: masked, compressed, and enough to rebuild a capture row by row, whatever died or was damaged when."""

import random
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from ocpp_proxy_captures import repair
from ocpp_proxy_captures.progress import Position as StoredPosition
from ocpp_proxy_captures.writer import open_store

from ocpp_proxy.checks import Settings
from ocpp_proxy.config import CaptureConfig
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.masking import Masker
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.core.sealing import Sealer
from ocpp_proxy.hub import kept as hub_kept
from ocpp_proxy.hub.kept import KeptStore
from ocpp_proxy.hub.store import Position, Store
from ocpp_proxy.model import CaptureError
from ocpp_proxy.records import Beat, FrameSeen, Gap, LinkClosed, Record
from ocpp_proxy.wire import kept
from ocpp_proxy.wire.kept import Batch, kept_folder
from ocpp_proxy.wire.spool import SpoolRecord
from tests.captures.capture_streams import everything
from tests.captures.test_repair import damage
from tests.core.feeds import CSMS, DEFLATE, STATION, Deflater, Relay, wire_frame
from tests.properties.recording import rows

KEY = b"k" * 32
MASK = b"\x11\x22\x33\x44"


def traffic(count: int = 24) -> tuple[list[SpoolRecord], list[bytes]]:
    """Three links with credentials in whole, fragmented and compressed messages, cut anywhere; and these credentials."""
    relay, pick, planted = Relay(), random.Random(5), list[bytes]()
    relay.tunnel(1)
    relay.tunnel(2, DEFLATE)
    relay.tunnel(3)
    squeeze = {STATION: Deflater(), CSMS: Deflater()}

    def give(link: int, direction: int, data: bytes) -> None:
        cut = pick.randrange(len(data) + 1)
        relay.data(link, direction, data[:cut])
        relay.data(link, direction, data[cut:])

    for number in range(count):
        secret = b"Canary%04dx7Qz" % number
        planted.append(secret)
        text = b'[2,"c%d","ChangeConfiguration",{"key":"AuthorizationKey","value":"%s"}]' % (number, secret)
        give(1, CSMS, wire_frame(text))
        give(2, CSMS, wire_frame(squeeze[CSMS].message(text), rsv=0x40))
        give(3, CSMS, wire_frame(text[:60], fin=False))
        relay.beat()
        give(3, CSMS, wire_frame(text[60:], opcode=0))
        answer = b'[3,"c%d",{"status":"Accepted"}]' % number
        for link in (1, 3):
            give(link, STATION, wire_frame(answer, mask=MASK))
        give(2, STATION, wire_frame(squeeze[STATION].message(answer), mask=MASK, rsv=0x40))
    relay.end(1)
    return relay.records, planted


class Dying:
    """A store whose commits fail at will: before anything is written, or after."""

    def __init__(self, store: Store) -> None:
        self.store, self.fail_before, self.fail_after = store, False, False

    def positions(self) -> list[Position]:
        return [Position(one.worker, one.incarnation, one.seq) for one in self.store.positions()]

    def state(self) -> dict[str, bytes]:
        return self.store.state()

    def commit(
        self, records: Sequence[Record], positions: Sequence[Position], changed: Mapping[str, bytes | None],
    ) -> None:
        if self.fail_before:
            raise CaptureError("before")
        self.store.commit(records, positions, changed)
        if self.fail_after:
            raise CaptureError("after")

    def checkpoint(self) -> None:
        self.store.checkpoint()

    def close(self) -> None:
        self.store.close()


class Recording:
    """What the recorder does, without its loop."""

    def __init__(self, path: Path, limit: int = 0, keep: bool = True) -> None:
        self.dying = Dying(open_store(path, Position))
        self.store: Store = KeptStore(self.dying, kept_folder(path), limit) if keep else self.dying
        self.pipeline = Pipeline(Settings(), Ids(), Masker(KEY), sealer=Sealer(KEY))
        self.pipeline.restore(self.store.state())

    def write(self, spool: Sequence[SpoolRecord], step: int = 25) -> None:
        done = max((position.seq for position in self.store.positions()), default=0)
        left = [record for record in spool if record.seq > done]
        for start in range(0, len(left), step):
            part = left[start : start + step]
            at = Position(0, part[-1].incarnation, part[-1].seq)
            self.store.commit(self.pipeline.feed(part), [at], self.pipeline.changed())


def unpacked(folder: Path) -> bytes:
    """All kept bytes, as they lie there and unpacked."""
    files = [path.read_bytes() for path in folder.iterdir()]
    return b"".join([*files, *(zlib.decompress(entry.packed) for data in files for entry in kept.read(data))])


def test_a_damaged_capture_is_rebuilt_row_by_row_and_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    spool, _ = traffic()
    path, half = tmp_path / "c.duckdb", len(spool) // 2
    recording = Recording(path)
    recording.write(spool[:half])
    recording.store.close()
    before, state = rows(path), recording_state(path)
    damage(path)
    told = repair(path)
    assert "made anew from" in told and "0 gaps" in told
    assert rows(path)["wire"] == before["wire"] and rows(path)["found"] == before["found"]
    assert rows(path)["events"] == before["events"] and recording_state(path) == state
    again = Recording(path)                 # the next run reads on in the spool
    again.write(spool)
    again.store.close()
    whole = Recording(tmp_path / "whole.duckdb")
    whole.write(spool)
    whole.store.close()
    assert everything(path) == everything(tmp_path / "whole.duckdb")
    damage(path)                            # and once more: what was added is kept as well
    repair(path)
    assert everything(path) == everything(tmp_path / "whole.duckdb")


def recording_state(path: Path) -> tuple[dict[str, bytes], list[StoredPosition]]:
    store = open_store(path, StoredPosition)
    found = store.state(), store.positions()
    store.close()
    return found


def test_after_a_run_that_was_killed_open_links_end_as_lost(tmp_path: Path) -> None:
    spool, _ = traffic(10)
    path = tmp_path / "c.duckdb"
    recording = Recording(path)
    recording.write(spool[:-3])             # no link has ended yet
    recording.dying.store.close()           # killed: only what was kept up to now is there
    live = everything(path)
    damage(path)
    assert "0 gaps" in repair(path)
    got = everything(path)
    assert got[: len(live)] == live
    ends = [(end.link_id, end.how) for end in got[len(live) :] if isinstance(end, LinkClosed)]
    assert ends == [(1, "lost"), (2, "lost"), (3, "lost")]
    ids = recording_state(path)[0]["a/ids"]
    again = Recording(path)                 # numbers go on where they were
    assert again.store.state()["a/ids"] == ids
    again.store.close()


def test_no_credential_is_in_kept_segments_nor_in_state_at_any_moment(tmp_path: Path) -> None:
    spool, planted = traffic(12)
    path = tmp_path / "c.duckdb"
    recording = Recording(path)
    bare = Pipeline(Settings(), Ids(), Masker(KEY))
    seen = unsealed = 0
    for start in range(0, len(spool), 3):
        recording.write(spool[: start + 3], 3)
        state = b"".join(recording.store.state().values())
        assert not any(word[:10] in state for word in planted)
        bare.feed(spool[start : start + 3])
        unsealed += any(word[:10] in (piece or b"") for piece in bare.changed().values() for word in planted)
        seen += 1
    assert seen > 50 and unsealed > 10      # without sealing they would have been there
    recording.store.close()
    data = unpacked(kept_folder(path))
    assert b"secret_" in data and b"ChangeConfiguration" in data
    assert not any(word[:10] in data for word in planted)
    assert oct(kept_folder(path).stat().st_mode)[-3:] == "700"
    assert {oct(file.stat().st_mode)[-3:] for file in kept_folder(path).iterdir()} == {"600"}


def test_killed_between_the_segment_and_the_capture_nothing_comes_twice(tmp_path: Path) -> None:
    spool, _ = traffic(12)
    path, rng, at = tmp_path / "c.duckdb", random.Random(4), 0
    while at < len(spool):
        recording = Recording(path)
        at += rng.randrange(1, 40)
        recording.write(spool[:at], rng.choice((7, 50)))
        recording.dying.fail_before = True          # kept, but the process dies before the commit
        if at < len(spool):
            with pytest.raises(CaptureError):
                recording.write(spool[: at + 9], 9)
        recording.store.close()
    recording = Recording(path)
    recording.write(spool)
    recording.store.close()
    live = everything(path)
    damage(path)
    assert "0 gaps" in repair(path)
    assert everything(path) == live


def test_a_commit_that_raised_and_was_written_is_kept_once(tmp_path: Path) -> None:
    spool, _ = traffic(6)
    path = tmp_path / "c.duckdb"
    recording = Recording(path)
    recording.write(spool[:20], 10)
    recording.dying.fail_after = True
    with pytest.raises(CaptureError, match="after"):
        recording.write(spool[:25], 10)
    recording.dying.fail_after = False
    recording.write(spool)
    recording.store.close()
    live = everything(path)
    damage(path)
    assert "0 gaps" in repair(path)
    assert everything(path) == live


def test_every_damaged_or_missing_batch_is_a_gap_with_its_true_count(tmp_path: Path) -> None:
    spool, _ = traffic(10)
    path = tmp_path / "c.duckdb"
    recording = Recording(path)
    recording.write(spool, 10)
    recording.store.close()
    live = [record for record in everything(path) if not isinstance(record, Beat)]
    (file,) = kept_folder(path).iterdir()
    data = bytearray(file.read_bytes())
    second = data.find(b"\xf5KPT", data.find(b"\xf5KPT") + 1)
    data[second + 40] ^= 1
    file.write_bytes(data)
    damage(path)
    assert "1 gaps" in repair(path)
    got = everything(path)
    gaps = [record for record in got if isinstance(record, Gap)]
    assert [(gap.from_seq, gap.to_seq, gap.frames, gap.reason) for gap in gaps] == [(11, 20, 10, "not in the kept segments")]
    frames = [record for record in got if isinstance(record, FrameSeen)]
    assert frames == [record for record in live if isinstance(record, FrameSeen) and not 10 < record.frame.seq <= 20]


def test_what_was_recorded_before_keeping_was_on_is_named(tmp_path: Path) -> None:
    spool, _ = traffic(10)
    path = tmp_path / "c.duckdb"
    for keep, until in ((False, 30), (True, 60), (False, 90), (True, len(spool))):
        recording = Recording(path, keep=keep)
        recording.write(spool[:until], 10)
        recording.store.close()
    damage(path)
    assert "2 gaps" in repair(path)
    assert [(one.from_seq, one.to_seq) for one in everything(path) if isinstance(one, Gap)] == [(1, 30), (61, 90)]


def test_the_oldest_go_above_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_kept, "SEGMENT_BYTES", 1000)
    spool, _ = traffic()
    path = tmp_path / "c.duckdb"
    recording = Recording(path, limit=6_000)
    recording.write(spool)
    files = sorted(kept_folder(path).iterdir())
    assert len(files) > 2 and sum(file.stat().st_size for file in files) <= 6_000 + 4_000
    first, last = int(files[0].stem), int(files[-1].stem)
    assert first > 1 and [int(file.stem) for file in files] == list(range(first, last + 1))
    recording.store.close()
    damage(path)
    repair(path)
    gaps = [record for record in everything(path) if isinstance(record, Gap)]
    assert len(gaps) == 1 and gaps[0].from_seq == 1 and gaps[0].frames == gaps[0].to_seq


def test_a_full_disk_commits_nothing_and_goes_on_in_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, _ = traffic(6)
    path = tmp_path / "c.duckdb"
    recording = Recording(path)
    recording.write(spool[:20], 10)
    real = hub_kept._write

    def torn(fd: int, data: bytes) -> None:
        real(fd, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hub_kept, "_write", torn)
    with pytest.raises(CaptureError, match="No space left"):
        recording.store.commit([], [Position(0, 7, 25)], {})
    assert max(position.seq for position in recording.store.positions()) == 20
    monkeypatch.setattr(hub_kept, "_write", real)
    recording.write(spool)
    recording.store.close()
    assert len(list(kept_folder(path).iterdir())) == 2
    live = everything(path)
    damage(path)
    assert "0 gaps" in repair(path)
    assert everything(path) == live


def test_of_a_folder_the_damaged_newest_segment_is_rebuilt(tmp_path: Path) -> None:
    spool, _ = traffic()
    folder = tmp_path / "many"
    inner = open_store(folder, Position, CaptureConfig(rotate_messages=50))
    store = KeptStore(inner, kept_folder(folder), 0)
    pipeline = Pipeline(Settings(), Ids(), Masker(KEY), sealer=Sealer(KEY))
    for start in range(0, len(spool), 20):
        part = spool[start : start + 20]
        store.commit(pipeline.feed(part), [Position(0, 7, part[-1].seq)], pipeline.changed())
    store.close()
    live = everything(folder)
    files = sorted(folder.glob("*.duckdb"))
    assert len(files) >= 3
    damage(files[-1])
    assert "0 gaps" in repair(folder)
    assert everything(folder) == live


def test_state_of_another_key_is_left_out_and_nothing_else(tmp_path: Path) -> None:
    spool, _ = traffic(4)
    one = Pipeline(Settings(), Ids(), Masker(KEY), sealer=Sealer(KEY))
    one.feed(spool[:30])
    pieces = {name: piece for name, piece in one.changed().items() if piece is not None}
    other = Pipeline(Settings(), Ids(), Masker(b"o" * 32), sealer=Sealer(b"o" * 32))
    other.restore(pieces)
    assert other.unopened == sum(name.startswith(("a/l/", "a/b/", "n/l/")) for name in pieces) >= 6
    assert other.changed()["a/ids"] == pieces["a/ids"]
    swapped = dict(pieces)
    swapped["a/l/1"], swapped["a/l/2"] = pieces["a/l/2"], pieces["a/l/1"]       # a piece opens under its own name only
    assert len(Sealer(KEY).unseal(swapped)) == len(pieces) - 2
    assert Sealer(KEY).unseal(pieces).keys() == pieces.keys()


def test_any_bytes_are_read_without_harm() -> None:
    rng = random.Random(2)
    whole = kept.header(9) + kept.encode(Batch(1, (), ((0, 1, 2),), [], {}), 9) + kept.encode(Batch(2, (), (), [], {}), 9)
    assert [entry.number for entry in kept.read(whole)] == [1, 2]
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        for entry in kept.read(bytes(data[: rng.randrange(len(data) + 1)])):
            kept.decode(entry)
    assert kept.valid([1, 2, 3, 2, 3, 4, 3]) == [0, 3, 6]
