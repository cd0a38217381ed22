"""Owns the check of the configuration keys, of the variables that are made up, and of their homes."""

from collections import Counter
from collections.abc import Iterator

from ocpp_proxy_plugins.bridge.rows import KeyRow, Tables, VariableRow
from ocpp_proxy_plugins.bridge.schema import fields
from ocpp_proxy_plugins.bridge.tables import Place, place

VENDOR = "Bridge16"
NO_HOME = ("constant", "count")
DATA_TYPES = (
    "string", "decimal", "integer", "dateTime", "boolean", "OptionList", "SequenceList", "MemberList", "passwordString",
    "identifierString",
)
HOLDS = {
    "bool": ("boolean",), "int": ("integer", "decimal"), "text": ("string", "passwordString", "identifierString"),
    "list": ("OptionList", "SequenceList", "MemberList", "string"),
}
WRITTEN = {"boolean": ("true", "false")}


def key_faults(tables: Tables) -> Iterator[str]:
    """What is wrong with them."""
    most = fields("1.6", "ChangeConfiguration", False)["key"].max_length or 0
    for name, times in Counter(row.name for row in tables.keys).items():
        if times > 1:
            yield f"key {name} is there {times} times"
        if len(name) > most:
            yield f"key {name} has more than {most} characters"
    for row in tables.keys:
        yield from (f"key {row.name}: {problem}" for problem in _home(tables, row))
    yield from _shared(tables)
    yield from _made_up(tables)
    for component, members in tables.variables.items():
        for name, variable in members.items():
            if variable.type not in DATA_TYPES:
                yield f"variable {component}.{name}: {variable.type} is no type of data"


def standard(tables: Tables, at: Place) -> VariableRow | None:
    """What OCPP 2.0.1 says of a variable: of its component, or of any."""
    name = at.variable + (f"[{at.instance}]" if at.instance is not None else "")
    return tables.variables.get(at.component, {}).get(name) or tables.variables.get("*", {}).get(name)


def _home(tables: Tables, row: KeyRow) -> Iterator[str]:
    if not row.home:
        if row.field not in NO_HOME:
            yield f"{row.field} of what? It has no home"
        return
    if row.field in NO_HOME:
        yield f"what is {row.field} has no home"
    at = place(row.home)
    known = standard(tables, at)
    if at.component == VENDOR:
        if at.variable != row.name or at.instance is not None:
            yield f"in {VENDOR} it keeps its name"
    elif known is None:
        yield f"{row.home} is no variable of OCPP 2.0.1"
    elif row.field == "Actual" and known.type not in HOLDS.get(row.type, ()):
        yield f"a {row.type} does not fit {row.home}, which is {known.type}"
    for written in row.also_set:
        if standard(tables, place(written)) is None:
            yield f"{written} is no variable of OCPP 2.0.1"


def _shared(tables: Tables) -> Iterator[str]:
    homes: dict[tuple[str, str], str] = {}
    for row in tables.keys:
        if row.home:
            first = homes.setdefault((row.home, row.field), row.name)
            if first != row.name:
                yield f"key {row.name}: {row.home} ({row.field}) is the home of {first}"


def _made_up(tables: Tables) -> Iterator[str]:
    for name, times in Counter(row.variable for row in tables.made_up).items():
        if times > 1:
            yield f"made up {name}: there {times} times"
    for row in tables.made_up:
        known = standard(tables, place(row.variable))
        if known is None:
            yield f"made up {row.variable}: no variable of OCPP 2.0.1"
        elif not row.value and not row.note:
            yield f"made up {row.variable}: nothing says from what"
        elif row.value and known.type == "integer" and not row.value.isdecimal():
            yield f"made up {row.variable}: {row.value} is no integer"
        elif row.value and row.value not in WRITTEN.get(known.type, (row.value,)):
            yield f"made up {row.variable}: {row.value} is no {known.type}"
