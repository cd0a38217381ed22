"""The repairs of values: the few operations that profiles are written with. Each is a struct, named by its ``do``.

A path is one of ``ocpp_proxy.spec.selection``, as in the plugin rewrite.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from ocpp_proxy.api import Call, CallError
from ocpp_proxy.spec import actions
from ocpp_proxy.spec.selection import Deep, select
from ocpp_proxy_plugins.quirks.stamps import repaired
from ocpp_proxy_plugins.quirks.work import MOST, Work, inside, places

_STAMPS = {
    "zone": r'(?!\s*"[^"]*(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})")', "now": r'\s*"(?:[01][0-9]{3}|200[0-9])',
    "rfc3339": r'(?!\s*"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})")',
    "utc": r'(?!\s*"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")',
}


def named(path: str) -> str:
    """The name of the property that a path leads to, for a regular expression."""
    names = [part.name if isinstance(part, Deep) else part for part in select(path).parts if isinstance(part, str | Deep)]
    return re.escape(names[-1] if names else "")


def either(words: Iterable[str]) -> str:
    """Any of these, for a regular expression."""
    return "|".join(map(re.escape, words))


class Repairing(Protocol):
    """What every repair can do."""

    def sign(self) -> str | None:
        """A regular expression for the raw payload, from behind the ``"`` of a property name: without it there is nothing
        to repair. ``=`` and a literal: that has to be there. None: look at the values of every message."""

    def apply(self, work: Work) -> None:
        """Change the value of the message at hand, where it has to be."""


class Map(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="map"):
    """Put another text in place of these."""

    path: str
    values: dict[str, str]

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return rf'{named(self.path)}"\s*:\s*"(?:{either(self.values)})"'

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        for holder, key, path in places(work.value, self.path):
            found = holder[key]
            if isinstance(found, str) and found in self.values:
                holder[key] = self.values[found]
                work.note(path, f'"{found[:40]}" to "{holder[key]}"')


class Spelling(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="spelling"):
    """Spell a value of a list as the list has it (case, blanks around). What is not in the list stays."""

    path: str
    values: tuple[str, ...]

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return rf'{named(self.path)}"\s*:(?!\s*"(?:{either(self.values)})")'

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        known = {value.lower(): value for value in self.values}
        for holder, key, path in places(work.value, self.path):
            found = holder[key]
            right = known.get(found.strip().lower()) if isinstance(found, str) else None
            if right is not None and found != right:
                holder[key] = right
                work.note(path, f'to "{right}"')


class Delete(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="delete"):
    """Leave a property out: when its value is one of ``only``, or not one of ``known``; with neither: always."""

    path: str
    only: tuple[Any, ...] = ()
    known: tuple[Any, ...] = ()

    def sign(self) -> str | None:
        """As ``Repairing``."""
        known = either(msgspec.json.encode(one).decode() for one in self.only or self.known)
        if not known:
            return f'{named(self.path)}"'
        return rf'{named(self.path)}"\s*:\s*(?:{known})' if self.only else rf'{named(self.path)}"\s*:(?!\s*(?:{known}))'

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        for holder, key, path in places(work.value, self.path):
            found = holder[key]
            if (not self.only or _among(found, self.only)) and not _among(found, self.known) and isinstance(holder, dict):
                del holder[key]
                work.lose(path, "dropped")


def _among(value: Any, wanted: tuple[Any, ...]) -> bool:
    return any(type(value) is type(one) and value == one for one in wanted)


class Fill(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="fill"):
    """Give a property that is missing or an empty text this value. Its object has to be there."""

    path: str
    value: Any

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return None

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        parent, _, name = self.path.rpartition(".")
        inside = [(holder[key], path) for holder, key, path in places(work.value, parent)] if len(parent) > 1 else []
        holders = inside if len(parent) > 1 else [(work.value, "$")]
        for holder, path in holders:
            if isinstance(holder, dict) and holder.get(name) in (None, ""):
                holder[name] = self.value
                work.lose(f"{path}.{name}", "invented")


class Text(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="text"):
    """Write a number or boolean as the text that the schema asks for."""

    path: str

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return rf'{named(self.path)}"\s*:\s*[-0-9tf]'

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        for holder, key, path in places(work.value, self.path):
            found = holder[key]
            if isinstance(found, bool):
                holder[key] = "true" if found else "false"
            elif isinstance(found, int | float):
                holder[key] = repr(found)
            else:
                continue
            work.note(path, "as text")


class Number(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="number"):
    """Write a text that is a whole number (at most 15 digits) as the number that the schema asks for."""

    path: str

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return rf'{named(self.path)}"\s*:\s*"'

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        for holder, key, path in places(work.value, self.path):
            found = holder[key]
            if isinstance(found, str) and re.fullmatch(r"\s*-?[0-9]{1,15}\s*", found):
                holder[key] = int(found)
                work.note(path, "as number")


class Cut(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="cut"):
    """Cut a text to so many characters."""

    path: str
    length: int

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return rf'{named(self.path)}"\s*:\s*"(?:[^"\\]|\\.){{{self.length + 1}}}'

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        for holder, key, path in places(work.value, self.path):
            found = holder[key]
            if isinstance(found, str) and len(found) > self.length:
                holder[key] = found[: self.length]
                work.lose(path, "shortened")


class Comma(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="comma"):
    """Write a decimal point for a decimal comma."""

    path: str

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return rf'{named(self.path)}"\s*:\s*"\s*[+-]?[0-9]+,'

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        for holder, key, path in places(work.value, self.path):
            found = holder[key]
            signed = isinstance(holder, dict) and holder.get("format") == "SignedData"
            if isinstance(found, str) and not signed and re.fullmatch(r"\s*[+-]?[0-9]+,[0-9]+\s*", found[:60]):
                holder[key] = found.replace(",", ".").strip()
                work.note(path, "with a decimal point")


class Round(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="round"):
    """Cut a number to so many decimals, towards zero: a limit must not grow. No decimals: a whole number."""

    path: str
    digits: int = 1

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return rf'{named(self.path)}"\s*:\s*-?[0-9]+(?:[eE]|\.[0-9]{{{self.digits + 1}}}|\.[0-9]+[eE])'

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        for holder, key, path in places(work.value, self.path):
            found = holder[key]
            if not isinstance(found, float) or not abs(found) < 1e12:
                continue
            step = 10**self.digits
            right = int(found) if not self.digits else round(found, self.digits)
            if self.digits and abs(right - found) > 1e-9:
                right = int(found * step) / step
            if right != found:
                holder[key] = right
                work.lose(path, "shortened")


class Scale(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="scale"):
    """Multiply the value of the samples of a measurand and unit. What is no number stays."""

    path: str
    measurand: str
    unit: str
    factor: float

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return f'{named(self.path)}"'

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        for holder, key, path in places(work.value, self.path):
            sample = holder[key]
            if not isinstance(sample, dict) or sample.get("unit", "Wh") != self.unit:
                continue
            found = sample.get("value")
            if (fnmatchcase(str(sample.get("measurand", "Energy.Active.Import.Register")), self.measurand)
                    and isinstance(found, str) and re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,6})?", found)):
                sample["value"] = f"{round(float(found) * self.factor, 3):.3f}".rstrip("0").rstrip(".")
                work.note(f"{path}.value", f"times {self.factor:g}")


class Stamp(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="stamp"):
    """Write a time stamp as it has to be.

    ``to``: ``zone`` (with the zone it lacks, learnt from the charger's clock), ``rfc3339`` (another spelling of the same),
    ``now`` (of a clock that was never set: the time it came), ``utc`` (whole seconds and Z).
    """

    path: str
    to: Literal["zone", "rfc3339", "now", "utc"]

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return rf'{named(self.path)}"\s*:{_STAMPS[self.to]}'

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        for holder, key, path in places(work.value, self.path):
            found = holder[key]
            right = repaired(found, self.to, work.context.now_ns, work.stamps) if isinstance(found, str) else None
            if right is None or right == found:
                continue
            holder[key] = right
            if self.to in ("zone", "now"):
                work.lose(path, "invented")
            else:
                work.note(path, f"to {right}")


class Nulls(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="nulls"):
    """Leave out properties whose value is null, at any depth."""

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return "=null"

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        for holder, at in list(inside(work.value, "$"))[:MOST]:
            for name in [name for name, inner in holder.items() if inner is None]:
                del holder[name]
                work.note(f"{at}.{name}", "null left out")


class Unknown(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="unknown"):
    """Leave out the properties that the schema does not know (finding R16)."""

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return None

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        for finding in work.context.findings(work.message):
            if finding.code == "R16" and finding.path:
                for holder, key, path in places(work.value, re.sub(r"\[\d+\]", "[*]", finding.path)):
                    if isinstance(holder, dict):
                        del holder[key]
                        work.lose(path, "dropped")


class Transaction(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="transaction"):
    """Put the id that the CSMS gave last for the connector (of a StopTransaction: for the only open one) in place of none.

    What counts as none: -1, 0, null, a text that is no number. Where no id is known nothing changes.
    """

    path: str = "$.transactionId"

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return rf'{named(self.path)}"\s*:(?!\s*[1-9])'

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        value, known = work.value, work.transactions
        connector = value.get("connectorId") if isinstance(value, dict) else None
        right = known.get(connector) if isinstance(connector, int) else None
        if connector is None and len(known) == 1:
            right = next(iter(known.values()))
        for holder, key, path in places(value, self.path):
            if right is not None and _is_none(holder[key]) and right != holder[key]:
                holder[key] = right
                work.lose(path, "invented")


def _is_none(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip().isdecimal()) or (
        type(value) is int and value in (-1, 0)
    )


class Absolute(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="absolute"):
    """Make a Relative charging profile Absolute, starting now."""

    path: str

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return f'{named(self.path)}"'

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        for holder, key, path in places(work.value, self.path):
            profile = holder[key]
            schedule = profile.get("chargingSchedule") if isinstance(profile, dict) else None
            if isinstance(schedule, dict) and profile.get("chargingProfileKind") == "Relative":
                start = datetime.fromtimestamp(work.context.now_ns // 1_000_000_000, UTC)
                profile["chargingProfileKind"] = "Absolute"
                schedule["startSchedule"] = start.strftime("%Y-%m-%dT%H:%M:%SZ")
                work.note(f"{path}.chargingProfileKind", "Relative to Absolute")
                work.lose(f"{path}.chargingSchedule.startSchedule", "invented")


class Rename(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="rename"):
    """Give a property its right name, where there is none of that name."""

    path: str
    name: str

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return f'{named(self.path)}"'

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        for holder, key, path in places(work.value, self.path):
            if isinstance(holder, dict) and self.name not in holder:
                holder[self.name] = holder.pop(key)
                work.note(path, f"to {self.name}")


class List(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="list"):
    """Put an object that stands where a list of them is asked into a list."""

    path: str

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return rf'{named(self.path)}"\s*:\s*\{{'

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        for holder, key, path in places(work.value, self.path):
            if isinstance(holder[key], dict):
                holder[key] = [holder[key]]
                work.note(path, "into a list")


class Action(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="action"):
    """Spell an action as the version of the link does (case)."""

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return None

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        message = work.message
        known = actions.known(next(iter(work.context.versions.values()), ""))
        if isinstance(message, Call) and message.action not in known:
            right = next((name for name in known if name.lower() == message.action.lower()), "")
            if right:
                work.message = Call(message.payload, right, message.message_id)
                work.note("$", f'action "{message.action[:40]}" to "{right}"')


class ErrorCode(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="error_code"):
    """Put another error code in place of these."""

    values: dict[str, str]

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return None

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        message = work.message
        if isinstance(message, CallError) and message.code in self.values:
            right = self.values[message.code]
            work.message = CallError(message.payload, right, message.description, message.message_id)
            work.note("$", f'error code "{message.code[:40]}" to "{right}"')


class Details(Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="details"):
    """Make errorDetails the object they have to be: null an empty one, anything else its ``details``."""

    def sign(self) -> str | None:
        """As ``Repairing``."""
        return None

    def apply(self, work: Work) -> None:
        """As ``Repairing``."""
        if isinstance(work.message, CallError) and not isinstance(work.value, dict):
            work.value = {} if work.value is None else {"details": work.value}
            work.note("$", "error details as an object")


Repair = (
    Map | Spelling | Delete | Fill | Text | Number | Cut | Comma | Round | Scale | Stamp | Nulls | Unknown | Transaction
    | Absolute | Rename | List | Action | ErrorCode | Details
)
ON_ERRORS = (ErrorCode, Details)
"""Those that are for CALLERRORs; all others are not."""
