"""Owns the check of the tables against the official schemas: what ``ocpp-proxy bridge check`` says."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from ocpp_proxy.model import Side
from ocpp_proxy.spec import actions, errors, schemas
from ocpp_proxy_plugins.bridge.check_fields import Leg, compiled, fit_row, legal_value
from ocpp_proxy_plugins.bridge.check_keys import key_faults
from ocpp_proxy_plugins.bridge.near_check import near_faults
from ocpp_proxy_plugins.bridge.rows import (
    DOWN,
    UP,
    VERSIONS,
    ActionRow,
    EnumRow,
    Rows,
    Tables,
    of_target,
    other,
    read,
    sender_version,
)
from ocpp_proxy_plugins.bridge.schema import covers, fields

SEVERAL = ("choose", "split", "fsm")
ONE_OF = ("choose", "split")                # each of their targets stands alone: what it does not carry is lost


class Half(Struct, frozen=True):
    """The request or the answer of an action: rows whose paths may name a target at ``side`` (0 source, 1 target)."""

    where: str
    rows: Rows
    dropped: Mapping[str, str]
    made: Mapping[str, Any]
    constants: Mapping[str, Any]
    side: int


def faults(tables: Tables | None = None) -> list[str]:
    """What is wrong with the tables, one sentence each; [] when nothing is. None: with all there are."""
    judged = read() if tables is None else tables
    found = [*_coverage(judged), *_enums(judged), *_names(judged), *_errors(judged), *key_faults(judged)]
    for direction in (UP, DOWN):
        for row in judged.actions(direction):
            version = sender_version(direction, row.sender)
            where = f"{direction} {row.sender} {row.name}"
            if row.name in actions.known(version):
                found.extend(_action(judged, row, version, where))
    if tables is None:
        found.extend(near_faults())
    return list(dict.fromkeys(found))


def _coverage(tables: Tables) -> Iterator[str]:
    for direction in (UP, DOWN):
        have = Counter((row.sender, row.name) for row in tables.actions(direction))
        for side in Side:
            version = sender_version(direction, side)
            sent = {name for name in actions.known(version) if actions.direction(version, name) in (side, "both")}
            for name in sorted(sent):
                if have[side.value, name] != 1:
                    yield f"{direction}: {name} of the {side} is there {have[side.value, name]} times"
            for sender, name in have:
                if sender == side and name not in sent:
                    yield f"{direction}: the {side} sends no {name} in OCPP {version}"


def _action(tables: Tables, row: ActionRow, version: str, where: str) -> Iterator[str]:
    peer = other(version)
    unknown = [name for name in row.targets if actions.direction(peer, name) not in (Side(row.sender), "both")]
    if unknown:
        yield f"{where}: the {row.sender} sends no {', '.join(unknown)} in OCPP {peer}"
        return
    yield from _local(row, version, where)
    if row.kind == "local":
        if row.targets or row.request or row.answer:
            yield f"{where}: answered locally, and yet it has a target"
        return
    if not row.targets or (row.kind != "fanout" and (len(row.targets) > 1) != (row.kind in SEVERAL)):
        yield f"{where}: {len(row.targets)} targets do not fit {row.kind}"
        return
    request = Half(f"{where} request", row.request, row.dropped, row.made, {**row.fixed, **row.invented}, 1)
    answer = Half(f"{where} answer", row.answer, row.answer_dropped, row.answer_made, row.answer_fixed, 0)
    yield from _paths(row, request)
    yield from _paths(row, answer)
    yield from _half(tables, row, request, version)
    yield from _half(tables, row, answer, peer)


def _paths(row: ActionRow, half: Half) -> Iterator[str]:
    """A name in front of a path has to be one of the targets."""
    written = [*half.dropped, *half.made, *half.constants, *(path for line in half.rows for path in line[:2])]
    for path in written:
        name, colon, _ = path.partition(":")
        if colon and name not in row.targets:
            yield f"{half.where}: {path}: {name} is none of the targets"


def _half(tables: Tables, row: ActionRow, half: Half, version: str) -> Iterator[str]:
    """One half, target by target. ``version``: that its source fields are of."""
    answer = half.side == 0
    gone: dict[str, set[str]] = {}
    for target in row.targets:
        ours, theirs = (target, row.name) if answer else (row.name, target)
        source, goal = fields(version, ours, answer), fields(other(version), theirs, answer)
        leg = Leg(f"{half.where} {target}" if len(row.targets) > 1 else half.where, tables, version, source, goal)
        lines = list(_lines(half.rows, target, row.targets, half.side))
        dropped = {path for path in (of_target(one, target, row.targets) for one in half.dropped) if path is not None}
        yield from compiled(leg, lines)
        for line in lines:
            yield from fit_row(leg, *line)
        yield from _dropped(leg, lines, dropped)
        yield from _filled(leg, row, half, target, lines)
        gone[target] = {line[0] for line in lines} | dropped
    alone = row.kind in ONE_OF or answer
    for target in row.targets:
        used = gone[target] if alone else set().union(*gone.values())
        source = fields(version, target if answer else row.name, answer)
        for path in source.leaves():
            if not covers(used, path):
                yield f"{half.where}: {target}: {path} is neither carried nor dropped"


def _lines(rows: Rows, target: str, targets: tuple[str, ...], side: int) -> Iterator[tuple[str, str, str]]:
    for line in rows:
        here = of_target(line[side], target, targets)
        if here is not None:
            yield (here, line[1], line[2]) if side == 0 else (line[0], here, line[2])


def _dropped(leg: Leg, lines: list[tuple[str, str, str]], dropped: set[str]) -> Iterator[str]:
    carried = {line[0] for line in lines}
    for path in sorted(dropped):
        if path not in leg.source:
            yield f"{leg.where}: dropped {path} is no field of OCPP {leg.version}"
        elif path in carried:
            yield f"{leg.where}: {path} is carried and dropped"


def _filled(leg: Leg, row: ActionRow, half: Half, target: str, lines: list[tuple[str, str, str]]) -> Iterator[str]:
    """What is made up exists and is legal; what is required is there."""
    filled = {line[1] for line in lines if line[1]}
    for path, value in half.constants.items():
        here = of_target(path, target, row.targets)
        if here is not None:
            filled.add(here)
            yield from legal_value(leg, here, value)
    for path in half.made:
        here = of_target(path, target, row.targets)
        if here is not None:
            filled.add(here)
            if here not in leg.target:
                yield f"{leg.where}: made {here} is no field of OCPP {other(leg.version)}"
    if half.side == 0 and row.local is not None and row.kind == "optional":
        filled.update(row.local)
    for path in leg.target.leaves():
        if leg.target.needed(path, filled) and not covers(filled, path):
            yield f"{leg.where}: {path} is required and comes from nowhere"


def _local(row: ActionRow, version: str, where: str) -> Iterator[str]:
    if row.local is not None:
        for fault in schemas.check(version, row.name, True, row.local):
            yield f"{where} local answer: {fault.path}: {fault.message}"
    elif row.kind == "local":
        answer = fields(version, row.name, True)
        made = set(row.answer_made)
        yield from (f"{where} local answer: {path} is no field of OCPP {version}" for path in made if path not in answer)
        for path in answer.leaves():
            if answer.needed(path, made) and not covers(made, path):
                yield f"{where} local answer: {path} is required and comes from nowhere"
        if not made:
            yield f"{where}: there is no local answer"


def _enums(tables: Tables) -> Iterator[str]:
    for name, row in tables.enums.items():
        legal = []
        for written in (row.source, row.target):
            place = _located(written)
            if not place:
                yield f"enum {name}: {written} is no list of values"
            legal.append(place)
        yield from _values(name, row, legal[0], legal[1])


def _located(written: str) -> frozenset[str]:
    """The values of the field that is written as "VERSION ACTION [answer]: PATH"; empty where there is none."""
    message, _, path = written.partition(": ")
    version, _, rest = message.partition(" ")
    action = rest.removesuffix(" answer")
    known = fields(version, action, rest != action).get(path) if version in VERSIONS else None
    return frozenset(known.enum) if known is not None else frozenset()


def _values(name: str, row: EnumRow, source: frozenset[str], target: frozenset[str]) -> Iterator[str]:
    told = [*row.same, *row.values, *row.handled]
    yield from (f"enum {name}: {value} is told {times} times" for value, times in Counter(told).items() if times > 1)
    yield from (f"enum {name}: {value} goes nowhere" for value in sorted(source - set(told)))
    yield from (f"enum {name}: {value} is no value of {row.source}" for value in sorted(set(told) - source))
    yield from (f"enum {name}: {value} is no value of {row.target}" for value in sorted(set(row.table.values()) - target))
    yield from (f"enum {name}: nothing says why {value} has no counterpart" for value, why in row.handled.items() if not why)


def _names(tables: Tables) -> Iterator[str]:
    for name, table in tables.names.items():
        for value, times in Counter(table.values()).items():
            if times > 1:
                yield f"names {name}: {value} cannot be read backwards"


def _errors(tables: Tables) -> Iterator[str]:
    for version in VERSIONS:
        if version not in tables.errors:
            yield f"errors: there is no table of the codes of OCPP {version}"
            continue
        table = tables.errors[version].table
        yield from (f"errors {version}: {code} goes nowhere" for code in sorted(errors.CODES[version] - set(table)))
        yield from (f"errors {version}: {code} is no code" for code in sorted(set(table) - errors.ALL_CODES))
        illegal = sorted(set(table.values()) - errors.CODES[other(version)])
        yield from (f"errors {version}: {code} is no code of OCPP {other(version)}" for code in illegal)
