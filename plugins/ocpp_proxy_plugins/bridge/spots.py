"""Owns how a variable of the device model of 2.0.1 is named: in messages, and by a 1.6 operator in the name of a key."""

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from msgspec import Struct

from ocpp_proxy_plugins.bridge.tables import Place

Id = tuple[str, int, int, str, str]
MOST_NAME = 50                              # characters of the name of a component, a variable or an instance
_MOST_NUMBER = 1 << 31
_WRITTEN = re.compile(r"(?P<component>[^.@\[\]]+)(?:@(?P<evse>\d{1,5})(?:/(?P<conn>\d{1,5}))?)?"
                      r"\.(?P<variable>[^\[\]]+)(?:\[(?P<instance>[^\[\]]+)\])?").fullmatch


class Spot(Struct, frozen=True):
    """A variable of the station, of an EVSE or of a connector (0: of none)."""

    place: Place
    evse: int = 0
    conn: int = 0

    @property
    def id(self) -> Id:
        """What it is found by."""
        return identity(self.place, self.evse, self.conn)

    def item(self) -> dict[str, Any]:
        """Component and variable, as messages have them."""
        component: dict[str, Any] = {"name": self.place.component}
        if self.evse:
            component["evse"] = {"id": self.evse, **({"connectorId": self.conn} if self.conn else {})}
        instance = {} if self.place.instance is None else {"instance": self.place.instance}
        return {"component": component, "variable": {"name": self.place.variable, **instance}}


def identity(at: Place, evse: int = 0, conn: int = 0) -> Id:
    """What a variable is found by: names have no case (2.0.1 part 2, 2.46 and 2.49)."""
    return at.component.casefold(), evse, conn, at.variable.casefold(), (at.instance or "").casefold()


def of(item: Mapping[str, Any]) -> Spot:
    """That of an item of a message, which is ``shaped``."""
    component, variable = item["component"], item["variable"]
    evse = component.get("evse", {})
    at = Place(component["name"], variable["name"], variable.get("instance"))
    return Spot(at, evse.get("id", 0), evse.get("connectorId", 0))


def written(name: str) -> Spot | None:
    """``Component.Variable[Instance]``, ``EVSE@1.Variable`` or ``Connector@1/2.Variable``; None: it is none of these."""
    found = _WRITTEN(name)
    if found is None or any(len(part or "") > MOST_NAME for part in found.groups()):
        return None
    at = Place(found["component"], found["variable"], found["instance"])
    return Spot(at, int(found["evse"] or 0), int(found["conn"] or 0))


def shaped(found: Any) -> TypeGuard[list[dict[str, Any]]]:
    """Whether that is a list of items with a component and a variable, as the schema wants them."""
    return isinstance(found, list) and all(map(is_item, found))


def is_item(item: Any) -> TypeGuard[dict[str, Any]]:
    """Whether that is one of them."""
    component, variable = (item.get("component"), item.get("variable")) if isinstance(item, dict) else (None, None)
    if not isinstance(component, dict) or not isinstance(variable, dict):
        return False
    evse = component.get("evse", {})
    texts = component.get("name"), variable.get("name"), component.get("instance", ""), variable.get("instance", "")
    numbers = isinstance(evse, dict) and all(_is_number(evse.get(name, 0)) for name in ("id", "connectorId"))
    return numbers and all(isinstance(one, str) and len(one) <= MOST_NAME for one in texts)


def each(value: object) -> list[Any]:
    """The items of a list; of anything else none."""
    return value if isinstance(value, list) else []


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < _MOST_NUMBER
