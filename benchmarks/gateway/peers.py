"""Portkey's gateway and LiteLLM's proxy: how they are installed, configured and started."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gateway.launching import Installed, Launch, free_port, installed_in
from gateway.wire import MODEL
from harness.environments import (
    Environment,
    InstallError,
    NodeEnvironment,
    run_tool,
    tree_bytes,
)

if TYPE_CHECKING:
    from pathlib import Path

_MASTER_KEY = "sk-benchmark-master"
_UPSTREAM_KEY = "sk-upstream"
# Prints what LiteLLM's metadata asks for with the extra `proxy`; the names in its arguments bare.
_REQUIREMENTS = """
import sys
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement
for line in requires("litellm"):
    wanted = Requirement(line)
    if wanted.marker and not any(wanted.marker.evaluate({"extra": e}) for e in ("", "proxy")):
        continue
    wanted.marker = None
    print(wanted.name if wanted.name in sys.argv[1:] else wanted)
"""


@dataclass(frozen=True)
class LiteLLMEnvironment(Environment):
    """LiteLLM with its proxy, and with what it asks for as far as the index has it."""

    # It pins companions to versions of its own day, which an index with a delay does not have yet.
    # None of them is on a request's path: certificates, migrations of a database, paid features.
    loosened: tuple[str, ...] = ("certifi", "litellm-proxy-extras", "litellm-enterprise")

    def _install(self, command: list[str]) -> None:
        try:
            run_tool([*command, *self.requirements])
        except InstallError:
            bare = [wanted.replace("[proxy]", "") for wanted in self.requirements]
            run_tool([*command, "--no-deps", *bare])
            asked = run_tool([str(self.python), "-c", _REQUIREMENTS, *self.loosened])
            run_tool([*command, *asked.split("\n")[:-1]])


_LITELLM = LiteLLMEnvironment("litellm", ("litellm[proxy]==1.109.*",))


@dataclass(frozen=True)
class LiteLLM:
    """The proxy with one worker, its standard server, and the master key as its only key."""

    name: str = "LiteLLM"
    environment: Environment = _LITELLM
    conditions: str = (
        "one worker; a static configuration with one model and the master key. Its keys, budgets "
        "and usage need PostgreSQL and are off; so are its callbacks, its UI and its telemetry"
    )

    def prepare(self) -> None:
        self.environment.prepare()

    @cached_property
    def version(self) -> str:
        return self.environment.versions["litellm"]

    @property
    def installed(self) -> Installed:
        return installed_in(self.environment)

    def launch(self, folder: Path, upstream_port: int) -> Launch:
        parameters = {
            "model": f"anthropic/{MODEL}",
            "api_base": f"http://127.0.0.1:{upstream_port}",
            "api_key": _UPSTREAM_KEY,
        }
        document = {
            "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
            "litellm_settings": {"telemetry": False},
            "general_settings": {"master_key": _MASTER_KEY},
        }
        # YAML contains JSON.
        config = folder / "litellm.yaml"
        config.write_text(json.dumps(document), encoding="utf-8")
        port = free_port()
        listen = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        program = str(self.environment.python.with_name("litellm"))
        return Launch(
            [program, "--config", str(config), *listen],
            # Without it, it asks a server on the internet what models cost.
            {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
            folder,
            port,
            secrets=(_MASTER_KEY,),
        )


_PORTKEY_PACKAGE = "@portkey-ai/gateway"
# Its range for the server takes in newer versions, with which every stream is an error 500.
_PORTKEY = NodeEnvironment("portkey", {_PORTKEY_PACKAGE: "1.15"}, {"@hono/node-server": "1.13.8"})


@dataclass(frozen=True)
class Portkey:
    """The gateway on Node.js, in production mode, without its page of logs."""

    name: str = "Portkey"
    environment: NodeEnvironment = _PORTKEY
    conditions: str = (
        "production mode, headless; provider and host by request headers; on `@hono/node-server` "
        "1.13.8, because with the newest that it allows every stream ends in an error; before a "
        "stream's first event it waits 25 ms by a timer of its own. The open gateway has no keys, "
        "limits, quotas or usage of its own"
    )

    def prepare(self) -> None:
        self.environment.prepare()

    @cached_property
    def version(self) -> str:
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
        return f"{self.environment.version(_PORTKEY_PACKAGE)} on Node.js {node.stdout.strip()}"

    @property
    def installed(self) -> Installed:
        packages = list(self.environment.modules.glob("**/package.json"))
        named = [package for package in packages if _is_package(package.parent)]
        return Installed(tree_bytes(self.environment.modules), len(named))

    def launch(self, folder: Path, upstream_port: int) -> Launch:
        port = free_port()
        script = str(self.environment.modules / _PORTKEY_PACKAGE / "build" / "start-server.js")
        return Launch(
            ["node", script, f"--port={port}", "--headless"],
            {"NODE_ENV": "production"},
            folder,
            port,
            secrets=(_UPSTREAM_KEY,),
            headers=(
                ("x-portkey-provider", "anthropic"),
                ("x-portkey-custom-host", f"http://127.0.0.1:{upstream_port}/v1"),
            ),
        )


def _is_package(folder: Path) -> bool:
    above = folder.parent
    return "node_modules" in {above.name, above.parent.name if above.name[:1] == "@" else ""}
