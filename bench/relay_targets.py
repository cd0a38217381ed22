"""What is measured side by side: nothing, nginx, HAProxy, a relay on ``websockets``, this program with and without capture,
and with a plugin that changes ten of sixteen Calls."""

import shlex
import shutil
from pathlib import Path

from bench.processes import BENCH, PYTHON, SEARCH

HAPROXY = """
global
  nbthread 1
  maxconn 9900
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen bench
  bind 127.0.0.1:{listen} backlog 4096
  server csms 127.0.0.1:{upstream}
"""

NGINX = """
daemon off;
master_process off;
error_log stderr crit;
pid {folder}/nginx.pid;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2;
  fastcgi_temp_path {folder}/3; uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{
    listen 127.0.0.1:{listen} backlog=4096;
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_buffering off;
      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
    }}
  }}
}}
"""

REWRITE = """
enable = ["rewrite"]
[[plugins.rewrite.rules]]
message = "call"
where = "action == MeterValues"
do = [{op = "set", path = "$.transactionId", value = 7}]
"""

PRODUCT = f"{PYTHON} -m ocpp_proxy run ws://127.0.0.1:{{upstream}} --listen 127.0.0.1:{{listen}} --host preserve"
COMMANDS = {
    "nginx": "nginx -p {folder} -c {folder}/nginx.conf",
    "haproxy": "haproxy -db -f {folder}/haproxy.conf",
    "websockets": f"{PYTHON} {BENCH}/websockets_relay.py {{listen}} {{upstream}}",
    "product": PRODUCT + " --capture {folder}/capture.duckdb",
    "product-no-capture": PRODUCT + " --no-capture",
    "product-rewrite": PRODUCT + " --capture {folder}/capture.duckdb --config {folder}/rewrite.toml",
}
DEFAULT = ("direct", "nginx", "haproxy", "websockets", "product", "product-no-capture")


def command(target: str, listen: int, upstream: int, folder: Path, extra: dict[str, str]) -> list[str]:
    """The command line of a target, its configuration written to ``folder``; empty for ``direct``.

    Raises RuntimeError when the program is not installed.
    """
    if target == "direct":
        return []
    for name, text in (("nginx.conf", NGINX), ("haproxy.conf", HAPROXY)):
        (folder / name).write_text(text.format(listen=listen, upstream=upstream, folder=folder))
    (folder / "rewrite.toml").write_text(REWRITE)
    line = {**COMMANDS, **extra}[target].format(listen=listen, upstream=upstream, folder=folder)
    words = shlex.split(line)
    program = shutil.which(words[0], path=SEARCH)
    if program is None:
        raise RuntimeError(f"{words[0]} is not installed")
    return [program, *words[1:]]
