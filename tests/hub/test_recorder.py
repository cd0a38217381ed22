"""The key of the pseudonyms: made once, readable by its user alone, the same for every capture."""

from pathlib import Path

import pytest

from ocpp_proxy.hub.recorder import KEY_BYTES, masking_key
from ocpp_proxy.model import ConfigError


def test_the_key_is_made_once_and_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    key = masking_key(tmp_path / "one")
    assert len(key) == KEY_BYTES
    assert masking_key(tmp_path / "two") == key
    (made,) = (tmp_path / "state" / "ocpp-proxy").iterdir()
    assert oct(made.stat().st_mode)[-3:] == "600"


def test_without_a_state_folder_it_lies_in_the_instance_and_without_both_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nothing")
    key = masking_key(tmp_path / "one")
    assert masking_key(tmp_path / "one") == key
    assert masking_key(tmp_path / "two") != key
    with pytest.raises(ConfigError, match="--keep-secrets"):
        masking_key(Path("/proc/nothing"))
