"""What a person reads about an action."""

import pytest
from ocpp_proxy_plugins.bridge.explain import explain
from ocpp_proxy_plugins.bridge.rows import DOWN, UP, read


def test_a_translated_action_says_where_each_field_goes() -> None:
    assert explain("SignCertificate", UP) == """SignCertificate, from the station    (station 1.6, CSMS 2.0.1)
  becomes SignCertificate to the CSMS, OCPP 2.0.1
  Fields:
    csr -> csr
    always: certificateType: ChargingStationCertificate
  Answer:
    status -> status
    lost: statusInfo: no reasons in OCPP 1.6
"""


def test_without_a_direction_both_are_told() -> None:
    page = explain("BootNotification")
    assert page.count("BootNotification, from the station") == 2
    assert page.index("station 1.6, CSMS 2.0.1") < page.index("station 2.0.1, CSMS 1.6")
    assert "    chargeBoxSerialNumber -> chargingStation.serialNumber    where nothing else is there\n" in page
    assert "cut to 20 characters" in page
    assert explain("DataTransfer", UP).count("DataTransfer, from the") == 2           # both sides send it


def test_several_targets_are_told_one_by_one() -> None:
    page = explain("UpdateFirmware", UP)
    assert "becomes one of SignedUpdateFirmware or UpdateFirmware to the station, OCPP 1.6" in page
    assert "  UpdateFirmware:\n" in page
    assert "    firmware.location -> location    at most 512 characters, never cut\n" in page
    assert "    lost: firmware.signature: an unsigned update has none\n" in page
    assert "  Answer to UpdateFirmware:\n    always: status: Accepted\n" in page


def test_shapes_and_value_tables_are_told_once() -> None:
    page = explain("Authorize", UP)
    assert page.count("  token info, from OCPP 2.0.1:\n") == 1
    assert page.count("  Table AuthStatus201>16:\n") == 1
    assert "    NoCredit -> Blocked\n" in page
    assert "    lost: personalMessage: no messages in OCPP 1.6\n" in page


def test_local_answers_are_told() -> None:
    assert explain("UnpublishFirmware") == """UnpublishFirmware, from the CSMS    (station 1.6, CSMS 2.0.1)
  is answered by the bridge
  OCPP 1.6 has no Local Controllers
  Answered: {"status":"NoFirmware"}
"""
    assert "  Answered:\n    setMonitoringResult: UnsupportedMonitorType for each" in explain("SetVariableMonitoring")
    assert "  Answered, where it cannot go: {}\n" in explain("CostUpdated")


def test_every_row_of_every_action_is_on_its_page() -> None:
    for direction in (UP, DOWN):
        for row in read().actions(direction):
            page = explain(row.name, direction)
            told = [*row.request, *((path, "", "") for path in (*row.dropped, *row.made, *row.answer_made)), *row.answer]
            for source, target, _ in told:
                assert source.rpartition(":")[2] in page
                assert target.rpartition(":")[2] in page


def test_an_unknown_action_or_direction_is_told_with_what_was_meant() -> None:
    with pytest.raises(ValueError, match=r"^no action 'starttransaktion': did you mean StartTransaction\?$"):
        explain("starttransaktion")
    with pytest.raises(ValueError, match=r"no action 'CostUpdated' in the direction 2\.0\.1:1\.6"):
        explain("CostUpdated", DOWN)
    with pytest.raises(ValueError, match=r"no direction '1\.6:1\.6': one of 1\.6:2\.0\.1, 2\.0\.1:1\.6"):
        explain("Reset", "1.6:1.6")
