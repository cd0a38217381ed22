"""Firmware and logs of a 2.0.1 station for a 1.6 CSMS: numbers of our own where it gives none."""

from typing import Any

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge import jobs
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import Job
from ocpp_proxy_plugins.bridge.plain import refused
from ocpp_proxy_plugins.bridge.work import Background, Refusal, Work

LONGEST_LOCATION = 512                      # 2.0.1 FirmwareType.location, LogParametersType.remoteLocation


def _too_long(location: object) -> Refusal | None:
    if isinstance(location, str) and len(location) > LONGEST_LOCATION:
        return Refusal("PropertyConstraintViolation", f"location: {len(location)} characters; at most {LONGEST_LOCATION}")
    return None


def update_firmware(desk: Desk, payload: dict[str, Any]) -> Work:
    """1.6's answer cannot refuse: a station that does is told by a status, behind it."""
    if (refusal := _too_long(payload.get("location"))) is not None:
        return refusal
    request_id = jobs.number(desk)
    jobs.begun(desk, jobs.FIRMWARE, request_id)
    got = yield from desk.ask(Side.STATION, "UpdateFirmware", desk.carry(payload, requestId=request_id))
    jobs.settled(desk, jobs.FIRMWARE, request_id, got.status in jobs.TAKEN)
    if got.payload is None:
        return refused(desk, got)
    if got.status not in jobs.TAKEN:
        desk.lost("$.status", f"the station said {got.status}: told as DownloadFailed")
        desk.begin(_failed(desk.aside("UpdateFirmware")), "the station refused the update")
    return desk.carry_answer(got.payload)


def _failed(desk: Desk) -> Background:
    yield from desk.ask(Side.CSMS, "FirmwareStatusNotification", {"status": "DownloadFailed"})


def signed_update_firmware(desk: Desk, payload: dict[str, Any]) -> Work:
    """The CSMS's own number goes along."""
    return (yield from _numbered(desk, payload, jobs.FIRMWARE, "UpdateFirmware"))


def get_log(desk: Desk, payload: dict[str, Any]) -> Work:
    """The CSMS's own number goes along."""
    return (yield from _numbered(desk, payload, jobs.LOG, "GetLog"))


def _numbered(desk: Desk, payload: dict[str, Any], kind: str, action: str) -> Work:
    request_id = payload.get("requestId")
    request_id = request_id if type(request_id) is int else 0
    jobs.begun(desk, kind, request_id, signed=True)
    got = yield from desk.ask(Side.STATION, action, desk.carry(payload))
    jobs.settled(desk, kind, request_id, got.status in jobs.TAKEN)
    return refused(desk, got) if got.payload is None else desk.carry_answer(got.payload)


def get_diagnostics(desk: Desk, payload: dict[str, Any]) -> Work:
    """Rejected is an answer without a file name: nothing is available (1.6, 5.9)."""
    if (refusal := _too_long(payload.get("location"))) is not None:
        return refusal
    request_id = jobs.number(desk)
    jobs.begun(desk, jobs.LOG, request_id)
    got = yield from desk.ask(Side.STATION, "GetLog", desk.carry(payload, requestId=request_id))
    jobs.settled(desk, jobs.LOG, request_id, got.status in jobs.TAKEN)
    if got.payload is None:
        return refused(desk, got)
    answer = desk.carry_answer(got.payload)
    if got.status not in jobs.TAKEN:
        answer.pop("fileName", None)
    elif "fileName" not in answer:
        answer["fileName"] = f"log-{request_id}"
        desk.lost("$.fileName", "the station named no file; without a name 1.6 would take it that there is none", "invented")
    return answer


def firmware_status(desk: Desk, payload: dict[str, Any]) -> Work:
    """As the CSMS asked for the update: with its number, or by the statuses of the core."""
    job = _of(desk, jobs.FIRMWARE, payload)
    targets = "SignedFirmwareStatusNotification", "FirmwareStatusNotification"
    return (yield from _status(desk, payload, job, *targets, "Fw201>16"))


def log_status(desk: Desk, payload: dict[str, Any]) -> Work:
    """As the CSMS asked for the log."""
    job = _of(desk, jobs.LOG, payload)
    return (yield from _status(desk, payload, job, "LogStatusNotification", "DiagnosticsStatusNotification", "Log201>Diag16"))


def _of(desk: Desk, kind: str, payload: dict[str, Any]) -> Job | None:
    """The job that a status is about: that of its number, else the last one."""
    return jobs.of(desk, kind, payload.get("requestId")) or jobs.last(desk, kind)


def _status(desk: Desk, payload: dict[str, Any], job: Job | None, signed: str, plain: str, table: str) -> Work:
    status = payload.get("status")
    if job is not None and isinstance(status, str):
        jobs.reported(desk, job, status)
    target = signed if job is not None and job.signed else plain
    if target == plain and desk.enum(table, status) is None:
        desk.lost("$.status", f"OCPP 1.6 has no status {status} here: the CSMS is not told")
        return {}
    got = yield from desk.ask(Side.CSMS, target, desk.carry(payload, target))
    if got.lacks:
        return {}                           # an extension that this CSMS lacks: the station need not know
    return refused(desk, got) if got.payload is None else {}


DOWN_CSMS = {
    "UpdateFirmware": update_firmware, "SignedUpdateFirmware": signed_update_firmware, "GetDiagnostics": get_diagnostics,
    "GetLog": get_log,
}
DOWN_STATION = {"FirmwareStatusNotification": firmware_status, "LogStatusNotification": log_status}
