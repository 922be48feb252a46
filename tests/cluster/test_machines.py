"""Two API machines behind haproxy: one is killed or restarted, and users do not notice. What
machines must share is shared."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.cookiejar import CookieJar
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener
from uuid import uuid4

import pytest

from tests.builders import PASSWORD
from tests.cluster.balancer import Balancer, balancing
from tests.cluster.machines import Machine
from tests.cluster.traffic import Traffic, sign_up, traffic
from tests.database.load import Client, Question, Reply, ask, failures
from tests.database.redis_server import RedisServer
from tests.database.servers import PostgreSQL, migrated, wait_until
from tests.stalls import assert_within, repeated_if_stalled

pytestmark = pytest.mark.cluster

DRAIN_DELAY = 4  # seconds
FAVORITES = 30  # in a minute
# haproxy has lost a machine, and does not know whether the write took effect.
UNKNOWN = {"errors": {"server": ["outcome is unknown"]}}


class Site:
    """Two machines with one database, and haproxy in front of them."""

    def __init__(self, database: PostgreSQL, machines: list[Machine], balancer: Balancer) -> None:
        self.database = database
        self.machines = machines
        self.balancer = balancer
        self.make_whole()
        self.account = sign_up(balancer.port)
        for thread in self.account.threads[::2]:
            thread.has_keys = True

    def make_whole(self) -> None:
        """Start the machines that a test has killed."""
        for machine in self.machines:
            if not machine.runs:
                machine.start()
        for machine in self.machines:
            machine.wait_until_ready()
        self.balancer.wait_for("UP", *range(1, len(self.machines) + 1))

    def check(self, seen: Traffic, figures: Callable[[str], None]) -> None:
        with self.database.session() as session:
            result = seen.result(session)
        figures(str(result))
        assert not result.lost
        assert not result.doubled
        assert not result.stale
        assert not result.failed, result.failed[0]
        assert_within(result.slowest, 3)
        assert_within(result.without_writes, 2)


@pytest.fixture(scope="module")
def running(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        database = stack.enter_context(migrated())
        machines = []
        for name in ("one", "two"):
            variables = {
                # A session of PostgreSQL then shows to which machine it belongs.
                "DATABASE_URL": database.url(application_name=name),
                "CACHE_URL": redis.url,
                "TRUSTED_PROXIES": "1",
                "SERVER_WORKERS": "2",
                "SERVER_DRAIN_DELAY": str(DRAIN_DELAY),
                "COMMENT_RATE": "",  # all writers have the same token
                "FAVORITE_RATE": f"{FAVORITES}/minute",
            }
            machine = Machine(name, tmp_path_factory.mktemp(name), variables)
            stack.callback(machine.end)
            machine.start()
            machines.append(machine)
        balancer = stack.enter_context(balancing(*(machine.port for machine in machines)))
        yield Site(database, machines, balancer)


@pytest.fixture
def site(running: Site) -> Site:
    running.make_whole()
    return running


@repeated_if_stalled
def test_a_drain_and_a_rolling_restart_fail_no_request(
    site: Site, figures: Callable[[str], None]
) -> None:
    with traffic(site.balancer.port, site.account) as seen:
        time.sleep(1)
        for machine in site.machines:
            machine.terminate()
            machine.start()
            machine.wait_until_ready()
        time.sleep(1)

    assert not failures(seen.writes)
    site.check(seen, figures)


def test_rate_limits_hold_for_both_machines_together(site: Site) -> None:
    token = register(site.machines[0])["token"]
    path = f"/api/articles/{site.account.threads[0].slug}/favorite"
    start = threading.Barrier(4)

    def like(machine: Machine) -> list[int]:
        start.wait(10)
        return [post(machine.port, path, token=token).status for _ in range(FAVORITES // 2)]

    with ThreadPoolExecutor(4) as threads:
        statuses = [*threads.map(like, site.machines * 2)]

    assert Counter(status for each in statuses for status in each) == {
        200: FAVORITES,
        429: FAVORITES,
    }


def test_failed_logins_are_counted_by_both_machines_together(site: Site) -> None:
    email = register(site.machines[0])["email"]

    def log_in(machine: Machine, password: str) -> int:
        user = {"email": email, "password": password}
        return post(machine.port, "/api/users/login", {"user": user}).status

    failed = [log_in(machine, "wrong horse") for _ in range(12) for machine in site.machines]

    assert Counter(failed) == {401: 20, 429: 4}
    assert [log_in(machine, PASSWORD) for machine in site.machines] == [429, 429]


def test_a_client_of_haproxy_cannot_choose_its_address(site: Site) -> None:
    user = {"email": register(site.machines[0])["email"], "password": "wrong horse"}

    def log_in(number: int) -> int:
        address = f"192.0.2.{number}"
        # The server cannot tell the two names apart.
        forged = {"X-Forwarded-For": address, "X_Forwarded_For": address}
        return post(site.balancer.port, "/api/users/login", {"user": user}, **forged).status

    assert [log_in(number) for number in range(22)] == [401] * 20 + [429] * 2


def test_all_requests_of_a_client_for_the_page_database_go_to_one_machine(site: Site) -> None:
    for _ in range(10):
        assert ask(site.balancer.port, "/admin/database/figures").status == 302  # to the log-in

    def logged() -> list[int]:
        return [machine.said().count("/admin/database/figures") for machine in site.machines]

    wait_until(lambda: sum(logged()) == 10, "the access logs are written")
    assert sorted(logged()) == [0, 10]


def test_both_machines_share_idempotency_keys(site: Site) -> None:
    article = {"article": {"title": "Once", "description": "About it", "body": "Text"}}
    token, key = register(site.machines[0])["token"], uuid4().hex

    first, second = (
        post(machine.port, "/api/articles", article, token=token, key=key)
        for machine in site.machines
    )

    assert first.status == second.status == 201
    assert first.json() == second.json()


def test_the_end_of_tokens_and_of_an_account_holds_at_once_on_both_machines(site: Site) -> None:
    one, two = site.machines
    user = register(one)
    browser = log_in_at(one, user)
    assert has_session(browser, two)
    assert whoami(two, user) == 200

    log_out_everywhere(site, one, user)
    assert whoami(two, user) == 401
    assert not has_session(browser, two)

    credentials = {"email": user["email"], "password": PASSWORD}
    user = post(two.port, "/api/users/login", {"user": credentials}).json()["user"]
    assert whoami(two, user) == 200
    send_form(log_in_at(two, user), one, "/settings/delete", password=PASSWORD)
    assert whoami(two, user) == 401


def test_while_no_machine_is_ready_haproxy_lets_them_answer(site: Site) -> None:
    site.database.stop()
    try:
        site.balancer.wait_for("DOWN", 1, 2)
        assert ask(site.balancer.port, "/readyz").json()["reason"] == "unreachable"
        # A page that needs no database.
        assert ask(site.balancer.port, "/login").status == 200
    finally:
        site.database.start()


@repeated_if_stalled
def test_a_killed_machine_fails_no_read_and_loses_and_doubles_no_write(
    site: Site, figures: Callable[[str], None]
) -> None:
    with traffic(site.balancer.port, site.account) as seen:
        time.sleep(2)
        site.machines[0].kill()
        time.sleep(4)

    site.make_whole()  # the test may be repeated
    for reply in failures(seen.writes):
        assert "Idempotency-Key" not in reply.question.headers, reply
        assert (reply.status, reply.json()) == (502, UNKNOWN), reply
        assert "retry-after" not in reply.headers
    site.check(seen, figures)


def test_a_write_that_a_killed_machine_has_begun_is_sent_again_only_with_a_key(
    site: Site,
) -> None:
    plain = [f"plain {number}" for number in range(6)]
    with_key = [f"with key {number}" for number in range(6)]
    token = register(site.machines[1])["token"]
    path = f"/api/articles/{site.account.threads[-1].slug}/comments"

    def write(text: str) -> Reply:
        key = text if text in with_key else ""
        return post(site.balancer.port, path, {"comment": {"body": text}}, token=token, key=key)

    def waiting() -> Counter[str]:
        """How many sessions of each machine wait for a lock."""
        rows = site.database.execute(
            "SELECT application_name FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        )
        return Counter(name for (name,) in rows)

    with ThreadPoolExecutor(12) as threads:
        with site.database.session() as session, session.transaction():
            session.execute("LOCK TABLE articles_comment IN SHARE MODE")  # stops the inserts
            writes = {text: threads.submit(write, text) for text in (*plain, *with_key)}
            wait_until(lambda: waiting().total() == len(writes), "all writes wait")
            begun = waiting()
            site.machines[0].kill()

            def ended_or_sent_again() -> int:
                return sum(writes[text].done() for text in plain) + waiting()["two"] - begun["two"]

            wait_until(lambda: ended_or_sent_again() == begun["one"], "haproxy has reacted")
            lost = {text for text in plain if writes[text].done()}
        replies = {text: write.result(20) for text, write in writes.items()}

    assert 0 < len(lost) < begun["one"]
    for text in lost:
        assert (replies[text].status, replies[text].json()) == (502, UNKNOWN)
    done = {text for text, reply in replies.items() if reply.status == 201}
    assert done == replies.keys() - lost
    rows = Counter(body for (body,) in site.database.execute("SELECT body FROM articles_comment"))
    assert all(rows[text] == 1 for text in done)
    # PostgreSQL may have executed the statement of the killed machine.
    assert all(rows[text] <= 1 for text in lost)


def post(
    port: int, path: str, body: object = None, *, token: str = "", key: str = "", **more: str
) -> Reply:
    """A POST of JSON over a new connection, with `more` headers."""
    headers = {"Content-Type": "application/json"} | more
    if token:
        headers["Authorization"] = f"Token {token}"
    if key:
        headers["Idempotency-Key"] = key
    client = Client(port)
    try:
        return client.ask(Question("POST", path, json.dumps(body).encode(), headers))
    finally:
        client.close()


def register(machine: Machine) -> dict[str, str]:
    """A new user, with a token."""
    name = f"user{uuid4().hex[:8]}"
    user = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    reply = post(machine.port, "/api/users", {"user": user})
    assert reply.status == 201, reply
    created: dict[str, str] = reply.json()["user"]
    return created


def whoami(machine: Machine, user: dict[str, str]) -> int:
    """The status of a request with the user's token."""
    headers = {"Authorization": f"Token {user['token']}"}
    return ask(machine.port, "/api/user", headers=headers).status


def log_in_at(machine: Machine, user: dict[str, str]) -> OpenerDirector:
    """A browser with a session. Cookies do not depend on the port, so it can use both machines."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    send_form(browser, machine, "/login", email=user["email"], password=PASSWORD)
    assert has_session(browser, machine)
    return browser


def send_form(
    browser: OpenerDirector, machine: Machine, page: str, action: str = "", **values: str
) -> None:
    """Send a form of the page, to the path `action` or to the page itself."""
    html = browser.open(machine.url(page), timeout=60).read().decode()
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', html)
    assert found, html
    data = urlencode({"csrfmiddlewaretoken": found[1], **values}).encode()
    browser.open(machine.url(action or page), data, timeout=60).close()


def has_session(browser: OpenerDirector, machine: Machine) -> bool:
    """Whether the page of the settings opens, instead of the page to log in."""
    settings = machine.url("/settings")
    with browser.open(settings, timeout=60) as answer:
        return bool(answer.url == settings)


def log_out_everywhere(site: Site, machine: Machine, user: dict[str, str]) -> None:
    """As a superuser in the admin."""
    editor = register(machine)
    site.database.execute(
        "UPDATE users_user SET is_staff = true, is_superuser = true WHERE username = %s",
        [editor["username"]],
    )
    ((pk,),) = site.database.execute(
        "SELECT id FROM users_user WHERE username = %s", [user["username"]]
    )
    page = f"/admin/users/user/{pk}"
    browser = log_in_at(machine, editor)
    send_form(browser, machine, f"{page}/change/", f"{page}/action/log_out_everywhere/", post="yes")
