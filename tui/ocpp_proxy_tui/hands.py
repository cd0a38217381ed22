"""Acting by hand from any screen: sending a Call, ending a link, holding messages. Every act is asked for once more."""

import importlib
import json
from typing import TYPE_CHECKING, Any

from textual.app import App

from ocpp_proxy.core.by_hand import pretty
from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import CaptureError, ConfigError, Finding, Side
from ocpp_proxy.source import Acting, Injected, Source
from ocpp_proxy.spec import forms
from ocpp_proxy.spec.versions import version_of
from ocpp_proxy_tui.ground import Ground
from ocpp_proxy_tui.screens.ask_sure import AskSure
from ocpp_proxy_tui.screens.ask_text import AskText
from ocpp_proxy_tui.screens.choose_command import ChooseCommand
from ocpp_proxy_tui.screens.command_form import CommandForm, Order

if TYPE_CHECKING:
    from ocpp_proxy_tui.mending import Advice

FAULTS = (CaptureError, ConfigError, OSError)
WHOM = "which charger? Go to one of its rows, or limit the screens to it (2, then Enter)"


def actor_of(source: Source, read_only: bool) -> Acting | None:
    """The source as what can be acted on; None for files, without ``--allow-inject``, and where only looking is wanted."""
    allowed = source.live and not read_only and getattr(source, "may_act", False)
    return source if allowed else None          # type: ignore[return-value]    # who says ``may_act`` is an ``Acting``


class Hands:
    """What the keys of the application do. Methods ask, act and tell; they wait for windows, so they run as workers."""

    def __init__(self, app: App[Any], ground: Ground) -> None:
        self._app, self._ground = app, ground
        self._applied: dict[str, tuple[str, ...]] = {}      # charger -> quirk profiles applied from here

    @property
    def _actor(self) -> Acting:
        assert self._ground.acting is not None      # the keys are not there without
        return self._ground.acting

    async def inject(self, identity: str) -> None:
        """Choose a command, fill in its form, confirm, send, show the answer."""
        if not identity:
            self.say(WHOM, True)
            return
        version, look = self.version(identity), self._ground.look
        beyond = self.version(identity, Side.CSMS)
        title = f"send to {safe_text(identity, 60)}" + (f" (OCPP {version})" if version else ", whose version is not known")
        chosen = await self._app.push_screen_wait(ChooseCommand(title, forms.common(version, beyond), look))
        if chosen is None:
            return
        order = await self._app.push_screen_wait(CommandForm(
            Order(identity, beyond if chosen[1] is Side.CSMS else version, chosen[1], chosen[0]), look))
        if order is None:
            return
        said = json.dumps(order.payload, ensure_ascii=False)
        against = [f"{look.mark(3)} {safe_text(line, 300)}" for line in order.objections]
        yes = "send it all the same" if against else "send"
        if await self._sure([f"Send {order.title}?", safe_text(said, 4_000), *against], yes):
            await self._send(order)

    async def _send(self, order: Order) -> None:
        self.say(f"sent: {order.title}; the answer will be shown")
        try:
            answer = await self._actor.inject(
                order.identity, order.to, order.action, order.payload, force=bool(order.objections))
        except FAULTS as error:
            await self._app.push_screen_wait(AskSure([order.title, *_lines(str(error))], self._ground.look))
            return
        await self._app.push_screen_wait(AskSure([order.title, *answer_lines(answer)], self._ground.look))

    async def disconnect(self, identity: str) -> None:
        """Ask how, confirm, end the link."""
        if not identity:
            self.say(WHOM, True)
            return
        name = safe_text(identity, 60)
        question = f"End the link of {name}: a close code (1000 to 4999), reset, or nothing for a plain end:"
        how = await self._app.push_screen_wait(AskText(question))
        if how is None:
            return
        how = how.strip().lower()
        code = int(how) if how.isascii() and how.isdigit() and len(how) == 4 else 0
        if how not in ("", "reset") and not 1000 <= code <= 4999:
            self.say(f"{safe_text(how, 40)}: neither a close code nor reset", True)
            return
        words = "by TCP reset" if how == "reset" else f"with close code {code}" if code else "without a Close frame"
        if await self._sure([f"End the link of the charger {name} {words}?"], "end it"):
            try:
                await self._actor.disconnect(identity, code, how == "reset")
            except FAULTS as error:
                self.say(str(error), True)
            else:
                self.say(f"{name}: disconnected")

    async def intercept(self, identity: str, at_hand: str) -> None:
        """Hold messages: the filter at hand, as the person changes it."""
        whose = f"of {safe_text(identity, 60)}" if identity else "of all chargers"
        text = await self._app.push_screen_wait(AskText(f"Hold the messages {whose} that pass this filter:", at_hand))
        if not text or not text.strip():
            return
        try:
            made = await self._actor.intercept(text.strip(), identity or "*")
        except FAULTS as error:
            self.say(str(error), True)
        else:
            self.say(f"intercept {made.intercept_id} is set; Held (7) shows what it holds")

    async def repair(self, finding: Finding) -> None:
        """Apply the quirk profiles that make a finding go away, to its charger."""
        if not finding.identity:
            self.say("this finding names no charger", True)
            return
        mending = importlib.import_module("ocpp_proxy_tui.mending")
        try:
            advice: Advice = await mending.advice_for(self._ground.source, finding)
        except FAULTS as error:
            self.say(str(error), True)
            return
        if not advice.names:
            instead = f"; run the proxy with {advice.setting}" if advice.setting else ""
            self.say(f"no quirk profile repairs this {finding.code}{instead}", True)
            return
        if not await self._sure(list(advice.lines), "apply"):
            return
        options = mending.options_of([*self._applied.get(finding.identity, ()), *advice.names])
        try:
            await self._actor.switch(mending.PLUGIN, True, finding.identity, options)
        except FAULTS as error:
            self.say(str(error), True)
        else:
            self._applied[finding.identity] = tuple(options["profiles"])
            self.say(f"{finding.identity}: quirks repairs {', '.join(options['profiles'])}")

    async def _sure(self, lines: list[str], yes: str) -> bool:
        return await self._app.push_screen_wait(AskSure(lines, self._ground.look, yes)) == "y"

    def version(self, identity: str, side: Side = Side.STATION) -> str:
        """The OCPP version that a side of a charger's newest link speaks; empty where it is not known."""
        found = [link for link in self._ground.links.values() if link.identity == identity and link.protocol]
        if not found:
            return ""
        newest = max(found, key=lambda link: link.opened_ns)
        return version_of((newest.csms_protocol if side is Side.CSMS else "") or newest.protocol)

    def say(self, text: str, bad: bool = False) -> None:
        """A note at the corner."""
        shown = "\n".join(safe_text(line, 500) for line in text.split("\n")[:8])
        self._app.notify(shown, severity="warning" if bad else "information", markup=False)


def answer_lines(answer: Injected) -> list[str]:
    """What came of it, escaped."""
    took = "" if answer.ms is None else f" after {answer.ms:.1f} ms"
    if answer.outcome == "error":
        head = f"CALLERROR{took}: {safe_text(answer.code, 60)} {safe_text(answer.description, 300)}".rstrip()
    else:
        head = {"result": f"CALLRESULT{took}", "timeout": "no answer came in time", "sent": "sent; a SEND has no answer",
                "closed": "the link ended before an answer came"}[answer.outcome]
    return [head, *(_lines(pretty(answer.payload)) if answer.payload is not None else [])]


def _lines(text: str) -> list[str]:
    return [safe_text(line, 500) for line in text.rstrip("\n").split("\n")[:500]]
