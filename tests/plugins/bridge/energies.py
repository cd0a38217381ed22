"""I7 of whole conversations: the energy of a transaction that began and ended on both sides is the same there."""

from typing import Any

from tests.plugins.bridge.bridged import CSMS, STATION, Bridged, is_register, watt_hours


def unlike(link: Bridged) -> str:
    """I7: a transaction that began and ended on both sides, with another energy there; empty: there is none.

    Not of those whose register nobody knew (told as invented).
    """
    if any(one.what == "invented" and one.path in ("$.meterStart", "$.meterStop") for _, one in link.lost):
        return ""
    up = link.versions[STATION] == "1.6"
    wh16 = _counted(link)
    events: dict[str, list[dict[str, Any]]] = {}
    heard = [one for name, one in link.heard if name == "TransactionEvent"]
    for payload in link.calls(CSMS, "TransactionEvent") if up else heard:
        events.setdefault(payload.get("transactionInfo", {}).get("transactionId", ""), []).append(payload)
    for tid, uid in link.tids.items():
        mine = events.get(uid, [])
        if tid in wh16 and {"Started", "Ended"} <= {one["eventType"] for one in mine}:
            found = registers(mine)
            if found and all(abs(wh16[tid] - wh) > (0 if up else 1) for wh in found):  # 1.6 counts whole Wh
                return f"{wh16[tid]} Wh of {tid}, and of {uid} {found}"
    return ""


def registers(events: list[dict[str, Any]]) -> list[float]:
    """What the energy of a transaction can be by its events: from its first register to each of the last."""
    ranks = {"Transaction.Begin": -1, "Transaction.End": 1}
    found = [
        ((value["timestamp"], ranks.get(one.get("context", ""), 0)), watt_hours(one))
        for event in events for value in event.get("meterValue", []) for one in value["sampledValue"] if is_register(one)
    ]
    if not found:
        return []
    first, last = min(found), max(at for at, _ in found)
    return [wh - first[1] for at, wh in found if at == last]


def _counted(link: Bridged) -> dict[int, float]:
    """Wh of each transaction that began and ended on the side of 1.6, by the registers it was told with."""
    asked = {one.message_id: one.payload for one in link.said if one.action == "StartTransaction" and one.told is None}
    begun = {one.told.payload["transactionId"]: asked[one.told.message_id]["meterStart"] for one in link.made
             if one.told.kind == 3 and one.told.action == "StartTransaction"}
    begun |= {one.payload["transactionId"]: one.told.payload["meterStart"] for one in link.said
              if one.told is not None and one.action == "StartTransaction" and "transactionId" in one.payload}
    ended: dict[int, float] = {}
    for action, payload in (*link.heard, *((one.action, one.payload) for one in link.told[CSMS] if one.kind == 2)):
        if action == "StopTransaction":
            ended.setdefault(payload["transactionId"], payload["meterStop"])
    return {tid: ended[tid] - wh for tid, wh in begun.items() if tid in ended}
