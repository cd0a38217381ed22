"""Owns texts that are hard to take: OCPP-like and broken in every way JSON, UTF-8 and the standard can be."""

import json
import random
from collections.abc import Callable

from tests.core.streams import ANSWERS, CALLS, ODD

DEEP = (190, 199, 200, 201, 300, 512, 5000, 100_000)
NUMBERS = (
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "1e308", "1e309", "-1e999",
    "0.1e-400", "1" * 400, "-0", "-0.0", "1E5", "NaN", "Infinity", "-Infinity", "0x10", "01", "1.", ".5", "+1", "1_000",
)
STRINGS = (
    '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\ud83d\\ude00"', '"\x00"', '"\t"', '"\x7f\x9f"', '"a\\qb"', '"\\u12"', '"',
    '"\u202e\u2066"', '"\ufeff"', '"' + "x" * 3000 + '"', '""', '" "', '"\\\\"', '"\\""', "'a'", '"é"', '"\U0001f600"',
)
BYTES = (
    b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\x80", b"\xef\xbb\xbf", b"\x00", b"\x1b[2J",
    b"\r\n", b"\xfe\xff\x00[", b"\xc2\x85",
)
KEYS = ('"idTag"', '"connectorId"', '"transactionId"', '"timestamp"', '"meterValue"', '"a"', '""', '"idTag"')
ACTIONS = (
    "Heartbeat", "Authorize", "BootNotification", "StatusNotification", "MeterValues", "StartTransaction", "StopTransaction",
    "TransactionEvent", "DataTransfer", "ChangeConfiguration", "SetVariables", "NotifyPeriodicEventStream", "nope", "é", "",
)


def text(pick: random.Random, *, large: bool = False) -> bytes:
    """One text. ``large``: now and then over the cap for what is decoded at once."""
    made = pick.choice(_MAKERS)(pick)
    if pick.random() < 0.15:
        at = pick.randrange(len(made) + 1)
        made = made[:at] + pick.choice(BYTES) + made[at + pick.choice((0, 1)) :]
    if pick.random() < 0.05:
        made = made[: pick.randrange(len(made) + 1)]
    if large:
        made = b'[2,"big","DataTransfer",{"vendorId":"v","data":"' + b"x" * ((1 << 20) + pick.randrange(99)) + b'"}]' + made[:3]
    return made


def value(pick: random.Random, depth: int = 0) -> str:
    """A JSON value, or nearly one."""
    kind = pick.random()
    if kind < 0.3 or depth > 4:
        return pick.choice(NUMBERS)
    if kind < 0.6:
        return pick.choice(STRINGS)
    if kind < 0.7:
        return pick.choice(("true", "false", "null", "{}", "[]", "nul", ""))
    many = range(pick.randrange(4))
    if kind < 0.9:
        return "{" + ",".join(f"{pick.choice(KEYS)}:{value(pick, depth + 1)}" for _ in many) + "}"
    return "[" + ", ".join(value(pick, depth + 1) for _ in many) + "]"


def _bytes(words: str) -> bytes:
    return words.encode("utf-8", "surrogatepass")


def _call(pick: random.Random) -> bytes:
    mtype = pick.choice(("2", "2", "2", "6", '"2"', "2.0", "7", "-1", "null", "2" * 30))
    key = pick.choice(('"1"', '"2"', '"k"', "7", "null", '""', '"' + "i" * 40 + '"', *STRINGS[:6]))
    blank = pick.choice(("", "", " ", "\n\t", "\u00a0"))
    action = pick.choice(ACTIONS) if pick.random() < 0.9 else pick.choice(STRINGS)[1:-1]
    return _bytes(f'{blank}[{mtype},{blank}{key}{blank},"{action}",{value(pick)}]{blank}')


def _answer(pick: random.Random) -> bytes:
    key = pick.choice(("1", "2", "k", "zz"))
    kind = pick.random()
    if kind < 0.4:
        return _bytes(f'[3,"{key}",{value(pick)}]')
    if kind < 0.6:
        return f'[3,"{key}",{pick.choice(ANSWERS)}]'.encode()
    error = pick.choice(("InternalError", "FormatViolation", "FormationViolation", "Oops", ""))
    return _bytes(f'[{pick.choice("45")},"{key}","{error}",{pick.choice(STRINGS)},{value(pick)}{pick.choice(("", ",1"))}]')


def _plain(pick: random.Random) -> bytes:
    body = pick.choice(CALLS)
    return f'[2,"{pick.choice("12k")}",{body % 1 if "%d" in body else body}]'.encode()


def _secret(pick: random.Random) -> bytes:
    """What masking looks into, with values that it does not expect."""
    odd, other = (pick.choice((value(pick), *STRINGS, '"ftp://u:p\\ud800@h/\\udc00"', '"ftp://u:p@h/"')) for _ in range(2))
    name = pick.choice(("AuthorizationKey", "authorizationkey", "\\ud800Password", "HeartbeatInterval"))
    body = pick.choice((
        f'"ChangeConfiguration",{{"key":"{name}","value":{odd}}}',
        f'"ChangeConfiguration",{{"key":"{name}","value":"a","value":{odd}}}',
        f'"UpdateFirmware",{{"location":{odd},"retrieveDate":{other}}}',
        f'"GetDiagnostics",{{"location":{odd},"location":{other}}}',
        f'"SetNetworkProfile",{{"connectionData":{{"apn":{{"apnPassword":{odd},"simPin":{other}}},"vpn":{other}}}}}',
        f'"SetVariables",{{"setVariableData":[{{"attributeValue":{odd},"component":{{"name":"SecurityCtrlr"}},'
        f'"variable":{{"name":"BasicAuthPassword"}}}},{other}]}}',
        f'"DataTransfer",{{"vendorId":"v","data":{odd},"password":{other}}}', f'"{name}",{{"password":{odd},"{name}":{other}}}',
    ))
    entry = f'{{"key":"{name}","readonly":false,"value":{odd}}}'
    answer = f'[3,"{pick.choice("12k")}",{{"configurationKey":[{entry}],"password":{other}}}]'
    error = f'[4,"{pick.choice("12k")}","InternalError",{odd},{{"password":{other}}}]'
    return _bytes(pick.choice((f'[2,"{pick.choice("12k")}",{body}]', f'[2,"k",{body}]', answer, error)))


def _deep(pick: random.Random) -> bytes:
    depth = pick.choice(DEEP[:6] if pick.random() < 0.9 else DEEP)
    open_, close = pick.choice((("[", "]"), ('{"a":', "}")))
    inner = open_ * depth + "1" + close * (depth if pick.random() < 0.5 else 0)
    return f'[2,"1","DataTransfer",{{"vendorId":"v","data":{inner}}}]'.encode()


def _wide(pick: random.Random) -> bytes:
    many = pick.choice((1, 100, 3000))
    inner = pick.choice((",".join(['"idTag":1'] * many), ",".join(f'"k{number}":{number}' for number in range(many))))
    return f'[2,"1","Authorize",{{{inner}}}]'.encode()


def _noise(pick: random.Random) -> bytes:
    return pick.randbytes(pick.choice((0, 1, 10, 200)))


def _words(pick: random.Random) -> bytes:
    made = "".join(chr(pick.choice((pick.randrange(128), pick.randrange(0x110000)))) for _ in range(pick.randrange(40)))
    return json.dumps([2, made, made, {made: made}], ensure_ascii=pick.random() < 0.5).encode("utf-8", "surrogatepass")


_MAKERS: tuple[Callable[[random.Random], bytes], ...] = (
    _call, _call, _call, _answer, _answer, _plain, _secret, _secret, _deep, _wide, _noise, _words,
    lambda pick: pick.choice(ODD),
)
