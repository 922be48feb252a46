"""The example files for systemd, nginx and Kubernetes, and the files for GitHub and pre-commit."""

import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from config.settings import BASE_DIR
from database.health import PATHS
from tests.database.certificates import certify
from tests.database.servers import wait_until
from tests.processes import database_url, free_port, serving

FOLDER = BASE_DIR / "docs/deploy"
UNIT = (FOLDER / "conduit.service").read_text()
NGINX = (FOLDER / "nginx.conf").read_text()
KUBERNETES = (FOLDER / "kubernetes.yaml").read_text()
OBJECTS = {found["kind"]: found for found in yaml.safe_load_all(KUBERNETES)}
EXAMPLE = dict(re.findall(r"(?m)^([A-Z_]+)=(.*)", (BASE_DIR / ".env.example").read_text()))
DRAIN = int(EXAMPLE["SERVER_DRAIN_DELAY"]) + int(EXAMPLE["SERVER_GRACE"])

PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
systemd = shutil.which("systemd-analyze")
# Folders that nginx makes when it starts.
TEMPORARY = ("client_body", "fastcgi", "proxy", "scgi", "uwsgi")
nginx, openssl = shutil.which("nginx", path=PATH), shutil.which("openssl")


def run_well(*command: str | Path) -> str:
    """What a program prints. It must end with status 0."""
    process = subprocess.run(  # noqa: S603 -- a program that was found on the path
        command, capture_output=True, text=True, timeout=60
    )
    printed = process.stdout + process.stderr
    assert process.returncode == 0, printed
    return printed


# --- systemd -------------------------------------------------------------------------


@pytest.mark.skipif(systemd is None, reason="there is no systemd-analyze here")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    assert systemd
    unit = tmp_path / "conduit.service"
    unit.write_text(UNIT.replace("/srv/conduit/.venv/bin/python", sys.executable))

    # A value that it cannot parse is only a warning.
    assert unit.name not in run_well(systemd, "verify", unit)


def test_systemd_waits_until_the_server_has_drained() -> None:
    options = dict(re.findall(r"(?m)^(\w+)=(.*)", UNIT))

    assert int(options["TimeoutStopSec"]) > DRAIN
    # SIGTERM to a worker would stop it at once.
    assert options["KillMode"] == "mixed"
    assert options["RestartPreventExitStatus"] == str(os.EX_CONFIG)


# --- nginx ---------------------------------------------------------------------------


needs_nginx = pytest.mark.skipif(
    not (nginx and openssl), reason="there is no nginx, or no openssl, here"
)


def configure(folder: Path, site: str) -> list[str]:
    """The command line of nginx with this site and a new certificate, in a folder of its own."""
    assert nginx
    certificate = certify(folder, "127.0.0.1")
    site = re.sub(r"(ssl_certificate) .*;", rf"\1 {certificate};", site)
    site = re.sub(r"(ssl_certificate_key) .*;", rf"\1 {folder}/server.key;", site)
    (folder / "site.conf").write_text(site)
    paths = [f"{kind}_temp_path {folder}/{kind};" for kind in TEMPORARY]
    http = f"access_log off; {' '.join(paths)} include {folder}/site.conf;"
    (folder / "nginx.conf").write_text(f"pid {folder}/pid; events {{}} http {{ {http} }}")
    errors = f"error_log {folder}/error.log; daemon off; master_process off;"
    return [nginx, "-c", str(folder / "nginx.conf"), "-e", f"{folder}/error.log", "-g", errors]


@needs_nginx
def test_nginx_accepts_the_file(tmp_path: Path) -> None:
    run_well(*configure(tmp_path, NGINX), "-t")


@needs_nginx
def test_a_request_goes_through_nginx(transactional_db: None, tmp_path: Path) -> None:
    plain, tls = free_port(), free_port()
    behind = {"HTTPS": "on", "TRUSTED_PROXIES": "1", "ALLOWED_HOSTS": "conduit.example.com"}
    with serving(DATABASE_URL=database_url(), **behind) as server:
        site = NGINX.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        site = re.sub(r"(?m)^ *listen \[::\].*\n", "", site)
        site = site.replace("listen 80;", f"listen 127.0.0.1:{plain};")
        site = site.replace("listen 443 ssl;", f"listen 127.0.0.1:{tls} ssl;")
        process = subprocess.Popen(configure(tmp_path, site))  # noqa: S603 -- found on the path
        try:
            wait_until(lambda: can_connect(tls), "nginx listens")
            secure = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
            with closing(HTTPSConnection("127.0.0.1", tls, context=secure, timeout=10)) as https:
                tags, metrics = get(https, "/api/tags"), get(https, "/metrics")
            with closing(HTTPConnection("127.0.0.1", plain, timeout=10)) as http:
                redirect = get(http, "/api/tags")
        finally:
            process.terminate()
            process.wait(10)

    assert (tags.status, metrics.status, redirect.status) == (200, 404, 301)
    # 32 digits: the id of nginx. The server's own have 16.
    assert re.fullmatch("[0-9a-f]{32}", tags.headers["X-Request-Id"])
    assert redirect.headers["Location"] == "https://conduit.example.com/api/tags"


def can_connect(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def get(connection: HTTPConnection, path: str) -> HTTPResponse:
    connection.request("GET", path, headers={"Host": "conduit.example.com"})
    response = connection.getresponse()
    response.read()
    return response


def test_nginx_lets_the_server_answer_first() -> None:
    (seconds,) = re.findall(r"proxy_read_timeout (\d+)s;", NGINX)
    (megabytes,) = re.findall(r"client_max_body_size (\d+)m;", NGINX)

    assert int(seconds) > int(EXAMPLE["DATABASE_HARD_DEADLINE"])
    assert int(megabytes) * 2**20 > settings.DATA_UPLOAD_MAX_MEMORY_SIZE


# --- Kubernetes ----------------------------------------------------------------------


def pods() -> list[dict[str, Any]]:
    return [OBJECTS[kind]["spec"]["template"]["spec"] for kind in ("Job", "Deployment")]


def test_the_file_has_these_objects() -> None:
    assert {kind: found["apiVersion"] for kind, found in OBJECTS.items()} == {
        "Job": "batch/v1",
        "Deployment": "apps/v1",
        "Service": "v1",
        "PodDisruptionBudget": "policy/v1",
    }
    labels = OBJECTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert OBJECTS["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert OBJECTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert OBJECTS["Service"]["spec"]["selector"] == labels


def test_the_containers_run_as_the_user_of_the_image() -> None:
    (user,) = re.findall(r"(?m)^USER (\d+):", (BASE_DIR / "Dockerfile").read_text())
    project = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]

    for pod in pods():
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsUser"] == int(user)
        assert container["image"].endswith(f"/{project['name']}:{project['version']}")
        assert container["securityContext"]["readOnlyRootFilesystem"]
        mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounted["tmp"] == "/tmp"  # noqa: S108 -- in the container
        assert {*mounted} == {volume["name"] for volume in pod["volumes"]}


def test_every_variable_and_every_key_of_the_secret_is_known() -> None:
    (keys,) = re.findall(r"has the keys ([^.]+)\.", KUBERNETES.replace("\n# ", " "))
    variables = [entry for pod in pods() for entry in pod["containers"][0]["env"]]
    secrets = [entry["valueFrom"]["secretKeyRef"] for entry in variables if "valueFrom" in entry]
    (file,) = [volume["secret"] for volume in pods()[1]["volumes"] if "secret" in volume]

    used = {secret["key"] for secret in secrets} | {item["key"] for item in file["items"]}
    assert used == set(re.split(", | and ", keys))
    assert {secret["name"] for secret in secrets} | {file["secretName"]} == {"conduit"}
    assert {entry["name"] for entry in variables} <= {*EXAMPLE}


def test_the_probes_fit_the_server() -> None:
    pod = pods()[1]
    (container,) = pod["containers"]
    variables = {entry["name"]: entry.get("value") for entry in container["env"]}
    ready = container["readinessProbe"]

    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["path"] in PATHS
        assert container[probe]["httpGet"]["port"] == container["ports"][0]["name"]
    delay = int(variables["SERVER_DRAIN_DELAY"])
    assert delay >= ready["periodSeconds"] * ready["failureThreshold"]
    grace = int(EXAMPLE["SERVER_GRACE"])
    assert pod["terminationGracePeriodSeconds"] > delay + grace
    started = container["startupProbe"]
    patience = started["periodSeconds"] * started["failureThreshold"]
    assert patience > int(EXAMPLE["DATABASE_STARTUP_TIMEOUT"])


def test_the_file_counts_its_connections() -> None:
    (replicas, surge, workers, maximum, total) = map(
        int,
        re.findall(r"\((\d) \+ (\d)\) x (\d) x \((\d) \+ 1\) = (\d+) connections", KUBERNETES)[0],
    )
    deployment = OBJECTS["Deployment"]["spec"]
    variables = {entry["name"]: entry.get("value") for entry in pods()[1]["containers"][0]["env"]}

    assert replicas == deployment["replicas"]
    assert surge == deployment["strategy"]["rollingUpdate"]["maxSurge"]
    assert str(workers) == variables["SERVER_WORKERS"]
    assert str(maximum) == EXAMPLE["DATABASE_POOL_MAX"]
    assert total == (replicas + surge) * workers * (maximum + 1)


# --- GitHub and pre-commit -----------------------------------------------------------


def read(path: str) -> Any:
    return yaml.safe_load((BASE_DIR / path).read_text())


def test_the_workflow_runs_everything_on_the_python_of_the_project() -> None:
    workflow = read(".github/workflows/ci.yml")
    (job,) = workflow["jobs"].values()
    steps = job["steps"]

    assert [step["run"].split()[-1] for step in steps if "run" in step] == [".ci/run"]
    assert os.access(BASE_DIR / ".ci/run", os.X_OK)
    options: dict[str, Any] = {}
    for step in steps:
        options |= step.get("with", {})
    assert (BASE_DIR / options["python-version-file"]).is_file()
    assert workflow["permissions"] == {"contents": "read"}


def test_updates_are_proposed_for_everything_that_has_a_version() -> None:
    updates = read(".github/dependabot.yml")["updates"]

    ecosystems = {update["package-ecosystem"] for update in updates}
    assert ecosystems == {"pip", "docker", "docker-compose", "github-actions"}


def commands_of_check() -> Iterator[list[str]]:
    """The commands of `make check`."""
    makefile = (BASE_DIR / "Makefile").read_text()
    (recipe,) = re.findall(r"(?m)^check:.*\n((?:\t.*\n)+)", makefile)
    for line in recipe.splitlines():
        text = line.replace("$(MANAGE)", "$(BIN)/python manage.py").replace("$(BIN)", ".venv/bin")
        yield shlex.split(text)


def test_a_commit_is_checked_by_the_tools_of_make_check() -> None:
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    entries = [shlex.split(hook["entry"]) for hook in repository["hooks"]]

    assert repository["repo"] == "local"
    assert [entry[entry[0] == "env" :] for entry in entries] == [*commands_of_check()]
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
