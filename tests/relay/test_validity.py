"""Certificates in notes: names, last days, what cannot be read, and how often the same is told."""

from pathlib import Path

import pytest

from ocpp_proxy.checks.notes import noted
from ocpp_proxy.relay.validity import MOST_TOLD, TELL_SECONDS, Told, chain_text, file_chain
from tests.relay.certificates import Authority


def test_a_file_gives_its_certificates_and_the_rule_reads_them_back(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    leaf = authority.issue("leaf", cn="CP 1")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(Path(leaf).read_bytes() + authority.path.read_bytes())
    read = noted(chain_text(file_chain(str(chain))))
    assert [name for name, _ in read] == ["CP 1", "test CA"]
    assert read[0][1] < read[1][1]


def test_a_name_cannot_forge_a_date(tmp_path: Path) -> None:
    leaf = Authority(tmp_path).issue("leaf", cn="x; not_after=1999-01-01 < y; not_after=1999-01-01")
    (found,) = noted(chain_text(file_chain(leaf)))
    assert found[1].year > 2000


@pytest.mark.parametrize("text", ["", "no certificate", "x; not_after=", "x; not_after=never < y"])
def test_other_text_holds_no_certificate(text: str) -> None:
    assert noted(text) == []


def test_a_file_that_cannot_be_read_gives_none(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert file_chain(str(tmp_path / "x.pem")) == file_chain(str(tmp_path / "none.pem")) == []
    assert chain_text([]) == ""


def test_the_same_is_told_once_a_day_and_little_is_remembered() -> None:
    told = Told()
    assert [told.news("a", at) for at in (0.0, 1.0, TELL_SECONDS - 1, TELL_SECONDS, TELL_SECONDS + 1)] == [
        True, False, False, True, False,
    ]
    assert told.news("b", TELL_SECONDS) is True
    for number in range(MOST_TOLD):
        told.news(str(number), TELL_SECONDS)
    assert told.news("b", TELL_SECONDS) is True         # forgotten: told again rather than never
