"""Secrets and personal data are found wherever they may stand, and little else."""

import json

import pytest

from ocpp_proxy.spec import schemas, terms

CANARY = "Canary7"
KEY = "-----BEGIN EC PRIVATE KEY-----\nCanary7\n-----END EC PRIVATE KEY-----"


def masked(action: str, answer: bool, payload: object) -> object:
    """The payload with its secrets replaced by a star, as a masker would do it."""
    copy = json.loads(json.dumps(payload))
    for place in terms.secret_places(action, answer, copy):
        if place.how == "value":
            place.put("*")
        else:
            text = str(place.value)
            for start, end in reversed(terms.secret_spans(text)):
                text = f"{text[:start]}*{text[end:]}"
            place.put(text)
    return copy


SECRET: list[tuple[str, bool, object]] = [
    ("ChangeConfiguration", False, {"key": "AuthorizationKey", "value": CANARY}),
    ("ChangeConfiguration", False, {"key": "authorizationkey", "value": CANARY}),
    ("ChangeConfiguration", False, {"key": "WifiPassword", "value": CANARY}),
    ("ChangeConfiguration", False, {"key": "Wifi.PSK", "value": CANARY}),
    ("GetConfiguration", True, {"configurationKey": [{"key": "A", "readonly": True, "value": "x"},
                                                     {"key": "AuthorizationKey", "readonly": True, "value": CANARY}]}),
    ("SetVariables", False, {"setVariableData": [{"attributeValue": CANARY, "component": {"name": "SecurityCtrlr"},
                                                  "variable": {"name": "BasicAuthPassword"}}]}),
    ("GetVariables", True, {"getVariableResult": [{"attributeStatus": "Accepted", "attributeValue": CANARY,
                                                   "component": {"name": "S"}, "variable": {"name": "BasicAuthPassword"}}]}),
    ("NotifyReport", False, {"reportData": [{"variable": {"name": "BasicAuthPassword"},
                                             "variableAttribute": [{"value": CANARY}, {"value": CANARY}]}]}),
    ("NotifyEvent", False, {"eventData": [{"variable": {"name": "SharedSecret"}, "actualValue": CANARY}]}),
    ("SetNetworkProfile", False, {"connectionData": {
        "ocppCsmsUrl": f"wss://user:{CANARY}@host/x", "basicAuthPassword": CANARY,
        "apn": {"apn": "a", "apnPassword": CANARY, "simPin": CANARY},
        "vpn": {"server": "s", "password": CANARY, "key": CANARY}}}),
    ("GetDiagnostics", False, {"location": f"ftp://user:{CANARY}@host/path"}),
    ("GetDiagnostics", False, {"location": f"ftp://user:pa/ss@{CANARY}@host/path"}),
    ("GetLog", False, {"log": {"remoteLocation": f"sftp://{CANARY}@host:22/path"}}),
    ("UpdateFirmware", False, {"location": f"https://host/fw.bin?sv=1&sig={CANARY}"}),
    ("UpdateFirmware", False, {"firmware": {"location": f"https://u:{CANARY}@host/fw.bin"}}),
    ("SignedUpdateFirmware", False, {"firmware": {"location": f"https://u:{CANARY}@host/fw.bin"}}),
    ("PublishFirmware", False, {"location": f"https://u:{CANARY}@host/fw.bin"}),
    ("PublishFirmwareStatusNotification", False, {"location": [f"https://u:{CANARY}@host/fw.bin"]}),
    ("PublishFirmwareStatusNotification", False, {"location": f"https://u:{CANARY}@host/fw.bin"}),
    ("Get15118EVCertificate", True, {"status": "Accepted", "exiResponse": CANARY}),
    ("Update15118EVCertificate", True, {"status": "Accepted", "exiResponse": CANARY}),
    ("InstallCertificate", False, {"certificate": KEY}),
    ("CertificateSigned", False, {"certificateChain": KEY}),
    ("CertificateSigned", False, {"cert": ["x", KEY]}),
    ("SignCertificate", False, {"csr": KEY}),
    ("DataTransfer", False, {"vendorId": "v", "data": f"ftp://u:{CANARY}@h/"}),
    ("DataTransfer", False, {"vendorId": "v", "data": json.dumps({"wifiPassword": CANARY, "x": 1})}),
    ("DataTransfer", False, {"vendorId": "v", "data": json.dumps({"key": "AuthorizationKey", "value": CANARY})}),
    ("DataTransfer", False, {"vendorId": "v", "data": {"deep": [{"apiSecret": CANARY}, KEY]}}),
    ("DataTransfer", True, {"status": "Accepted", "data": json.dumps({"status": "Accepted", "exiResponse": CANARY})}),
    ("DataTransfer", True, {"status": "Accepted", "data": json.dumps({"inner": json.dumps({"exiResponse": CANARY})})}),
    ("SetVariables-Signed", False, {"payload": CANARY, "protected": "x", "signature": "y"}),
]


@pytest.mark.parametrize(("action", "answer", "payload"), SECRET)
def test_no_secret_stays(action: str, answer: bool, payload: object) -> None:
    assert CANARY in json.dumps(payload)
    assert terms.may_hold_secrets(action, answer)
    assert CANARY not in json.dumps(masked(action, answer, payload))


@pytest.mark.parametrize(("action", "answer", "payload"), [row for row in SECRET if "-Signed" not in row[0]])
def test_no_secret_stays_when_the_action_is_not_known(action: str, answer: bool, payload: object) -> None:
    assert CANARY not in json.dumps(masked("", answer, payload))


@pytest.mark.parametrize(
    ("action", "answer", "payload"),
    [
        ("ChangeConfiguration", False, {"key": "HeartbeatInterval", "value": "300"}),
        ("ChangeConfiguration", False, {"key": "MeterPublicKey", "value": "abc"}),
        ("GetConfiguration", True, {"configurationKey": [{"key": "SecurityProfile", "value": "2"}], "unknownKey": ["X"]}),
        ("SetVariables", False, {"setVariableData": [{"attributeValue": "1", "variable": {"name": "SecurityProfile"}}]}),
        ("GetDiagnostics", False, {"location": "ftp://host:21/path"}),
        ("GetDiagnostics", False, {"location": "ftp://host/mail@example"}),
        ("UpdateFirmware", False, {"location": "https://host:443/fw.bin?version=3"}),
        ("InstallCertificate", False, {"certificate": "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----"}),
        ("DataTransfer", False, {"vendorId": "v", "data": "plain text"}),
        ("Heartbeat", False, {}),
        ("Get15118EVCertificate", False, {"exiRequest": "abc"}),
    ],
)
def test_what_is_no_secret_stays_as_it_is(action: str, answer: bool, payload: object) -> None:
    assert terms.secret_places(action, answer, payload) == []


@pytest.mark.parametrize("payload", [None, 1, "x", [], [None], {"configurationKey": None}, {"configurationKey": [1, "x", []]},
                                     {"key": 1, "value": 2}, {"data": [[[]]]}, {"location": None}])
def test_odd_payloads_hold_nothing_and_never_raise(payload: object) -> None:
    for action in ("", "ChangeConfiguration", "GetConfiguration", "SetVariables", "DataTransfer", "GetDiagnostics"):
        for answer in (False, True):
            assert terms.secret_places(action, answer, payload) == []


def test_a_secret_that_is_no_text_is_found_too() -> None:
    (place,) = terms.secret_places("ChangeConfiguration", False, {"key": "AuthorizationKey", "value": 12345})
    assert (place.key, place.value, place.how) == ("value", 12345, "value")


def test_spans_are_in_order_and_do_not_overlap() -> None:
    text = f"ftp://a:b@h/?token=c&x=1 {KEY} http://u:p@k"
    spans = terms.secret_spans(text)
    assert [text[start:end] for start, end in spans] == ["a:b", "c", "\nCanary7\n", "u:p"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("://a:b" * 20_000, 0),
        ("@" + "://a:b" * 20_000, 0),
        ("-----BEGIN PRIVATE KEY-----" * 5_000, 1),
        ('"' * 50_000, 0),
        ("\\" * 50_000, 0),
        ('"password' * 10_000, 0),
        ("?sig" * 20_000, 0),
    ],
)
def test_texts_made_to_be_slow_to_search_come_to_an_end(text: str, count: int) -> None:
    assert len(terms.secret_spans(text)) == count


def test_every_path_of_a_rule_is_in_some_schema_or_in_field_use() -> None:
    used = {
        ".".join(path) for version in ("1.6", "2.0", "2.0.1", "2.1") for action, answer in schemas.messages(version)
        for path, _ in terms.leaf_fields(version, action, answer)
    }
    for name in ("setVariableData.[].variable.name", "getVariableResult.[].attributeValue", "connectionData.vpn.key",
                 "connectionData.apn.apnPassword", "log.remoteLocation", "firmware.signingCertificate",
                 "reportData.[].variableAttribute.[].value", "eventData.[].actualValue", "connectionData.basicAuthPassword",
                 "connectionData.apn.simPin", "configurationKey.[].value", "cert.[]", "location.[]", "exiResponse"):
        assert name in used


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"idTag": "A", "connectorId": 1}, [("idTag", "token")]),
        ({"idTagInfo": {"status": "Accepted", "parentIdTag": "P"}}, [("parentIdTag", "token")]),
        ({"idToken": {"idToken": "A", "type": "eMAID", "additionalInfo": [{"additionalIdToken": "B", "type": "t"}]}},
         [("idToken", "token"), ("additionalIdToken", "token")]),
        ({"localAuthorizationList": [{"idTag": "A"}, {"idTag": "B"}]}, [("idTag", "token"), ("idTag", "token")]),
        ({"prioritizedEMAIDs": ["A", "B"]}, [(0, "token"), (1, "token")]),
        ({"chargingStation": {"serialNumber": "S", "model": "M", "modem": {"iccid": "1", "imsi": "2"}}},
         [("serialNumber", "station"), ("iccid", "station"), ("imsi", "station")]),
        ({"company": {"name": "N", "address1": "R", "country": "X"}},
         [("name", "customer"), ("address1", "customer"), ("country", "customer")]),
        ({"personalMessage": {"format": "UTF8", "content": "Hello"}}, [("content", "customer")]),
        ({"data": "anything", "messageId": "m"}, [("data", "free")]),
        ({"vendor": {"wrong": [{"place": {"idTag": "A"}}]}}, [("idTag", "token")]),
        ({"component": {"name": "N"}, "status": "Accepted"}, []),
        ({"customerIdentifier": 12345}, [("customerIdentifier", "customer")]),
        ([{"idTag": "A"}], [("idTag", "token")]),
        ("text", []),
        (None, []),
    ],
)
def test_personal_data_is_found_by_name(payload: object, expected: list[tuple[object, str]]) -> None:
    found = [(place.key, place.how) for place in terms.personal_places(payload)]
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_a_place_can_be_replaced() -> None:
    payload: dict[str, object] = {"prioritizedEMAIDs": ["A"], "idTag": "B"}
    for place in terms.personal_places(payload):
        place.put("*")
    assert payload == {"prioritizedEMAIDs": ["*"], "idTag": "*"}
