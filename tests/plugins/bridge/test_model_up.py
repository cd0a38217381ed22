"""The device model of a 1.6 station that is remembered: never an old one, and never many."""

from ocpp_proxy_plugins.bridge import model_up

from tests.plugins.bridge.bridged import CSMS, STATION, Bridged
from tests.plugins.bridge.modelled import results, station16, variable


def states(link: Bridged) -> list[str]:
    asked = [variable("Connector", "AvailabilityState", (1, 1)), variable("ClockCtrlr", "DateTime")]
    found = results(link, link.call(CSMS, "GetVariables", {"getVariableData": asked}))
    return [one["attributeValue"] for one in found]


def status(link: Bridged, text: str) -> None:
    link.call(STATION, "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": text})
    link.answer(CSMS, {}, "StatusNotification")


def test_what_changed_is_told_and_the_clock_goes_on() -> None:
    link = station16()
    status(link, "Available")
    before = states(link)
    link.wait(2)
    assert states(link)[0] == before[0] == "Available" and states(link)[1] > before[1]
    status(link, "Unavailable")
    assert states(link)[0] == "Unavailable"


def test_two_stations_have_two_models_and_few_are_remembered() -> None:
    links = [station16() for _ in range(model_up.MOST_RECENT + 3)]
    for number, link in enumerate(links):
        status(link, ("Available", "Unavailable")[number & 1])
        states(link)
    assert len(model_up._recent) == model_up.MOST_RECENT
    assert [states(link)[0] for link in links[:4]] == ["Available", "Unavailable"] * 2
