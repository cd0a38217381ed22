"""A held message as the person sees it who decides about it: its payload to edit, an answer to begin with, what is wrong."""

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import Link, Side
from ocpp_proxy.source import Held
from ocpp_proxy.spec import forms
from ocpp_proxy.spec.versions import version_of
from ocpp_proxy.wire import ocppj


class Subject(Struct, frozen=True):
    """``version``: of its sender (``1.6``), empty where it is not known; ``payload``: indented JSON."""

    held: Held
    version: str
    payload: str

    @classmethod
    def of(cls, held: Held, links: Mapping[int, Link]) -> "Subject":
        """Of a held message and the links that are known."""
        link = links.get(held.link_id)
        payload = ocppj.decode(held.text.encode("utf-8", "backslashreplace")).payload
        spoken = (link.csms_protocol if held.side is Side.CSMS else "") or link.protocol if link else ""
        return cls(held, version_of(spoken), pretty_text(payload))

    @property
    def answer(self) -> dict[str, object]:
        """An answer to begin with, made from the schema."""
        return forms.skeleton(self.version, self.held.action, True)

    def objections(self, payload: object, answer: bool = False) -> list[str]:
        """What speaks against sending this payload in its place, or as its answer. Errors have no schema."""
        if not answer and self.held.mtype not in (2, 3, 6):
            return []
        return forms.objections(self.version, self.held.action, answer or self.held.mtype == 3, payload)


def pretty(value: Any) -> str:
    """Indented JSON for an editor: what would act on a terminal, or hide there, is an escape of JSON's."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(char if char == "\n" or safe_text(char) == char else json.dumps(char)[1:-1] for char in text) + "\n"


def pretty_text(payload: bytes) -> str:
    """The same of a JSON text; what is no JSON as it is, escaped."""
    try:
        return pretty(json.loads(payload))
    except (ValueError, RecursionError):
        return safe_text(payload)
