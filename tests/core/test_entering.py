"""A charger dials: what plugins decide about it, in which order, and what becomes of those that fail."""

from typing import Any

import pytest
from msgspec import Struct

from ocpp_proxy.api import (
    PASS,
    Admit,
    Call,
    Context,
    Decision,
    Entrance,
    Opening,
    Plugin,
    Redirect,
    Refuse,
    Replace,
    Side,
)
from ocpp_proxy.core.seats import OnError
from ocpp_proxy.testing import play

WRONG: Any = 7


def opening(given: Any) -> type[Plugin]:
    """A plugin that always decides so."""
    class Deciding(Plugin):
        def on_open(self, context: Context, opening: Opening) -> Entrance:
            found: Entrance = given(opening) if callable(given) else given
            return found

    return Deciding


def test_the_versions_are_those_of_each_side() -> None:
    class Bridge(Plugin):
        def on_open(self, context: Context, opening: Opening) -> Entrance:
            assert opening.offered == ("ocpp1.6",) and context.versions == {Side.STATION: "1.6", Side.CSMS: "1.6"}
            return Admit(offer=("ocpp2.0.1",), answer="ocpp1.6")

        def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
            return Replace(call.carrying({side.value: version for side, version in context.versions.items()}))

    play(Bridge, """
        open ocpp1.6
        => open ocpp2.0.1
        agree ocpp2.0.1
        <= agree ocpp1.6
        > [2,"1","A",{}]
        => [2,"1","A",{"station":"1.6","csms":"2.0.1"}]
    """)


def test_each_sees_what_those_before_it_offer_and_the_one_nearest_to_the_station_answers() -> None:
    first = opening(Admit(("ocpp2.0.1", "x"), "ocpp1.6"))
    second = opening(lambda seen: Admit((*seen.offered, "y"), ""))
    play([first, second, opening(Admit())], "open a\n=> open ocpp2.0.1 x y\nagree x\n<= agree ocpp1.6")
    play([opening(Admit()), opening(Admit((), ""))], "open a\n=> open\nagree b\n<= agree")
    play(opening(Admit()), "open a b\n=> open a b\nagree b\n<= agree b")


def test_the_first_that_refuses_or_redirects_decides() -> None:
    def never(seen: Opening) -> Entrance:
        raise AssertionError

    played = play([opening(Admit(("x",))), opening(Refuse(429, "slow down")), opening(never)], "open a\nrefuse 429 slow down")
    assert (played.entered.plugin, played.findings) == ("deciding", [])
    play([opening(Redirect("wss://other/x")), opening(never)], "open a\nredirect wss://other/x")


def test_one_leads_elsewhere_and_those_behind_it_are_asked_all_the_same() -> None:
    first, second = opening(Admit(("ocpp2.0.1",), "a", "wss://other/x")), opening(lambda seen: Admit((*seen.offered, "y")))
    played = play([first, second], "open a\nredirect wss://other/x\n=> open ocpp2.0.1 y\nagree y\n<= agree a")
    assert (played.entered.upstream, played.entered.plugin) == ("wss://other/x", "deciding")
    play([first, opening(Admit(upstream="wss://third/"))], "open a\nredirect wss://third/\n=> open ocpp2.0.1")
    play([first, opening(Refuse(403, "no"))], "open a\nrefuse 403 no")


class Talking(Plugin):
    """Sends before there is anybody to send to."""

    def on_open(self, context: Context, opening: Opening) -> Entrance:
        context.send(Side.STATION, Call.of("A", {}))
        return Admit()


class Leaving(Plugin):
    """Ends a link that is none yet."""

    def on_open(self, context: Context, opening: Opening) -> Entrance:
        context.disconnect()
        return Admit()


@pytest.mark.parametrize("plugin", [
    opening(None), opening(PASS), opening(Refuse(200)), opening(Refuse(WRONG * 0.5)), opening(Redirect("nowhere")),
    opening(Redirect(WRONG)), opening(Admit(("a b",))), opening(Admit(WRONG)), opening(Admit(answer="a\r\nb")),
    opening(Admit(upstream="nowhere")), opening(Admit(upstream=WRONG)),
    opening(Admit(("a",) * 33)), opening(lambda seen: 1 / 0), Talking, Leaving,
])
@pytest.mark.parametrize(("on_error", "outcome"), [
    ("pass", "=> open a"), ("drop", "refuse 503 the plugin failed"), ("close", "refuse 503 the plugin failed"),
])
def test_one_that_fails_lets_it_in_or_refuses_it(plugin: type[Plugin], on_error: OnError, outcome: str) -> None:
    played = play(plugin, f"open a\n! plugin-failed\n{outcome}", on_error=on_error)
    assert (played.sent, played.disconnected) == ([], False)


def test_what_is_kept_and_found_while_opening_counts() -> None:
    class Counting(Plugin):
        class State(Struct, frozen=True):
            dials: int = 0

        def on_open(self, context: Context, opening: Opening) -> Entrance:
            context.keep(self.State(context.state.dials + 1))
            context.find("dialled", opening.remote)
            return Admit()

    played = play(Counting, "open a\n! counting-dialled\n=> open a", state=Counting.State(4))
    assert played.state == {"counting": Counting.State(5)}
