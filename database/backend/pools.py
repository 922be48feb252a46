"""Makes the pools of a database from its settings."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from django.core.exceptions import ImproperlyConfigured

from database.backend.connection import Connection
from database.backend.nodes import Node
from database.backend.outages import Outage
from database.backend.pool import Pool
from database.backend.replicas import Replicas
from database.backend.sessions import SessionSetup
from database.positions import shared_position
from database.settings import Limits, project_setting

type AfterCommit = Callable[[Connection], object]


class Template(Protocol):
    """A wrapper that no thread uses for queries: it knows how to connect."""

    alias: str
    settings_dict: dict[str, Any]

    @property
    def limits(self) -> Limits: ...
    def get_connection_params(self) -> dict[str, Any]: ...


def new_pool(template: Template, outage: Outage, after_commit: AfterCommit | None) -> Pool:
    """The pool of the database, not open yet. Raises ImproperlyConfigured if the options do not
    fit."""
    if template.settings_dict["CONN_MAX_AGE"] != 0:
        raise ImproperlyConfigured("Pooling doesn't support persistent connections.")
    setup = _setup(template, outage, after_commit)
    resets = not template.settings_dict["OPTIONS"].get("pgbouncer")
    try:
        return Pool(setup, resets=resets, **_options(template))
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(
            f"DATABASES[{template.alias!r}] has wrong options of the pool: {error}."
        ) from error


def new_replicas(template: Template, after_commit: AfterCommit) -> Replicas:
    """The servers of the database, with a pool for each, not open yet."""
    options = template.settings_dict["OPTIONS"]["replicas"]
    url = project_setting("DATABASE_POSITIONS_URL")
    cluster = f"{options['name']}:{template.settings_dict['NAME']}"
    shared = shared_position(url, cluster) if url else None
    sizes = {"min_size": options["min_size"], "max_size": options["max_size"]}
    nodes = []
    for name, address in server_addresses(template.settings_dict):
        # The alias of the outage becomes the label of the pool's metrics.
        setup = _setup(template, Outage(f"{template.alias}@{name}"), after_commit, address)
        # Of psycopg's threads that open connections, one for each server is enough.
        pool = Pool(setup, resets=True, **_options(template) | sizes | {"num_workers": 1})
        nodes.append(Node(name, pool, shared))
    return Replicas(template.alias, nodes, shared, template.limits)


def _setup(
    template: Template,
    outage: Outage,
    after_commit: AfterCommit | None,
    address: Mapping[str, Any] = {},
) -> SessionSetup:
    """`address` has the parameters that lead to one server of the settings."""
    return SessionSetup(
        outage,
        template.limits,
        new_params=lambda: template.get_connection_params() | {"autocommit": True, **address},
        configure_session=template._configure_connection,  # type: ignore[attr-defined]  # Django's
        after_commit=after_commit,
    )


def _options(template: Template) -> dict[str, Any]:
    options = template.settings_dict["OPTIONS"]["pool"]
    return {} if options is True else options


def server_addresses(settings: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of each server of a DATABASES entry, with the parameters of libpq that connect to
    it in any role."""
    options = settings["OPTIONS"]
    hosts = str(settings["HOST"] or "").split(",")
    ips = str(options.get("hostaddr", "")).split(",")
    count = max(len(hosts), len(ips))
    if count == 1:
        yield hosts[0] or ips[0] or "local", {"target_session_attrs": "any"}
        return
    ports = str(settings["PORT"] or 5432).split(",")
    lists = [values if len(values) == count else values * count for values in (hosts, ips, ports)]
    for host, ip, port in zip(*lists, strict=True):
        address = {"host": host, "hostaddr": ip, "port": port}
        yield (
            f"{host or ip}:{port}",
            {name: value for name, value in address.items() if value}
            | {"target_session_attrs": "any", "load_balance_hosts": "disable"},
        )
