"""AutoReply: at once, or when the other side does not answer in time."""

from ocpp_proxy_plugins.autoreply import AutoReply

from ocpp_proxy.testing import play

ANSWERS = {"Heartbeat": {"currentTime": "$now"}, "BootNotification": {"status": "Accepted", "deep": ["$now", {"a": "$now"}]}}


def test_chosen_calls_are_answered_here_with_the_time_of_the_link() -> None:
    play(AutoReply, """
        > [2,"1","Heartbeat",{}]
        <= [3,"1",{"currentTime":"2027-01-15T08:00:00.000Z"}]
        +1.5s
        > [2,"2","BootNotification",{}]
        <= [3,"2",{"status":"Accepted","deep":["2027-01-15T08:00:01.500Z",{"a":"2027-01-15T08:00:01.500Z"}]}]
        > [2,"3","Other",{}]
        => [2,"3","Other",{}]
        < [2,"4","Heartbeat",{}]
        <= [2,"4","Heartbeat",{}]
    """, options={"answers": ANSWERS})


def test_the_other_side_is_asked_first() -> None:
    play(AutoReply, """
        > [2,"1","Heartbeat",{}]
        => [2,"$1","Heartbeat",{}]
        < [3,"$1",{"currentTime":"theirs"}]
        <= [3,"1",{"currentTime":"theirs"}]
        > [2,"2","Heartbeat",{}]
        => [2,"$2","Heartbeat",{}]
        < [4,"$2","InternalError","",{}]
        <= [4,"2","InternalError","",{}]
        > [2,"3","Heartbeat",{}]
        => [2,"$3","Heartbeat",{}]
        +5s
        <= [3,"3",{"currentTime":"2027-01-15T08:00:05.000Z"}]
        < [3,"$3",{"currentTime":"late"}]
    """, options={"answers": ANSWERS, "after_seconds": 5})


def test_for_the_csms() -> None:
    play(AutoReply, '< [2,"1","Reset",{}]\n=> [3,"1",{"status":"Rejected"}]',
         options={"answers": {"Reset": {"status": "Rejected"}}, "sender": "csms"})


def test_transaction_ids_count_up_from_where_the_charger_was() -> None:
    """One for each answer that has one; an answer of the other side takes none."""
    options = {"answers": {"StartTransaction": {"transactionId": "$transactionId", "idTagInfo": {"status": "Accepted"}},
                           "Heartbeat": {"currentTime": "x"}}, "first_transaction": 1000}
    talk = """
        > [2,"1","StartTransaction",{}]
        <= [3,"1",{"transactionId":%d,"idTagInfo":{"status":"Accepted"}}]
        > [2,"2","Heartbeat",{}]
        <= [3,"2",{"currentTime":"x"}]
        > [2,"3","StartTransaction",{}]
        <= [3,"3",{"transactionId":%d,"idTagInfo":{"status":"Accepted"}}]
    """
    played = play(AutoReply, talk % (1000, 1001), options=options)
    assert played.state == {"autoreply": AutoReply.State(2)}
    assert play(AutoReply, talk % (1002, 1003), options=options, state=played.state).state == {"autoreply": AutoReply.State(4)}
    late = play(AutoReply, """
        > [2,"1","StartTransaction",{}]
        => [2,"$1","StartTransaction",{}]
        < [3,"$1",{"transactionId":7}]
        <= [3,"1",{"transactionId":7}]
        > [2,"2","StartTransaction",{}]
        => [2,"$2","StartTransaction",{}]
        +5s
        <= [3,"2",{"transactionId":1000,"idTagInfo":{"status":"Accepted"}}]
    """, options={**options, "after_seconds": 5})
    assert late.state == {"autoreply": AutoReply.State(1)}
