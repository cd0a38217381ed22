"""What a bridge made of a message, both payloads side by side with lost and invented fields: out of a capture, in the pane."""

import asyncio
from pathlib import Path

import ocpp_proxy_captures
import pytest
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.widgets.columns import COLUMNS, Shown
from ocpp_proxy_tui.widgets.detail_translation import Loss, rows

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.core.pipeline import Pipeline
from ocpp_proxy.fields import parse
from ocpp_proxy.records import Row
from tests.captures.capture_streams import fill
from tests.core.bridged import START, Bridged
from tests.core.feeds import STATION
from tests.tui.detail_case import DetailApp


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    relay = Bridged()
    relay.begin()
    at = relay.take(STATION, b'[2,"a","StartTransaction",' + START[0] + b"]", "translated")
    relay.lost("StartTransaction", "a", "$.reservationId", "dropped", "2.0.1 names none there")
    relay.lost("StartTransaction", "a", "$.triggerReason", "invented", "1.6 does not say why")
    relay.make(STATION, b'[2,"own","TransactionEvent",' + START[1] + b"]", at)
    at = relay.take(1, b'[3,"own",' + START[2] + b"]", "translated")
    relay.lost("StartTransaction", "a", "$.updatedPersonalMessage", "dropped", "no place in 1.6")
    relay.lost("StartTransaction", "a", "$.transactionId", "invented", "allocated")
    relay.make(1, b'[3,"a",' + START[3] + b"]", at)
    found = tmp_path_factory.mktemp("bridged") / "a.duckdb"
    fill(found, Pipeline(Settings(), Ids(), None).feed(relay.records))
    return found


class Seen(DetailApp):
    """The pane with a row of a capture."""

    seen: list[str]


def in_pane(path: Path, where: str, view: str, *keys: str) -> list[str]:
    async def main() -> list[str]:
        source = ocpp_proxy_captures.open_source(path)
        (number, *_) = await source.numbers("exchanges" if view == "exchanges" else "frames", parse(where))
        lines = await source.row_lines("exchanges" if view == "exchanges" else "frames", number)
        app = DetailApp(lines)
        app.ground.source = source
        app.ground.links.update({link.link_id: link for link in await source.links()})
        async with app.run_test(size=(120, 60)) as pilot:
            await pilot.press(*keys)
            await app.workers.wait_for_complete()
            await pilot.pause()
            seen = app.screen_lines()
        await source.close()
        return seen
    return asyncio.run(main())


def test_the_exchange_of_the_station_shows_both_messages_with_what_became_of_them(path: Path) -> None:
    seen = in_pane(path, "action == StartTransaction", "exchanges", "o")
    text = "\n".join(seen)
    assert "StartTransaction 1.6 → TransactionEvent 2.0.1" in text and "it was translated" in text
    assert "- $.reservationId dropped: 2.0.1 names none there" in text
    assert "+ $.triggerReason invented: 1.6 does not say why" in text
    lost = next(line for line in seen if '"reservationId"' in line)
    made = next(line for line in seen if '"triggerReason"' in line)
    assert lost.startswith("- ") and "│ + " in made
    answer = text[text.index("the answer to it  2.0.1 → 1.6"):]
    assert "- $.updatedPersonalMessage dropped: no place in 1.6" in answer and "+ $.transactionId invented: allocated" in answer
    assert "$.reservationId" not in answer and "$.transactionId" not in text[:text.index("the answer to it")]
    assert [line[0] for line in seen if '"content"' in line or '"format"' in line] == ["-", "-"]     # a part of what was lost


def test_a_translated_frame_alone_shows_what_it_was_made_from(path: Path) -> None:
    text = "\n".join(in_pane(path, "action == TransactionEvent and verdict == translated", "frames", "o"))
    assert "StartTransaction 1.6 → TransactionEvent 2.0.1" in text and "+ $.triggerReason invented" in text
    assert "transactionId invented" not in text


def test_the_row_is_marked(path: Path) -> None:
    async def main() -> list[str]:
        source = ocpp_proxy_captures.open_source(path)
        numbers = await source.numbers("exchanges", parse("kind == message"))
        found = await source.rows("exchanges", numbers)
        await source.close()
        column = COLUMNS["action"]
        return [column.text(row, Shown(look=Look(ascii=ascii))) for row in found for ascii in (False, True)]
    assert asyncio.run(main()) == ["StartTransaction ⇄", "StartTransaction <>"]


@pytest.mark.parametrize(("verdicts", "shown"), [
    (("replaced", "translated"), ["Reset ⇄", "Reset <>"]), (("translated", "replaced"), ["↳ Reset", "> Reset"]),
    (("injected",), ["+ Reset", "+ Reset"]), (("held",), ["Reset", "Reset"]), ((), ["Reset", "Reset"]),
])
def test_who_made_a_call_is_seen(verdicts: tuple[str, ...], shown: list[str]) -> None:
    row = Row(0, "exchange", 1, 1, action="Reset", verdicts=verdicts)
    assert [COLUMNS["action"].text(row, Shown(look=Look(ascii=ascii))) for ascii in (False, True)] == shown


def test_a_column_names_the_action_of_the_translation_and_filters_by_it() -> None:
    row, other = (Row(0, "exchange", 1, 1, action="StartTransaction", made=made) for made in (("TransactionEvent",), ()))
    column = COLUMNS["made"]
    assert [column.text(one, Shown(look=Look())) for one in (row, other)] == ["TransactionEvent", ""]
    assert [column.where(one) for one in (row, other)] == ["action == TransactionEvent", None]


def test_hostile_and_long_values_are_escaped_and_cut() -> None:
    text = '[2,"a","X",{"v":"\\u001b[2J' + "\u202e" + "y" * 300 + '","w":[' + ",".join(["1"] * 3_000) + "]}]"
    found = ["".join(piece for piece, _ in row) for row in rows(
        text.encode(), text, [Loss("dropped", "$.v\x1b", "\x1b[2J"), Loss("odd", "no path", "")],
        ("", ""), 60, Look(ascii=True))]
    assert not any(char in line for line in found for char in "\x1b\u202e") and len(found) < 3_100
    assert any("more lines)" in line for line in found) and all(len(line) < 400 for line in found)
