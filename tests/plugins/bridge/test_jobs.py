"""Firmware and logs, both ways: numbers, the security extension, what is refused, what is canceled."""

from typing import Any

import pytest

from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, Bridged

TIME = "2027-01-15T08:00:00.000Z"
UNSIGNED = {"requestId": 7, "firmware": {"location": "https://fw/1", "retrieveDateTime": TIME}}
SIGNED = {"requestId": 8, "firmware": {**UNSIGNED["firmware"], "signingCertificate": "PEM", "signature": "c2ln"}}    # type: ignore[dict-item]
LOG = {"requestId": 5, "logType": "DiagnosticsLog", "log": {"remoteLocation": "ftp://logs/"}}


def status(link: Bridged, action: str, text: str, target: str, **more: Any) -> dict[str, Any]:
    link.call(STATION, action, {"status": text, **more})
    return link.answer(CSMS, {}, target).payload


def test_s25_statuses_carry_the_number_until_it_is_installed() -> None:
    link = Bridged()
    asked = link.call(CSMS, "UpdateFirmware", UNSIGNED)
    assert link.answer(STATION, {}, "UpdateFirmware").payload == {"location": "https://fw/1", "retrieveDate": TIME}
    assert link.answered(asked).payload == {"status": "Accepted"}
    for text in ("Downloading", "Downloaded", "Installing", "Installed"):
        told = status(link, "FirmwareStatusNotification", text, "FirmwareStatusNotification")
        assert told == {"status": text, "requestId": 7}
        link.again()
    assert status(link, "FirmwareStatusNotification", "Idle", "FirmwareStatusNotification") == {"status": "Idle"}
    link.settled()


def test_a_status_nobody_asked_for_has_no_number() -> None:
    link = Bridged()
    assert status(link, "FirmwareStatusNotification", "Installing", "FirmwareStatusNotification") == {"status": "Installing"}
    assert link.losses("invented") == ["$.requestId"]


def test_a_second_update_cancels_the_first() -> None:
    link = Bridged()
    link.call(CSMS, "UpdateFirmware", UNSIGNED)
    link.answer(STATION, {})
    asked = link.call(CSMS, "UpdateFirmware", {**UNSIGNED, "requestId": 9})
    link.answer(STATION, {})
    assert link.answered(asked).payload == {"status": "AcceptedCanceled"}
    assert status(link, "FirmwareStatusNotification", "Downloading", "FirmwareStatusNotification")["requestId"] == 9


def test_a_signed_update_goes_signed_where_the_station_can() -> None:
    link = Bridged()
    asked = link.call(CSMS, "UpdateFirmware", SIGNED)
    sent = link.answer(STATION, {"status": "InvalidCertificate"}, "SignedUpdateFirmware").payload
    assert sent == SIGNED and link.answered(asked).payload == {"status": "InvalidCertificate"}
    link.call(CSMS, "UpdateFirmware", SIGNED)
    link.answer(STATION, {"status": "Accepted"})
    told = status(link, "SignedFirmwareStatusNotification", "SignatureVerified", "FirmwareStatusNotification", requestId=8)
    assert told == {"status": "SignatureVerified", "requestId": 8}


def test_s26_a_signed_update_is_not_sent_unsigned() -> None:
    link = Bridged()
    for times in range(2):
        asked = link.call(CSMS, "UpdateFirmware", SIGNED)
        if not times:
            link.error(STATION, "NotImplemented", action="SignedUpdateFirmware")
        assert link.answered(asked).payload["status"] == "Rejected"
    assert len(link.calls(STATION)) == 1            # the second time it is known


def test_a_signed_update_is_sent_unsigned_where_that_is_allowed() -> None:
    link = Bridged(options={"unsigned_firmware": "send"})
    asked = link.call(CSMS, "UpdateFirmware", SIGNED)
    link.error(STATION, "NotSupported", action="SignedUpdateFirmware")
    link.answer(STATION, {}, "UpdateFirmware")
    assert link.answered(asked).payload == {"status": "Accepted"}
    assert "$.firmware.signature" in link.losses("dropped")


def test_s27_logs_of_a_station_without_the_extension_are_diagnostics() -> None:
    link = Bridged()
    asked = link.call(CSMS, "GetLog", LOG)
    link.error(STATION, "NotImplemented", action="GetLog")
    assert link.answer(STATION, {"fileName": "d.zip"}, "GetDiagnostics").payload == {"location": "ftp://logs/"}
    assert link.answered(asked).payload == {"status": "Accepted", "filename": "d.zip"}
    assert status(link, "DiagnosticsStatusNotification", "UploadFailed", "LogStatusNotification") == {
        "status": "UploadFailure", "requestId": 5}
    link.again()
    asked = link.call(CSMS, "GetLog", LOG)
    link.answer(STATION, {}, "GetDiagnostics")      # known: GetLog is not tried again; nothing is available
    assert link.answered(asked).payload["status"] == "Rejected"
    asked = link.call(CSMS, "GetLog", {**LOG, "logType": "SecurityLog"})
    assert link.answered(asked).payload["status"] == "Rejected"
    assert [one.action for one in link.told[STATION] if one.kind == 2] == ["GetLog", "GetDiagnostics", "GetDiagnostics"]


def test_a_log_while_one_is_uploaded_cancels_that() -> None:
    link = Bridged()
    link.call(CSMS, "GetLog", LOG)
    link.error(STATION, "NotImplemented")
    link.answer(STATION, {"fileName": "a"})
    asked = link.call(CSMS, "GetLog", {**LOG, "requestId": 6})
    link.answer(STATION, {"fileName": "b"})
    assert link.answered(asked).payload == {"status": "AcceptedCanceled", "filename": "b"}
    assert link.answer(CSMS, {}, "LogStatusNotification").payload == {"status": "AcceptedCanceled", "requestId": 5}
    assert status(link, "DiagnosticsStatusNotification", "Uploading", "LogStatusNotification")["requestId"] == 6


def test_logs_of_the_security_extension_pass_with_their_number() -> None:
    link = Bridged()
    asked = link.call(CSMS, "GetLog", {**LOG, "logType": "SecurityLog"})
    assert link.answer(STATION, {"status": "Accepted", "filename": "s"}, "GetLog").payload["logType"] == "SecurityLog"
    assert link.answered(asked).payload == {"status": "Accepted", "filename": "s"}
    assert status(link, "LogStatusNotification", "Uploaded", "LogStatusNotification", requestId=5)["requestId"] == 5


def test_s47_diagnostics_of_a_2_0_1_station_are_its_log() -> None:
    link = Bridged(DOWN)
    asked = link.call(CSMS, "GetDiagnostics", {"location": "ftp://logs/", "startTime": TIME})
    sent = link.answer(STATION, {"status": "Accepted", "filename": "x.log"}, "GetLog").payload
    assert sent.pop("log") == {"remoteLocation": "ftp://logs/", "oldestTimestamp": TIME}
    assert sent == {"logType": "DiagnosticsLog", "requestId": 1}
    assert link.answered(asked).payload == {"fileName": "x.log"}
    told = status(link, "LogStatusNotification", "UploadFailure", "DiagnosticsStatusNotification", requestId=1)
    assert told == {"status": "UploadFailed"}
    asked = link.call(CSMS, "GetDiagnostics", {"location": "ftp://logs/"})
    assert link.answer(STATION, {"status": "Rejected"}).payload["requestId"] == 2
    assert link.answered(asked).payload == {}


@pytest.mark.parametrize("action", ["GetDiagnostics", "UpdateFirmware"])
def test_a_location_too_long_is_refused(action: str) -> None:
    link = Bridged(DOWN)
    asked = link.call(CSMS, action, {"location": "ftp://" + "x" * 600, "retrieveDate": TIME})
    assert link.answered(asked).code == "PropertyConstraintViolation" and link.calls(STATION) == []


def test_firmware_of_a_2_0_1_station() -> None:
    link = Bridged(DOWN)
    asked = link.call(CSMS, "UpdateFirmware", {"location": "https://fw", "retrieveDate": TIME})
    assert link.answer(STATION, {"status": "Accepted"}).payload == {
        "firmware": {"location": "https://fw", "retrieveDateTime": TIME}, "requestId": 1}
    assert link.answered(asked).payload == {}
    assert status(link, "FirmwareStatusNotification", "InstallRebooting", "FirmwareStatusNotification", requestId=1) == {
        "status": "Installing"}
    link.call(STATION, "FirmwareStatusNotification", {"status": "SignatureVerified", "requestId": 1})
    assert len(link.calls(CSMS, "FirmwareStatusNotification")) == 1 and "$.status" in link.losses("dropped")
    link.settled()


def test_an_update_that_a_2_0_1_station_refuses_is_told_as_failed() -> None:
    link = Bridged(DOWN)
    link.call(CSMS, "UpdateFirmware", {"location": "https://fw", "retrieveDate": TIME})
    link.answer(STATION, {"status": "Rejected"})
    assert link.answer(CSMS, {}, "FirmwareStatusNotification").payload == {"status": "DownloadFailed"}
    link.settled()


def test_a_signed_update_of_a_1_6_csms_keeps_its_number() -> None:
    link = Bridged(DOWN)
    asked = link.call(CSMS, "SignedUpdateFirmware", SIGNED)
    assert link.answer(STATION, {"status": "RevokedCertificate"}, "UpdateFirmware").payload == SIGNED
    assert link.answered(asked).payload == {"status": "RevokedCertificate"}
    link.call(CSMS, "SignedUpdateFirmware", SIGNED)
    link.answer(STATION, {"status": "Accepted"})
    told = status(link, "FirmwareStatusNotification", "InvalidSignature", "SignedFirmwareStatusNotification", requestId=8)
    assert told == {"status": "InvalidSignature", "requestId": 8}
