"""What plugins do not take is refused before a running proxy says or writes anything of it."""

from pathlib import Path

import pytest

from ocpp_proxy.cli.fitting import refuse_unfit
from ocpp_proxy.cli.running import again
from ocpp_proxy.config import Config
from ocpp_proxy.model import ConfigError


def test_a_reload_with_a_wrong_option_takes_over_nothing(tmp_path: Path) -> None:
    file = tmp_path / "proxy.toml"
    flags = {"upstream": "ws://csms.example/ocpp", "listen": ("0",)}
    file.write_text('enable = ["throttle"]\n')
    now = again(str(file), flags, "", Config())
    file.write_text('enable = ["throttle"]\n[plugins.throttle]\nnonsense = 1\n')
    with pytest.raises(ConfigError, match="nonsense: no such option"):
        again(str(file), flags, "", now)
    file.write_text('[plugins.throttle]\nnonsense = 1\n')               # enabled by hand, perhaps
    with pytest.raises(ConfigError, match="nonsense: no such option"):
        again(str(file), flags, "", Config())


def test_what_is_as_before_is_not_asked_again(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("nonsense(")
    refuse_unfit(Config(enable=(str(broken),)), Config(enable=(str(broken),), call_seconds=5))
    with pytest.raises(ConfigError, match="SyntaxError"):
        refuse_unfit(Config(), Config(enable=(str(broken),)))


def test_a_plugin_that_ends_its_process_ends_no_supervisor(tmp_path: Path) -> None:
    wild = tmp_path / "wild.py"
    wild.write_text("import os\nprint('[]')\nos._exit(0)")
    with pytest.raises(ConfigError, match="the process that loads them ends"):
        refuse_unfit(Config(), Config(enable=(str(wild),)))
