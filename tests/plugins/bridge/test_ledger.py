"""What is asserted of every conversation (``conftest``) can fail: a loss that nobody told, an energy that is another one."""

from tests.plugins.bridge.bridged import CSMS, STATION, Bridged
from tests.plugins.bridge.downward import event, linked, meter, quiet, said, sample, started
from tests.plugins.bridge.energies import unlike
from tests.plugins.bridge.ledger import unaccounted

BOOT = {"chargePointVendor": "Acme", "chargePointModel": "One", "meterType": "EM24"}


def test_a_field_that_goes_nowhere_and_is_not_told() -> None:
    link = Bridged()
    link.call(STATION, "BootNotification", BOOT)
    assert unaccounted(link) == []
    told, link.lost = link.lost, []
    assert unaccounted(link) == ["station BootNotification m1: $.meterType = 'EM24'"]
    link.lost = told


def test_a_field_that_was_changed_on_its_way() -> None:
    link = Bridged()
    link.call(STATION, "BootNotification", BOOT)
    link.made[0].told.payload["chargingStation"]["model"] = "Two"
    assert unaccounted(link) == ["station BootNotification m1: $.chargePointModel = 'One'"]
    link.made[0].told.payload["chargingStation"]["model"] = "One"


def test_a_value_of_a_message_that_is_told_of_another_one() -> None:
    link = linked()
    started(link)
    said(link, event("Updated", 1, 5, meterValue=meter(5, sample(1500))))
    link.answer(CSMS, {}, "MeterValues")
    assert unaccounted(link) == []
    values = next(one.told.payload["meterValue"] for one in link.made if one.told.action == "MeterValues")
    values[0]["sampledValue"][0]["value"] = "1501"
    assert [one.rpartition(": ")[2] for one in unaccounted(link)] == ["$.meterValue[0].sampledValue[0].value = 1500"]
    values[0]["sampledValue"][0]["value"] = "1500"


def test_another_energy() -> None:
    link = linked()
    started(link)
    said(link, event("Ended", 1, 9, state="Idle", meterValue=meter(9, sample(5000, "Transaction.End"))))
    link.answer(CSMS, {}, "StopTransaction")
    quiet(link)
    assert unlike(link) == ""
    told = link.calls(CSMS, "StopTransaction")[0]
    told["meterStop"] = 5002
    assert unlike(link) == "4002 Wh of 77, and of 6b1f6c1e-3a52-4a39-8a7d-1d2f6f3f0001 [4000.0]"
    told["meterStop"] = 5000
