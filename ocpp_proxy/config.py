"""The configuration: one struct, from which the docs page, the CLI help and the JSON Schema are made.

Precedence: default < file < ``OCPP_PROXY_*`` < command line. Reading files is the CLI's business; this module only
turns text into checked values.
"""

from typing import Any, Literal

from msgspec import Struct, field


class TlsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """TLS of both legs. Paths of PEM files; ``cert`` and ``key`` may name several, RSA and EC beside each other."""

    cert: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    client_ca: str = ""
    upstream_ca: str = ""
    client_cert: str = ""
    client_key: str = ""
    keylog: str = ""
    ciphers: str = "ECDHE+AESGCM:AES128-GCM-SHA256:AES256-GCM-SHA384"


class LimitsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of the relay. Bytes and seconds."""

    head_bytes: int = 16384
    head_headers: int = 100
    head_seconds: float = 10.0
    dial_seconds: float = 30.0
    half_open: int = 512
    links: int = 0                          # 0: what the descriptor limit allows
    drain_seconds: float = 10.0


class SpoolConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The spool. ``dir`` empty: chosen by the rules of ARCHITECTURE.md. Bytes and seconds."""

    dir: str = ""
    limit_bytes: int = 0                    # 0: min(256 MiB, half of the free space, 1/8 of RAM)
    segment_bytes: int = 8 << 20
    segment_seconds: float = 600.0
    fsync: Literal["never", "always"] = "never"


class CaptureConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The capture. ``path`` FILE.duckdb or a folder; empty: the state folder. ``off``: nothing is stored."""

    path: str = ""
    off: bool = False
    keep_secrets: bool = False
    keep_spool: bool = False
    rotate_messages: int = 1_000_000
    rotate_seconds: float = 86400.0
    retention_bytes: int = 10 << 30


class LinkMatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Which links: identity and OCPP version (``1.6``), ``*`` and ``?`` as in file names."""

    identity: str = "*"
    version: str = "*"


class LinkRule(Struct, frozen=True, forbid_unknown_fields=True):
    """Plugins of the links that match, station -> CSMS: names, or files as ``./NAME.py``.

    ``isolate``: the rule has a listener (``listen``) and a relay process of its own; who dials there belongs to it.
    """

    match: LinkMatch = LinkMatch()
    plugins: tuple[str, ...] = ()
    isolate: bool = False
    listen: str = ""


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of ``run``."""

    upstream: str = ""
    listen: tuple[str, ...] = ("9000",)
    handshake: Literal["mirror", "lenient"] = "mirror"
    host: Literal["auto", "preserve", "rewrite"] = "auto"
    subprotocol: str = "ocpp1.6"            # what lenient selects for a charger that offers none
    connect_to: tuple[str, ...] = ()
    allow_from: tuple[str, ...] = ()
    allow_plain_upstream: bool = False
    ambiguous_heads: Literal["refuse", "pass"] = "refuse"
    upstream_down: Literal["502", "reset"] = "502"
    control: str = ""
    tls: TlsConfig = field(default_factory=TlsConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    spool: SpoolConfig = field(default_factory=SpoolConfig)
    capture: CaptureConfig = field(default_factory=CaptureConfig)
    rules: dict[str, str] = field(default_factory=dict)     # finding code -> off | hint | info | warning | error | critical
    call_seconds: float = 30.0
    allow_inject: bool = False              # people may hold, change, send and end through the control API
    state: str = ""                         # file that keeps the plugins' states; empty: beside the captures
    enable: tuple[str, ...] = ()            # plugins of every link, before those of `links`
    links: tuple[LinkRule, ...] = ()        # the first that matches a link counts
    plugins: dict[str, dict[str, Any]] = field(default_factory=dict)        # plugin name -> its options, and on_error
