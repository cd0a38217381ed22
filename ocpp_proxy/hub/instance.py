"""One running proxy on disk: where its folder lies, who may have it, and what ``instance.json`` says about it.

The folder is found again by the next run on the same capture, so a crashed run's spool is drained into its capture.
"""

import fcntl
import hashlib
import os
import stat
import sys
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from ocpp_proxy.config import Config
from ocpp_proxy.escape import safe_text
from ocpp_proxy.model import ConfigError

RUNTIME_VARIABLE = "OCPP_PROXY_RUNTIME"
SOCKET_PATH = 103                           # bytes: the shortest limit among Linux, macOS and BSD, less the NUL


class Instance(Struct, frozen=True):
    """The content of ``instance.json``. ``control`` is a socket path or ``HOST:PORT``: then ``token`` is needed to act, and
    ``read_token`` is enough to read."""

    name: str
    pid: int
    folder: str
    listen: tuple[str, ...] = ()
    upstream: str = ""
    capture: str = ""
    control: str = ""
    token: str = ""
    started_ns: int = 0
    version: str = ""
    isolated: tuple[str, ...] = ()          # addresses of the listeners with a worker of their own, in the order of their rules
    read_token: str = ""

    @property
    def by_tcp(self) -> bool:
        """Whether the control API is a TCP port."""
        return not self.control.startswith("/")


class Base(Struct, frozen=True):
    """A folder for instances. ``stalls``: it lies on a disk, so a hung disk can hold up the relay."""

    path: Path
    stalls: bool = False


def state_folder() -> Path:
    """Where this user's captures and keys live."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "ocpp-proxy"


def runtime_base() -> Base:
    """Where instance folders go on this system: never a folder that the last logout removes."""
    if given := os.environ.get(RUNTIME_VARIABLE) or os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]:
        return Base(Path(given).absolute())
    if os.geteuid() == 0:
        return Base(Path("/run/ocpp-proxy"))
    shared = Path("/dev/shm")
    if shared.is_dir() and os.access(shared, os.W_OK) and _survives_logout():
        return Base(shared / f"ocpp-proxy-{os.geteuid()}")
    return Base(state_folder() / "run", stalls=True)


def search_bases() -> list[Path]:
    """Every place where this user may find a running instance."""
    places = [runtime_base().path, Path("/run/ocpp-proxy"), Path(f"/dev/shm/ocpp-proxy-{os.geteuid()}"), state_folder() / "run"]
    return list(dict.fromkeys(places))


def capture_path(config: Config) -> str:
    """The absolute path of the capture; empty when nothing is stored."""
    if config.capture.off:
        return ""
    return str(Path(config.capture.path).expanduser().absolute() if config.capture.path else state_folder() / "captures")


def state_path(config: Config, capture: str) -> str:
    """The absolute path of the file with plugins' States: beside the capture, without one in the state folder."""
    if config.state:
        return str(Path(config.state).expanduser().absolute())
    return str((Path(capture).parent if capture else state_folder()) / "plugins.sqlite")


def instance_name(capture: str, port: int) -> str:
    """The same capture has the same name again; without a capture it is the port."""
    return hashlib.sha256(os.fsencode(os.path.realpath(capture))).hexdigest()[:12] if capture else f"live-{port}"


def private_folder(path: Path) -> Path:
    """Make a folder 0700 of this user; refuse one that is another's or open to others. Raises ``ConfigError``."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        above = path.parent.stat()
        path.mkdir(mode=0o700, exist_ok=True)
        facts = path.lstat()
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}: the spool needs a folder that this user can write; set {RUNTIME_VARIABLE} to one",
        ) from error
    if above.st_uid not in (0, os.geteuid()) or (above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX):
        raise ConfigError(f"{path.parent}: others may exchange what lies in it; set {RUNTIME_VARIABLE} to a folder of your own")
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        raise ConfigError(f"{path}: belongs to another user or is a link; remove it, or set {RUNTIME_VARIABLE} to another one")
    if facts.st_mode & 0o077:
        raise ConfigError(f"{path}: is open to other users, and the spool holds secrets; run: chmod 700 {path}")
    return path


def point_to(folder: Path) -> None:
    """Let a folder that lies elsewhere (``spool.dir``) be found where running instances are looked for."""
    base = runtime_base().path
    if folder.parent == base:
        return
    private_folder(base)
    sign = base / folder.name
    if sign.is_symlink():
        sign.unlink()
    if not sign.exists():
        sign.symlink_to(folder)


def lock(folder: Path) -> int:
    """Take the instance; the descriptor holds it until it is closed. Raises ``ConfigError`` when it is taken."""
    fd = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        other = read(folder)
        who = f" (pid {other.pid}, {', '.join(other.listen)})" if other else ""
        what = f"on the capture {other.capture}" if other and other.capture else f"in {folder}"
        raise ConfigError(
            f"ocpp-proxy is already running {what}{who}; stop it, or give this one another --capture",
        ) from None
    return fd


def write(instance: Instance) -> None:
    """Write ``instance.json``, 0600, at once or not at all."""
    write_private(Path(instance.folder) / "instance.json", msgspec.json.format(msgspec.json.encode(instance), indent=1))


def moved(instance: Instance, control: str) -> Instance:
    """The same instance with the control address it really got."""
    return structs.replace(instance, control=control)


def write_private(path: Path, data: bytes) -> None:
    """Replace a file of the instance folder, 0600, at once or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    fresh.replace(path)


def read(folder: Path) -> Instance | None:
    """What a folder's ``instance.json`` says; None when it has none that can be read."""
    try:
        return msgspec.json.decode((folder / "instance.json").read_bytes(), type=Instance)
    except (OSError, msgspec.DecodeError):
        return None


def read_config(folder: Path) -> Config:
    """The merged configuration the supervisor left for its children. Raises ``ConfigError``."""
    try:
        return msgspec.json.decode((folder / "config.json").read_bytes(), type=Config)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{folder / 'config.json'}: {error}: it is written by `ocpp-proxy run`") from error


def control_address(folder: Path, wanted: str) -> str:
    """Where the control API goes: as asked, else a socket in the folder, else (path too long) a loopback port."""
    if wanted:
        return wanted
    path = str(folder / "control.sock")
    return path if len(os.fsencode(path)) <= SOCKET_PATH and sys.platform != "win32" else "127.0.0.1:0"


def split_address(address: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[V6]:PORT``; without a host it is the loopback. Raises ``ConfigError``."""
    host, _, port = address.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"control address {safe_text(address)!r}: HOST:PORT is wanted, as 127.0.0.1:9100")
    return host.strip("[]") or "127.0.0.1", int(port)


def join_address(host: str, port: int) -> str:
    """The reverse of ``split_address``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _survives_logout() -> bool:
    """Whether logind leaves this user's /dev/shm alone at the last logout: no logind, linger, or RemoveIPC=no."""
    if not Path("/run/systemd/system").is_dir():
        return True
    user = os.environ.get("USER", "")
    if user and Path("/var/lib/systemd/linger", user).exists():
        return True
    answer = "yes"
    folders = [Path(root, "systemd", "logind.conf.d") for root in ("/usr/lib", "/run", "/etc")]
    files = [Path("/etc/systemd/logind.conf"), *sorted((f for d in folders for f in d.glob("*.conf")), key=lambda f: f.name)]
    for file in files:
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        for line in text.splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "RemoveIPC":
                answer = value.strip().lower()
    return answer in ("no", "false", "off", "0")
