"""The names of the other lists, chargers, findings, transactions, the log, results of queries, and filters of their items.

Data: one line a field. An item is a struct of ``source``, asked by the names of its attributes; a finding is asked for what
its rule's group says too, where that is known, so one filter fits the list of rules and the list of one rule's findings.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

from msgspec import Struct

from ocpp_proxy.fields.compose import comparison
from ocpp_proxy.fields.predicate import combined, value_of_test
from ocpp_proxy.fields.registry import Field, Got, Vocabulary, vocabulary
from ocpp_proxy.fields.tree import Compare, Filter, Word
from ocpp_proxy.model import Severity

_WRITABLE = re.compile(r"""[^\s"'()\[\],=!<>~&|]+""")
_PLACES = ("evse", "connector")             # numbers that are names
SEVERITIES = tuple(severity.label for severity in Severity)
BLAMES = ("station", "csms", "network", "either", "proxy")


class Sought(Struct, frozen=True):
    """What a filter of findings looks at: a group (``FindingGroup``), or a finding (``Finding``) and its group if known."""

    code: str
    level: int
    blame: str
    identities: tuple[str, ...]
    chargers: int
    count: int
    title: str
    clause: str
    message: str
    time_ns: int


def of_group(group: Any) -> Sought:
    """A rule with all its findings."""
    return Sought(group.code, int(group.severity), group.blame, tuple(group.chargers), len(group.chargers), group.count,
                  group.title, group.spec_ref, group.message, group.last_ns)


def of_found(found: Any, group: Any = None) -> Sought:
    """One finding (``FoundAt``). ``chargers``, ``count`` and ``title`` are those of the group, where there is one."""
    finding = found.finding
    whole = of_group(group) if group is not None else None
    return Sought(
        finding.code, int(finding.severity), finding.blame, (finding.identity,), whole.chargers if whole else 1,
        whole.count if whole else finding.count, whole.title if whole else "", finding.spec_ref,
        f"{finding.message} {finding.path}".rstrip(), finding.time_ns)


def compile_items(where: Filter | None, words: Vocabulary) -> Callable[[Any], bool]:
    """Compile a filter that was parsed with ``words`` for the items of that list (None: everything passes)."""
    if where is None:
        return lambda item: True

    def leaf(node: Word | Compare) -> Callable[[Any], bool]:
        if isinstance(node, Word):
            return _word(node.text, words)
        field = words.fields[node.field]
        return value_of_test(node, field.get, field.many)
    return combined(where.root, leaf)


def texts_of(item: Any, field: Field) -> Iterable[str]:
    """The texts an item has of a field: what a bare word is looked for in, and what completion offers."""
    got = field.get(item)
    if isinstance(got, tuple):
        return got
    return (str(got),) if got is not None and field.type in ("text", "choice") else ()


def expression(item: Any, field: Field) -> str | None:
    """The filter that a value stands for: numbers, times and severities from there on, else the same; None: no value."""
    got = field.get(item)
    if isinstance(got, tuple):
        got = next(iter(got), None)
    if got is None:
        return None
    if field.type == "time":
        return _from_time(field.name, int(got))
    if field.type == "severity":
        return f"{field.name} >= {Severity(int(got)).label}"
    return comparison(field.name, got, ">=" if field.type == "number" and field.name not in _PLACES else "==")


def _from_time(name: str, time_ns: int) -> str | None:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)
    except OverflowError:                   # a clock beyond reason
        return None
    return f'{name} >= "{moment:%Y-%m-%dT%H:%M:%S.%fZ}"'


def of_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Vocabulary:
    """The vocabulary of a result: its columns, numbers where every value is one, else texts. An item is a row (a list).

    A column whose name the language cannot write (``count(*)``) needs ``AS`` to be one of them.
    """
    fields: dict[str, Field] = {}
    for at, column in enumerate(columns):
        if not _WRITABLE.fullmatch(column):
            continue
        values = [row[at] for row in rows if row[at] is not None]
        number = bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        name = column.lower()
        fields.setdefault(name, Field(name, "number" if number else "text", "a column", _column(at, number)))
    first = next(iter(fields.values()), None)
    example = "any text of a row" if first is None else f"{first.name} {'> 1' if first.type == 'number' else 'contains text'}"
    return vocabulary("results", fields.values(), example)


def _column(at: int, number: bool) -> Callable[[Any], Got]:
    def get(row: Any) -> Got:
        value = row[at]
        if value is None or number:
            return value            # type: ignore[no-any-return]    # a number: every value was looked at
        return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return get


def _word(text: str, words: Vocabulary) -> Callable[[Any], bool]:
    needle, fields = text.lower(), tuple(words.fields.values())
    return lambda item: any(needle in one.lower() for field in fields for one in texts_of(item, field))


def _of(name: str, *missing: object) -> Callable[[Any], Got]:
    """An attribute; None where it is empty or one of ``missing``."""
    get = attrgetter(name)

    def value(item: Any) -> Got:
        got: Got = get(item)
        return None if got == "" or got in missing else got
    return value


def _text(name: str, doc: str, *aliases: str, attribute: str = "", choices: tuple[str, ...] = ()) -> Field:
    return Field(name, "choice" if choices else "text", doc, _of(attribute or name), aliases, choices)


def _number(name: str, doc: str, *aliases: str, attribute: str = "") -> Field:
    return Field(name, "number", doc, _of(attribute or name), aliases)


def _time(name: str, doc: str, *aliases: str, attribute: str) -> Field:
    return Field(name, "time", doc, _of(attribute, 0), aliases)


def _severity(doc: str) -> Field:
    return Field("severity", "severity", doc, _of("level", -1), ("sev", "worst"), SEVERITIES)


def _duration(one: Any) -> Got:
    return (one.stopped_ns - one.started_ns) / 1e9 if one.started_ns and one.stopped_ns else None


def _many(name: str, doc: str, get: Callable[[Any], Got], *aliases: str) -> Field:
    return Field(name, "text", doc, get, aliases, many=True)


CHARGERS = vocabulary("chargers", (
    _text("identity", "the charger's identity", "station", "charger"),
    _text("state", "of its link", choices=("open", "closed", "refused")),
    _text("protocol", "the subprotocol, for example ocpp1.6", "version"),
    _text("vendor", "of its newest BootNotification"),
    _text("model", "of its newest BootNotification"),
    _text("firmware", "of its newest BootNotification"),
    _text("remote", "address it came from", "address"),
    _many("status", "status of a connector: any of them", lambda one: tuple(one.connectors.values())),
    _number("messages", "how many, both directions"),
    _number("rate", "messages a minute", "per_min"),
    _number("p95", "milliseconds within which 95 of 100 Calls were answered", "p95_ms", attribute="p95_ms"),
    _number("errors", "CALLERRORs and unanswered Calls", "error"),
    _number("findings", "how many"),
    _severity("the worst of its findings"),
    _number("reconnects", "connections after the first"),
    _number("outage", "seconds without a link", "outage_s", attribute="outage_s"),
    _time("seen", "its last frame", "last_seen", "time", attribute="last_seen_ns"),
    _time("opened", "begin of its link", attribute="opened_ns"),
), "state == open and errors > 0")

FINDINGS = vocabulary("findings", (
    _text("rule", "code of the rule, for example R05", "finding", "code", attribute="code"),
    _severity("how bad it is"),
    _text("blame", "whose fault it is", choices=BLAMES),
    _many("identity", "a charger it was found on", lambda one: tuple(filter(None, one.identities)), "station", "charger"),
    _number("count", "how often it was seen; of one finding in a list by rule: its rule's", "times"),
    _number("chargers", "on how many chargers"),
    _text("title", "what the rule is about", "what"),
    _text("clause", "of the standard", "spec", "spec_ref"),
    _text("message", "what was found, and where; of a rule that of the newest", "text"),
    _time("time", "when it was seen; of a rule the last time", "ts", "last", attribute="time_ns"),
), "severity >= error and blame == station")

TRANSACTIONS = vocabulary("transactions", (
    _text("identity", "the charger's identity", "station", "charger"),
    _text("tx", "transaction id", "transaction", attribute="tx_id"),
    _text("protocol", "the subprotocol, for example ocpp1.6", "version"),
    _number("evse", "EVSE number"),
    _number("connector", "connector number"),
    _text("token", "idTag or idToken", attribute="id_token"),
    _number("kwh", "energy by its meter values", "energy"),
    Field("duration", "number", "seconds from start to stop", _duration, ("seconds",)),
    _text("reason", "why it stopped"),
    Field("state", "choice", "whether it still runs", lambda one: "ended" if one.stopped_ns else "running", (),
          ("running", "ended")),
    _number("missing", "sequence numbers that never came (2.x)"),
    _time("started", "its start", "time", "start", attribute="started_ns"),
    _time("stopped", "its stop", "stop", attribute="stopped_ns"),
), "kwh > 10 and reason != Local")

LOG = vocabulary("log", (
    _text("level", "how grave", "severity", choices=("info", "warning", "error", "critical")),
    _text("process", "who says it: relay, recorder, supervisor, or audit (a person)"),
    _text("text", "what it says", "message"),
    _time("time", "when", "ts", attribute="time_ns"),
), "level != info and process == relay")

HELD = vocabulary("held messages", (
    _text("identity", "the charger's identity", "station", "charger"),
    _text("side", "who sent it", choices=("station", "csms")),
    _number("mtype", "2 CALL, 3 CALLRESULT, 4 CALLERROR, 6 SEND", "type"),
    _text("action", "of the Call"),
    _text("message_id", "its id", "id"),
    _text("by", "the plugin that holds it, or intercept", "plugin"),
    _text("reason", "why it is held"),
    _text("text", "all of it", "message"),
    _time("since", "when it came", "time", attribute="since_ns"),
), "side == station and action == BootNotification")

LISTS = (CHARGERS, FINDINGS, TRANSACTIONS, LOG, HELD)
