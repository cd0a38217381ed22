"""Owns what must not be shown: where credentials and personal data are in payloads of any version, as data tables.

Secrets are looked for by action, personal data by property name; both ignore the version, so that a message of the wrong
version, or with a property in the wrong place, leaks nothing.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct

from ocpp_proxy.spec.actions import SIGNED
from ocpp_proxy.spec.paths import Holder, Path, first, held, parse, places

Category = Literal["token", "vehicle", "station", "customer", "certificate", "free"]


class Place(Struct, gc=False):
    """A value found in a decoded payload: replace it by ``place.holder[place.key] = new``.

    ``how``: "value" (replace all of it, whatever its type), "text" (only the spans that ``secret_spans`` finds in it);
    for personal data its category.
    """

    holder: Holder
    key: str | int
    value: object
    how: str

    def put(self, new: object) -> None:
        """Put another value in its place."""
        if isinstance(self.holder, dict):
            self.holder[str(self.key)] = new
        elif isinstance(self.key, int):
            self.holder[self.key] = new


class Secret(Struct, frozen=True, gc=False):
    """One rule. ``items``: where to look from (() the payload); ``value``: the secret, from there; ``how`` as in ``Place``.

    With ``name`` (a path from ``items`` too) the rule holds only where a secret's name stands there.
    """

    value: Path
    how: str = "value"
    items: Path = ()
    name: Path = ()


def _named(items: str, name: str, value: str) -> Secret:
    return Secret(parse(value), "value", parse(items) if items else (), parse(name))


def _values(*paths: str) -> tuple[Secret, ...]:
    return tuple(Secret(parse(path)) for path in paths)


def _in_text(*paths: str) -> tuple[Secret, ...]:
    return tuple(Secret(parse(path), "text") for path in paths)


SECRETS: Mapping[tuple[str, bool], tuple[Secret, ...]] = {
    ("ChangeConfiguration", False): (_named("", "key", "value"),),
    ("GetConfiguration", True): (_named("configurationKey[]", "key", "value"),),
    ("SetVariables", False): (_named("setVariableData[]", "variable.name", "attributeValue"),),
    ("GetVariables", True): (_named("getVariableResult[]", "variable.name", "attributeValue"),),
    ("NotifyReport", False): (_named("reportData[]", "variable.name", "variableAttribute[].value"),),
    ("NotifyEvent", False): (_named("eventData[]", "variable.name", "actualValue"),),
    ("SetNetworkProfile", False): (
        *_values(
            "connectionData.basicAuthPassword", "connectionData.apn.apnPassword", "connectionData.apn.simPin",
            "connectionData.vpn.password", "connectionData.vpn.key",
        ),
        *_in_text("connectionData.ocppCsmsUrl", "connectionData.apn.apn", "connectionData.vpn.server"),
    ),
    ("GetDiagnostics", False): _in_text("location"),
    ("GetLog", False): _in_text("log.remoteLocation"),
    ("UpdateFirmware", False): _in_text("location", "firmware.location", "firmware.signingCertificate"),
    ("SignedUpdateFirmware", False): _in_text("firmware.location", "firmware.signingCertificate"),
    ("PublishFirmware", False): _in_text("location"),
    ("PublishFirmwareStatusNotification", False): _in_text("location", "location[]"),
    ("Get15118EVCertificate", True): _values("exiResponse"),
    ("Update15118EVCertificate", True): _values("exiResponse"),
    ("InstallCertificate", False): _in_text("certificate"),
    ("CertificateSigned", False): _in_text("certificateChain", "cert", "cert[]"),
    ("SignCertificate", False): _in_text("csr"),
    ("Authorize", False): _in_text("certificate"),
    ("DataTransfer", False): _in_text("data"),
    ("DataTransfer", True): _in_text("data"),
}
"""(action, answer) -> rules. ``data`` of DataTransfer is searched to any depth when it is an object."""

_JWS = _values("payload")
"""A signed message holds its content as base64url text."""

SECRET_WORDS = ("authorizationkey", "password", "passwd", "passphrase", "secret", "privatekey", "credential", "exiresponse")
"""A setting or property whose name contains one of these holds a secret (letters and digits only, without case)."""

SECRET_ENDINGS = ("key", "token", "psk", "pwd", "pass", "simpin")
"""... or ends with one of these, unless with one of ``HARMLESS_ENDINGS``."""

HARMLESS_ENDINGS = ("publickey", "bypass", "hotkey", "unknownkey", "configurationkey")

PERSONAL: Mapping[str, Category] = {
    **dict.fromkeys(("idTag", "parentIdTag", "idToken", "additionalIdToken", "groupIdToken", "emaid", "eMAID",
                     "prioritizedEMAIDs"), "token"),
    **dict.fromkeys(("vin", "VIN", "evccid", "evccId", "EVCCID", "vehicleId", "evInverterSerialNumber"), "vehicle"),
    **dict.fromkeys(("chargePointSerialNumber", "chargeBoxSerialNumber", "meterSerialNumber", "serialNumber", "iccid",
                     "imsi", "macAddress"), "station"),
    **dict.fromkeys(("customerIdentifier", "vatNumber", "company", "address1", "address2", "city", "postalCode",
                     "personalMessage", "updatedPersonalMessage", "personalMessageExtra", "updatedPersonalMessageExtra",
                     "pspRef", "receiptId", "receiptUrl", "user", "apnUserName", "identity"), "customer"),
    **dict.fromkeys(("certificate", "certificateChain", "childCertificate", "cert", "csr", "signingCertificate",
                     "ocspResult", "exiRequest", "exiResponse", "issuerNameHash", "issuerKeyHash"), "certificate"),
    **dict.fromkeys(("data", "signedMeterData", "encodedMeterValue", "meterValueSignature", "publicKey", "location",
                     "remoteLocation", "ocppCsmsUrl", "responderURL", "techInfo"), "free"),
}
"""Property name -> category; its text, or all texts of a list, are personal data."""

WHOLE = frozenset({"company", "personalMessage", "updatedPersonalMessage", "personalMessageExtra",
                   "updatedPersonalMessageExtra"})
"""Personal properties that may be objects: every text in them counts, except what ``PLAIN`` names."""

PLAIN = frozenset({"type", "format", "language", "vendorId", "hashAlgorithm", "reasonCode"})

_NOT_WORD = re.compile(r"[^a-z0-9]")
_URL = re.compile(r"(?<=://)(?:[^/?#\s\"]{0,1000}@|[^/?#\s:\"]{0,200}:(?!\d{1,5}(?:[/?#\"]|$))[^\s\"]{0,600}@)")
_QUERY = re.compile(r"[?&](?:sig|signature|token|password|pwd|secret|key|x-amz-[a-z-]{1,30})=([^&\s\"\\#]+)", re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(.*?)(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)", re.DOTALL)
_MEMBER = re.compile(
    r"\\{0,7}\"[^\"\\:]{0,60}(?:password|passwd|secret|authorizationkey|privatekey|exiresponse)[^\"\\:]{0,20}\\{0,7}\"\s*:\s*"
    r"\\{0,7}\"([^\"\\]+)", re.IGNORECASE,
)
_PAIR = re.compile(
    r"\"[^\"\\:]{0,60}(?:password|passwd|secret|authorizationkey)[^\"\\:]{0,20}\\{0,7}\"\s*,\s*"
    r"\\{0,7}\"(?:value|attributeValue)\\{0,7}\"\s*:\s*\\{0,7}\"([^\"\\]+)", re.IGNORECASE,
)


def is_secret_name(name: object) -> bool:
    """True when a configuration key, variable or property of this name holds a credential (``AuthorizationKey``)."""
    word = _NOT_WORD.sub("", str(name)[:200].lower())
    if any(part in word for part in SECRET_WORDS):
        return True
    return word.endswith(SECRET_ENDINGS) and not word.endswith(HARMLESS_ENDINGS)


def secret_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of the credentials inside a text, in order, not overlapping.

    Found are: user and password of URLs, signed URL parameters, PEM private keys, named members of JSON in the text.
    """
    spans = [(match.start(), match.end() - 1) for match in _URL.finditer(text)] if "@" in text and "://" in text else []
    for pattern in (_QUERY, _PEM, _MEMBER, _PAIR):
        spans.extend(match.span(1) for match in pattern.finditer(text))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif end > start:
            merged.append((start, end))
    return merged


def may_hold_secrets(action: str, answer: bool) -> bool:
    """Cheap gate: False when ``secret_places`` can find nothing in such a message (an empty action: True)."""
    return not action or (action.removesuffix(SIGNED), answer) in SECRETS


def secret_places(action: str, answer: bool, payload: object) -> list[Place]:
    """The credentials in a decoded payload, in any version; an empty action means every rule is tried."""
    if not action:
        found = [place for rules in SECRETS.values() for place in _by_rules(rules, payload)]
        return list({(id(place.holder), place.key): place for place in found}.values())
    plain = action.removesuffix(SIGNED)
    found = _by_rules(SECRETS.get((plain, answer), ()), payload)
    if plain != action and (plain, answer) in SECRETS:
        found.extend(_by_rules(_JWS, payload))
    return found


def _by_rules(rules: tuple[Secret, ...], payload: object) -> list[Place]:
    found: list[Place] = []
    for rule in rules:
        for item in _items(payload, rule.items):
            if rule.name and not is_secret_name(first(item, rule.name)):
                continue
            for holder, key in places(item, rule.value):
                value = held(holder, key)
                if rule.how == "value":
                    if value is not None:
                        found.append(Place(holder, key, value, "value"))
                elif isinstance(value, str):
                    if secret_spans(value):
                        found.append(Place(holder, key, value, "text"))
                elif isinstance(value, dict | list):
                    found.extend(_anywhere(value))
    return found


def _items(payload: object, path: Path) -> list[object]:
    if not path:
        return [payload]
    return [held(holder, key) for holder, key in places(payload, path)]


def _anywhere(value: object) -> Iterator[Place]:
    """Secrets in an object of unknown shape: by property name, and inside texts."""
    for holder, key, inner in _texts(value):
        if isinstance(key, str) and is_secret_name(key):
            yield Place(holder, key, inner, "value")
        elif isinstance(inner, str) and secret_spans(inner):
            yield Place(holder, key, inner, "text")


def personal_places(payload: object) -> list[Place]:
    """The personal data in a decoded payload of any version: by property name at any depth, so also in malformed ones."""
    found: list[Place] = []
    waiting: list[tuple[object, str, bool]] = [(payload, "", False)]
    while waiting:
        holder, category, whole = waiting.pop()
        if not isinstance(holder, dict | list):
            continue
        for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
            inherited = category if isinstance(holder, list) or (whole and key not in PLAIN) else ""
            kind = PERSONAL.get(key, inherited) if isinstance(key, str) else inherited
            if isinstance(value, dict | list):
                inside = whole or (isinstance(key, str) and key in WHOLE)
                waiting.append((value, kind if inside or isinstance(value, list) else "", inside))
            elif kind and value is not None and not isinstance(value, bool):
                found.append(Place(holder, key, value, kind))
    return found


def _texts(value: object) -> Iterator[tuple[Holder, str | int, object]]:
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict):
            for name, inner in holder.items():
                if isinstance(inner, dict | list):
                    waiting.append(inner)
                else:
                    yield holder, name, inner
        elif isinstance(holder, list):
            for index, inner in enumerate(holder):
                if isinstance(inner, dict | list):
                    waiting.append(inner)
                else:
                    yield holder, index, inner
