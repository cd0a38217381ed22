"""What the bridge compiles is compiled when its options are read: hooks have little time, the first one no more."""

import pytest
from ocpp_proxy_plugins import bridge
from ocpp_proxy_plugins.bridge.handlers import HANDLERS
from ocpp_proxy_plugins.bridge.near_forms import form

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


@pytest.mark.parametrize(("station", "csms"), [("2.1", "2.0.1"), ("2.0.1", "2.1")])
def test_between_near_versions_schemas_and_forms_are_there_too(
    station: str, csms: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schemas, "_valid", {})
    form.cache_clear()
    bridge.Bridge.Options(station=station, csms=csms)  # type: ignore[arg-type]  # from parameters
    every = {(version, *message) for version in (station, csms) for message in schemas.messages(version)}
    assert set(schemas._valid) == every and form.cache_info().currsize >= len(every)
    before = form.cache_info().misses
    for version, action, answer in every:
        form(version, action, answer)
    assert form.cache_info().misses == before
