"""Owns what is to be done with a message of a known action: schema, index keys, rules, secrets; worked out once each."""

from collections.abc import Callable
from zlib import crc32

from msgspec import Struct

from ocpp_proxy.checks.registry import Dispatch, Rules
from ocpp_proxy.model import Side
from ocpp_proxy.spec import actions, schemas
from ocpp_proxy.spec.faults import Fault
from ocpp_proxy.spec.terms import Keys, Path, keys, may_hold_secrets
from ocpp_proxy.spec.versions import VERSIONS

Hot = tuple[int | None, int | None, str, str]           # evse_id, connector_id, tx_id, id_token
NO_KEYS: Hot = (None, None, "", "")
_INT32 = 1 << 31
_FOLLOWED = {
    ("StartTransaction", False), ("StartTransaction", True), ("StopTransaction", False), ("TransactionEvent", False),
    ("BootNotification", False), ("BootNotification", True),
}


class Plan(Struct, frozen=True):
    """What is to be done with the Calls (or answers) of one action, one version, one sender."""

    action: str
    known: bool                                         # the version has it, and this side may send it
    seed: int                                           # checksum the payload's goes on from
    is_valid: Callable[[object], bool] | None
    hot: Callable[[object], Hot] | None
    rules: Rules
    keep: bool                                          # something reads the Call's payload with its answer
    follow: bool                                        # core.transactions wants to see it
    secret: bool
    empty: bool                                         # the empty object fits the schema: nearly every answer is one


class Plans:
    """The plans of all versions, made when first asked for. Bounded: only known actions are remembered."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self.tables: dict[str, tuple[dict[str, Plan], ...]] = {version: ({}, {}, {}, {}) for version in ("", *VERSIONS)}

    def forget(self) -> None:
        """The rules are others: make them anew."""
        for table in self.tables.values():
            for plans in table:
                plans.clear()

    def of(self, version: str, place: int, action: str) -> Plan:
        """The plan; ``place``: 0 Call of the station, 1 of the CSMS, 2 answer of the station, 3 of the CSMS."""
        table = self.tables[version][place]
        plan = table.get(action)
        if plan is None:
            plan = self._make(version, place, action)
            if action in actions.known(version):
                table[action] = plan
        return plan

    def _make(self, version: str, place: int, action: str) -> Plan:
        answer = place > 1
        caller = Side.CSMS if place in (1, 2) else Side.STATION
        may = actions.direction(version, action) if action in actions.known(version) else None
        known = not version or may in ("both", caller)
        has = bool(version) and may is not None
        is_valid = schemas.validator(version, action, answer) if has else None
        return Plan(
            action, known, crc32(action.encode(errors="surrogatepass")), is_valid,
            reader(keys(version, action, answer)) if has else None,
            self._dispatch.of_action(version, action, answer) if has else (),
            has and not answer and bool(self._dispatch.of_action(version, action, True) or (action, True) in _FOLLOWED),
            (action, answer) in _FOLLOWED, not actions.versions(action) or may_hold_secrets(action, answer),
            is_valid is not None and is_valid({}),
        )


def faults_of(plan: Plan, version: str, answer: bool, payload: object) -> tuple[Fault, ...]:
    """The schema faults of a decoded payload; none where there is no schema."""
    if not payload and plan.empty and type(payload) is dict:
        return ()
    try:
        if plan.is_valid is None or plan.is_valid(payload):
            return ()
    except ValueError:
        pass                                            # what JSON cannot hold: explained by ``check``
    return schemas.check(version, plan.action, answer, payload)


def reader(where: Keys) -> Callable[[object], Hot] | None:
    """Reads the index keys off a decoded payload; None: the message has none."""
    if not (where.evse_id or where.connector_id or where.tx_id or where.id_token):
        return None

    paths = (where.evse_id, where.connector_id, where.tx_id, where.id_token)
    if all(len(path) <= 1 and all(len(steps) == 1 for steps in path) for path in paths):
        return _flat(*(path[0][0] if path else None for path in paths))

    def hot(payload: object) -> Hot:
        return (
            _integer(_first(payload, where.evse_id)), _integer(_first(payload, where.connector_id)),
            _word(_first(payload, where.tx_id)), _word(_first(payload, where.id_token)),
        )

    return hot


def _flat(evse: str | None, connector: str | None, tx: str | None, token: str | None) -> Callable[[object], Hot]:
    """The reader where every key is a member of the payload itself (most of 1.6)."""

    def hot(payload: object) -> Hot:
        if not isinstance(payload, dict):
            return NO_KEYS
        get = payload.get                               # nothing has the name None
        return _integer(get(evse)), _integer(get(connector)), _word(get(tx)), _word(get(token))

    return hot


def _first(payload: object, paths: tuple[Path, ...]) -> object:
    for path in paths:
        value = payload
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def _integer(value: object) -> int | None:
    return value if type(value) is int and -_INT32 <= value < _INT32 else None


def _word(value: object) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
