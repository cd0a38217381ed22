"""Owns how the text of a setting changes: the value of a 1.6 configuration key, and that of its variable in 2.0.1."""

import re
from collections.abc import Iterable, Mapping, Sequence

from ocpp_proxy_plugins.bridge.tables import Key

REGISTER = "Energy.Active.Import.Register"
MOST_PHASED, MOST_NAME = 100, 50            # names with a phase that are remembered of a key, and their length
LONGEST_MEASURAND = 31                      # characters of the longest name, "Energy.Reactive.Export.Interval"
_PHASE = re.compile(r"\.(?:L[123](?:-N)?|N|L1-L2|L2-L3|L3-L1)$")
_UNITS_UP = {"current": "A", "power": "W"}
_UNITS_DOWN = {"A": "Current", "W": "Power"}
_KEY_BYTES = range(16, 21)                  # of an AuthorizationKey (security white paper of 1.6, 4.2)
_PASSWORD = re.compile(r"[\x20-\x7e]{16,40}").fullmatch
_ROTATION = re.compile(r"(\d{1,4})\.(.+)").fullmatch


def items(text: str) -> list[str]:
    """What stands between the commas."""
    return [one for one in (part.strip() for part in text.split(",")) if one]


def measurand(name: str) -> str:
    """Without its phase: 1.6 has ``Voltage.L1``."""
    return _PHASE.sub("", name)


def measurands(text: str) -> str:
    """A list of 1.6 as 2.0.1 has it: no phases, each once."""
    return ",".join(dict.fromkeys(map(measurand, items(text))))


def phased(text: str, remembered: Iterable[str]) -> str:
    """A list of 2.0.1 with the phases that 1.6 had it with before."""
    found: dict[str, list[str]] = {}
    for name in remembered:
        found.setdefault(measurand(name), []).append(name)
    return ",".join(name for one in items(text) for name in found.get(one, [one]))


def phases(text: str, remembered: Sequence[str] = ()) -> tuple[str, ...]:
    """What is to be remembered of a list of 1.6: the names with a phase; of measurands that it lacks those of before."""
    names = items(text)
    said = set(map(measurand, names))
    kept = [name for name in remembered if measurand(name) not in said]
    found = (*kept, *(name for name in dict.fromkeys(names) if measurand(name) != name))
    return tuple(name for name in found if len(name) <= MOST_NAME)[-MOST_PHASED:]


def with_register(text: str) -> str:
    """A list of measurands with the one that ``meterStart`` and ``meterStop`` come from."""
    names = items(text)
    return ",".join(names if REGISTER in names else [REGISTER, *names])


def up(key: Key, text: str) -> str | None:
    """The value of a key as its variable has it; None: 2.0.1 has no such value."""
    if key.codec == "measurands":
        return measurands(text)
    if key.codec == "rate units":
        return ",".join(_UNITS_UP.get(one.casefold(), one) for one in items(text))
    if key.codec == "password":
        return _password(text)
    if key.name == "SecurityProfile" and text.strip() == "0":
        return None
    return _plain(key, text)


def down(key: Key, text: str, remembered: Iterable[str] = ()) -> str | None:
    """The value of a variable as its key has it; None: 1.6 has no such value. ``remembered``: names with a phase."""
    if key.codec == "measurands":
        return phased(text, remembered)
    if key.codec == "rate units":
        return ",".join(_UNITS_DOWN.get(one, one) for one in items(text))
    if key.codec == "password":
        octets = text.encode()
        return octets.hex().upper() if len(octets) in _KEY_BYTES else None
    return _plain(key, text)


def _plain(key: Key, text: str) -> str:
    """1.6 does not care for the case of true and false, 2.0.1 does."""
    folded = text.strip().casefold()
    return folded if key.type == "bool" and folded in ("true", "false") else text


def _password(text: str) -> str | None:
    """The octets of a key, where they are a text that a password may be."""
    try:
        found = bytes.fromhex(text).decode("ascii")
    except ValueError:
        return None
    return found if _PASSWORD(found) else None


# ---- phase rotation: "0.RST,1.RTS" is one variable for the station and one for each connector ----

def rotations(text: str) -> dict[int, str]:
    """Connector -> rotation; one without a number is that of the station (0)."""
    found: dict[int, str] = {}
    for one in items(text):
        match = _ROTATION(one)
        number, value = (int(match[1]), match[2]) if match else (0, one)
        found[number] = value.strip()
    return found


def rotation_list(found: Mapping[int, str]) -> str:
    """The value of ConnectorPhaseRotation."""
    return ",".join(f"{number}.{value}" for number, value in sorted(found.items()))


# ---- lengths: 1.6 counts the items of a list, 2.0.1 its characters ----

def characters(count: int) -> int:
    """How long a list of so many measurands may be."""
    return max(0, count * (LONGEST_MEASURAND + 1) - 1)


def count_of(length: float) -> int:
    """How many measurands a list of so many characters holds, whatever they are."""
    return max(1, (int(length) + 1) // (LONGEST_MEASURAND + 1))
