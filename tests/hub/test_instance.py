"""Where an instance lies, who may have it, what it says about itself, and what listening says when it cannot be."""

import errno
import os
import socket
import sys
from pathlib import Path

import pytest

from ocpp_proxy.config import CaptureConfig, Config
from ocpp_proxy.hub import instance
from ocpp_proxy.hub.instance import Base, Instance
from ocpp_proxy.hub.listeners import listen
from ocpp_proxy.model import ConfigError


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OCPP_PROXY_RUNTIME", "RUNTIME_DIRECTORY", "XDG_STATE_HOME", "INVOCATION_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")     # must never be chosen
    monkeypatch.setenv("HOME", "/home/me")


def test_the_runtime_base_is_one_that_survives_a_logout(clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert instance.runtime_base() == Base(Path("/run/ocpp-proxy"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(instance, "_survives_logout", lambda: True)
    assert instance.runtime_base() == Base(Path("/dev/shm/ocpp-proxy-1000"))
    monkeypatch.setattr(instance, "_survives_logout", lambda: False)
    assert instance.runtime_base() == Base(Path("/home/me/.local/state/ocpp-proxy/run"), stalls=True)
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/ocpp-proxy-unit:/run/other")
    assert instance.runtime_base() == Base(Path("/run/ocpp-proxy-unit"))
    monkeypatch.setenv("OCPP_PROXY_RUNTIME", "/somewhere")
    assert instance.runtime_base() == Base(Path("/somewhere"))


def test_the_same_capture_is_the_same_instance_however_it_is_spelt(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert instance.instance_name(str(tmp_path / "a.duckdb"), 1) == instance.instance_name(str(tmp_path / "link/a.duckdb"), 2)
    assert instance.instance_name(str(tmp_path / "b.duckdb"), 1) != instance.instance_name(str(tmp_path / "a.duckdb"), 1)
    assert instance.instance_name("", 9000) == "live-9000"


def test_the_capture_path(clean: None) -> None:
    assert instance.capture_path(Config()) == "/home/me/.local/state/ocpp-proxy/captures"
    assert instance.capture_path(Config(capture=CaptureConfig(path="~/c.duckdb"))) == "/home/me/c.duckdb"
    assert instance.capture_path(Config(capture=CaptureConfig(path="x", off=True))) == ""


def test_states_lie_beside_the_capture(clean: None) -> None:
    state = "/home/me/.local/state/ocpp-proxy/plugins.sqlite"
    assert instance.state_path(Config(), instance.capture_path(Config())) == instance.state_path(Config(), "") == state
    assert instance.state_path(Config(), "/var/x/c.duckdb") == "/var/x/plugins.sqlite"
    assert instance.state_path(Config(state="~/s.sqlite"), "/var/x/c.duckdb") == "/home/me/s.sqlite"


def test_a_private_folder_is_made_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = instance.private_folder(tmp_path / "base" / "one")
    assert oct(folder.stat().st_mode)[-3:] == oct(folder.parent.stat().st_mode)[-3:] == "700"
    assert instance.private_folder(folder) == folder
    folder.chmod(0o750)
    with pytest.raises(ConfigError, match=f"chmod 700 {folder}"):
        instance.private_folder(folder)
    (tmp_path / "base" / "link").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="another user or is a link"):
        instance.private_folder(tmp_path / "base" / "link")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ConfigError, match="others may exchange"):
        instance.private_folder(tmp_path / "open" / "one")
    with pytest.raises(ConfigError, match="needs a folder"):
        instance.private_folder(Path("/proc/nothing/one"))
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    above = "another user" if tmp_path.stat().st_uid == 0 else "others may exchange"    # folders of root are nobody else's
    with pytest.raises(ConfigError, match=above):
        instance.private_folder(tmp_path / "base" / "one")


def test_what_an_instance_says_is_read_back(tmp_path: Path) -> None:
    control = str(tmp_path / "control.sock")
    known = Instance("one", 5, str(tmp_path), ("[::]:9000",), "ws://c", "/c.duckdb", control, "t", 7, "1")
    instance.write(known)
    assert instance.read(tmp_path) == known
    assert oct((tmp_path / "instance.json").stat().st_mode)[-3:] == "600"
    (tmp_path / "instance.json").write_text("{")
    assert instance.read(tmp_path) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["instance.json"]


def test_a_path_too_long_for_a_socket_becomes_a_loopback_port() -> None:
    short, long = Path("/run/ocpp-proxy/abc"), Path("/run/" + "x" * 90)
    assert instance.control_address(short, "") == "/run/ocpp-proxy/abc/control.sock"
    assert instance.control_address(long, "") == "127.0.0.1:0"
    assert instance.control_address(short, "0.0.0.0:9100") == "0.0.0.0:9100"
    edge = Path("/" + "x" * (103 - len("//control.sock")))
    assert len(os.fsencode(edge / "control.sock")) == 103
    assert instance.control_address(edge, "") == str(edge / "control.sock")


def test_a_spool_elsewhere_is_found_in_the_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCPP_PROXY_RUNTIME", str(tmp_path / "runtime"))
    folder = instance.private_folder(tmp_path / "elsewhere" / "abc")
    instance.point_to(folder)
    instance.point_to(folder)
    assert (tmp_path / "runtime" / "abc").resolve() == folder.resolve()


def test_a_port_alone_is_every_interface_in_both_families() -> None:
    (found,) = listen(["0"])
    try:
        assert found.address == f"[::]:{found.port}"
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, found.port), timeout=60).close()
    finally:
        found.socket.close()


def test_each_address_is_bound_and_a_failure_lets_go_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    found = listen(["127.0.0.1:0", "[::1]:0"])
    assert [entry.address.rpartition(":")[0] for entry in found] == ["127.0.0.1", "[::1]"]
    port = found[0].port
    for entry in found[1:]:
        entry.socket.close()
    with pytest.raises(ConfigError, match=f"port {port} is in use by another program; see which: .*--listen {port + 1}"):
        listen(["[::1]:0", f"127.0.0.1:{port}"])
    found[0].socket.close()


@pytest.mark.parametrize("entry", ["", "x", "9000:", "1.2.3.4:port", "::1:9000", "70000"])
def test_a_listen_that_is_no_address_is_refused(entry: str) -> None:
    with pytest.raises(ConfigError, match="is wanted, as 9000"):
        listen([entry])


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no address of this machine"):
        listen(["192.0.2.77:0"])


def test_a_low_port_without_the_right_names_the_command(clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", denied)
    with pytest.raises(ConfigError, match=r"sudo sysctl -w net\.ipv4\.ip_unprivileged_port_start=443"):
        listen(["127.0.0.1:443"])
    monkeypatch.setenv("INVOCATION_ID", "unit")
    with pytest.raises(ConfigError, match="AmbientCapabilities=CAP_NET_BIND_SERVICE"):
        listen(["127.0.0.1:443"])
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigError, match="sudo, or listen on 9000"):
        listen(["127.0.0.1:443"])


def test_without_ipv6_a_port_alone_is_every_ipv4_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_ipv6", False)
    (found,) = listen(["0"])
    assert found.address == f"0.0.0.0:{found.port}"
    found.socket.close()
