"""A repair profile: what it detects, whose it is, what it changes, where it is documented. Data, read from TOML."""

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ocpp_proxy.api import Admit, Side
from ocpp_proxy.spec.selection import select
from ocpp_proxy.spec.versions import lookup
from ocpp_proxy_plugins.quirks.repairs import Repair
from ocpp_proxy_plugins.quirks.texts import Mend


class Offer(Struct, frozen=True, forbid_unknown_fields=True):
    """A repair of the opening handshake. ``when``: the charger offers no subprotocol, or one of these in another spelling.

    ``protocols``: what the CSMS is offered; the charger is answered what it asked for.
    """

    when: Literal["missing", "spelling"]
    protocols: tuple[str, ...] = ("ocpp1.6",)


class Profile(Struct, frozen=True, forbid_unknown_fields=True):
    """One profile. ``vendor``, ``model``, ``firmware``: of the BootNotification, any case, with ``*`` and ``?``.

    ``detects``: the finding codes its repair makes go away. ``sender``, ``message``, ``actions`` (with ``*``), ``versions``
    (empty: all): the messages it looks at. ``harmless``: what it changes cannot mean anything else, so ``auto`` takes it.
    ``repairs``: of the values of a message; ``mends``: of texts that are no JSON or no message; ``offers``: of the handshake.
    ``setting``: what repairs it instead, of the proxy itself.
    ``about``: what a user should know before. ``source``: where the fault is documented. ``conversation`` and ``untouched``:
    a message it repairs, and one close to it that it leaves alone (as for ``ocpp_proxy.testing.play``).
    """

    name: str
    title: str
    detects: tuple[str, ...]
    source: tuple[str, ...] = ()
    about: str = ""
    vendor: str = "*"
    model: str = "*"
    firmware: str = "*"
    versions: tuple[str, ...] = ()
    sender: Literal["station", "csms", "any"] = "station"
    message: Literal["call", "answer", "any"] = "call"
    actions: tuple[str, ...] = ("*",)
    harmless: bool = False
    repairs: tuple[Repair, ...] = ()
    mends: tuple[Mend, ...] = ()
    offers: tuple[Offer, ...] = ()
    setting: str = ""
    conversation: str = ""
    untouched: str = ""

    def __post_init__(self) -> None:
        for repair in self.repairs:
            if (path := getattr(repair, "path", "")) and select(path).text == "$":
                raise ValueError(f"{self.name}: the path $ names the payload itself")

    @property
    def bound(self) -> bool:
        """Whether it is for certain chargers only."""
        return (self.vendor, self.model, self.firmware) != ("*", "*", "*")

    def is_for(self, vendor: str, model: str, firmware: str) -> bool:
        """Whether it is for this charger; of one that has not said who it is: only when it is for all."""
        pairs = ((self.vendor, vendor), (self.model, model), (self.firmware, firmware))
        return all(fnmatchcase(given.lower(), wanted.lower()) for wanted, given in pairs) and (bool(vendor) or not self.bound)

    def looks_at(self, sender: Side, version: str) -> bool:
        """Whether messages of this sender and version are its business; of an unknown version: all."""
        return self.sender in (sender, "any") and (not version or not self.versions or version in self.versions)

    def admits(self, offered: tuple[str, ...]) -> Admit | None:
        """What to do about a charger that offers these subprotocols; None: nothing."""
        for offer in self.offers:
            if offer.when == "missing" and not offered:
                return Admit(offer.protocols, "")
            spoken = [(asked, lookup(asked)) for asked in offered]
            known = [(asked, found) for asked, found in spoken if found is not None]
            if offer.when == "spelling" and known and all(found.wrong_case for _, found in known):
                return Admit((known[0][1].subprotocol,), known[0][0])
        return None

    def fits(self, kind: str, action: str) -> bool:
        """Whether it looks at messages of this kind (call, answer) and action."""
        return self.message in (kind, "any") and any(fnmatchcase(action, wanted) for wanted in self.actions)

    def fits_text(self, kind: str, action: str) -> bool:
        """As ``fits``, of a text that is no message: what cannot be told (an answer's action) does not count."""
        return not kind or (self.message in (kind, "any") if not action else self.fits(kind, action))


def parse(text: str) -> Profile:
    """A profile from TOML. Raises ``ValueError`` (``tomllib.TOMLDecodeError``, ``msgspec.ValidationError``)."""
    return msgspec.convert(tomllib.loads(text), Profile)


def _shipped() -> dict[str, Profile]:
    folder = files("ocpp_proxy_plugins.quirks").joinpath("profiles")
    found: dict[str, Any] = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".toml"):
            profile = parse(entry.read_text(encoding="utf-8"))
            found[profile.name] = profile
    return found


PROFILES: Mapping[str, Profile] = _shipped()
"""Those that come along, by name. Read once, when the plugin is loaded; hooks read no file."""
