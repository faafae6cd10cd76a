"""What bounds any gateway here: a relay without a feature in the same interpreter, and nginx."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gateway.launching import Installed, Launch, free_port, installed_in
from harness.environments import BENCHMARKS, Environment, InstallError

RELAY = "bare relay"
NGINX = "nginx"
_ENVIRONMENT = Environment("load", ("httptools", "uvloop"))
_NGINX_CONFIG = """\
daemon off;
master_process off;
{user}pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  client_max_body_size 0;
  client_body_buffer_size 1m;
  keepalive_requests 1000000000;
  upstream stub {{
    server 127.0.0.1:{upstream_port};
    keepalive 2048;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://stub;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class BareRelay:
    """uvloop and httptools, and nothing of what a gateway is for."""

    name: str = RELAY
    environment: Environment = _ENVIRONMENT
    conditions: str = (
        "no feature: bytes go both ways, and are parsed only to find where an answer ends; the "
        "limit for a gateway in this interpreter"
    )

    def prepare(self) -> None:
        self.environment.prepare()

    @cached_property
    def version(self) -> str:
        versions = self.environment.versions
        return ", ".join(f"{name} {versions[name]}" for name in ("uvloop", "httptools"))

    @property
    def installed(self) -> Installed:
        return installed_in(self.environment)

    def launch(self, folder: Path, upstream_port: int) -> Launch:
        port = free_port()
        command = [str(self.environment.python), "-E", "-s", str(BENCHMARKS / "gateway" / "relay")]
        return Launch([*command, str(port), str(upstream_port)], {}, folder, port, ("none",))


@dataclass(frozen=True)
class Nginx:
    """One process that passes on, with kept connections and without buffering."""

    name: str = NGINX
    conditions: str = "one process; kept connections to the upstream, no buffering, no access log"

    @cached_property
    def _program(self) -> str:
        found = shutil.which("nginx", path=os.pathsep.join((os.defpath, "/usr/sbin", "/sbin")))
        if found is None:
            raise InstallError("it is not on this machine")
        return found

    def prepare(self) -> None:
        _ = self._program

    @cached_property
    def version(self) -> str:
        done = subprocess.run([self._program, "-v"], capture_output=True, text=True, check=True)
        return done.stderr.strip().rpartition("/")[2]

    @property
    def installed(self) -> Installed:
        return Installed(Path(self._program).stat().st_size, 1)

    def launch(self, folder: Path, upstream_port: int) -> Launch:
        port = free_port()
        config = folder / "nginx.conf"
        # Started as root, it would give its rights up and then not find the folder.
        user = "user root;\n" if os.geteuid() == 0 else ""
        config.write_text(
            _NGINX_CONFIG.format(folder=folder, port=port, upstream_port=upstream_port, user=user),
            encoding="utf-8",
        )
        command = [self._program, "-p", str(folder), "-c", str(config)]
        return Launch(command, {}, folder, port, ("none",))
