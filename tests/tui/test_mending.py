"""R on the screen of findings: the quirk profiles that repair what is under the cursor, asked for, applied."""

from pathlib import Path
from typing import Any

from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.screens.ask_sure import AskSure
from textual.pilot import Pilot

from ocpp_proxy.checks import Settings
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.model import Frame, Link, Opcode, Side
from ocpp_proxy.records import Found, FrameSeen, Handshake, Line, LinkOpened, MessageSeen, Record
from ocpp_proxy.source import FoundAt
from tests.tui.acting_source import LINKS, ActingSource
from tests.tui.panes_case import START, Counting, group, on, settled, until

WRONG = '[2,"1","StatusNotification",{"connectorId":1,"errorCode":"noerror","status":"Available"}]'
HZ = ('[2,"2","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-01-02T03:04:05Z","sampledValue":'
      '[{"value":"50","unit":"Hz"}]}]}]')
LEGRAND = '[2,"3","StatusNotification",{"connectorId":1,"errorCode":"Error","status":"Faulted"}]'
MISSPELT = '[2,"4","StatusNotification",{"connectorId":1,"errorCode":"NoErr","status":"Available"}]'


def records(
    texts: tuple[str, ...], link: Link, request_frame: int = 0, sender: Side = Side.STATION, verdict: str = "",
) -> list[Record]:
    analyser, out = Analyser(Settings(), Ids(), None), list[Record]()
    analyser.feed(LinkOpened(link), out)
    analyser.feed(Handshake(START, link, request_frame), out)
    for number, text in enumerate(texts, 10):
        frame = Frame(number, 1, number, START + number, 0, sender, Opcode.TEXT, payload=text.encode(), verdict=verdict)
        analyser.feed(FrameSeen(frame), out)
    return out


def source(
    *codes: str, texts: tuple[str, ...] = (), link: Link = LINKS[0], shaken: bool = False, acting: bool = True,
    sender: Side = Side.STATION, verdict: str = "",
) -> Any:
    """A source with what the rules say of these texts, of these codes only."""
    seen = records(texts, link, int(shaken), sender, verdict)
    found = [one.finding for one in seen if isinstance(one, Found) and one.finding.code in codes]
    lines = [Line(one) for one in seen if isinstance(one, MessageSeen)]
    made = (ActingSource if acting else Counting)(lines, links=LINKS, live=True)
    made.groups = [group(code, 1) for code in codes]
    made.found = [FoundAt(finding, 0) for finding in found]
    return made


async def pressed(app: ProxyApp, pilot: Pilot[None]) -> list[str]:
    """What is asked after R, or told instead."""
    await pilot.press("R")
    await until(pilot, lambda: isinstance(app.screen, AskSure) or app._notifications)
    return app.screen.lines if isinstance(app.screen, AskSure) else [note.message for note in app._notifications]


def test_the_profiles_are_named_asked_for_and_applied(tmp_path: Path) -> None:
    acting = source("V01", texts=(WRONG,))

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        asked = await pressed(app, pilot)
        assert asked[0] == "Repair V01 of CP1 with the plugin quirks? (tried over this message)"
        assert [line for line in asked if line.startswith("letter-case: ")] and acting.told == []
        await pilot.press("y")
        await until(pilot, lambda: acting.told)
        assert acting.told == [("switch", "quirks", True, "CP1", {"profiles": ["letter-case"]})]
    on(acting, "Findings", body, tmp_path)


def test_those_applied_before_stay_on(tmp_path: Path) -> None:
    acting = source("V01", "V05", texts=(WRONG, HZ))

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await pressed(app, pilot)
        await pilot.press("y")
        await until(pilot, lambda: app._notifications and len(app.screen_stack) == 1)
        await pilot.press("j")
        await settled(pilot)
        app._notifications.clear()
        assert (await pressed(app, pilot))[0].startswith("Repair V05 of CP1")
        await pilot.press("y")
        await until(pilot, lambda: len(acting.told) == 2)
        assert acting.told[1] == ("switch", "quirks", True, "CP1", {"profiles": ["letter-case", "frequency-hz"]})
    on(acting, "Findings", body, tmp_path)


def test_nothing_is_applied_without_a_yes_and_a_refusal_is_told(tmp_path: Path) -> None:
    acting = source("V01", texts=(WRONG,))

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await pressed(app, pilot)
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert acting.told == []
        acting.refusing = "a read-only token"
        await pressed(app, pilot)
        await pilot.press("y")
        await until(pilot, lambda: app._notifications)
        assert [note.message for note in app._notifications] == ["a read-only token"] and acting.told == []
    on(acting, "Findings", body, tmp_path)


def test_a_vendor_s_profile_is_offered_untried(tmp_path: Path) -> None:
    acting = source("V01", texts=(LEGRAND,))

    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        asked = await pressed(app, pilot)
        assert asked[0].endswith("(not tried: they go by what the charger said before)")
        assert [line.partition(":")[0] for line in asked[1:] if line.startswith("leg")] == ["legrand-error-code"]
        await pilot.press("y")
        await until(pilot, lambda: acting.told)
        assert acting.told[0][4] == {"profiles": ["legrand-error-code"], "everyone": True}      # it has said who it is long ago
    on(acting, "Findings", body, tmp_path)


def test_a_vendor_s_profile_is_not_offered_for_what_it_would_not_look_at(tmp_path: Path) -> None:
    async def none(app: ProxyApp, pilot: Pilot[None]) -> None:
        assert await pressed(app, pilot) == ["no quirk profile repairs this V01"]
    reset = '[2,"3","Reset",{"type":"Gentle"}]'
    on(source("V01", texts=(reset,), sender=Side.CSMS), "Findings", none, tmp_path)
    on(source("V01", texts=(reset,), sender=Side.CSMS, verdict="injected"), "Findings", none, tmp_path)
    on(source("V01", texts=(LEGRAND,), verdict="injected"), "Findings", none, tmp_path)


def test_what_no_profile_repairs(tmp_path: Path) -> None:
    async def none(app: ProxyApp, pilot: Pilot[None]) -> None:
        assert await pressed(app, pilot) == ["no quirk profile repairs this R08"]
    on(source("R08", texts=(MISSPELT, MISSPELT.replace('"4"', '"5"'))), "Findings", none, tmp_path)

    async def lenient(app: ProxyApp, pilot: Pilot[None]) -> None:
        assert await pressed(app, pilot) == ["no quirk profile repairs this T06; run the proxy with --handshake lenient"]
    link = Link(1, START, "", identity="CP1", status=101, target="/CP1/", offered=("ocpp1.6",), protocol="ocpp1.6")
    on(source("T06", link=link, shaken=True), "Findings", lenient, tmp_path)


def test_a_handshake(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        asked = await pressed(app, pilot)
        assert asked[0].endswith("(from its next connection on)") and asked[2].startswith("no-subprotocol: ")
    on(source("T01", link=Link(1, START, "", identity="CP1", status=400), shaken=True), "Findings", body, tmp_path)


def test_where_one_may_only_look_there_is_no_such_key(tmp_path: Path) -> None:
    async def body(app: ProxyApp, pilot: Pilot[None]) -> None:
        await pilot.press("R")
        await settled(pilot)
        assert len(app.screen_stack) == 1 and not app._notifications
        assert "repair" not in {binding.binding.action for binding in app.screen.active_bindings.values() if binding.enabled}
    on(source("V01", texts=(WRONG,), acting=False), "Findings", body, tmp_path)
    on(source("V01", texts=(WRONG,)), "Findings", body, tmp_path, read_only=True)
