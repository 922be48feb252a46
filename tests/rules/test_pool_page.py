"""The pool page in the admin: who may see it, and what it says."""

import re
import time

import pytest
from django.contrib.auth.models import Group, Permission
from django.core import signing
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from config.pool_page import access
from config.pool_page.charts import charts
from config.pool_page.sections import duration, milliseconds, sections
from database.backend import ServerState
from database.health import Activity, Capacity, Database, Machine, Server
from database.metrics import SECONDS, PoolState
from tests.builders import make_user
from users.models import User

PAGE = "/admin/database/"
FIGURES = "/admin/database/figures"


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator(db: None) -> User:
    user = make_user("operator", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_pool"))
    return user


def test_its_address_is_the_path_of_the_cookie() -> None:
    assert reverse("admin:database") == access.PATH == PAGE
    assert reverse("admin:database_figures").startswith(access.PATH)


@pytest.mark.parametrize("path", [PAGE, FIGURES])
def test_staff_with_the_permission_see_it(operator: User, path: str) -> None:
    response = logged_in(operator).get(path)

    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    content = response.json()["sections"] if path == FIGURES else response.content.decode()
    for title in ("Slow statements", "Clients of the database", "Restarts of processes"):
        assert title in str(content)


@pytest.mark.parametrize("path", [PAGE, FIGURES])
def test_superusers_see_it(db: None, path: str) -> None:
    root = make_user("root", is_staff=True, is_superuser=True)

    assert logged_in(root).get(path).status_code == 200
    assert f'href="{PAGE}"' in logged_in(root).get(reverse("admin:index")).content.decode()


@pytest.mark.parametrize("path", [PAGE, FIGURES])
def test_others_do_not_see_it(charlie: User, path: str) -> None:
    login = f"{reverse('admin:login')}?next={path}"
    assert Client().get(path).headers["Location"] == login
    assert logged_in(charlie).get(path).headers["Location"] == login

    charlie.is_staff = True  # without the permission
    charlie.save()
    response = logged_in(charlie).get(path)
    assert response.status_code == 403
    assert access.COOKIE not in response.cookies
    assert PAGE not in logged_in(charlie).get(reverse("admin:index")).content.decode()


def test_it_can_only_be_read(operator: User) -> None:
    assert logged_in(operator).post(PAGE).status_code == 405


def test_the_cookie_is_of_no_use_while_the_database_answers(operator: User) -> None:
    client = Client()
    client.cookies[access.COOKIE] = access.key_of_user(operator)
    assert client.get(PAGE).status_code == 302
    client.cookies[access.COOKIE] = access.key_of_link()
    assert client.get(PAGE).status_code == 302


def test_the_cookie_is_for_this_page_and_not_for_scripts(operator: User) -> None:
    client = logged_in(operator)
    cookie = client.get(PAGE).cookies[access.COOKIE]

    assert access.content_of(cookie.value)
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == (PAGE, True, "Lax")
    assert cookie["max-age"] == 12 * 3600

    cookie = client.post(reverse("admin:logout")).cookies[access.COOKIE]
    assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", 0, PAGE)


def test_a_link_becomes_a_cookie(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("database_page_link", site="https://example.org/")
    site, _, link = capsys.readouterr().out.strip().partition("/admin/")
    assert site == "https://example.org"

    response = Client().get(f"/admin/{link}")

    assert response.headers["Location"] == PAGE
    cookie = response.cookies[access.COOKIE]
    assert access.content_of(cookie.value)
    assert cookie["max-age"] == 3600


@pytest.mark.parametrize("key", ["", "x", "x" * 10_000, "a:b:c", "\0"])
def test_an_invented_key_is_refused(key: str) -> None:
    assert not access.content_of(key)
    response = Client().get(PAGE, {access.PARAMETER: key})
    assert response.status_code == 403
    assert access.COOKIE not in response.cookies


def test_keys_expire_and_belong_to_this_page(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User(pk=1)
    now = time.time()
    keys = {access.key_of_user(user): access.USER_LIFETIME, access.key_of_link(): 3600}
    for key, lifetime in keys.items():
        assert not access.content_of(key[:-1] + ("a" if key[-1] != "a" else "b"))
        for age, is_valid in ((lifetime - 5, True), (lifetime + 5, False)):
            monkeypatch.setattr("django.core.signing.time.time", lambda age=age: now + age)
            assert (access.content_of(key) is not None) is is_valid
        monkeypatch.undo()
    assert not access.content_of(signing.dumps({"link": True}))


def test_a_key_counts_while_no_connection_is_free_and_its_user_has_the_permission(
    operator: User, charlie: User
) -> None:
    connection.ensure_connection()
    session = connection.connection

    def is_current(user: User) -> bool:
        content = access.content_of(access.key_of_user(user))
        assert content
        return access.is_current(content, session)

    root = make_user("root", is_staff=True, is_superuser=True)
    member = make_user("member", is_staff=True)
    operators = Group.objects.create(name="operators")
    operators.permissions.add(*operator.user_permissions.all())
    member.groups.add(operators)
    suspended = make_user("suspended", is_staff=True, is_superuser=True, is_active=False)
    assert [is_current(user) for user in (root, operator, member)] == [True] * 3
    assert [is_current(user) for user in (charlie, suspended)] == [False] * 2

    content = access.content_of(access.key_of_user(root))
    assert content
    root.end_tokens()
    root.save()
    assert not access.is_current(content, session)
    assert access.is_current({"link": True}, session)


def whole(**changes: object) -> Machine:
    fields: dict[str, object] = {
        "now": 1_000.0,
        "workers": [],
        "databases": [],
        "held": [],
        "slow": [],
        "outages": [],
    }
    return Machine(**{**fields, **changes})  # type: ignore[arg-type]  # a dict of fields


def state_of(machine: Machine, activity: Activity, unchecked: str = "") -> str:
    return " ".join(
        re.sub("<[^>]*>", "", sections(machine, activity, unchecked=unchecked)["state"]).split()
    )


def test_a_sentence_says_that_the_connections_do_not_fit() -> None:
    room = Capacity(needed=36, limit=30, of_server=97, shortage="They do not fit.")

    html = sections(whole(), Activity(capacity=room))["state"]

    assert "pool-error" in html
    assert "Problem: They do not fit." in state_of(whole(), Activity(capacity=room))


def server(role: str, *, answers: int = 2, lag_seconds: float = 0.0) -> Server:
    state = ServerState(f"{role}:5432", role, answers > 0, "2/0/3000148", 2048, lag_seconds)
    return Server("default@a:5432", state, answers, processes=2)


@pytest.mark.parametrize(
    ("servers", "sentence"),
    [
        ([], "No problem is known."),
        ([server("primary"), server("standby")], "No problem is known."),
        ([server("standby")], "There is no primary. Reads work, and writes get 503."),
        (
            [server("primary"), server("standby", answers=1)],
            "The server standby:5432 does not answer; reads use the other servers.",
        ),
        (
            [server("primary"), server("standby", lag_seconds=7)],
            "The server standby:5432 is 7.0 s behind the primary.",
        ),
    ],
)
def test_a_sentence_says_which_server_cannot_be_used(servers: list[Server], sentence: str) -> None:
    assert sentence in state_of(whole(servers=servers), Activity())


def test_the_servers_are_shown_with_role_position_and_lag() -> None:
    html = sections(whole(servers=[server("standby", lag_seconds=7)]), Activity())["servers"]
    text = " ".join(re.sub("<[^>]*>", " ", html).split())

    assert "standby:5432 standby 2 of 2 processes 2/0/3000148 7.0 s, 2.0 KB" in text
    assert sections(whole(), Activity())["servers"].strip() == ""


def test_a_sentence_says_that_other_clients_take_too_many() -> None:
    room = Capacity(needed=36, limit=97, of_server=97, shortage="")

    assert "Other clients have 62" in state_of(whole(), Activity(capacity=room, others=62))
    assert "No problem is known" in state_of(whole(), Activity(capacity=room, others=61))


@pytest.mark.parametrize(("waiting", "wait"), [(1, "1 request waits"), (3, "3 requests wait")])
def test_a_sentence_says_that_no_connection_is_free(waiting: int, wait: str) -> None:
    database = pool(PoolState(in_use=8, idle=0, waiting=waiting, max=8))

    text = state_of(whole(databases=[database]), Activity(), "Not checked.")

    assert f"All 8 connections are in use, and {wait}." in text
    assert "Not checked." in text


def test_it_says_what_the_role_cannot_see() -> None:
    html = sections(whole(), Activity(total=3, hidden=2, role="conduit"))["clients"]

    assert "cannot see the state of 2 of them" in html
    assert "GRANT pg_read_all_stats TO conduit" in html


def test_texts_of_clients_and_statements_are_escaped() -> None:
    evil = "<script>alert(1)</script>"
    slow = {"database": "default", "text": evil, "route": evil, "count": 1}
    slow |= {"last": 1, "longest": 1, "last_at": 1}

    html = "".join(sections(whole(slow=[slow]), Activity(error=evil), unchecked=evil).values())

    assert evil not in html
    assert "&lt;script&gt;" in html


def pool(state: PoolState, *, known: int = SECONDS) -> Database:
    return Database(
        alias="default",
        now=state,
        has_pool=True,
        states=[None] * (SECONDS - known) + [state] * known,
        refused=[(1, 2)] * SECONDS,
        waits=[],
    )


def test_the_charts_say_in_words_what_they_show() -> None:
    connections, waiting, refused = charts(pool(PoolState(3, 5, 2, 8), known=10))

    assert connections.text == (
        "Connections in the last five minutes. in use: now 3, at most 3; idle: now 5, at most 5;"
        " maximum: now 8, at most 8."
    )
    assert waiting.lines[0].paths == [" ".join(f"{x},0" for x in range(290, 300))]
    assert connections.top == 8
    assert refused.text.endswith("timed out: 300; queue full: 600.")
    assert (len(refused.bars), refused.top) == (60, 30)
    assert refused.rows[0] == ("30 to 0 s ago", [30, 60])
    assert connections.rows[-1] == ("300 to 270 s ago", [0, 0, 0])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59, "59 s"), (200, "3 min 20 s"), (7_500, "2 h 5 min"), (90_000, "1 d 1 h")],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_short_durations_are_in_milliseconds() -> None:
    assert [milliseconds(each) for each in (0.001, 0.25, 6.25001)] == ["1 ms", "250 ms", "6.25 s"]
