"""Certificates and security events, both ways: 1.6's security extension has two types, those of vehicles go by DataTransfer.

The certificate of the station itself is for its connection with the proxy: a request for one goes to the CSMS only where the
options say that the proxy trusts the CSMS's CA.
"""

from typing import Any

from ocpp_proxy.api import Side
from ocpp_proxy_plugins.bridge import pnc
from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.plain import carry_over, refused, told_why
from ocpp_proxy_plugins.bridge.spots import each
from ocpp_proxy_plugins.bridge.work import Got, Refusal, Work

EVENTS = "csms_security_events"             # in ``Kept.can``: the 1.6 CSMS takes SecurityEventNotification
_OWN_TYPES = ("CSMSRootCertificate", "ManufacturerRootCertificate")


def _without(desk: Desk, status: str) -> dict[str, Any]:
    return told_why(desk, {"status": status}, "the station has no security extension of OCPP 1.6", "UnsupportedRequest")


def _finished(desk: Desk, got: Got, status: str) -> dict[str, Any] | Refusal:
    if got.lacks:
        return _without(desk, status)
    return refused(desk, got) if got.payload is None else desk.carry_answer(got.payload)


def sign_up(desk: Desk, payload: dict[str, Any]) -> Work:
    """Of the station itself: by the options."""
    if desk.options.station_certificates == "refuse":
        desk.lost("$.csr", "the station's certificate is for its connection with the proxy: refused")
        return {"status": "Rejected"}
    return (yield from carry_over(desk, payload))


def sign_down(desk: Desk, payload: dict[str, Any]) -> Work:
    """Of the station itself: by the options; of vehicles: by DataTransfer."""
    if payload.get("certificateType") == "V2GCertificate":
        inner = yield from pnc.wrapped(desk, Side.CSMS, "SignCertificate", payload)
        if inner is not None and inner.get("status") == "Accepted":
            return {"status": "Accepted"}
        return told_why(desk, {"status": "Rejected"}, "the CSMS does not know Plug & Charge over OCPP 1.6")
    if desk.options.station_certificates == "refuse":
        desk.lost("$.csr", "the station's certificate is for its connection with the proxy: refused")
        return told_why(desk, {"status": "Rejected"}, "the station's certificate is for its connection with the proxy")
    return (yield from carry_over(desk, payload))


def certificate_signed(desk: Desk, payload: dict[str, Any]) -> Work:
    """Of vehicles: by DataTransfer."""
    if payload.get("certificateType") == "V2GCertificate":
        chain = {"certificateChain": payload.get("certificateChain")}
        inner = yield from pnc.wrapped(desk, Side.STATION, "CertificateSigned", chain)
        return {"status": "Accepted"} if inner is not None and inner.get("status") == "Accepted" else _no_pnc(desk, "Rejected")
    got = yield from desk.ask(Side.STATION, "CertificateSigned", desk.carry(payload))
    return _finished(desk, got, "Rejected")


def install(desk: Desk, payload: dict[str, Any]) -> Work:
    """Roots of vehicles: by DataTransfer."""
    if desk.enum("Cert201>16", payload.get("certificateType")) is None:
        inner = yield from pnc.wrapped(desk, Side.STATION, "InstallCertificate", {
            "certificateType": payload.get("certificateType"), "certificate": payload.get("certificate")})
        if inner is None or inner.get("status") not in ("Accepted", "Rejected", "Failed"):
            return _no_pnc(desk, "Rejected")
        return {"status": inner["status"]}
    got = yield from desk.ask(Side.STATION, "InstallCertificate", desk.carry(payload))
    return _finished(desk, got, "Rejected")


def delete(desk: Desk, payload: dict[str, Any]) -> Work:
    """One that the station does not have is looked for among those of vehicles."""
    got = yield from desk.ask(Side.STATION, "DeleteCertificate", desk.carry(payload))
    if got.status == "NotFound" or got.lacks:
        inner = yield from pnc.wrapped(desk, Side.STATION, "DeleteCertificate", payload)
        if inner is not None and inner.get("status") in ("Accepted", "Failed"):
            return {"status": inner["status"]}
    return _finished(desk, got, "Failed")


def installed(desk: Desk, payload: dict[str, Any]) -> Work:
    """A Call for each type that 1.6 has, and one DataTransfer for those of vehicles; without types those that 1.6 has."""
    given = payload.get("certificateType")
    wanted = [one for one in given if isinstance(one, str)] if isinstance(given, list) and given else list(_OWN_TYPES)
    chains: list[dict[str, Any]] = []
    for kind in dict.fromkeys(wanted):
        plain = desk.enum("GCert201>16", kind)
        if plain is None:
            continue
        got = yield from desk.ask(Side.STATION, "GetInstalledCertificateIds", {"certificateType": plain})
        if got.lacks:
            break
        if got.payload is None:
            return refused(desk, got)
        found = got.payload.get("certificateHashData") if got.status == "Accepted" else None
        chains += [{"certificateType": kind, "certificateHashData": one} for one in each(found)]
    vehicles = [kind for kind in dict.fromkeys(wanted) if desk.enum("GCert201>16", kind) is None]
    if vehicles:
        inner = yield from pnc.wrapped(desk, Side.STATION, "GetInstalledCertificateIds", {"certificateType": vehicles})
        found = inner.get("certificateHashDataChain") if inner is not None else None
        chains += each(found)
    if not chains:
        return told_why(desk, {"status": "NotFound"}, "the station has none of these")
    return {"status": "Accepted", "certificateHashDataChain": chains}


def _no_pnc(desk: Desk, status: str) -> dict[str, Any]:
    return told_why(desk, {"status": status}, "the station does not know Plug & Charge over OCPP 1.6", "UnsupportedRequest")


def ev_certificate(desk: Desk, payload: dict[str, Any]) -> Work:
    """By DataTransfer; Failed where the CSMS does not know it."""
    inner = yield from pnc.wrapped(desk, Side.CSMS, "Get15118EVCertificate", payload)
    if inner is None or not isinstance(inner.get("exiResponse"), str):
        return told_why(desk, {"status": "Failed", "exiResponse": ""}, "the CSMS does not know Plug & Charge over OCPP 1.6")
    return {"status": "Accepted" if inner.get("status") == "Accepted" else "Failed", "exiResponse": inner["exiResponse"]}


def certificate_status(desk: Desk, payload: dict[str, Any]) -> Work:
    """By DataTransfer; Failed where the CSMS does not know it."""
    inner = yield from pnc.wrapped(desk, Side.CSMS, "GetCertificateStatus", payload)
    if inner is None or not isinstance(inner.get("ocspResult"), str):
        return told_why(desk, {"status": "Failed"}, "the CSMS does not know Plug & Charge over OCPP 1.6")
    return {"status": "Accepted" if inner.get("status") == "Accepted" else "Failed", "ocspResult": inner["ocspResult"]}


def security_event(desk: Desk, payload: dict[str, Any]) -> Work:
    """A CSMS without the extension is not asked again."""
    if desk.kept.can.get(EVENTS) is False:
        desk.lost("$", "the CSMS has no security extension of OCPP 1.6: not told")
        return {}
    got = yield from desk.ask(Side.CSMS, "SecurityEventNotification", desk.carry(payload))
    if got.lacks:
        desk.keep(can={**desk.kept.can, EVENTS: False})
        desk.lost("$", "the CSMS has no security extension of OCPP 1.6: not told")
        return {}
    return refused(desk, got) if got.payload is None else {}


UP_STATION = {"SignCertificate": sign_up}
UP_CSMS = {
    "CertificateSigned": certificate_signed, "InstallCertificate": install, "DeleteCertificate": delete,
    "GetInstalledCertificateIds": installed,
}
DOWN_STATION = {
    "SignCertificate": sign_down, "Get15118EVCertificate": ev_certificate, "GetCertificateStatus": certificate_status,
    "SecurityEventNotification": security_event,
}
