"""What the bridge compiles is compiled when its options are read: hooks have little time, the first one no more."""

import pytest
from ocpp_proxy_plugins import bridge
from ocpp_proxy_plugins.bridge.handlers import HANDLERS

from ocpp_proxy.api import Side
from ocpp_proxy.spec import schemas


@pytest.mark.parametrize(("station", "csms"), [("1.6", "2.0.1"), ("2.0.1", "1.6")])
def test_tables_handlers_and_schemas_are_there_before_the_first_message(
    station: str, csms: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schemas, "_valid", {})
    HANDLERS.clear()
    bridge._compile.cache_clear()
    bridge.Bridge.Options(station=station, csms=csms)  # type: ignore[arg-type]  # from parameters
    assert set(HANDLERS) == {(f"{station}:{csms}", side) for side in Side}
    every = {(version, *message) for version in ("1.6", "2.0.1") for message in schemas.messages(version)}
    assert set(schemas._valid) == every
