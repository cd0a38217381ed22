"""The local list both ways: pieces, versions, a station that lost it, a CSMS that empties it."""

from typing import Any

from ocpp_proxy_plugins.bridge import Bridge

from tests.plugins.bridge.bridged import CSMS, DOWN, STATION, Bridged


def entries(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [{"idToken": {"idToken": f"T{number}", "type": "Central"}, "idTokenInfo": {"status": "Accepted"}}
            for number in range(first, first + count)]


def sending(
    link: Bridged, version: int, kind: str, listed: list[dict[str, Any]] | None, *answers: str,
) -> tuple[list[Any], str]:
    """What the station got, and what the CSMS was answered."""
    before = len(link.calls(STATION, "SendLocalList"))
    wish: dict[str, Any] = {"versionNumber": version, "updateType": kind}
    message = link.call(CSMS, "SendLocalList", wish if listed is None else {**wish, "localAuthorizationList": listed})
    for answer in answers:
        link.answer(STATION, {"status": answer}, "SendLocalList")
    status: str = link.answered(message).payload["status"]
    return link.calls(STATION, "SendLocalList")[before:], status


def version(link: Bridged, said: int) -> int:
    message = link.call(CSMS, "GetLocalListVersion")
    link.answer(STATION, {"listVersion": said})
    found: int = link.answered(message).payload["versionNumber"]
    return found


def limited(most: int) -> Bridged:
    return Bridged(state=Bridge.State(facts={"lists.most": most}))


def test_s24_a_long_list_goes_in_pieces_with_one_answer() -> None:
    link = limited(50)
    sent, answer = sending(link, 9, "Full", entries(130), "Accepted", "Accepted", "Accepted")
    assert [(one["listVersion"], one["updateType"], len(one["localAuthorizationList"])) for one in sent] == [
        (7, "Full", 50), (8, "Differential", 50), (9, "Differential", 30)]
    assert answer == "Accepted" and version(link, 9) == 9
    link.settled()


def test_pieces_of_a_low_version_leave_the_station_with_another_one() -> None:
    link = limited(50)
    sent, _ = sending(link, 1, "Full", entries(130), "Accepted", "Accepted", "Accepted")
    assert [one["listVersion"] for one in sent] == [1, 2, 3]
    assert version(link, 3) == 1
    sent, _ = sending(link, 2, "Differential", entries(1, 500), "Accepted")
    assert [one["listVersion"] for one in sent] == [4] and version(link, 4) == 2


def test_a_piece_that_is_refused_is_the_answer() -> None:
    link = limited(50)
    sent, answer = sending(link, 9, "Full", entries(130), "Accepted", "Failed")
    assert len(sent) == 2 and answer == "Failed"


def test_n22_a_list_that_the_csms_emptied_has_its_version() -> None:
    link = Bridged()
    sent, answer = sending(link, 5, "Full", None, "Accepted")
    assert sent == [{"listVersion": 5, "updateType": "Full"}] and answer == "Accepted"
    assert version(link, 0) == 5
    assert version(Bridged(), 0) == version(Bridged(), -1) == 0
    assert version(Bridged(), 17) == 17


def test_a_station_that_lost_its_list_gets_it_whole() -> None:
    link = Bridged()
    sending(link, 5, "Full", entries(2), "Accepted")
    link.again()
    gone = [{"idToken": {"idToken": "t0", "type": "Central"}}]
    sent, answer = sending(link, 6, "Differential", [*entries(1, 7), *gone], "VersionMismatch", "Accepted")
    assert sent[1] == {"listVersion": 6, "updateType": "Full", "localAuthorizationList": [
        {"idTag": "T1", "idTagInfo": {"status": "Accepted"}}, {"idTag": "T7", "idTagInfo": {"status": "Accepted"}}]}
    assert answer == "Accepted" and link.findings == ["local-list"]


def test_not_supported_is_failed() -> None:
    assert sending(Bridged(), 5, "Full", entries(1), "NotSupported")[1] == "Failed"


def test_lists_of_a_1_6_csms() -> None:
    link = Bridged(DOWN)
    message = link.call(CSMS, "SendLocalList", {"listVersion": 3, "updateType": "Full", "localAuthorizationList": [
        {"idTag": "0A0B0C0D", "idTagInfo": {"status": "Accepted", "parentIdTag": "P"}}, {"idTag": "B"}]})
    assert link.answer(STATION, {"status": "Accepted"}).payload == {
        "versionNumber": 3, "updateType": "Full", "localAuthorizationList": [
            {"idToken": {"idToken": "0A0B0C0D", "type": "ISO14443"}, "idTokenInfo": {
                "status": "Accepted", "groupIdToken": {"idToken": "P", "type": "Central"}}},
            {"idToken": {"idToken": "B", "type": "Central"}}]}
    assert link.answered(message).payload == {"status": "Accepted"}
    message = link.call(CSMS, "SendLocalList", {"listVersion": 0, "updateType": "Full"})
    assert link.answered(message).payload == {"status": "Failed"}
    message = link.call(CSMS, "GetLocalListVersion")
    link.error(STATION, "NotSupported")
    assert link.answered(message).payload == {"listVersion": -1}
    message = link.call(CSMS, "GetLocalListVersion")
    link.answer(STATION, {"versionNumber": 3})
    assert link.answered(message).payload == {"listVersion": 3}
