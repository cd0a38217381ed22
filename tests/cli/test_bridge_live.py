"""``bridge tx`` and ``backup`` beside a proxy that runs: the file is found, and left alone under an open link."""

from pathlib import Path

import pytest

from ocpp_proxy.cli import places
from ocpp_proxy.cli.app import run_app
from tests.cli.test_bridge_tx import charging, stored
from tests.cli.test_end_to_end import Machine, until
from tests.station import station


def test_a_charger_that_is_connected_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    machine = Machine(tmp_path)
    for name in ("OCPP_PROXY_RUNTIME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, machine.environment[name])
    monkeypatch.setattr(places, "search_bases", lambda: [tmp_path / "run"])     # other proxies may run on this machine
    link, tid = charging()
    capture = tmp_path / "captures" / "a.duckdb"
    stored(tmp_path / "captures" / "plugins.sqlite", CP1=link.state)

    def said(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        return run_app(["bridge", *words]), capsys.readouterr().err

    with machine.proxy("--capture", str(capture)) as (_, port):
        with station(port):
            code, why = said("tx", "close", "CP1", str(tid))
            assert code == 2 and "its link is open" in why
            assert said("backup", str(tmp_path / "b"))[0] == 0
            code, why = said("restore", str(tmp_path / "b"))
            assert code == 2 and "a proxy runs on it" in why
        assert until(lambda: said("tx", "close", "CP1", str(tid))[0] == 0)
