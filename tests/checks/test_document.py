"""The page of findings says what the rules say."""

from pathlib import Path

from ocpp_proxy.checks import REGISTRY
from ocpp_proxy.checks.document import FAMILIES, page

DOCS = Path(__file__).resolve().parents[2] / "docs" / "findings.md"


def test_page_is_up_to_date() -> None:
    assert DOCS.read_text() == page(), "run: python -m ocpp_proxy.checks > docs/findings.md"


def test_every_rule_explains_itself() -> None:
    for rule in REGISTRY.rules.values():
        assert rule.means.endswith("."), rule.code
        assert rule.remedy.endswith("."), rule.code
        assert rule.code[0] in FAMILIES
        assert all(guard.__doc__ for guard in rule.unless), rule.code
