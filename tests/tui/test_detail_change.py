"""What was received and what left for it, side by side: out of a capture, in the pane, and line by line."""

import asyncio
from pathlib import Path

import ocpp_proxy_captures
import pytest
from msgspec.structs import replace
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.widgets.detail_change import Change, ChangeView, differing, parts, rows, sent_for
from rich.cells import cell_len
from textual.pilot import Pilot

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.records import Line
from ocpp_proxy.source import Table
from ocpp_proxy.wire.spool import Disposition, Kind, encode_body
from tests.captures.capture_streams import fill
from tests.core.feeds import CSMS, STATION, Relay, wire_frame
from tests.tui.detail_case import DetailApp, answer, call
from tests.tui.panes_case import Counting
from tests.tui.sources import MemorySource

MASK = b"\x11\x22\x33\x44"
FROM = b'[2,"a","Authorize",{"idTag":"A","x":[1,{"y":2}]}]'
TO = b'[2,"a","Authorize",{"idTag":"B","x":[1,{"y":2}, 3]}]'


def verdict(line: Line, what: str) -> Line:
    assert line.frame is not None
    return replace(line, frame=replace(line.frame, verdict=what))


def slow(source: MemorySource, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, list[str]]:
    """Its queries are answered once they may; what was asked."""
    may, asked = asyncio.Event(), list[str]()

    async def query(text: str, parameters: dict[str, str]) -> Table:
        asked.append(text)
        await may.wait()
        return Table(["text"], [[TO.decode()]])

    monkeypatch.setattr(source, "query", query)
    return may, asked


def texts(change: Change, width: int = 80, look: Look | None = None) -> list[str]:
    return ["".join(text for text, _ in row).rstrip() for row in rows(change, width, look or Look())]


def test_what_left_is_read_from_the_capture(tmp_path: Path) -> None:
    relay = Relay()
    relay.tunnel(1)
    for text, sent in ((FROM, TO), (b'[2,"b","Heartbeat",{}]', b"")):
        wire = wire_frame(text, mask=MASK)
        at = relay.offsets[1, STATION] + len(wire)
        if sent:
            relay.add(Kind.DISP, 1, STATION, encode_body(Disposition((), "replaced", "rewrite", "why")), at=at)
        relay.data(1, STATION, wire)
        if sent:
            relay.add(Kind.OUT, 1, STATION, wire_frame(sent, mask=b"abcd"), at=at)
    relay.data(1, CSMS, wire_frame(b'[3,"a",{"idTagInfo":{"status":"Accepted"}}]'))
    fill(tmp_path / "a.duckdb", Pipeline(Settings(), Ids(), None).feed(relay.records))

    async def main() -> None:
        source = ocpp_proxy_captures.open_source(tmp_path / "a.duckdb")
        numbers = await source.numbers("exchanges", None)
        lines = [await source.row_lines("exchanges", number) for number in numbers]
        found = [line.frame for of_row in lines for line in of_row if line.frame is not None and line.frame.verdict]
        assert [frame.verdict for frame in found] == ["replaced"]
        assert await sent_for(source, found[0]) == (TO.decode(),)
        assert await sent_for(source, replace(found[0], link_id=7)) == ()
        await source.close()
    asyncio.run(main())


def test_the_paths_that_differ_are_named() -> None:
    before, after = parts(FROM, TO)
    assert list(differing(before, after)) == ["$.idTag", "$.x[2]"]
    assert list(differing({"a": 1, "b": 0}, {"a": True, "c": 0})) == ["$.a", "$.b", "$.c"]
    assert list(differing([1, [2]], [1, {}])) == ["$[1]"] and list(differing(1, 1)) == []
    whole = parts(b'[4,"a","X","no",{}]', b'[4,"a","Y","no",{}]')
    assert list(differing(*whole)) == ["$[2]"]
    assert parts(b"no json", b"{}") == ("no json", {})


def test_both_stand_beside_each_other_with_signs_before_what_differs() -> None:
    found = texts(Change("Call Authorize", "replaced", FROM, (TO.decode(),)), 60)
    assert found[:3] == ["Call Authorize", "it did not leave as it came", "differs at $.idTag, $.x[2]"]
    body = [line.split(" │ ") for line in found[3:]]
    assert [left.strip() for left, *_ in body][1] == '-   "idTag": "A",' and body[1][1] == '+   "idTag": "B",'
    assert body[0][0].strip() == "{" and body[0][1].strip() == "{"
    assert any(line == ['-     }                     ', '+     },'] or "3" in line[-1] for line in body)
    assert len({len(line) for line in body}) <= 2
    assert all("│" not in line for line in texts(Change("c", "replaced", FROM, (TO.decode(),)), 60, Look(ascii=True)))


def test_long_and_hostile_values_are_wrapped_and_escaped() -> None:
    text = b'[2,"a","X",{"v":"' + b"\\u001b[2J" + "\u202e字".encode() * 40 + b'"}]'
    found = list(rows(Change("t", "replaced", text, ('[2,"a","X",{"v":1}]',)), 50, Look()))
    assert all(cell_len("".join(piece for piece, _ in row)) <= 51 for row in found[3:])
    assert not any(char in piece for row in found for piece, _ in row for char in "\x1b\u202e")


def test_what_was_dropped_or_cannot_be_told_says_so() -> None:
    assert texts(Change("t", "dropped", FROM))[1] == "it was dropped: nothing left for it"
    assert '-   "idTag": "A",' in "\n".join(texts(Change("t", "dropped", FROM)))
    assert "nothing left for it so far" in texts(Change("t", "held", FROM))
    assert "stores nothing\\x1b" in texts(Change("t", "replaced", FROM, (), "stores nothing\x1b"))
    same = b'[2,"a","X",{"v":1}]'
    assert "the same values, written otherwise" in texts(Change("t", "replaced", same, ('[2,"a","X",{"v": 1}]',)))
    assert "then it left as it came" in texts(Change("t", "held", same, (same.decode(),)))
    many = b'[2,"a","X",[' + b",".join(b"%d" % at for at in range(3_000)) + b"]]"
    assert any("more lines)" in line for line in texts(Change("t", "dropped", many)))


class Seen(DetailApp):
    """Keeps what stood on the screen, and the view that was shown behind it."""

    seen: list[str]
    after: str


def in_pane(source: MemorySource, lines: list[Line], *keys: str, size: tuple[int, int] = (80, 30)) -> Seen:
    app = Seen(lines, source=source)

    async def main() -> None:
        async with app.run_test(size=size) as pilot:
            for key in keys:
                await pilot.press(key)
                await _settled(app, pilot)
            app.seen = app.screen_lines()
            await app.show([call(b'{"plain":1}')])
            await pilot.pause()
            app.after = app.detail.mode
    asyncio.run(main())
    return app


async def _settled(app: DetailApp, pilot: Pilot[None]) -> None:
    await app.workers.wait_for_complete()
    await pilot.pause()


def test_the_pane_shows_it_and_goes_back_where_nothing_was_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Counting()
    asked: list[str] = []

    async def query(text: str, parameters: dict[str, str]) -> Table:
        asked.append(text)
        return Table(["text"], [['[2,"m-1","MeterValues",{"idTag":"B"}]']])
    monkeypatch.setattr(source, "query", query)
    app = in_pane(source, [verdict(call(b'{"idTag":"A"}'), "replaced"), answer(b"{}")], "o", "o")
    seen = "\n".join(app.seen)
    assert " tree  raw  hex  change " in seen and "differs at $.idTag" in seen
    assert '"idTag": "A"' in seen and '"idTag": "B"' in seen and len(asked) == 2       # once more: as it is now
    assert app.after == "tree" and app.ground.settings.detail == "tree"


def test_a_key_that_is_pressed_again_and_again_does_not_ask_anew_before_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    source = MemorySource()

    async def main() -> None:
        may, asked = slow(source, monkeypatch)
        app = DetailApp([verdict(call(b'{"idTag":"A"}', action="Authorize"), "replaced")], source=source)
        async with app.run_test(size=(80, 30)) as pilot:
            await pilot.press("o", "o", "1", "o", "o")
            assert len(asked) == 1 and any("asking what left for it" in line for line in app.screen_lines())
            may.set()
            await _settled(app, pilot)
            assert any("differs at" in line for line in app.screen_lines())
            assert not any("asking" in line for line in app.screen_lines())
            await pilot.press("o")
            await _settled(app, pilot)
            assert len(asked) == 2                              # as it is now
            may.clear()
            await pilot.press("o")
            await app.show([verdict(call(b'{"idTag":"C"}', action="Authorize"), "replaced")])
            await pilot.press("o")
            assert len(asked) == 4                              # of another row
            may.set()
            await _settled(app, pilot)
            assert any('"C"' in line for line in app.screen_lines())

    asyncio.run(main())


def test_a_row_that_is_shown_again_while_it_is_followed_is_not_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest row is shown every second: what takes longer would never be answered."""
    source = MemorySource()
    lines = [verdict(call(b'{"idTag":"A"}', action="Authorize"), "replaced")]

    async def main() -> None:
        may, asked = slow(source, monkeypatch)
        app = DetailApp(lines, source=source)
        async with app.run_test(size=(80, 30)) as pilot:
            await pilot.press("o")
            for more in ([], [], [answer(b"{}")]):              # while it is asked, also with what came meanwhile
                await app.show([*lines, *more])
                await pilot.pause()
            may.set()
            await _settled(app, pilot)
            assert app.find("differs at") and len(asked) == 1
            await app.show([*lines, answer(b"{}")])
            await _settled(app, pilot)
            assert app.find("differs at") and len(asked) == 1   # nothing came
            may.clear()
            await app.show([*lines, answer(b'{"more":1}')])
            await pilot.pause()
            assert app.find("differs at") and len(asked) == 2   # it stands there until the answer comes
            may.set()

    asyncio.run(main())


def test_without_a_change_the_key_says_so_and_nothing_is_asked() -> None:
    app = in_pane(Counting(), [call(b'{"idTag":"A"}')], "o")
    assert app.detail.mode == "tree" and " change " not in app.seen[0]
    assert [note.message for note in app._notifications] == ["this left as it came: there is nothing to compare"]


def test_where_nothing_is_stored_that_is_said() -> None:
    app = in_pane(MemorySource(stored=False), [verdict(call(b'{"idTag":"A"}'), "held")], "o")
    assert "what left for it stands in the capture alone" in "\n".join(app.seen)
    assert app.after == "tree"


def test_a_view_that_is_too_low_for_its_lines_has_a_bar_beside_them_and_none_below(monkeypatch: pytest.MonkeyPatch) -> None:
    source = MemorySource()

    async def main() -> None:
        may, _ = slow(source, monkeypatch)
        app = DetailApp([verdict(call(b'{"idTag":"A"}', action="Authorize"), "replaced")], source=source)
        async with app.run_test(size=(60, 9)) as pilot:
            await pilot.press("o")
            await pilot.pause()                                 # the line that says so is laid out
            may.set()
            await _settled(app, pilot)
            view = app.query_one(ChangeView)
            assert view.show_vertical_scrollbar and not view.show_horizontal_scrollbar
            assert view.virtual_size.width == view.scrollable_content_region.width
    asyncio.run(main())
