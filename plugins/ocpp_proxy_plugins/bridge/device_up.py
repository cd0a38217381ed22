"""Owns what is known of a 1.6 station's configuration keys: asked for once it has booted, and kept.

Values are asked for anew when the CSMS wants them (``variables_up``); what is kept here is which keys there are, whether they
can be written, and what reports say.
"""

from collections.abc import Generator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from ocpp_proxy.api import Answer, Ask
from ocpp_proxy_plugins.bridge import values
from ocpp_proxy_plugins.bridge.boot_up import BOOTED
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import NOTHING
from ocpp_proxy_plugins.bridge.lists import ENABLED, MOST_AT_ONCE
from ocpp_proxy_plugins.bridge.pace import Pace
from ocpp_proxy_plugins.bridge.remote_up import SHOWS_COST
from ocpp_proxy_plugins.bridge.spots import each
from ocpp_proxy_plugins.bridge.tables import Key, keys
from ocpp_proxy_plugins.bridge.work import Background, Got

MOST_KEYS = 600                             # of a station that are kept
MOST_BYTES = 160_000                        # of all of them, as they are stored
MOST_KEY = 50                               # characters of a key (1.6, CiString50)
USUAL_AT_ONCE = 20                          # keys in one GetConfiguration of a station that does not say how many it takes
SEVERAL = "GetConfigurationMaxKeys"
_MARK = "device.boot"                       # in ``Session.notes``: the boot that was followed by a discovery
_DECODED = "device.decoded"


class Setting(Struct, frozen=True, gc=False, array_like=True):
    """A key of the station as it said last. ``value`` None: it has none, or may not be known."""

    value: str | None
    readonly: bool = False


class Device(Struct, frozen=True, omit_defaults=True):
    """``settings``: by the station's own spelling; ``phases``: key -> measurands that it has by phase.

    ``at_ns``: when it was asked for all of them; 0: never, or it did not answer.
    """

    settings: dict[str, Setting] = {}
    phases: dict[str, tuple[str, ...]] = {}
    at_ns: int = 0

    def spelling(self, name: str) -> str | None:
        """How the station writes a key; None: it is not known to have it."""
        if name in self.settings:
            return name
        folded = name.casefold()
        return next((one for one in self.settings if one.casefold() == folded), None)

    def get(self, name: str) -> Setting | None:
        """That key."""
        spelling = self.spelling(name)
        return None if spelling is None else self.settings[spelling]

    def value(self, name: str) -> str | None:
        """Its value."""
        found = self.get(name)
        return None if found is None else found.value

    def number(self, name: str) -> int | None:
        """Its value, where that is a whole number from 0 on."""
        text = (self.value(name) or "").strip()
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


@cache
def by_name() -> Mapping[str, Key]:
    """The keys of the tables, by their names in lower case."""
    return {name.casefold(): key for name, key in keys().items()}


def device(desk: Desk) -> Device:
    """What is known of the station."""
    raw = desk.kept.device
    known: tuple[Raw, Device] | None = desk.link.notes.get(_DECODED)
    if known is not None and known[0] is raw:
        return known[1]
    found = Device() if raw == NOTHING else msgspec.msgpack.decode(raw, type=Device)
    desk.link.notes[_DECODED] = raw, found
    return found


def remember(desk: Desk, said: Mapping[str, Setting | None], whole: bool = False) -> None:
    """The station said this of its keys (None: it has no such); ``whole``: and that is all there are."""
    before = device(desk)
    settings = {} if whole else dict(before.settings)
    phases = dict(before.phases)
    for name, setting in said.items():
        key = by_name().get(name.casefold())
        spelling = name if whole else before.spelling(name) or name
        if setting is None:
            settings.pop(spelling, None)
            continue
        if key is not None and key.codec == "measurands" and setting.value is not None:
            phases[key.name] = values.phases(setting.value, phases.get(key.name, ()))
        if key is not None and key.access == "W":
            setting = Setting(None, setting.readonly)       # a secret is not kept
        settings[spelling] = setting
    phases = {name: found for name, found in phases.items() if found}
    after = Device(_bounded(desk, settings), phases, desk.now_ns if whole else before.at_ns)
    if after != before:
        raw = Raw(msgspec.msgpack.encode(after))
        desk.link.notes[_DECODED] = raw, after
        desk.keep(device=raw, facts=_facts(desk, after), can=_can(desk, after))


def _bounded(desk: Desk, settings: dict[str, Setting]) -> dict[str, Setting]:
    """As many as are kept: those of the standard first."""
    size = sum(len(name) + len(one.value or "") + 8 for name, one in settings.items())
    if len(settings) <= MOST_KEYS and size <= MOST_BYTES:
        return settings
    kept: dict[str, Setting] = {}
    room = MOST_BYTES
    for name in sorted(settings, key=lambda one: one.casefold() not in by_name()):
        room -= len(name) + 4 * len(settings[name].value or "") + 8
        if len(kept) < MOST_KEYS and room >= 0:
            kept[name] = settings[name]
    text = f"the station has {len(settings)} configuration keys of {size} characters: {len(kept)} are kept"
    desk.find("keys", text, "warning", "station")
    return kept


def _facts(desk: Desk, found: Device) -> dict[str, Any]:
    """What other features want to know of it."""
    facts = dict(desk.kept.facts)
    enabled = (found.value("LocalAuthListEnabled") or "").strip().casefold()
    for name, value in (
        (MOST_AT_ONCE, found.number("SendLocalListMaxLength")),
        ("charging.ConnectionTimeOut", found.number("ConnectionTimeOut")),
        (ENABLED, enabled == "true" if enabled in ("true", "false") else None),
    ):
        if value is not None:
            facts[name] = value
    return facts


def _can(desk: Desk, found: Device) -> dict[str, bool]:
    shows = (found.value(SHOWS_COST) or "").strip().casefold()
    return {**desk.kept.can, SHOWS_COST: shows == "true"} if shows in ("true", "false") else desk.kept.can


# ---- asking ----

class Said(Struct):
    """``settings``: what the station said of the keys it was asked for; ``failed``: why it said nothing of the others."""

    settings: dict[str, Setting | None]
    failed: Got | None = None


def ask_keys(desk: Desk, names: Sequence[str], pace: Pace) -> Generator[Ask, Answer | None, Said]:
    """GetConfiguration of these keys, as many at once as the station takes; what it says is remembered."""
    said = Said({})
    at_once = device(desk).number(SEVERAL) or USUAL_AT_ONCE
    for at in range(0, len(names), at_once):
        if pace.over:
            break
        wanted = names[at : at + at_once]
        got = yield from pace.ask("GetConfiguration", {"key": list(wanted)})
        if got.payload is None:
            said.failed = got
            continue
        found = {name.casefold(): setting for name, setting in listed(got.payload).items()}
        for name in wanted:
            said.settings[name] = found.get(name.casefold())
    if said.settings:
        remember(desk, said.settings)
    return said


def listed(answer: dict[str, Any]) -> dict[str, Setting]:
    """The keys of an answer to GetConfiguration, by their names as they stand there."""
    found = {}
    for one in each(answer.get("configurationKey")):
        if isinstance(one, dict) and isinstance(one.get("key"), str) and 0 < len(one["key"]) <= MOST_KEY:
            value = one.get("value")
            if isinstance(value, bool):
                value = "true" if value else "false"
            elif value is not None and not isinstance(value, str):
                value = str(value)
            found[one["key"]] = Setting(value, one.get("readonly") is True)
    return found


def discover(desk: Desk) -> Background:
    """All keys; where the station answers a part of them, the others of the standard in pieces."""
    boot = desk.kept.boot
    if boot is not None:
        desk.link.notes[_MARK] = boot.at_ns
    pace = Pace(desk)
    got = yield from pace.ask("GetConfiguration", {})
    found = listed(got.payload) if got.payload is not None else {}
    if got.timeout:
        return
    if found:
        remember(desk, found, whole=True)
    if not partial(found):
        return
    folded = {name.casefold() for name in found}
    said = yield from ask_keys(desk, [name for name in keys() if name.casefold() not in folded], pace)
    more = {name: setting for name, setting in said.settings.items() if setting is not None}
    if more and not found:
        remember(desk, more, whole=True)
    elif not found:
        why = said.failed.why if said.failed is not None else got.why or "it names no keys"
        desk.find("keys", f"the station does not tell its configuration: {why}"[:300], "warning", "station")


def partial(found: dict[str, Setting]) -> bool:
    """Whether a station may have answered only as many as it takes at once."""
    most = Device(found).number(SEVERAL)
    return most is None or len(found) == most


def tick(desk: Desk) -> None:
    """After a boot that the CSMS accepted on this link, the station is asked."""
    boot = desk.kept.boot
    if boot is None or boot.status != "Accepted" or not desk.link.notes.get(BOOTED):
        return
    if desk.link.notes.get(_MARK) != boot.at_ns:
        desk.link.notes[_MARK] = boot.at_ns
        desk.begin(discover(desk.aside("GetConfiguration")), "what the station can be set to")


def fetched(desk: Desk) -> bool:
    """Whether the station was asked for all of its keys, and answered."""
    return device(desk).at_ns > 0


def renewed(desk: Desk, name: str, value: str) -> None:
    """The station took a value."""
    found = device(desk).get(name)
    remember(desk, {name: structs.replace(found or Setting(None), value=value)})


UP_TICKS = [tick]
