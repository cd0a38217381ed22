"""What a hook can give or raise at its worst: never the end of the link."""

import asyncio
from collections.abc import Generator
from typing import Any, cast

import pytest

from ocpp_proxy.api import PASS, Answer, Ask, Call, Context, Decision, Drop, Hold, Plugin, Replace, Side, Verdict
from ocpp_proxy.testing import play


class Strange:
    """Nothing of it can be asked."""

    def __repr__(self) -> str:
        raise ValueError("no repr")

    def __getattribute__(self, name: str) -> object:        # isinstance asks for __class__
        raise ValueError("no attributes")


class Foreign(Plugin):
    """Gives, or raises, what the action says."""

    def on_call(self, context: Context, sender: Side, call: Call) -> Decision:
        strange: Any = Strange()
        match call.action:
            case "Interrupt":
                raise KeyboardInterrupt
            case "Cancelled":
                raise asyncio.CancelledError
            case "Closed":
                raise GeneratorExit
            case "Strange":
                return cast(Decision, strange)
            case "Reason":
                return Drop(strange)
            case "Seconds":
                return Hold(strange)
            case "Message":
                return Replace(strange)
            case "Asks":
                return self._asks(strange)
        return PASS

    def _asks(self, strange: Any) -> Generator[Ask, Answer | None, Verdict]:
        yield strange
        return PASS


@pytest.mark.parametrize("action", ["Interrupt", "Cancelled", "Closed", "Strange", "Seconds", "Message", "Asks"])
def test_nothing_that_a_hook_raises_or_gives_reaches_the_link(action: str) -> None:
    text = f'[2,"1","{action}",{{}}]'
    play(Foreign, f"""
        > {text}
        => {text}
        ! plugin-failed
        > [2,"2","Heartbeat",{{}}]
        => [2,"2","Heartbeat",{{}}]
    """)


def test_a_reason_that_is_no_text_is_a_reason_all_the_same() -> None:
    play(Foreign, """
        > [2,"1","Reason",{}]
        > [2,"2","Heartbeat",{}]
        => [2,"2","Heartbeat",{}]
    """)
