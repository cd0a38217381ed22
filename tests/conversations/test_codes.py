"""Every finding code has a conversation: a part in which it fires, and twins, close to it, in which it must not.

Switched off, a rule must be missed in its own file; without any one of its guards a false finding must show there.
"""

from pathlib import Path

import pytest
from msgspec import structs

from ocpp_proxy.checks import REGISTRY, Settings
from ocpp_proxy.checks.registry import Guard, Registry, Rule
from ocpp_proxy.core.analyse import Analyser
from ocpp_proxy.core.link_state import Ids
from tests.conversations.player import Script, differences, parse

CODES = Path(__file__).parent / "codes"
FILES = sorted(CODES.glob("*.txt"))
OTHERS = sorted(CODES.parent.glob("*.txt"))
RULES = sorted(REGISTRY.rules)
GUARDS = [(code, index) for code in RULES for index in range(len(REGISTRY.rules[code].unless))]


def script_of(code: str) -> Script:
    return parse((CODES / f"{code.lower()}.txt").read_text())


def faults(script: Script, registry: Registry = REGISTRY, settings: Settings | None = None) -> dict[str, str]:
    """Title -> diff of the parts that do not play as written."""
    found = {}
    for part in script.parts:
        analyser = Analyser(settings or Settings(), Ids(), None, registry)
        diff = differences(part, script.header, analyser)
        assert analyser.failures == 0
        if diff:
            found[part.title] = diff
    return found


def with_rule(rule: Rule) -> Registry:
    registry = Registry()
    registry.rules = {**REGISTRY.rules, rule.code: rule}
    return registry


@pytest.mark.parametrize("path", [*FILES, *OTHERS], ids=lambda path: path.stem)
def test_conversation_plays_as_written(path: Path) -> None:
    assert "\n".join(faults(parse(path.read_text())).values()) == ""


def test_every_rule_has_its_conversation_and_every_conversation_its_rule() -> None:
    assert [path.stem.upper() for path in FILES] == RULES


@pytest.mark.parametrize("code", RULES)
def test_file_names_its_code_and_has_a_positive_and_a_twin(code: str) -> None:
    script = script_of(code)
    assert script.header["code"] == code
    titles = [part.title for part in script.parts]
    assert titles[0] == "fires"
    assert any(title.startswith("twin: ") for title in titles)
    for part in script.parts:
        fires = any(line.startswith(f"! {code}") for line in part.lines)
        assert fires is part.title.startswith("fires") or (part.title.startswith("fires not") and not fires), part.title


@pytest.mark.parametrize("code", RULES)
def test_a_rule_that_is_off_is_missed(code: str) -> None:
    assert "fires" in faults(script_of(code), settings=Settings(severities={code: "off"}))


@pytest.mark.parametrize(("code", "index"), GUARDS, ids=lambda value: str(value))
def test_a_guard_that_is_dropped_lets_a_false_finding_through(code: str, index: int) -> None:
    rule = REGISTRY.rules[code]
    kept: tuple[Guard, ...] = rule.unless[:index] + rule.unless[index + 1 :]
    found = faults(script_of(code), with_rule(structs.replace(rule, unless=kept)))
    assert any(f"+ ! {code}" in diff for diff in found.values()), f"no twin of {code} needs {rule.unless[index].__name__}"


def test_every_rule_has_a_guard() -> None:
    assert [code for code in RULES if not REGISTRY.rules[code].unless] == []
