"""The rule settings in force: they change where a note of the stream says so, live and when a file is judged again alike.

A relay notes the settings when it starts and when they are read again; a note that changes nothing is left out. So a stored
stream has a note at each change, which also says what held before it.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct, structs

from ocpp_proxy.checks.registry import Registry
from ocpp_proxy.checks.settings import OFF, Settings
from ocpp_proxy.core.conversation import Conversation
from ocpp_proxy.model import Severity
from ocpp_proxy.records import Note, Record

KIND = "rules"                              # of such notes
PIECE = "n/rules"                           # of the state
WORDS = frozenset((OFF, *(severity.label for severity in Severity)))


class Stated(Struct, frozen=True):
    """The text of a note, and ``rules_settings`` in a capture's ``meta`` (without ``before``)."""

    call_seconds: float = 30.0
    rules: dict[str, str] = {}
    before: "Stated | None" = None


def read(text: str | bytes) -> Stated:
    """What a text says. Raises ``msgspec.DecodeError``."""
    return msgspec.json.decode(text, type=Stated)


def known(stated: Stated, registry: Registry) -> Stated:
    """Without codes and words that this rule set does not have."""
    rules = {code: word for code, word in stated.rules.items() if code in registry.rules and word in WORDS}
    return structs.replace(stated, rules=rules)


class Ruling:
    """Has a ``Conversation`` judge by the settings that its stream states."""

    def __init__(self, core: Conversation, registry: Registry) -> None:
        self._core, self._registry = core, registry
        self._stored = b""

    @property
    def stated(self) -> Stated:
        """Those in force."""
        settings = self._core.settings
        return Stated(settings.call_seconds, settings.severities)

    def noted(self, note: Note, out: list[Record]) -> None:
        """Take a note over, and append it, unless it changes nothing; what has fallen due with it follows."""
        try:
            stated = read(note.text)
        except msgspec.DecodeError:
            out.append(note)
            return
        before = self.stated
        self._hold(known(stated, self._registry))
        if stated.before is None:
            if self.stated == before:
                return
            note = structs.replace(note, text=_text(structs.replace(stated, before=before)).decode())
        out.append(note)
        core = self._core
        for link_id, link in core.links.items():
            if at_ns := core.earliest(link):
                core.deadlines.arm((link_id, ""), max(at_ns, core.now))
        core.fire(out)

    def _hold(self, stated: Stated) -> None:
        core = self._core
        settings: Settings = structs.replace(core.settings, call_seconds=stated.call_seconds, severities=stated.rules)
        core.settings = core.context.settings = settings
        core.limit_ns = int(settings.call_seconds * 1e9)
        core.dispatch.take(self._registry, settings)
        core.plans.forget()

    # ---- state ----

    def changed(self) -> dict[str, bytes | None]:
        """The piece of state, if it is another one than at the last call."""
        piece = _text(self.stated)
        if piece == self._stored:
            return {}
        self._stored = piece
        return {PIECE: piece}

    def restore(self, pieces: Mapping[str, bytes]) -> None:
        """Go on with what was in force; before links and their deadlines are restored."""
        if PIECE in pieces:
            self._hold(known(read(pieces[PIECE]), self._registry))
            self._stored = _text(self.stated)


def _text(stated: Stated) -> bytes:
    return msgspec.json.encode(stated, order="deterministic")
