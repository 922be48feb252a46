"""The files of a cluster of several machines: what the programs that read them say about them.

`make test-cluster` starts programs with the same files. Docker is not required: the images of
docker-compose.cluster.yml are not built.
"""

import json
import os
import re
import shutil
import socket
import subprocess
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
import yaml
from granian.http import HTTP1Settings

from config.environment.file import DOCKER_VARIABLES
from config.settings import BASE_DIR
from tests.database.certificates import certify
from tests.database.clusters import unprivileged
from tests.database.servers import wait_until
from tests.processes import free_port
from tests.rules.test_deployment import EXAMPLE, run_well, systemd

FOLDER = BASE_DIR / "docs/deploy/cluster"
PAGE = (BASE_DIR / "docs/cluster.md").read_text()
HAPROXY = (FOLDER / "haproxy.cfg").read_text()
NODES = ["node1", "node2", "node3"]
SECRETS = {"SECRET_KEY", *DOCKER_VARIABLES}

PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
compose, haproxy, openssl, patroni, pgbouncer = (
    shutil.which(name, path=PATH)
    for name in ("docker-compose", "haproxy", "openssl", "patroni", "pgbouncer")
)


def variables_of(file: str) -> dict[str, str]:
    """The variables of an environment file of the folder."""
    return dict(re.findall(r"(?m)^([A-Z0-9_]+)=(.*)", (FOLDER / file).read_text()))


def test_the_page_names_every_file() -> None:
    for file in FOLDER.iterdir():
        assert f"](deploy/cluster/{file.name})" in PAGE, file.name


def test_each_file_that_the_page_copies_exists() -> None:
    copied = re.findall(r"(?m)^(?:cp|install) .*docs/.*", PAGE)

    names = [name for line in copied for name in re.findall(r"docs/\S+", line)]
    assert len(names) >= len(copied) >= 6
    for name in names:
        assert (BASE_DIR / name).is_file(), name


# --- Docker Compose ------------------------------------------------------------------

needs_compose = pytest.mark.skipif(compose is None, reason="there is no docker-compose here")


def configure(*missing: str) -> subprocess.CompletedProcess[str]:
    """What Docker Compose makes of the file when each secret is its name in lower case."""
    assert compose
    values = {name: name.lower() for name in SECRETS - {*missing}}
    # Otherwise Docker Compose reads the .env beside the file, which `make dev` writes.
    with NamedTemporaryFile() as no_variables:
        options = ["--env-file", no_variables.name, "--file"]
        return subprocess.run(  # noqa: S603 -- the program found above
            [compose, *options, BASE_DIR / "docker-compose.cluster.yml", "config"],
            env=values | {"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )


@cache
def services() -> dict[str, Any]:
    process = configure()
    assert (process.returncode, process.stderr) == (0, "")
    return dict(yaml.safe_load(process.stdout)["services"])


@needs_compose
def test_compose_accepts_the_file() -> None:
    assert {*services()} == {*NODES, "etcd", "redis", "migrate", "api1", "api2", "haproxy"}


@needs_compose
@pytest.mark.parametrize("name", sorted(SECRETS))
def test_the_file_contains_no_secret(name: str) -> None:
    process = configure(name)

    assert process.returncode == 1
    assert "is not set, neither in the environment nor in .env" in process.stderr


@needs_compose
def test_secrets_reach_only_the_containers_that_use_them() -> None:
    holders = {
        secret: {name for name, service in services().items() if secret.lower() in str(service)}
        for secret in SECRETS
    }

    nodes, servers = {*NODES}, {"api1", "api2"}
    assert holders == {
        "SECRET_KEY": {"migrate", *servers},
        "POSTGRES_PASSWORD": nodes,
        "CONDUIT_OWNER_PASSWORD": {"migrate", *nodes},
        "CONDUIT_PASSWORD": servers | nodes,
        "PATRONI_REPLICATION_PASSWORD": nodes,
        "PATRONI_REWIND_PASSWORD": nodes,
        "PATRONI_RESTAPI_PASSWORD": nodes,
    }


@needs_compose
def test_every_container_has_the_limits_of_the_api() -> None:
    for name, service in services().items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["init"], name
        assert ("restart" in service) == (name != "migrate"), name


@needs_compose
def test_only_haproxy_can_be_reached_and_only_from_this_machine() -> None:
    ports = {name: service["ports"] for name, service in services().items() if "ports" in service}

    assert ports == {"haproxy": ["127.0.0.1:8000:8000/tcp"]}


@needs_compose
def test_only_the_nodes_reach_etcd_and_only_the_api_reaches_redis() -> None:
    def reachable(network: str) -> set[str]:
        return {name for name, service in services().items() if network in service["networks"]}

    assert reachable("consensus") == {"etcd", *NODES}
    assert reachable("cache") == {"redis", "migrate", "api1", "api2"}


@needs_compose
def test_each_image_is_built_once() -> None:
    built = {name: service["image"] for name, service in services().items() if "build" in service}
    images = [service["image"] for service in services().values()]

    assert built == {"etcd": "conduit-node", "migrate": "conduit-django"}
    assert {*images} - {*built.values()} == {"redis:7", "haproxy:3.0"}


@needs_compose
def test_each_node_has_the_variables_that_the_configuration_lists() -> None:
    documented = re.findall(r"(?:PATRONI|CONDUIT)_[A-Z0-9_]+", (FOLDER / "patroni.yml").read_text())

    # On Debian 12 with etcd's old interface.
    assert {*variables_of("node.env")} ^ {*documented} == {
        "PATRONI_ETCD_HOSTS",
        "PATRONI_ETCD3_HOSTS",
    }
    for name in NODES:
        variables = services()[name]["environment"]
        assert {*variables} == {*documented} - {"PATRONI_ETCD_HOSTS"}
        assert variables["PATRONI_NAME"] == name
        assert variables["PATRONI_RESTAPI_CONNECT_ADDRESS"] == f"{name}:8008"
        assert variables["PATRONI_POSTGRESQL_CONNECT_ADDRESS"] == f"{name}:5432"


@needs_compose
def test_the_api_knows_every_node_and_shares_its_positions() -> None:
    for name, role in (("api1", "conduit"), ("api2", "conduit"), ("migrate", "conduit_owner")):
        variables = services()[name]["environment"]
        assert variables["DATABASE_URL"].startswith(f"postgresql://{role}@{','.join(NODES)}/")
        assert "target_session_attrs=read-write" in variables["DATABASE_URL"]
        assert variables["DATABASE_REPLICA_READS"] == "on"
        assert variables["CACHE_URL"] == "redis://redis:6379/0"


@needs_compose
def test_both_machines_are_equal() -> None:
    assert services()["api1"] == services()["api2"]


@needs_compose
def test_mounted_files_exist() -> None:
    mounts = {
        mount.split(":")[0]
        for service in services().values()
        for mount in service.get("volumes", [])
    }

    files = [Path(mount) for mount in mounts if mount.startswith("/")]
    assert len(files) == 5
    for file in files:
        assert file.is_file()


# --- haproxy -------------------------------------------------------------------------


@pytest.mark.skipif(haproxy is None, reason="there is no haproxy here")
def test_haproxy_accepts_the_file() -> None:
    assert haproxy
    printed = run_well(haproxy, "-c", "-f", FOLDER / "haproxy.cfg")

    warnings = [line for line in printed.splitlines() if "[WARNING]" in line]
    # The names of the servers are unknown here.
    assert [line for line in warnings if "could not resolve address" not in line] == []


@pytest.mark.skipif(not (haproxy and openssl), reason="there is no haproxy, or no openssl, here")
def test_haproxy_accepts_the_lines_for_tls(tmp_path: Path) -> None:
    assert haproxy
    certificate = certify(tmp_path, "127.0.0.1")
    (tmp_path / "site.pem").write_text(
        certificate.read_text() + (tmp_path / "server.key").read_text()
    )
    plain, tls = re.findall(r"(?m)^    (bind :8000)\n.*:\n((?:    # .*\n)+)", HAPROXY)[0]
    text = HAPROXY.replace(plain, "").replace(tls, tls.replace("# ", ""))
    (tmp_path / "haproxy.cfg").write_text(
        text.replace("/etc/haproxy/site.pem", f"{tmp_path}/site.pem")
    )

    printed = run_well(haproxy, "-c", "-f", tmp_path / "haproxy.cfg")

    assert len(tls.splitlines()) == 3
    assert "Configuration file is valid" in printed


def test_haproxy_knows_every_server() -> None:
    servers = re.findall(r"(?m)^    server (\w+) (\w+):(\d+)$", HAPROXY)

    assert servers == [
        *((name, name, "8000") for name in ("api1", "api2") * 2),
        *((name, name, "5432") for name in NODES * 2),
    ]
    # The port of Patroni's REST interface.
    assert yaml.safe_load((FOLDER / "patroni.yml").read_text())["restapi"]["listen"].endswith(
        ":8008"
    )
    assert HAPROXY.count("check port 8008") == 2


@needs_compose
def test_a_machine_drains_for_longer_than_haproxy_takes_to_notice() -> None:
    (api,) = re.findall(r"(?ms)^backend api$(.*?)^#", HAPROXY)
    (seconds, falls) = re.findall(r"default-server check inter (\d+)s .*fall (\d+)", api)[0]
    (delay,) = re.findall(r"(?m)^SERVER_DRAIN_DELAY=(\d+)$", PAGE)
    service = services()["api1"]

    # An answer of /readyz may be 1 s old.
    assert int(delay) > int(seconds) * int(falls) + 1
    assert service["environment"]["SERVER_DRAIN_DELAY"] == delay
    assert service["stop_grace_period"] == "45s"


def test_haproxy_waits_longer_than_the_server_and_keeps_connections_shorter() -> None:
    (api,) = re.findall(r"(?ms)^backend api$(.*?)^backend", HAPROXY)
    seconds = {
        name: int(value)
        for name, value in re.findall(r"(?m)^    timeout ([\w-]+) (\d+)s$", HAPROXY)
        if name != "server"
    }
    ((answer, queue, retries),) = re.findall(
        r"timeout server (\d+)s\n    timeout queue (\d+)s(?s:.*)\n    retries (\d+)\n", api
    )
    (whole,) = re.findall(r"(?m)^backend writes$(?s:.*?)timeout server (\d+)s", HAPROXY)
    attempts = int(retries) + 1

    assert int(answer) > int(EXAMPLE["DATABASE_HARD_DEADLINE"])
    assert int(whole) >= int(queue) + attempts * (int(answer) + seconds["connect"])
    # Otherwise haproxy would send a request over a connection that the server closes.
    assert seconds["http-keep-alive"] * 1000 < HTTP1Settings().header_read_timeout


def test_the_errors_of_haproxy_have_the_format_of_the_api() -> None:
    errors = re.findall(r"http-error status (\d+) .* string '(.*)'", HAPROXY)

    assert [status for status, _ in errors] == ["408", "502", "503", "504"]
    for _, text in errors:
        ((_, (message,)),) = json.loads(text)["errors"].items()
        assert message


def test_the_statistics_are_not_public() -> None:
    (statistics,) = re.findall(r"(?ms)^frontend statistics$(.*)", HAPROXY)

    assert "bind 127.0.0.1:8404\n" in statistics
    assert HAPROXY.count("stats enable") == 1


# --- Patroni, Redis, PgBouncer, etcd -------------------------------------------------


@pytest.mark.skipif(patroni is None, reason="there is no Patroni here")
def test_patroni_accepts_the_file(tmp_path: Path) -> None:
    assert patroni
    text = (FOLDER / "patroni.yml").read_text()
    for port in (8008, 5432):
        text = text.replace(f"0.0.0.0:{port}", f"0.0.0.0:{free_port()}")
    (tmp_path / "patroni.yml").write_text(text)
    variables = {name: value.strip('"') or "a" for name, value in variables_of("node.env").items()}
    programs = next(Path("/usr/lib/postgresql").glob("*/bin"))
    with ExitStack() as stack:
        # Patroni wants to reach etcd, but says nothing to it.
        etcd = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        variables |= {
            "PATRONI_ETCD_HOSTS": f"'127.0.0.1:{etcd.getsockname()[1]}'",
            "PATRONI_POSTGRESQL_BIN_DIR": str(programs),
            "PATRONI_POSTGRESQL_DATA_DIR": str(tmp_path / "data"),
            "PATRONI_POSTGRESQL_PGPASS": str(tmp_path / "pgpass"),
        }
        process = subprocess.run(  # noqa: S603 -- the program found above
            [patroni, "--validate-config", tmp_path / "patroni.yml"],
            env=variables | {"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )

    # Patroni 3.0 misses a part that is optional: `postgresql.pg_hba` takes its place.
    complaints = {*(process.stdout + process.stderr).splitlines()}
    assert complaints <= {"bootstrap.pg_hba  is not defined."}


PATRONI_UNIT = Path("/lib/systemd/system/patroni.service")


@pytest.mark.skipif(
    not (systemd and PATRONI_UNIT.exists()), reason="there is no systemd, or no Patroni, here"
)
def test_systemd_accepts_the_addition_to_the_unit_of_patroni(tmp_path: Path) -> None:
    assert systemd
    shutil.copy(PATRONI_UNIT, tmp_path)
    (tmp_path / "patroni.service.d").mkdir()
    shutil.copy(FOLDER / "patroni.service.conf", tmp_path / "patroni.service.d")

    # A name or a value that it does not know is only a warning.
    assert "patroni.service" not in run_well(systemd, "verify", tmp_path / "patroni.service")


def test_a_lost_primary_is_replaced_after_the_least_time() -> None:
    settings = yaml.safe_load((FOLDER / "patroni.yml").read_text())["bootstrap"]["dcs"]

    assert settings["ttl"] >= settings["loop_wait"] + 2 * settings["retry_timeout"]
    assert settings["synchronous_mode"] is True


@pytest.mark.redis
def test_redis_accepts_the_file(tmp_path: Path) -> None:
    port = free_port()
    with subprocess.Popen(  # noqa: S603
        ["redis-server", FOLDER / "redis.conf", "--port", str(port)],  # noqa: S607 -- the system's
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until(lambda: can_connect(port), "Redis listens")
        finally:
            process.terminate()

    assert not [*tmp_path.iterdir()]  # it writes nothing at its end


@pytest.mark.skipif(pgbouncer is None, reason="there is no PgBouncer here")
def test_pgbouncer_accepts_the_file(tmp_path: Path) -> None:
    assert pgbouncer
    port = free_port()
    text = (FOLDER / "pgbouncer.ini").read_text().replace("= 6432", f"= {port}")
    text = text.replace("/etc/pgbouncer/userlist.txt", f"{tmp_path}/users")
    (tmp_path / "users").touch()
    (tmp_path / "pgbouncer.ini").write_text(f"{text}\nunix_socket_dir =\n")
    with subprocess.Popen(  # noqa: S603 -- the program found above
        unprivileged(tmp_path, pgbouncer, tmp_path / "pgbouncer.ini"),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until(lambda: can_connect(port), "PgBouncer listens")
        finally:
            process.terminate()
        printed = process.communicate()[1]

    assert not re.findall("ERROR|WARNING", printed)


def test_the_members_of_etcd_know_each_other_and_the_nodes_know_them() -> None:
    variables = variables_of("etcd.env")
    names = re.findall(r"(\w+)=http://\1:2380", variables["ETCD_INITIAL_CLUSTER"])

    assert names == ["etcd1", "etcd2", "etcd3"]
    hosts = variables_of("node.env")["PATRONI_ETCD_HOSTS"]
    assert re.findall(r"'(\w+):2379'", hosts) == names
    assert f"# PATRONI_ETCD3_HOSTS={hosts}\n" in (FOLDER / "node.env").read_text()
    assert variables["ETCD_ENABLE_V2"] == "true"


def can_connect(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
