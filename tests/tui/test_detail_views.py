"""Payloads of any size and shape in the detail pane: bounded work, nothing changed silently, every byte where it belongs."""

import asyncio
import json
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from ocpp_proxy_captures.reader import FileReader
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.widgets import detail_flow, detail_nodes, detail_shown
from ocpp_proxy_tui.widgets.detail_flow import SHOWN, Flow, flow, wrapped
from ocpp_proxy_tui.widgets.detail_lines import STEP, HexView, RawView, regions
from ocpp_proxy_tui.widgets.detail_nodes import MOST, PAGE, MoreNode, ValueNode
from ocpp_proxy_tui.widgets.detail_shown import Text, Wire
from ocpp_proxy_tui.widgets.detail_tree import DetailTree
from rich.cells import cell_len

from ocpp_proxy.model import Opcode, Side
from ocpp_proxy.records import Line
from ocpp_proxy.wire import ocppj
from ocpp_proxy.wire.frames import unmask
from tests.tui.detail_case import DetailApp, call, finding, frame

SAMPLE = Path(__file__).resolve().parents[2] / "captures" / "samples" / "demo.duckdb"

HUGE = {
    "deep": b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "deep and broken": b"[" * 1_000_000,
    "keys": b"{" + b",".join(b'"k%d":%d' % (at, at) for at in range(1_000_000)) + b"}",
    "items": b"[" + b"[1,2]," * 1_000_000 + b"0]",
    "long": b'{"a":"' + b"x" * 8_000_000 + b'"}',
    "controls": b'{"a":"' + b"\x1b[2J" * 1_000_000 + b'"}',
    "digits": b'{"a":' + b"9" * 4_000_000 + b',"b":NaN,"b":1}',
    "garbage": b"\x00\xff\x9b" * 1_000_000,
}


def shown(*lines: Line) -> detail_shown.Shown:
    return detail_shown.show(lines, {}, {}, Look())


def top_of(made: detail_shown.Shown, at: int = 0) -> ValueNode:
    found = [node for head in made.nodes for node in head.children if isinstance(node, ValueNode)]
    return found[at]


@pytest.mark.parametrize("name", HUGE)
def test_few_nodes_and_lines_are_built_of_a_huge_payload(name: str) -> None:
    made = shown(call(HUGE[name], finding("$.k999999"), finding("$[900000][1]"), finding("$.a[0][0][0]")))
    assert top_of(made).document.built <= 1_000
    assert len(made.findings) == 3
    lines = list(islice(flow(made.texts, False, 80), 2_000))
    assert all(cell_len(line) <= 80 for line, _ in lines)

    async def main() -> None:
        app = DetailApp([call(HUGE[name])])
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("end", "asterisk", "enter", "home", "r")
            raw = app.query_one(RawView)
            assert len(raw.flow.lines) <= STEP + 24
            await pilot.press("end", "p", "x", "end")
            await pilot.pause()
            assert app.query_one(HexView).max_scroll_y > 1_000
            assert top_of(app.detail.shown).document.built <= 2_000
    asyncio.run(main())


def test_more_reads_the_next_page_and_ends_at_a_bound() -> None:
    top = top_of(shown(call(HUGE["keys"])))
    assert len(top.children) == PAGE + 1 and isinstance(top.children[-1], MoreNode)
    top.children[-1].unfold()
    names = [node.step for node in top.children if isinstance(node, ValueNode)]
    assert names == [f"k{at}" for at in range(2 * PAGE)]
    for _ in range(2 * MOST // PAGE):
        top.children[-1].unfold()
    assert MOST <= top.document.built < MOST + 2 * PAGE
    assert "the rest is in the raw view" in top.children[-1].pieces()[0][0]


def test_a_finding_far_down_a_list_is_shown_without_what_is_before_it() -> None:
    payload = b'{"l":[' + b",".join(b'{"a":%d}' % at for at in range(5_000)) + b"]}"
    made = shown(call(payload, finding("$.l[4321].a"), finding("$.l[3].a")))
    near, far = sorted((mark.parent for mark in made.findings), key=lambda node: len(str(getattr(node, "steps", ""))))
    assert isinstance(near, ValueNode) and near.steps == ("l", 3, "a")
    assert isinstance(far, ValueNode) and far.steps == ("l", 4321, "a")
    holder = top_of(made).children[0]
    assert isinstance(holder, ValueNode)
    steps = [node.step for node in holder.children if isinstance(node, ValueNode)]
    assert steps == [*range(PAGE), 4321]
    for _ in range(5_000 // PAGE):
        holder.more()
    after = [node for node in holder.children if isinstance(node, ValueNode)]
    assert [node.step for node in after] == list(range(5_000)) and after[4321] is far.parent


def test_values_are_shown_as_they_were_written() -> None:
    payload = b'{"n":1.0,"e":1E5,"big":123456789012345678901234567890,"x":NaN,"u":"\\u00e4","s":"\\u001b\\ud800","d":1,"d":2}'
    top = top_of(shown(call(payload)))
    rows = ["".join(text for text, _ in node.pieces()) for node in top.children]
    assert rows == [
        "n: 1.0", "e: 1E5", "big: 123456789012345678901234567890", "x: not JSON: NaN", 'u: "ä"', 's: "\\u001b\\ud800"',
        "d: 1", "d: 2  named twice"]


def test_a_finding_on_a_key_named_twice_goes_to_the_one_that_counts() -> None:
    made = shown(call(b'{"d":1,"d":2}', finding("$.d")))
    assert made.findings[0].parent is top_of(made).children[1]


def test_broken_text_shows_where_reading_stopped() -> None:
    text = b'[2,"1","Heartbeat",{"a":1,}]'
    at = ocppj.decode(text).error_at
    made = shown(call(text, mtype=0))
    lines = [line for line, _ in flow(made.texts, False, 80)]
    caret = next(number for number, line in enumerate(lines) if line.strip() == "^")
    assert at > 0 and lines[caret - 1] == text.decode()[: at + 1] and len(lines[caret]) == at + 1
    assert f"at character {at}" in lines[caret + 1] and lines[caret + 2] == text.decode()[at + 1 :]


def _text(data: bytes) -> Text:
    return Text("head", data)


@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_raw_lines_hold_all_of_the_text(data: bytes) -> None:
    lines = [line for line, role in flow([_text(data)], False, 20) if not role]
    assert all(cell_len(line) <= 20 and line.isprintable() for line in lines)
    if data.isascii() and data.decode().isprintable():
        assert "".join(lines) == data.decode()


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_pretty_changes_only_blanks(value: object) -> None:
    text = json.dumps(value).encode()
    lines = [line for line, role in flow([_text(text)], True, 10_000) if not role]
    assert json.loads("\n".join(lines)) == value


def test_a_line_feed_in_the_text_is_seen_and_a_text_over_the_cap_says_so() -> None:
    assert [line for line, role in flow([_text(b'{"a":\n1}')], False, 80) if not role] == ['{"a":\\n', "1}"]
    *_, last = flow([_text(b"x" * (SHOWN + 5))], False, 1_000)
    assert last == ("5 more bytes are not shown; write the selection to a file to have them all", "name")


def test_a_cut_text_ends_with_a_whole_character(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detail_flow, "SHOWN", 4)
    lines = [line for line, role in flow([_text("xx充y".encode())], False, 80) if not role]
    assert lines == ["xx"]


def test_combining_marks_never_pile_up_however_they_are_cut() -> None:
    for row in wrapped("a" + "\u0301" * 3_000, 20):
        assert "\u0301" * 5 not in row and cell_len(row) <= 20


def test_flow_makes_only_what_is_asked_for() -> None:
    source = iter([("x", "")] * 10)
    made = Flow(source)
    made.upto(3)
    assert len(list(source)) == 7 and not made.done
    made = Flow([("x", "")] * 10)
    made.upto(50)
    assert (len(made.lines), made.done) == (10, True)


def test_raw_goes_to_the_end_of_a_long_text_in_leaps() -> None:
    async def main() -> None:
        app = DetailApp([call(b'{"a":"' + b"x" * 100_000 + b'"}')], mode="raw")
        async with app.run_test(size=(80, 24)) as pilot:
            raw = app.query_one(RawView)
            await pilot.press("pagedown")
            assert raw.scroll_y > 0 and not raw.flow.done
            await pilot.press("end")
            await pilot.pause()
            assert raw.flow.done
            app.find('x"}]')
    asyncio.run(main())


def test_hex_names_every_stretch_of_a_frame() -> None:
    sent = replace(frame(b"hello"), frame_id=9)
    found = regions(Wire("head", sent), False)
    assert [(region.title, region.offset, region.data) for region in found[1:]] == [
        ("header: 2 bytes, FIN opcode 1 (text) MASK", 0, b"\x81\x85"), ("mask key: 4 bytes", 2, b"\x01\x02\x03\x04"),
        ("payload: 5 bytes, unmasked", 6, b"hello")]
    wire = regions(Wire("head", sent), True)
    assert b"".join(region.data for region in wire) == sent.header + sent.mask + unmask(sent.payload, sent.mask)
    assert wire[-1].title == "payload: 5 bytes, masked as on the wire"


def test_hex_of_compressed_unreadable_missing_and_http() -> None:
    packed = replace(frame(b"\xca\x48", Side.CSMS), text=b"hello", header=b"\xc1\x02")
    assert [region.title for region in regions(Wire("h", packed), False)[1:]] == [
        "header: 2 bytes, FIN RSV1 opcode 1 (text)", "payload: 2 bytes", "text: 5 bytes, joined and inflated"]
    raw = regions(Wire("h", replace(frame(b""), raw=b"\x00" * 9)), False)
    assert [region.title for region in raw[1:]] == ["raw: 9 bytes, not readable as a frame"]
    assert regions(Wire("h", None), False)[1].title == "this source has no bytes of this frame"
    http = replace(frame(b"body", opcode=Opcode.HTTP_REQ), header=b"GET", mask=b"")
    assert [region.title for region in regions(Wire("h", http), False)[1:]] == ["head: 3 bytes", "body: 4 bytes"]


@pytest.mark.parametrize(("width", "row"), [
    (80, "0000006  5b 32 2c 22 6d 2d 31 22  2c 22 4d 65 74 65 72 56  [2,\"m-1\",\"MeterV"),
    (60, "0000006  5b 32 2c 22 6d 2d 31 22  [2,\"m-1\"")])
def test_hex_rows_fit_the_width(width: int, row: str) -> None:
    async def main() -> None:
        app = DetailApp([call(b"{}")], mode="hex")
        async with app.run_test(size=(width, 24)) as pilot:
            await pilot.pause()
            assert app.screen_lines()[app.find("0000006")].rstrip(" ▁▂▃▄▅▆▇█▎▊▕") == row
            await pilot.press("M")
            await pilot.pause()
            app.find("masked as on the wire")
            app.find("0000006  5a 30 2f 26")
    asyncio.run(main())


def test_only_the_lines_in_sight_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    built = 0
    pieces = ValueNode.pieces

    def counted(node: ValueNode) -> list[detail_nodes.Piece]:
        nonlocal built
        built += 1
        return pieces(node)
    monkeypatch.setattr(ValueNode, "pieces", counted)

    async def main() -> None:
        app = DetailApp([call(b"[" + b"1," * 190 + b"1]")])
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            assert len(app.query_one(DetailTree).rows) > 190
    asyncio.run(main())
    assert 0 < built < 190


def test_the_raw_text_is_the_text_of_the_wire() -> None:
    reader = FileReader(SAMPLE)
    try:
        lines = [line for line in reader.page(None, 0, 10_000) if line.frame is not None and not line.frame.masked]
    finally:
        reader.close()
    assert len(lines) > 50
    for line in lines:
        assert line.frame is not None
        assert shown(line).texts[0].text == (line.frame.text or line.frame.payload)
