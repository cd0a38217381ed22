"""A new rule is one function in a rule file and one conversation: nothing else has to know of it."""

from msgspec import structs

from ocpp_proxy.checks import REGISTRY, Settings
from ocpp_proxy.checks.context import Context
from ocpp_proxy.checks.document import page
from ocpp_proxy.checks.registry import Hit, Hits, Registry
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.link_state import Ids
from ocpp_proxy.model import Severity
from tests.conversations.player import differences, parse

CONVERSATION = """
code: M99
protocol: ocpp1.6

== fires
> [2,"1","MeterValues",{"connectorId":1,"meterValue":[]}]
! V03
< [3,"1",{}]

== twin: another action
> [2,"1","Authorize",{"idTag":"LONELY"}]
! M99 path=$.idTag blame=station severity=info
"""


def test_one_function_and_one_conversation_are_enough() -> None:
    registry = Registry()
    registry.rules = dict(REGISTRY.rules)

    def known(context: Context, hit: Hit) -> bool:
        """The token is another."""
        return context.object().get("idTag") != "LONELY"

    @registry.rule(
        "M99", "a lonely token", severity=Severity.INFO, blame="station", on=("call",), actions=("Authorize",), unless=(known,),
        remedy="Give it company.",
    )
    def lonely(context: Context) -> Hits:
        """A token nobody else uses."""
        yield Hit("the token is lonely", path="$.idTag")

    script = parse(CONVERSATION)
    for part in script.parts:
        assert differences(part, script.header, Analyser(Settings(), Ids(), None, registry)) == ""
    assert "### M99 a lonely token" in page(registry)
    assert "A token nobody else uses. *What to do:* Give it company." in page(registry)


def test_a_rule_sees_only_what_it_asks_for() -> None:
    """A Heartbeat meets no rule at all; a rule for one action costs the others nothing."""
    analyser = Analyser(Settings(), Ids(), None)
    plans = analyser._core.plans
    assert plans.of("1.6", 0, "Heartbeat").rules == ()
    assert plans.of("1.6", 3, "Heartbeat").rules == ()
    assert plans.of("2.0.1", 0, "Heartbeat").rules == ()
    assert [rule.code for rule in plans.of("1.6", 0, "Authorize").rules] == ["T10", "V03", "X08"]
    assert "X05" in [rule.code for rule in plans.of("1.6", 0, "StopTransaction").rules]
    assert "X05" not in [rule.code for rule in plans.of("2.0.1", 0, "TransactionEvent").rules]


def test_a_severity_can_be_set_and_a_code_switched_off() -> None:
    script = parse("protocol: ocpp1.6\n\n== fires\n> [2,1,\"Heartbeat\",{}]\n! R04 severity=hint\n")
    settings = structs.replace(Settings(), severities={"R04": "hint"})
    assert differences(script.parts[0], script.header, Analyser(settings, Ids(), None)) == ""
