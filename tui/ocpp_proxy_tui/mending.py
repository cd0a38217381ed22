"""Which quirk profiles repair a finding that is on the screen: tried over its message, as ``check`` tries them.

Loaded when it is first asked for: it takes the rules and the plugin with it.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from ocpp_proxy_plugins.quirks import PROFILES, Profile

from ocpp_proxy.cli.suggesting import Suggester, told_of
from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import Finding, Message
from ocpp_proxy.records import MessageSeen
from ocpp_proxy.source import Source
from ocpp_proxy.spec.versions import version_of

PLUGIN = "quirks"


class Advice(Struct, frozen=True):
    """``names``: the profiles to apply. ``lines``: what the person is told about them. ``setting``: what repairs it instead."""

    names: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    setting: str = ""


async def advice_for(source: Source, finding: Finding) -> Advice:
    """The profiles that make the finding go away. Of a finding about no message: those made for its code."""
    made = [profile for profile in PROFILES.values() if finding.code in profile.detects]
    setting = next((profile.setting for profile in made if profile.setting), "")
    if finding.msg_no is None:
        return _advice(finding, [profile for profile in made if profile.offers], "from its next connection on", setting)
    suggester = Suggester()
    number = await source.number_of("exchanges", msg_no=finding.msg_no) if made else 0
    about: Message | None = None
    for line in await source.row_lines("exchanges", number) if number else []:
        suggester.see(line.record)
        if isinstance(line.record, MessageSeen) and line.record.message.msg_no == finding.msg_no:
            about = line.record.message
            suggester.found(finding)
    tried = suggester.repaired.get(told_of(finding), ())
    if tried:
        return _advice(finding, [PROFILES[name] for name in tried], "tried over this message", setting)
    if finding.blame == "proxy":            # its own Call passes no plugin
        return Advice(setting=setting)
    bound = [profile for profile in made if (profile.bound or profile.name == "transaction-id-none")
             and (about is None or _meets(profile, about))]
    return _advice(finding, bound, "not tried: they go by what the charger said before", setting)


def _meets(profile: Profile, message: Message) -> bool:
    """Whether it would look at this message at all."""
    if not profile.looks_at(message.sender, version_of(message.protocol)):
        return False
    kind = {2: "call", 6: "call", 3: "answer", 4: "answer"}.get(message.mtype, "")
    return profile.fits_text(kind, message.action)


def options_of(names: Iterable[str]) -> dict[str, Any]:
    """The options of the plugin for one charger that a person chose: it need not have said who it is since then."""
    chosen = list(dict.fromkeys(names))
    return {"profiles": chosen, **({"everyone": True} if any(PROFILES[name].bound for name in chosen) else {})}


def _advice(finding: Finding, profiles: list[Profile], how: str, setting: str) -> Advice:
    if not profiles:
        return Advice(setting=setting)
    lines = [f"Repair {finding.code} of {safe_text(finding.identity, 60)} with the plugin {PLUGIN}? ({how})"]
    for profile in profiles:
        care = "" if profile.harmless else "  May do harm where it is not needed."
        lines += ["", f"{profile.name}: {profile.title}.", f"{profile.about}{care}".strip()]
    return Advice(tuple(profile.name for profile in profiles), tuple(line for line in lines), setting)
