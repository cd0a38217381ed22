"""Certificates, security events and DataTransfer, both ways; Plug & Charge and costs inside DataTransfer."""

import json
from typing import Any

import pytest

from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, Bridged

PNC = "org.openchargealliance.iso15118pnc"
TIME = "2027-01-15T08:00:00.000Z"
HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "01"}


def inside(link: Bridged, side: Any, status: str, data: Any = None) -> dict[str, Any]:
    """A side answers a DataTransfer; gives what that held."""
    sent = link.answer(side, {"status": status, **({} if data is None else {"data": json.dumps(data)})}, "DataTransfer").payload
    assert sent["vendorId"] == PNC
    return {"messageId": sent["messageId"], **json.loads(sent["data"])}


def test_s33_a_certificate_of_a_vehicle_is_asked_for_natively_and_the_answer_is_text() -> None:
    link = Bridged()
    wish = {"iso15118SchemaVersion": "urn:iso", "action": "Install", "exiRequest": "x" * 5600}       # N17
    data = json.dumps(wish)
    asked = link.call(STATION, "DataTransfer", {"vendorId": PNC, "messageId": "Get15118EVCertificate", "data": data})
    assert link.answer(CSMS, {"status": "Accepted", "exiResponse": "y" * 5600}, "Get15118EVCertificate").payload == wish
    answer = link.answered(asked).payload
    assert answer["status"] == "Accepted" and json.loads(answer["data"]) == {"status": "Accepted", "exiResponse": "y" * 5600}
    link.settled()


def test_s33_authorize_and_sign_of_plug_and_charge() -> None:
    link = Bridged()
    link.call(STATION, "DataTransfer", {"vendorId": PNC, "messageId": "Authorize", "data": '{"idToken":"DEABCC12345678"}'})
    sent = link.answer(CSMS, {"idTokenInfo": {"status": "Accepted"}}, "Authorize").payload
    assert sent == {"idToken": {"idToken": "DEABCC12345678", "type": "eMAID"}}
    link.call(STATION, "DataTransfer", {"vendorId": PNC, "messageId": "SignCertificate", "data": '{"csr":"C"}'})
    assert link.answer(CSMS, {"status": "Accepted"}).payload == {"csr": "C", "certificateType": "V2GCertificate"}
    asked = link.call(STATION, "DataTransfer", {"vendorId": PNC, "messageId": "Authorize", "data": "no json"})
    assert link.answered(asked).payload == {"status": "Rejected"}
    asked = link.call(STATION, "DataTransfer", {"vendorId": PNC, "messageId": "SignCertificate", "data": '{"csr":"C"}'})
    link.error(CSMS, "NotImplemented")
    assert link.answered(asked).payload == {"status": "Rejected"}


def test_other_data_passes_as_it_is() -> None:
    link = Bridged()
    asked = link.call(STATION, "DataTransfer", {"vendorId": "v", "messageId": "m", "data": '{"a":1}'})
    assert link.answer(CSMS, {"status": "Accepted", "data": {"b": [1, None]}}).payload == {
        "vendorId": "v", "messageId": "m", "data": '{"a":1}'}
    assert link.answered(asked).payload == {"status": "Accepted", "data": '{"b":[1,null]}'}
    asked = link.call(CSMS, "DataTransfer", {"vendorId": "v", "data": {"c": "ü"}})
    assert link.answer(STATION, {"status": "UnknownMessageId", "data": "t"}).payload == {"vendorId": "v", "data": '{"c":"ü"}'}
    assert link.answered(asked).payload == {"status": "UnknownMessageId", "data": "t"}
    link = Bridged(DOWN)
    asked = link.call(STATION, "DataTransfer", {"vendorId": "v", "data": 7})
    assert link.answer(CSMS, {"status": "Accepted", "data": "8"}).payload == {"vendorId": "v", "data": "7"}
    assert link.answered(asked).payload == {"status": "Accepted", "data": "8"}


@pytest.mark.parametrize("direction", ["1.6:2.0.1", DOWN])
def test_the_certificate_of_the_station_is_for_the_proxy(direction: str) -> None:
    link = Bridged(direction)
    asked = link.call(STATION, "SignCertificate", {"csr": "C"})
    assert link.answered(asked).payload["status"] == "Rejected" and link.calls(CSMS) == []
    link = Bridged(direction, {"station_certificates": "csms-ca"})
    asked = link.call(STATION, "SignCertificate", {"csr": "C"})
    sent = link.answer(CSMS, {"status": "Accepted"}, "SignCertificate").payload
    assert sent["csr"] == "C" and link.answered(asked).payload == {"status": "Accepted"}


def test_n17_a_certificate_chain_of_10000_bytes_passes() -> None:
    link = Bridged()
    asked = link.call(CSMS, "CertificateSigned", {"certificateChain": "c" * 10_000})
    assert link.answer(STATION, {"status": "Accepted"}).payload == {"certificateChain": "c" * 10_000}
    assert link.answered(asked).payload == {"status": "Accepted"}
    asked = link.call(CSMS, "CertificateSigned", {"certificateChain": "c"})
    link.error(STATION, "NotImplemented")
    assert link.answered(asked).payload["status"] == "Rejected"
    asked = link.call(CSMS, "CertificateSigned", {"certificateChain": "c" * 10_000, "certificateType": "V2GCertificate"})
    assert inside(link, STATION, "Accepted", {"status": "Accepted"}) == {
        "messageId": "CertificateSigned", "certificateChain": "c" * 10_000}
    assert link.answered(asked).payload == {"status": "Accepted"}


def test_certificates_are_installed_by_their_type() -> None:
    link = Bridged()
    asked = link.call(CSMS, "InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": "P"})
    assert link.answer(STATION, {"status": "Failed"}).payload == {
        "certificateType": "CentralSystemRootCertificate", "certificate": "P"}
    assert link.answered(asked).payload == {"status": "Failed"}
    asked = link.call(CSMS, "InstallCertificate", {"certificateType": "MORootCertificate", "certificate": "P"})
    assert inside(link, STATION, "Accepted", {"status": "Accepted"})["certificateType"] == "MORootCertificate"
    assert link.answered(asked).payload == {"status": "Accepted"}
    asked = link.call(CSMS, "InstallCertificate", {"certificateType": "V2GRootCertificate", "certificate": "P"})
    inside(link, STATION, "UnknownVendorId")
    assert link.answered(asked).payload["status"] == "Rejected"


def test_installed_certificates_of_all_types_are_one_answer() -> None:
    link = Bridged()
    asked = link.call(CSMS, "GetInstalledCertificateIds", {"certificateType": [
        "CSMSRootCertificate", "V2GRootCertificate", "ManufacturerRootCertificate"]})
    sent = link.answer(STATION, {"status": "Accepted", "certificateHashData": [HASH]}).payload
    assert sent == {"certificateType": "CentralSystemRootCertificate"}
    link.answer(STATION, {"status": "NotFound"}, "GetInstalledCertificateIds")
    assert inside(link, STATION, "Accepted", {"status": "Accepted", "certificateHashDataChain": [
        {"certificateType": "V2GRootCertificate", "certificateHashData": HASH}]})["certificateType"] == ["V2GRootCertificate"]
    assert link.answered(asked).payload == {"status": "Accepted", "certificateHashDataChain": [
        {"certificateType": "CSMSRootCertificate", "certificateHashData": HASH},
        {"certificateType": "V2GRootCertificate", "certificateHashData": HASH}]}
    asked = link.call(CSMS, "GetInstalledCertificateIds")
    link.error(STATION, "NotImplemented")
    assert link.answered(asked).payload["status"] == "NotFound"
    link.settled()


def test_a_certificate_is_deleted_where_it_is() -> None:
    link = Bridged()
    asked = link.call(CSMS, "DeleteCertificate", {"certificateHashData": HASH})
    link.answer(STATION, {"status": "NotFound"}, "DeleteCertificate")
    assert inside(link, STATION, "Accepted", {"status": "Accepted"})["certificateHashData"] == HASH
    assert link.answered(asked).payload == {"status": "Accepted"}


def test_plug_and_charge_of_a_2_0_1_station() -> None:
    link = Bridged(DOWN)
    wish = {"iso15118SchemaVersion": "urn:iso", "action": "Update", "exiRequest": "x"}
    asked = link.call(STATION, "Get15118EVCertificate", wish)
    assert inside(link, CSMS, "Accepted", {"status": "Accepted", "exiResponse": "y"}) == {
        "messageId": "Get15118EVCertificate", **wish}
    assert link.answered(asked).payload == {"status": "Accepted", "exiResponse": "y"}
    asked = link.call(STATION, "Get15118EVCertificate", wish)
    inside(link, CSMS, "UnknownVendorId")
    assert link.answered(asked).payload["status"] == "Failed"
    asked = link.call(STATION, "GetCertificateStatus", {"ocspRequestData": {**HASH, "responderURL": "http://o"}})
    assert inside(link, CSMS, "Accepted", {"status": "Accepted", "ocspResult": "r"})["ocspRequestData"]["responderURL"] == "http://o"
    assert link.answered(asked).payload == {"status": "Accepted", "ocspResult": "r"}
    asked = link.call(STATION, "SignCertificate", {"csr": "C", "certificateType": "V2GCertificate"})
    assert inside(link, CSMS, "Accepted", {"status": "Accepted"})["csr"] == "C"
    assert link.answered(asked).payload == {"status": "Accepted"}
    asked = link.call(CSMS, "DataTransfer", {"vendorId": PNC, "messageId": "InstallCertificate", "data": json.dumps(
        {"certificateType": "MORootCertificate", "certificate": "P"})})
    assert link.answer(STATION, {"status": "Rejected"}, "InstallCertificate").payload["certificateType"] == "MORootCertificate"
    assert link.answered(asked).payload == {"status": "Accepted", "data": '{"status":"Rejected"}'}


def test_costs_of_a_1_6_csms_are_of_its_transaction() -> None:
    link = Bridged(DOWN)
    asked = link.call(CSMS, "DataTransfer", {
        "vendorId": "org.openchargealliance.costmsg", "messageId": "RunningCost", "data": '{"transactionId":12,"cost":3.5}'})
    assert link.answered(asked).payload == {"status": "Rejected"} and link.calls(STATION) == []
    link.call(STATION, "TransactionEvent", {
        "eventType": "Started", "timestamp": TIME, "triggerReason": "Authorized", "seqNo": 0,
        "transactionInfo": {"transactionId": "u1", "chargingState": "Charging"},
        "evse": {"id": 1, "connectorId": 1}, "idToken": {"idToken": "AB", "type": "Central"}})
    link.answer(CSMS, {"transactionId": 12, "idTagInfo": {"status": "Accepted"}}, "StartTransaction")
    while link.open[CSMS]:
        link.answer(CSMS, {})
    asked = link.call(CSMS, "DataTransfer", {"vendorId": "org.openchargealliance.costmsg", "messageId": "RunningCost",
                                             "data": '{"transactionId":12,"cost":3.5,"state":"Charging"}'})
    assert link.answer(STATION, {}, "CostUpdated").payload == {"totalCost": 3.5, "transactionId": "u1"}
    assert link.answered(asked).payload == {"status": "Accepted"} and "$.data.state" in link.losses("dropped")


@pytest.mark.parametrize(("direction", "said", "told"), [
    ("1.6:2.0.1", "InvalidCentralSystemCertificate", "InvalidCsmsCertificate"), ("1.6:2.0.1", "VendorsOwn", "VendorsOwn"),
    (DOWN, "InvalidCsmsCertificate", "InvalidCentralSystemCertificate"), (DOWN, "VendorsOwn", "VendorsOwn"),
])
def test_n24_security_events_are_renamed(direction: str, said: str, told: str) -> None:
    link = Bridged(direction)
    asked = link.call(STATION, "SecurityEventNotification", {"type": said, "timestamp": TIME, "techInfo": "i"})
    assert link.answer(CSMS, {}).payload == {"type": told, "timestamp": TIME, "techInfo": "i"}
    assert link.answered(asked).payload == {}


def test_n24_a_csms_without_the_extension_is_not_asked_again() -> None:
    link = Bridged(DOWN)
    for times in range(2):
        asked = link.call(STATION, "SecurityEventNotification", {"type": "X", "timestamp": TIME})
        if not times:
            link.error(CSMS, "NotImplemented")
        assert link.answered(asked).payload == {}
    assert len(link.calls(CSMS)) == 1 and link.losses() == ["$", "$"]
