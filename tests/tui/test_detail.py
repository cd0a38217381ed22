"""The detail pane: what stands where, the marks of findings, the three views, keys, sizes, hostile text."""

import asyncio
import json
import unicodedata

import pytest
from msgspec.structs import replace
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.widgets.detail import Detail
from ocpp_proxy_tui.widgets.detail_lines import HexView, Lines, RawView
from ocpp_proxy_tui.widgets.detail_nodes import FindingNode, ValueNode
from ocpp_proxy_tui.widgets.detail_tree import DetailTree
from textual.binding import Binding

from ocpp_proxy.checks import REGISTRY
from ocpp_proxy.fields import compile, parse
from ocpp_proxy.model import Opcode, Severity, Side, TlsInfo
from ocpp_proxy.records import Audited, Found, FrameSeen, Gap, Handshake, Line, LinkClosed, Lost, Note
from tests.tui.detail_case import LINK, NS, DetailApp, answer, call, finding, frame
from tests.tui.sources import MemorySource

METER = json.dumps({"connectorId": 1, "meterValue": [
    {"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": "1"}, {"value": "2", "unit": "kwh"}]}]}).encode()
UNIT = "$.meterValue[0].sampledValue[1].unit"


def tree(app: DetailApp) -> DetailTree:
    return app.query_one(DetailTree)


def node_of(app: DetailApp) -> ValueNode:
    node = tree(app).node
    assert isinstance(node, ValueNode)
    return node


async def go_to(app: DetailApp, name: str) -> None:
    rows = tree(app).rows
    tree(app).go(next(at for at, node in enumerate(rows) if isinstance(node, ValueNode) and node.step == name))


def test_call_and_answer_with_envelope_and_values() -> None:
    async def main() -> None:
        app = DetailApp([call(METER), answer(b"{}")])
        async with app.run_test(size=(100, 40)) as pilot:
            await pilot.pause()
            shown = app.screen_lines()
            first, second = app.find("Call MeterValues ─▶"), app.find("Result MeterValues ◀─")
            assert first < app.find("connectorId: 1") < app.find('unit: "kwh"') < second
            assert "after 5.000 ms" in shown[second]
            assert f"id m-1  from the station  payload {len(METER)} bytes" in shown[first + 1]
            assert f"(2 header, 4 mask, {len(METER) + 24} payload)  masked" in shown[first + 2]
            assert "0 mask" in shown[second + 2] and "unmasked" in shown[second + 2]
    asyncio.run(main())


def test_a_finding_stands_at_the_very_node_of_its_path() -> None:
    async def main() -> None:
        app = DetailApp([call(METER, finding(UNIT), finding("", "R05", Severity.WARNING))])
        async with app.run_test(size=(100, 40)) as pilot:
            await pilot.pause()
            shown = app.screen_lines()
            at = app.find("S01 error, station: is wrong [OCPP 1.6, 7.1]")
            assert 'unit: "kwh"' in shown[at - 1] and shown[at - 1].startswith("✗")
            assert [line for line in shown if line.startswith("✗")] == [shown[at - 1], shown[at]]
            assert app.find("R05 warning, station") == 1            # without a path: on top, below the head
            assert "‼" not in shown[0] and "✗1" in shown[0] and "!1" in shown[0]
    asyncio.run(main())


def test_a_missing_property_is_marked_where_it_should_be() -> None:
    async def main() -> None:
        app = DetailApp([call(METER, finding("$.meterValue[0].sampledValue[0].phase", message="missing"))])
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            node = app.detail.shown.findings[0].parent
            assert isinstance(node, ValueNode) and node.steps == ("meterValue", 0, "sampledValue", 0)
            app.find("missing at $.meterValue[0].sampledValue[0].phase")
    asyncio.run(main())


def test_a_late_finding_goes_to_the_message_it_names() -> None:
    async def main() -> None:
        late = Line(Found(finding("$.status", "R07", msg_no=2)))
        app = DetailApp([call(METER), answer(b'{"status":"x"}'), late])
        async with app.run_test(size=(100, 40)) as pilot:
            await pilot.pause()
            node = app.detail.shown.findings[0].parent
            assert isinstance(node, ValueNode) and node.document.answer and node.steps == ("status",)
    asyncio.run(main())


def test_brackets_walk_the_findings_and_unfold_what_hides_them() -> None:
    async def main() -> None:
        app = DetailApp([call(METER, finding(UNIT), finding("$.connectorId", "S02"))])
        async with app.run_test(size=(100, 40)) as pilot:
            await pilot.pause()
            payload = next(node for node in tree(app).rows if isinstance(node, ValueNode))
            payload.open = False
            tree(app).go(0)
            await pilot.press("right_square_bracket")
            assert isinstance(tree(app).node, FindingNode) and app.detail.path == "$.connectorId"
            await pilot.press("right_square_bracket")
            assert app.detail.path == UNIT
            await pilot.press("right_square_bracket")
            assert app.detail.path == "$.connectorId"
            await pilot.press("left_square_bracket")
            assert app.detail.path == UNIT
            await pilot.pause()
            app.find("S01 error, station: is wrong at $.meterValue")       # in full below the tree
    asyncio.run(main())


def test_a_finding_of_a_known_rule_says_what_it_means_and_what_to_do() -> None:
    async def main() -> None:
        app = DetailApp([call(METER, finding(UNIT, "R05"))])
        async with app.run_test(size=(200, 40)) as pilot:
            await pilot.press("right_square_bracket")
            await pilot.pause()
            shown = " ".join(" ".join(app.screen_lines()).split())
            rule = REGISTRY.rules["R05"]
            assert f"{rule.means} To do: {rule.remedy}"[:150] in shown
    asyncio.run(main())


def test_a_finding_that_is_a_row_of_its_own() -> None:
    async def main() -> None:
        app = DetailApp([Line(Found(finding("", "T20", msg_no=None)))])
        async with app.run_test(size=(100, 20)) as pilot:
            await pilot.pause()
            for text in ("T20 error, station: is wrong", "finding 2023-11-1", "charger CP-1  link 1", "evidence: frames 1"):
                app.find(text)
    asyncio.run(main())


def test_a_folded_node_shows_the_worst_finding_inside() -> None:
    async def main() -> None:
        app = DetailApp([call(METER, finding(UNIT))])
        async with app.run_test(size=(100, 40)) as pilot:
            await go_to(app, "meterValue")
            await pilot.press("enter")
            await pilot.pause()
            at = app.find("meterValue: [")
            assert app.screen_lines()[at].startswith("✗") and not node_of(app).open
            await pilot.press("enter")
            await pilot.pause()
            assert app.screen_lines()[app.find("meterValue: [")].startswith(" ")
    asyncio.run(main())


def test_path_column_filter_and_help_of_the_row_under_the_cursor() -> None:
    async def main() -> None:
        app = DetailApp([call(METER)])
        async with app.run_test(size=(120, 40)) as pilot:
            await go_to(app, "unit")
            await pilot.pause()
            assert app.detail.path == UNIT
            assert app.detail.column == "payload.meterValue[0].sampledValue[1].unit"
            assert app.detail.filter_expression == "payload.meterValue[0].sampledValue[1].unit == kwh"
            assert compile(parse(app.detail.filter_expression), {})(call(METER))
            assert UNIT in app.screen_lines()[-1]
            app.find("string, optional; one of: Wh, kWh, varh, kvarh, W, kW,")
            await go_to(app, "connectorId")
            assert app.detail.filter_expression == "payload.connectorId == 1"
            await pilot.press("r")
            assert (app.detail.path, app.detail.column, app.detail.filter_expression) == ("", "", "")
    asyncio.run(main())


@pytest.mark.parametrize(("payload", "name", "expression"), [
    (b'{"a":"12.5"}', "a", 'payload.a == "12.5"'), (b'{"a":true}', "a", "payload.a == true"), (b'{"a":null}', "a", ""),
    (b'{"a":{"b":1}}', "a", ""), (b'{"a b":1}', "a b", ""), (b'{"a":"x\\"y\\\\z"}', "a", 'payload.a == "x\\"y\\\\z"'),
    (b'{"a":"\\u001b[2J"}', "a", ""), (b'{"a":1e400000000000}', "a", ""), (b'{"a":""}', "a", 'payload.a == ""'),
    (b'{"a":-2.5e3}', "a", "payload.a == -2.5e3"), (b'{"a.b":1}', "a.b", ""), (b'{"a":NaN}', "a", ""),
])
def test_filter_of_a_value_finds_its_message_or_is_not_offered(payload: bytes, name: str, expression: str) -> None:
    async def main() -> None:
        app = DetailApp([call(payload)])
        async with app.run_test(size=(80, 24)):
            await go_to(app, name)
            assert app.detail.filter_expression == expression
            if expression:
                assert compile(parse(expression), {})(call(payload))
    asyncio.run(main())


def test_modes_by_keys_and_by_mouse_keep_the_focus() -> None:
    async def main() -> None:
        app = DetailApp([call(METER)])
        async with app.run_test(size=(80, 24)) as pilot:
            for key, view in (("r", RawView), ("x", HexView), ("d", DetailTree)):
                await pilot.press(key)
                await pilot.pause()
                assert isinstance(app.focused, view) and app.ground.settings.detail == app.detail.mode
            await pilot.click("#detail-head", offset=(8, 0))
            assert app.detail.mode == "raw"
            await pilot.pause()
            app.find('[2,"m-1","MeterValues",{"connectorId": 1, ')
            app.find(f"as on the wire, {len(METER) + 24} bytes")
            await pilot.press("p")
            await pilot.pause()
            app.find("pretty: blanks and line ends are not those of the wire")
            at = app.find('"connectorId": 1,')
            assert app.screen_lines()[at].startswith('    "connectorId": 1,')
    asyncio.run(main())


def test_the_saved_mode_is_the_first_mode() -> None:
    async def main() -> None:
        app = DetailApp([call(METER)], mode="hex")
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            assert app.detail.mode == "hex"
            app.find("mask key: 4 bytes")
    asyncio.run(main())


def test_the_same_row_again_keeps_the_cursor() -> None:
    async def main() -> None:
        first = call(METER)
        app = DetailApp([first])
        async with app.run_test(size=(80, 24)) as pilot:
            await go_to(app, "sampledValue")
            await pilot.press("enter")
            await app.show([first, answer(b"{}", finding("", msg_no=2)), Line(Found(finding(UNIT, "S02")))])
            await pilot.pause()
            assert app.detail.path == "$.meterValue[0].sampledValue" and not node_of(app).open
            assert app.screen_lines()[app.find("sampledValue: [")].startswith("✗")
            app.find("Result MeterValues")
            await app.show([first, answer(b"{}")])
            await pilot.pause()
            assert app.screen_lines()[app.find("sampledValue: [")].startswith(" ") and app.detail.shown.findings == []
            await pilot.press("r", "p")
            app.query_one(RawView).scroll_to(y=3, animate=False, immediate=True, force=True)
            await app.show([first, answer(b"{}")])
            assert app.query_one(RawView).scroll_y == 3
            await app.show([answer(b"{}")])
            assert tree(app).at == 0
    asyncio.run(main())


def test_nothing_to_show() -> None:
    async def main() -> None:
        app = DetailApp([call(METER)])
        async with app.run_test(size=(80, 24)) as pilot:
            await app.detail.show(None, [])
            for key in ("right_square_bracket", "enter", "down", "asterisk", "left", "right", "r", "p", "x", "M", "end"):
                await pilot.press(key)
            assert (app.detail.path, app.detail.column, app.detail.filter_expression) == ("", "", "")
            assert tree(app).rows == []
    asyncio.run(main())


@pytest.mark.parametrize(("line", "texts"), [
    (Line(FrameSeen(frame(b"\x03\xe9bye", Side.CSMS, 5, Opcode.CLOSE))), ["close ◀─", "code 1001: going away", "reason: bye"]),
    (Line(FrameSeen(frame(b"hi", Side.STATION, 5, Opcode.PING))), ["ping ─▶", "payload: hi"]),
    (Line(Note(NS, 1, "upstream_failed", Side.CSMS, "refused: 10.0.0.1:80")),
     ["note: upstream failed", "refused: 10.0.0.1:80", "the CSMS could not be reached", "link 1: CP-1"]),
    (Line(Gap(NS, 0, 5, 9, 5, 700, "spool damaged")),
     ["gap: 5 records are missing", "spool damaged", "sequence numbers 5 to 9 of worker 0  700 bytes"]),
    (Line(Lost(NS, 1, "bridge", "StatusNotification", "m1", "$.customData", "dropped", "1.6 has no place for it")),
     ["loss: bridge dropped $.customData", "of StatusNotification m1  link 1", "1.6 has no place for it"]),
    (Line(Audited(NS, 1, "anna", "inject", "Reset {}", "result")),
     ["audit: anna inject", "Reset {}", "outcome: result", "link 1: CP-1"]),
    (Line(LinkClosed(NS, 1, "rst", Side.STATION, 1006, "", 0, 12)),
     ["link 1 closed (rst) by the station", "ended without a Close frame", "12 bytes of the CSMS were received"]),
])
def test_rows_that_are_no_messages(line: Line, texts: list[str]) -> None:
    async def main() -> None:
        app = DetailApp([line])
        async with app.run_test(size=(100, 24)) as pilot:
            await pilot.pause()
            for text in texts:
                app.find(text)
    asyncio.run(main())


def test_a_handshake_tells_what_was_repaired_and_fetches_its_heads() -> None:
    link = replace(
        LINK, status=101, target="/ocpp/CP-1", upstream="ws://csms/ocpp/CP-1", offered=("ocpp1.6",),
        station_tls=TlsInfo("TLSv1.3", "AES", "proxy.example"))
    shake = Line(Handshake(NS, link, 7, 8, ("added the Connection header",), ("no_connection",)))
    request = frame(b"", Side.STATION, 7, Opcode.HTTP_REQ)
    head = replace(request, header=b"GET /ocpp/CP-1 HTTP/1.1\r\nHost: proxy\r\n\r\n", mask=b"")
    source = MemorySource([Line(FrameSeen(head)), shake], [link])

    async def main() -> None:
        app = DetailApp([shake], source=source)
        async with app.run_test(size=(120, 30)) as pilot:
            await pilot.pause()
            for text in ("handshake: 101 accepted", "identity CP-1", "repaired: added the Connection header",
                         "the request has no Connection header (T05)", "TLS with the station: TLSv1.3  AES  name proxy.example",
                         "GET /ocpp/CP-1 HTTP/1.1", "Host: proxy"):
                app.find(text)
    asyncio.run(main())


KINDS = {
    "clear": "\x1b[2J", "title": "\x1b]0;owned\x07", "clipboard": "\x1b]52;c;cm0gLXJm\x07", "link": "\x1b]8;;http://evil/\x1b\\x",
    "c1 clear": "\x9b2J", "c1 colour": "\x9b31m", "bidi": "a\u202eb", "return": "CP-BAD\rCP-OK", "backspace": "rm\b\bls",
    "newline": "a\nFAKE LOG LINE", "markup": "[red]x[/red]", "broken markup": "[/nope]", "nul": "a\0b",
    "combining": "a" + "\u0301" * 200, "emoji": ":skull:", "surrogate": "\ud800",
    "isolates": "\u2066x\u2069", "tag": "\U000e0041",
}


def _bad(shown: list[str]) -> list[str]:
    text = "".join(shown)
    found = [hex(ord(char)) for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")]
    return found + (["combining marks"] if "\u0301" * 5 in text else [])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("mode", ["tree", "raw", "hex"])
@pytest.mark.parametrize("ascii", [False, True], ids=["utf8", "ascii"])
def test_no_control_character_of_a_peer_reaches_the_screen(mode: str, ascii: bool) -> None:
    everything = "".join(evil for evil in KINDS.values() if evil != "\ud800")
    rows = [
        [call(_bytes(json.dumps(KINDS | {evil: evil for evil in KINDS.values()}, ensure_ascii=escaped)),
              *(finding(path, message=evil) for evil in KINDS.values() for path in ("", f"$[{json.dumps(evil)}]")),
              action=everything), answer(_bytes(json.dumps([everything], ensure_ascii=escaped)))]
        for escaped in (True, False)]
    rows.append([call(_bytes(everything + "\ud800"), mtype=0)])
    rows += [[Line(Lost(NS, 1, *[everything] * 6)), Line(Audited(NS, 1, *[everything] * 4)),
              Line(Note(NS, 1, everything, None, everything)), Line(LinkClosed(NS, 1, everything, None, 1000, everything)),
              Line(FrameSeen(frame(b"\x03\xe8" + _bytes(everything), opcode=Opcode.CLOSE)))]]

    async def main() -> None:
        app = DetailApp(look=Look(ascii=ascii), mode=mode)
        async with app.run_test(size=(160, 200)) as pilot:
            for lines in rows:
                await app.show(lines)
                for key in ("right_square_bracket", "G") if mode == "tree" else ("p", "p") if mode == "raw" else ("M",):
                    await pilot.press(key)
                    await pilot.pause()
                    assert len("".join(app.screen_lines()).split()) > 20
                    assert _bad(app.screen_lines()) == []
                    app.detail.path.encode("ascii")
    asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_the_bad_characters_are_found_by_the_test_itself(kind: str) -> None:
    shown_as_sent = kind in ("markup", "broken markup", "emoji")
    assert (_bad([KINDS[kind]]) == []) == shown_as_sent


def test_markup_and_emoji_codes_are_shown_as_sent() -> None:
    async def main() -> None:
        app = DetailApp([call(b'{"[red]a[/red]":":skull: [/nope]"}')])
        async with app.run_test(size=(100, 24)) as pilot:
            await pilot.pause()
            app.find('[red]a[/red]: ":skull: [/nope]"')
            await go_to(app, "[red]a[/red]")
            await pilot.pause()
            assert '$["[red]a[/red]"]' in app.screen_lines()[-1]
    asyncio.run(main())


@pytest.mark.parametrize("size", [(20, 4), (40, 9), (80, 24), (200, 60)])
def test_every_size_shows_the_tree(size: tuple[int, int]) -> None:
    async def main() -> None:
        app = DetailApp([call(METER, finding(UNIT)), answer(b"{}")])
        async with app.run_test(size=size) as pilot:
            await pilot.press("down", "end", "right_square_bracket", "r", "end", "x", "end", "d")
            await pilot.pause()
            shown = app.screen_lines()
            assert len(shown) == size[1] and shown[0].startswith(" tree")
            assert any(line.startswith("✗") for line in shown[1:]), "the cursor's row is in sight"
    asyncio.run(main())


def test_ascii_mode_draws_nothing_beyond_ascii() -> None:
    async def main() -> None:
        app = DetailApp([call('{"ä":"充电桩","l":[1]}'.encode(), finding("$.l")), answer(b"{}")], Look(ascii=True))
        async with app.run_test(size=(80, 24)) as pilot:
            for key in ("d", "r", "x"):
                await pilot.press(key)
                await pilot.pause()
                inner = "".join(line[:79] for line in app.screen_lines())       # the last column is Textual's scroll bar
                assert inner.isascii(), [char for char in inner if not char.isascii()]
    asyncio.run(main())


def test_every_key_has_a_name_and_says_what_it_does() -> None:
    bindings = [*Detail.BINDINGS, *DetailTree.BINDINGS, *Lines.BINDINGS]
    assert all(isinstance(binding, Binding) and binding.description for binding in bindings)
    ids = [binding.id for binding in bindings if isinstance(binding, Binding)]
    assert len(set(ids)) == len(ids) and all(name and name.startswith("detail.") for name in ids)
