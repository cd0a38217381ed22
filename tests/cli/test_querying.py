"""Which word is the source and which the question; what a mistake is told."""

import pytest

from ocpp_proxy.cli.app import run_app
from ocpp_proxy.cli.querying import check_question, pairs, ready
from ocpp_proxy.model import ConfigError


def test_the_ready_queries_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(ready().rows) == 26
    assert run_app(["query", "--list"]) == 0
    assert "\noverview " in capsys.readouterr().out
    assert run_app(["query", "--list", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 26


@pytest.mark.parametrize("question", ["overview", "unanswered", "SELECT 1", "select * from messages"])
def test_what_is_a_question(question: str) -> None:
    check_question(question)


@pytest.mark.parametrize(("question", "told"), [
    ("ovreview", "did you mean overview?"), ("zzz", "query --list"), (__file__, "overview"),
])
def test_what_is_none(question: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_question(question)
    assert told in str(caught.value)


def test_parameters() -> None:
    assert pairs(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    with pytest.raises(ConfigError, match="--param name=value"):
        pairs(["a"])


@pytest.mark.parametrize(("arguments", "told"), [
    ([], "what is the question?"), (["a", "b", "c"], "what is the question?"),
    (["overview", "--csv", "--json"], "one of --json"),
])
def test_wrong_calls_are_exit_2(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["query", *arguments]) == 2
    assert told in capsys.readouterr().err
