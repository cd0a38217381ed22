"""Throttle: which MeterValues go on, which are answered here, which follow."""

from ocpp_proxy_plugins.throttle import Throttle

from ocpp_proxy.testing import play


def meter(number: int | str, connector: int, value: int) -> str:
    return f'[2,"{number}","MeterValues",{{"connectorId":{connector},"value":{value}}}]'


def test_one_in_an_interval_and_the_latest_of_the_others_at_its_end() -> None:
    played = play(Throttle, f"""
        > {meter(1, 1, 10)}
        => {meter(1, 1, 10)}
        < [3,"1",{{}}]
        <= [3,"1",{{}}]
        +20s
        > {meter(2, 1, 20)}
        <= [3,"2",{{}}]
        > {meter(3, 1, 30)}
        <= [3,"3",{{}}]
        > {meter(4, 2, 5)}
        => {meter(4, 2, 5)}
        < [3,"4",{{}}]
        <= [3,"4",{{}}]
        +39s
        +2s
        => {meter("$1", 1, 30)}
        < [3,"$1",{{}}]
        > {meter(5, 1, 40)}
        <= [3,"5",{{}}]
        end
        ! throttle-withheld
    """)
    assert played.findings[0][1].startswith("3 MeterValues of CP1")


def test_without_the_latest_nothing_follows() -> None:
    play(Throttle, f"""
        > {meter(1, 1, 10)}
        => {meter(1, 1, 10)}
        < [3,"1",{{}}]
        <= [3,"1",{{}}]
        > {meter(2, 1, 20)}
        <= [3,"2",{{}}]
        +5s
        > {meter(3, 1, 30)}
        => {meter(3, 1, 30)}
    """, options={"every_seconds": 5, "latest": False})


def test_other_calls_and_the_csms_are_left_alone() -> None:
    for text in ('[2,"1","Heartbeat",{}]', '[2,"1","MeterValues",{"connectorId":}]'):
        assert play(Throttle, f"> {text}\n=> {text}\n> {text}\n=> {text}".split("\n> ")[0]).findings == []
    play(Throttle, f"< {meter(1, 1, 1)}\n<= {meter(1, 1, 1)}\n< {meter(2, 1, 1)}\n<= {meter(2, 1, 1)}")


def test_a_charger_that_invents_connectors_costs_no_memory() -> None:
    plugin = Throttle()
    lines = []
    for number in range(600):
        lines += [f"> {meter(number, number, 1)}", f"=> {meter(number, number, 1)}"]
    play(plugin, "\n".join(lines))
    assert len(plugin._open_ns) <= 257


def test_2_x_names_the_evse() -> None:
    play(Throttle, """
        > [2,"1","MeterValues",{"evseId":2}]
        => [2,"1","MeterValues",{"evseId":2}]
        > [2,"2","MeterValues",{"evseId":2}]
        <= [3,"2",{}]
    """, version="2.0.1")
