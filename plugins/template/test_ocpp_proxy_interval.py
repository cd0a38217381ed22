"""The plugin, played without a network."""

import msgspec
import pytest
from ocpp_proxy_interval import Interval

from ocpp_proxy.testing import play

BOOT = '[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'


def test_the_interval_is_set() -> None:
    play(Interval, f"""
        > {BOOT}
        => {BOOT}
        < [3,"1",{{"status":"Accepted","currentTime":"2026-01-02T03:04:05Z","interval":14400}}]
        <= [3,"1",{{"status":"Accepted","currentTime":"2026-01-02T03:04:05Z","interval":60}}]
        end
        ! interval-set
    """, options={"seconds": 60})


def test_other_answers_and_other_chargers_are_left_alone() -> None:
    play(Interval, """
        > [2,"1","Heartbeat",{}]
        => [2,"1","Heartbeat",{}]
        < [3,"1",{"currentTime":"2026-01-02T03:04:05Z"}]
        <= [3,"1",{"currentTime":"2026-01-02T03:04:05Z"}]
    """)
    answer = '[3,"1",{"status":"Accepted","interval":14400}]'
    play(Interval, f"> {BOOT}\n=> {BOOT}\n< {answer}\n<= {answer}", options={"where": "identity == ACME-1"}, identity="CP2")


def test_a_wrong_interval_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="1 or more"):
        msgspec.convert({"seconds": 0}, Interval.Options)
