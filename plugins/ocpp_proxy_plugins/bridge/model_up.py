"""Owns the device model that a 2.0.1 CSMS sees of a 1.6 station: what its keys are there, and what 2.0.1 wants besides.

Rows with a key have the value the station said last; the others are made up from what is known, and read-only. A row
without a value is there because 2.0.1 requires it, and nothing says what it is.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ocpp_proxy_plugins.bridge import values
from ocpp_proxy_plugins.bridge.desk import Desk, Session
from ocpp_proxy_plugins.bridge.device_up import Device, Setting, by_name, device
from ocpp_proxy_plugins.bridge.lists import mirror
from ocpp_proxy_plugins.bridge.spots import Id, identity
from ocpp_proxy_plugins.bridge.tables import Key, Place, enum, keys, made_up, place, variables

VENDOR = "Bridge16"                         # the component of keys that have no variable in 2.0.1
MOST_RECENT = 16
MOST_CONNECTORS = 100                       # that NumberOfConnectors is believed
ROTATION = "ConnectorPhaseRotation"
Mutability = Literal["ReadOnly", "WriteOnly", "ReadWrite"]

FEATURES = {
    "LocalAuthListCtrlr": "LocalAuthListManagement", "ReservationCtrlr": "Reservation", "SmartChargingCtrlr": "SmartCharging",
}
"""Components that a station has with a feature profile."""
ABSENT = ("DisplayMessageCtrlr.Available", "MonitoringCtrlr.Available", "TariffCostCtrlr.Available[Cost]",
          "TariffCostCtrlr.Available[Tariff]")
"""What no 1.6 station has."""
ALWAYS = ("AlignedDataCtrlr", "AuthCtrlr", "ClockCtrlr", "DeviceDataCtrlr", "OCPPCommCtrlr", "SampledDataCtrlr",
          "SecurityCtrlr", "TxCtrlr", "ChargingStation")
_AVAILABILITY = "Available,Occupied,Reserved,Unavailable,Faulted"
_ROTATIONS = "NotApplicable,Unknown,RST,RTS,SRT,STR,TRS,TSR"
VALUES = {
    "AvailabilityState": _AVAILABILITY, "PhaseRotation": _ROTATIONS, "RateUnit": "A,W",
    "FileTransferProtocols": "FTP,FTPS,HTTP,HTTPS,SFTP",
    **dict.fromkeys(("Measurands", "TxEndedMeasurands", "TxStartedMeasurands", "TxUpdatedMeasurands"),
                    ",".join(enum("Measurand16>201"))),
}
"""The values that there are of lists."""


class Row(Struct, frozen=True):
    """A variable. ``key``: that of 1.6 which holds it, as the station writes it; empty: the bridge knows it.

    ``known``: what the tables say of that key. ``number``: the connector of 1.6 that a PhaseRotation is of. ``most``: maxLimit.
    """

    place: Place
    value: str | None = None
    mutability: Mutability = "ReadOnly"
    evse: int = 0
    conn: int = 0
    key: str = ""
    known: Key | None = None
    number: int = 0
    most: int | None = None
    type: str = ""

    @property
    def id(self) -> Id:
        """What it is found by."""
        return identity(self.place, self.evse, self.conn)

    @property
    def empty(self) -> bool:
        """Whether it is there only because 2.0.1 wants it."""
        return self.value is None and not self.key

    def read(self, setting: Setting | None) -> str | None:
        """Its value, where that is what its key says."""
        text = None if setting is None else setting.value
        if text is None:
            return None
        if self.known is None:
            return text
        if self.known.name == ROTATION:
            found = values.rotations(text)
            return found.get(self.number, found.get(0))
        return values.up(self.known, text)


class Model(Struct, frozen=True):
    """``rows``: all variables in the order of reports; ``components``: which there are, with EVSE and connector."""

    rows: dict[Id, Row]
    components: frozenset[tuple[str, int, int]]


_CLOCK = Row(Place("ClockCtrlr", "DateTime"))
_recent: dict[int, tuple[Session, tuple[object, ...], Model]] = {}
"""Of which link, from what, and the model; the newest last. Few: it is larger than all that a link keeps besides."""


@cache
def homes() -> Mapping[Id, Key]:
    """The keys whose variable is there, by it."""
    return {identity(key.home): key for key in keys().values() if key.home is not None and key.field == "Actual"}


def model(desk: Desk) -> Model:
    """The device model as it is now. A CSMS asks for one variable after the other: the newest models are remembered."""
    kept = desk.kept
    facts = kept.device, kept.connectors, kept.boot, kept.profiles, kept.local_list, kept.facts
    known = _recent.pop(id(desk.link), None)
    if known is None or known[0] is not desk.link or any(one is not other for one, other in zip(known[1], facts, strict=True)):
        known = desk.link, facts, _model(desk)
    while len(_recent) >= MOST_RECENT:
        del _recent[next(iter(_recent))]
    _recent[id(desk.link)] = known
    made = known[2]
    clock = made.rows.get(_CLOCK.id)
    if clock is not None:
        made.rows[_CLOCK.id] = msgspec.structs.replace(clock, value=desk.now())
    return made


def _model(desk: Desk) -> Model:
    known = device(desk)
    rows: dict[Id, Row] = {}
    for row in _all(desk, known):
        before = rows.get(row.id)
        if before is None or (before.empty and not row.empty):
            rows[row.id] = row
    return Model(rows, frozenset((row.place.component.casefold(), row.evse, row.conn) for row in rows.values()))


def _all(desk: Desk, known: Device) -> Iterator[Row]:
    """Who comes first counts."""
    yield from _places(desk, known)
    yield from _settings(known)
    yield from _available(known)
    yield from _limits(desk, known)
    yield from _made(desk, known)
    yield from _required(known)


# ---- the station's keys ----

def _settings(known: Device) -> Iterator[Row]:
    lengths = _lengths(known)
    for name, setting in known.settings.items():
        key = by_name().get(name.casefold())
        if key is None or key.home is None or key.field == "derived":
            at = Place(VENDOR, name if key is None else key.name)
            readonly = setting.readonly or key is not None
            yield Row(at, setting.value, "ReadOnly" if readonly else "ReadWrite", key=name)
        elif key.field == "Actual":
            row = Row(key.home, None, access(key, setting), key=name, known=key, most=lengths.get(key.home))
            yield msgspec.structs.replace(row, value=row.read(setting))
            for also in key.also_set:
                if key.codec != "measurands":               # 1.6 has one key for both: written by the first
                    yield Row(also, row.read(setting), "ReadOnly", key=name, known=key)


def access(key: Key, setting: Setting | None) -> Mutability:
    """What may be done with the variable of a key."""
    if key.access == "W":
        return "WriteOnly"
    readonly = key.access == "R" if setting is None else setting.readonly
    return "ReadOnly" if readonly else "ReadWrite"


def _lengths(known: Device) -> dict[Place, int]:
    """maxLimit by variable. 1.6 counts the items of lists of measurands, 2.0.1 characters."""
    found = {}
    for key in keys().values():
        count = known.number(key.name) if key.field == "maxLimit" else None
        if count is not None and key.home is not None:
            found[key.home] = values.characters(count) if key.home.variable.endswith("Measurands") else count
    return found


def _limits(desk: Desk, known: Device) -> Iterator[Row]:
    """How many there are of what 1.6 has only a limit for."""
    held = {
        "LocalAuthListCtrlr.Entries": len(mirror(desk).entries or {}) if mirror(desk).csms else None,
        "SmartChargingCtrlr.Entries[ChargingProfiles]": len(desk.kept.profiles),
    }
    for at, most in _lengths(known).items():
        if not at.variable.endswith("Measurands"):
            count = held.get(str(at))
            yield Row(at, None if count is None else str(count), most=most)


# ---- the station, its EVSEs and connectors ----

def _places(desk: Desk, known: Device) -> Iterator[Row]:
    key = by_name()[ROTATION.casefold()]
    spelling = known.spelling(ROTATION) or ""
    setting = known.get(ROTATION)
    boot = _boot(desk)
    station = {
        "AvailabilityState": _state(desk, 0), "Available": "true", "Model": boot.get("chargePointModel"),
        "VendorName": boot.get("chargePointVendor"), "SupplyPhases": _phases(setting),
        "SerialNumber": boot.get("chargePointSerialNumber") or boot.get("chargeBoxSerialNumber"),
        "FirmwareVersion": boot.get("firmwareVersion"), "Problem": _problem(desk, 0),
    }
    yield from (Row(Place("ChargingStation", name), value) for name, value in station.items() if value is not None)
    if setting is not None:
        yield _rotation(key, spelling, setting, 0, "ChargingStation")
    for number, evse, conn in connectors(desk, known):
        state = _state(desk, number)
        for name, value in (("AvailabilityState", state), ("Available", "true"), ("Power", None),
                            ("SupplyPhases", _phases(setting, number)), ("Problem", _problem(desk, number))):
            yield Row(Place("EVSE", name), value, evse=evse)
        if setting is not None:
            yield _rotation(key, spelling, setting, number, "EVSE", evse)
        for name, value in (("AvailabilityState", state), ("Available", "true"), ("ConnectorType", "Unknown"),
                            ("SupplyPhases", _phases(setting, number)), ("Problem", _problem(desk, number))):
            yield Row(Place("Connector", name), value, evse=evse, conn=conn)
    for component, name, field in (
        ("FiscalMetering", "Model", "meterType"), ("FiscalMetering", "SerialNumber", "meterSerialNumber"),
        ("DataLink", "ICCID", "iccid"), ("DataLink", "IMSI", "imsi"),
    ):
        if boot.get(field):
            yield Row(Place(component, name), boot[field])


def connectors(desk: Desk, known: Device) -> list[tuple[int, int, int]]:
    """Number, EVSE and connector of all that are known, or that the station says it has."""
    numbers = {one.number for one in desk.kept.connectors if one.number > 0} | {int(name) for name in desk.options.topology}
    numbers |= set(range(1, min(known.number("NumberOfConnectors") or 0, MOST_CONNECTORS) + 1))
    return [(number, *desk.evse(number)) for number in sorted(numbers or {1})]


def _rotation(key: Key, spelling: str, setting: Setting, number: int, component: str, evse: int = 0) -> Row:
    row = Row(Place(component, "PhaseRotation"), None, access(key, setting), evse, key=spelling, known=key, number=number)
    return msgspec.structs.replace(row, value=row.read(setting))


def _phases(setting: Setting | None, number: int = 0) -> str:
    """One where there is nothing to rotate, else three."""
    found = values.rotations(setting.value or "") if setting is not None else {}
    return "1" if found.get(number, found.get(0)) == "NotApplicable" else "3"


def _state(desk: Desk, number: int) -> str:
    """What the station said last; of what it said nothing of, nothing is wrong."""
    said = next((one.status for one in desk.kept.connectors if one.number == number), "")
    return desk.enum("ConnStatus16>201", said) or "Available"


def _problem(desk: Desk, number: int) -> str:
    found = next((one for one in desk.kept.connectors if one.number == number), None)
    return "true" if found is not None and (found.error or found.status == "Faulted") else "false"


def _boot(desk: Desk) -> dict[str, str]:
    """The texts of the last BootNotification."""
    boot = desk.kept.boot
    found: Any = msgspec.json.decode(boot.payload) if boot is not None else {}
    return {name: value for name, value in found.items() if isinstance(value, str) and value}


# ---- what 2.0.1 wants ----

def features(known: Device) -> dict[str, bool]:
    """Components that a station may lack, and whether it has them."""
    profiles = {one.casefold() for one in values.items(known.value("SupportedFeatureProfiles") or "")}
    own = {by_name()[name.casefold()].profile for name in known.settings if name.casefold() in by_name()}
    return {component: profile.casefold() in profiles or profile in own for component, profile in FEATURES.items()}


def _available(known: Device) -> Iterator[Row]:
    for component, has in features(known).items():
        yield Row(Place(component, "Available"), "true" if has else "false")
    yield Row(Place("AuthCacheCtrlr", "Available"), "true" if known.get("AuthorizationCacheEnabled") else "false")
    yield from (Row(place(written), "false") for written in ABSENT)


def _made(desk: Desk, known: Device) -> Iterator[Row]:
    """Those of the table; and for what 2.0.1 requires, what a station without the key does."""
    lacking = {component for component, has in features(known).items() if not has}
    options = desk.options
    from_what = {
        "OCPPCommCtrlr.RetryBackOffRandomRange": "0",
        "OCPPCommCtrlr.RetryBackOffRepeatTimes": str(options.attempts),
        "OCPPCommCtrlr.RetryBackOffWaitMinimum": str(int(options.attempt_seconds)),
        "ClockCtrlr.DateTime": desk.now(), "SecurityCtrlr.Identity": desk.context.identity,
        "OCPPCommCtrlr.MessageTimeout[Default]": str(int(options.answer_seconds)),
        "LocalAuthListCtrlr.BytesPerMessage": "8192", "SmartChargingCtrlr.LimitChangeSignificance": "100",
    }
    for row in made_up():
        if row.place.component not in lacking:
            yield Row(row.place, row.value or from_what.pop(str(row.place), None))
    yield from (Row(place(at), value) for at, value in from_what.items() if place(at).component not in lacking)


def _required(known: Device) -> Iterator[Row]:
    """That of which nothing is known, of the components there are."""
    there = {*ALWAYS, *(component for component, has in features(known).items() if has)}
    own = (by_name().get(name.casefold()) for name in known.settings)
    there |= {key.home.component for key in own if key is not None and key.home is not None and key.field != "derived"}
    for at, variable in variables().items():
        if variable.required and at.component in there - {"EVSE", "Connector"}:
            yield Row(at)
