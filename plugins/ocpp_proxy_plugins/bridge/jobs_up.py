"""Firmware and logs of a 1.6 station for a 2.0.1 CSMS: with the security extension where the station has it."""

from typing import Any

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge import jobs
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.plain import refused, told_why
from ocpp_proxy_plugins.bridge.work import Background, Got, Work


def update_firmware(desk: Desk, payload: dict[str, Any]) -> Work:
    """Signed by SignedUpdateFirmware. To a station without it a signed update is not sent unsigned, unless that is allowed."""
    firmware = payload.get("firmware")
    signed = isinstance(firmware, dict) and bool(firmware.get("signature") or firmware.get("signingCertificate"))
    request_id = payload.get("requestId")
    request_id = request_id if type(request_id) is int else 0
    before = jobs.running(desk, jobs.FIRMWARE)
    if signed and desk.kept.can.get(jobs.SECURITY) is not False:
        jobs.begun(desk, jobs.FIRMWARE, request_id, signed=True)
        target = "SignedUpdateFirmware"
        got = yield from desk.ask(Side.STATION, target, desk.carry(payload, target))
        if not _lacks(desk, got):
            jobs.settled(desk, jobs.FIRMWARE, request_id, got.status in jobs.TAKEN)
            return desk.carry_answer(got.payload, target) if got.payload is not None else refused(desk, got)
        jobs.forgotten(desk, jobs.FIRMWARE, request_id)
    if signed and desk.options.unsigned_firmware == "refuse":
        desk.lost("$.firmware.signature", "the station knows only unsigned updates: refused")
        return told_why(desk, {"status": "Rejected"}, "the station knows only unsigned updates", "UnsupportedRequest")
    jobs.begun(desk, jobs.FIRMWARE, request_id)
    got = yield from desk.ask(Side.STATION, "UpdateFirmware", desk.carry(payload, "UpdateFirmware"))
    jobs.settled(desk, jobs.FIRMWARE, request_id, got.payload is not None)
    if got.payload is None:
        if got.error is None:
            return refused(desk, got)
        return told_why(desk, {"status": "Rejected"}, f"the station refuses it: {got.why}", "UnsupportedRequest")
    return {"status": "AcceptedCanceled" if before is not None else "Accepted"}


def firmware_status(desk: Desk, payload: dict[str, Any]) -> Work:
    """Stamped with the number of the update that runs; Idle has none."""
    return (yield from _stamped(desk, payload, jobs.FIRMWARE, "Fw16>201", "FirmwareStatusNotification"))


def diagnostics_status(desk: Desk, payload: dict[str, Any]) -> Work:
    """Stamped with the number of the upload that runs; Idle has none."""
    return (yield from _stamped(desk, payload, jobs.LOG, "Diag16>Log201", "LogStatusNotification"))


def _stamped(desk: Desk, payload: dict[str, Any], kind: str, table: str, action: str) -> Work:
    status = payload.get("status")
    job = jobs.running(desk, kind)
    made: dict[str, Any] = {}
    if status != "Idle" and job is not None:
        jobs.reported(desk, job, desk.enum(table, status) or job.state)
        made["requestId"] = job.request_id
    elif status != "Idle":
        desk.lost("$.requestId", f"the CSMS asked for no {kind} that this could be about: left out", "invented")
    got = yield from desk.ask(Side.CSMS, action, desk.carry(payload, **made))
    return refused(desk, got) if got.payload is None else desk.carry_answer(got.payload)


def signed_firmware_status(desk: Desk, payload: dict[str, Any]) -> Work:
    """As it comes; what it says of the job is remembered."""
    return (yield from _as_it_comes(desk, payload, jobs.FIRMWARE, "FirmwareStatusNotification"))


def log_status(desk: Desk, payload: dict[str, Any]) -> Work:
    """As it comes; what it says of the job is remembered."""
    return (yield from _as_it_comes(desk, payload, jobs.LOG, "LogStatusNotification"))


def _as_it_comes(desk: Desk, payload: dict[str, Any], kind: str, action: str) -> Work:
    job = jobs.of(desk, kind, payload.get("requestId"))
    if job is not None and isinstance(payload.get("status"), str):
        jobs.reported(desk, job, payload["status"])
    got = yield from desk.ask(Side.CSMS, action, desk.carry(payload))
    return refused(desk, got) if got.payload is None else desk.carry_answer(got.payload)


def get_log(desk: Desk, payload: dict[str, Any]) -> Work:
    """By GetLog, or by GetDiagnostics where the station does not know it; a security log there is refused."""
    request_id = payload.get("requestId")
    request_id = request_id if type(request_id) is int else 0
    before = jobs.running(desk, jobs.LOG)
    if desk.kept.can.get(jobs.SECURITY) is not False:
        jobs.begun(desk, jobs.LOG, request_id, signed=True)
        got = yield from desk.ask(Side.STATION, "GetLog", desk.carry(payload, "GetLog"))
        if not _lacks(desk, got):
            jobs.settled(desk, jobs.LOG, request_id, got.status in jobs.TAKEN)
            return desk.carry_answer(got.payload, "GetLog") if got.payload is not None else refused(desk, got)
        jobs.forgotten(desk, jobs.LOG, request_id)
    if payload.get("logType") != "DiagnosticsLog":
        desk.lost("$.logType", "the station has diagnostics only: refused")
        return told_why(desk, {"status": "Rejected"}, "the station has diagnostics only", "UnsupportedRequest")
    jobs.begun(desk, jobs.LOG, request_id)
    got = yield from desk.ask(Side.STATION, "GetDiagnostics", desk.carry(payload, "GetDiagnostics"))
    if got.payload is None:
        jobs.forgotten(desk, jobs.LOG, request_id)
        return refused(desk, got)
    answer = desk.carry_answer(got.payload, "GetDiagnostics")
    if not answer.get("filename"):
        jobs.forgotten(desk, jobs.LOG, request_id)
        return told_why(desk, {"status": "Rejected"}, "the station has nothing to upload")
    jobs.settled(desk, jobs.LOG, request_id, True)
    if before is not None and before.request_id != request_id:
        desk.begin(_canceled(desk.aside("GetLog"), before.request_id), "the upload before is canceled (N01.FR.20)")
        return {**answer, "status": "AcceptedCanceled"}
    return {**answer, "status": "Accepted"}


def _canceled(desk: Desk, request_id: int) -> Background:
    yield from desk.ask(Side.CSMS, "LogStatusNotification", {"status": "AcceptedCanceled", "requestId": request_id})


def _lacks(desk: Desk, got: Got) -> bool:
    """Whether the station says that it has no security extension; that is remembered either way."""
    lacks = got.lacks
    if (lacks or got.payload is not None) and desk.kept.can.get(jobs.SECURITY) is not (not lacks):
        desk.keep(can={**desk.kept.can, jobs.SECURITY: not lacks})
    return lacks


UP_CSMS = {"UpdateFirmware": update_firmware, "GetLog": get_log}
UP_STATION = {
    "FirmwareStatusNotification": firmware_status, "SignedFirmwareStatusNotification": signed_firmware_status,
    "DiagnosticsStatusNotification": diagnostics_status, "LogStatusNotification": log_status,
}
