"""Owns what a rule is: how one is declared, found and dispatched. A rule is one small function with a code.

A rule gives candidates (``Hit``); its guards (``unless``) say which of them are no fault after all. Both can be taken
away for a test: a rule that is off must be missed, and a guard that is dropped must let a false finding through.
"""

from collections.abc import Callable, Iterable
from types import MappingProxyType

from msgspec import Struct

from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.settings import OFF, Settings
from ocpp_proxy.model import Blame, ConfigError, Severity, Side

EVENTS = MappingProxyType({
    "link": "a charger connected (LinkOpened)",
    "handshake": "an HTTP answer reached the charger, or its request ended without one",
    "frame": "a frame the lenient reader found a fault in, or a binary frame",
    "control": "a Ping, Pong or Close frame",
    "note": "a fact the relay noted",
    "closed": "a link ended",
    "due": "a deadline the rule has set has passed (``context.due_key``)",
    "envelope": "a message whose envelope has faults, or that cannot be decoded",
    "call": "a CALL or SEND of a known action",
    "result": "a CALLRESULT with its Call",
    "error": "a CALLERROR or CALLRESULTERROR",
    "stranger": "a Call whose action its sender may not send, or that the version does not know",
    "faults": "a payload that does not fit the schema (``context.faults``)",
    "reused": "a message id the sender has used before",
    "overlap": "a Call while another of the same sender is open",
    "repeat": "a Call with action and payload of the sender's last one, which got no result",
    "lenient": "a CALLRESULT to a Call whose payload does not fit the schema",
    "orphan": "an answer that no open Call waits for",
    "unanswered": "a Call whose time limit has passed (``context.call``)",
    "unregistered": "a Call of a station that is Pending or Rejected",
})
BY_ACTION = ("call", "result")          # the events a rule's ``actions`` restrict
JSON_VERSIONS = ("1.2", "1.5", "1.6", "2.0", "2.0.1", "2.1")
V1 = ("1.2", "1.5", "1.6")
V2 = ("2.0", "2.0.1", "2.1")


class Hit(Struct):
    """A candidate for a finding. What is left out comes from the rule or the record at hand.

    ``cause`` tells apart what is counted together: hits of one rule with one cause are one finding. ``fact`` is for the
    guards. ``at_ns`` and ``msg_no`` replace time and message of the record (deadlines, findings about the Call).
    """

    message: str
    path: str = ""
    blame: Blame | None = None
    severity: Severity | None = None
    cause: str = ""
    evidence: tuple[int, ...] = ()
    fact: object = None
    at_ns: int = 0
    msg_no: int | None = None


Hits = Iterable[Hit]
Check = Callable[[Context], Hits]
Guard = Callable[[Context, Hit], bool]
Where = Callable[[str, str, bool], bool]


class Rule(Struct, frozen=True):
    """A rule as declared. Empty ``versions``: all of them, also an unknown one.

    ``actions`` restricts the events "call" and "result"; empty: every known action (dear: such a rule meets each Heartbeat).
    """

    code: str
    title: str
    severity: Severity
    blame: Blame
    events: tuple[str, ...]
    check: Check
    means: str
    remedy: str
    spec: str = ""
    versions: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    where: Where | None = None              # as ``actions``, asked once per version, action, answer: (str, str, bool)
    unless: tuple[Guard, ...] = ()
    memory: type[Struct] | None = None
    scope: str = "link"                     # where it counts and remembers: link or station


Rules = tuple[Rule, ...]


class Registry:
    """Rules by code."""

    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}

    def rule(
        self, code: str, title: str, *, severity: Severity, blame: Blame, on: tuple[str, ...], remedy: str, spec: str = "",
        versions: tuple[str, ...] = (), actions: tuple[str, ...] = (), where: Where | None = None,
        unless: tuple[Guard, ...] = (), memory: type[Struct] | None = None, scope: str = "link",
    ) -> Callable[[Check], Check]:
        """Declare a rule: ``@rule("R05", "messageId used again", ...)`` on a function that gives hits.

        The function's docstring is the sentence that tells users what the finding means, ``remedy`` what to do.
        """

        def declare(check: Check) -> Check:
            if code in self.rules:
                raise ValueError(f"the rule {code} is declared twice")
            if unknown := set(on) - EVENTS.keys():
                raise ValueError(f"the rule {code} names unknown events: {sorted(unknown)}")
            means = " ".join((check.__doc__ or "").split())
            self.rules[code] = Rule(
                code, title, severity, blame, on, check, means, remedy, spec, versions, actions, where, unless, memory, scope,
            )
            return check

        return declare

    def severities(self, settings: Settings) -> dict[str, Severity | None]:
        """Code -> severity as set by the user, None for off. Raises ``ConfigError`` for unknown codes and words."""
        found: dict[str, Severity | None] = {code: rule.severity for code, rule in self.rules.items()}
        words = {severity.label: severity for severity in Severity}
        for code, word in settings.severities.items():
            if code not in found:
                raise ConfigError(f"rules.{code}: there is no such finding code; `ocpp-proxy config show` lists them")
            if word != OFF and word not in words:
                raise ConfigError(f'rules.{code}: "{word}" is not one of off, {", ".join(words)}')
            found[code] = words.get(word)
        return found


class Dispatch:
    """Which rules a record can meet: tables made once from the registry and the settings."""

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self.severities: dict[str, Severity | None] = {}
        self._tables: dict[tuple[str, str], Rules] = {}
        self.take(registry, settings)

    def take(self, registry: Registry, settings: Settings) -> None:
        """Have other settings from now on; ``severities`` stays the same object. Raises ``ConfigError``."""
        self.severities.update(registry.severities(settings))
        self.rules = {code: registry.rules[code] for code in sorted(registry.rules) if self.severities[code] is not None}
        self._tables.clear()

    def of(self, event: str, version: str = "") -> Rules:
        """The rules for an event, by code."""
        key = (event, version)
        found = self._tables.get(key)
        if found is None:
            found = self._tables[key] = tuple(
                rule for rule in self.rules.values()
                if event in rule.events and (not rule.versions or version in rule.versions)
            )
        return found

    def of_action(self, version: str, action: str, answer: bool) -> Rules:
        """The rules on a Call of a known action, or on its result. Not remembered: the caller does."""
        return tuple(
            rule for rule in self.of("result" if answer else "call", version)
            if (not rule.actions or action in rule.actions) and (rule.where is None or rule.where(version, action, answer))
        )


def at(side: Side) -> Blame:
    """The side as blame."""
    return "station" if side is Side.STATION else "csms"


REGISTRY = Registry()
"""The rules of this package; filled when ``ocpp_proxy.checks`` is imported."""
rule = REGISTRY.rule
