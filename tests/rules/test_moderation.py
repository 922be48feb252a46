"""Moderators hide and restore articles and comments, and suspend and restore users."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from articles.models import Article, Comment
from tests.builders import PASSWORD, follow, like, make_user, write_article, write_comment
from tests.client import ApiClient
from tests.forms import Form, send
from tests.races import at_once
from tests.rules.test_large_deletions import counts_are_right
from users import tokens, visibility_changes
from users.audit import AuditEntry
from users.deletion import Deletion, enqueue
from users.models import User
from users.moderation import reinstate, suspend
from users.queue_worker import worker
from users.visibility_changes import VisibilityChange, change_visibility

Api = Callable[..., ApiClient]

ARTICLES = reverse("admin:articles_article_changelist")
COMMENTS = reverse("admin:articles_comment_changelist")
USERS = reverse("admin:users_user_changelist")


def url_of(row: Any, action: str) -> str:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_action"
    return reverse(name, args=[row.pk, action])


def press(site: Client, row: Any, action: str, **fields: str) -> Any:
    """Presses the button on the page of the row, and confirms."""
    page = site.get(url_of(row, action))
    assert page.status_code == 200
    form = Form(page.text, "")
    form.values |= {name: [value] for name, value in fields.items()}
    return send(site, url_of(row, action), form, button="")


def select(site: Client, url: str, action: str, *rows: Any, across: int = 0) -> Any:
    """The confirmation page of selected rows of a list."""
    data = {"action": action, "_selected_action": [row.pk for row in rows], "index": 0}
    return site.post(url, data | {"select_across": across})


def entries() -> list[tuple[Any, ...]]:
    columns = ("action", "model", "object_name", "reason")
    return [*AuditEntry.objects.order_by("pk").values_list(*columns)]


@pytest.fixture
def moderator(db: None) -> Client:
    """May hide texts and suspend users, and nothing more."""
    user = make_user("moderator", is_staff=True)
    names = ["hide_article", "hide_comment", "suspend_user"]
    names += ["view_article", "view_comment", "view_user"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


# --- Articles and comments -----------------------------------------------------------


def test_an_article_is_hidden_and_restored_unchanged(
    moderator: Client, api: Api, article: Article, bob: User
) -> None:
    like(bob, article)
    write_comment(bob, article)
    path = f"/api/articles/{article.slug}"
    stored = Article.objects.filter(pk=article.pk).values().get()
    shown = {part: api(bob).get(part).json() for part in (path, f"{path}/comments", "/api/tags")}

    assert press(moderator, article, "hide", reason="Spam").status_code == 302

    for part in (path, f"{path}/comments"):
        assert api(bob).get(part).status_code == 404
    assert api().get("/api/tags").json() == {"tags": []}
    assert api().get("/api/articles").json()["articlesCount"] == 0

    assert press(moderator, article, "restore").status_code == 302

    assert {part: api(bob).get(part).json() for part in shown} == shown
    assert Article.objects.filter(pk=article.pk).values().get() == stored
    assert entries() == [
        ("hide", "articles.article", article.title, "Spam"),
        ("restore", "articles.article", article.title, ""),
    ]


def test_a_comment_is_hidden_and_restored(
    moderator: Client, api: Api, article: Article, bob: User
) -> None:
    comment = write_comment(bob, article)
    path = f"/api/articles/{article.slug}/comments"

    press(moderator, comment, "hide")
    assert api().get(path).json() == {"comments": []}
    press(moderator, comment, "restore")
    assert len(api().get(path).json()["comments"]) == 1


def test_the_page_of_a_row_has_the_button_that_applies(moderator: Client, article: Article) -> None:
    page = reverse("admin:articles_article_change", args=[article.pk])

    def buttons() -> list[str]:
        text = moderator.get(page).text
        return [name for name in ("hide", "restore") if url_of(article, name) in text]

    assert buttons() == ["hide"]
    press(moderator, article, "hide")
    assert buttons() == ["restore"]


def test_the_confirmation_shows_the_texts_and_escapes_them(
    moderator: Client, article: Article, bob: User
) -> None:
    for number in range(30):
        write_comment(bob, article, body=f"<b>Buy\n\n number {number}</b> " + "word " * 100)

    page = select(moderator, COMMENTS, "hide", *Comment.objects.all())

    assert "Hide 30 comments" in page.text
    assert page.text.count("&lt;b&gt;Buy number") == 20
    assert f"Comment by bob on “{article.title}”" in page.text
    assert "and 10 more" in page.text
    assert Comment.objects.filter(hidden_at=None).count() == 30


@pytest.mark.parametrize("number", [1, 20])
def test_a_confirmation_page_needs_few_queries(
    moderator: Client, article: Article, number: int, django_assert_max_num_queries: Any
) -> None:
    comments = [write_comment(make_user(f"user{n}"), article) for n in range(number)]

    # The session, the user, 2 of permissions, and those of the list: count, page. Whether there are
    # rows, the newest, the count, the ids, the comments, their texts, authors and articles.
    with django_assert_max_num_queries(14):
        select(moderator, COMMENTS, "hide", *comments)


def test_only_rows_that_change_are_counted_and_logged(
    moderator: Client, alice: User, article: Article
) -> None:
    hidden = write_article(alice)
    change_visibility(Article.objects.filter(pk=hidden.pk), hide=True)
    page = select(moderator, ARTICLES, "hide", hidden, article)
    assert "Hide 1 article" in page.text

    send(moderator, ARTICLES, Form(page.text, ""), button="")

    assert [entry[2] for entry in entries()] == [article.title]
    page = select(moderator, ARTICLES, "hide", hidden, article)
    assert page.status_code == 302
    assert "applies to none of the selected rows" in moderator.get(ARTICLES).text


def test_all_rows_of_a_long_list_are_hidden_and_restored_in_batches(
    moderator: Client,
    alice: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(visibility_changes, "AT_ONCE", 4)
    monkeypatch.setattr(visibility_changes, "BATCH", 4)
    articles = [write_article(alice, tags=("shared",)) for _ in range(10)]
    for action, hidden in (("hide", 10), ("restore", 0)):
        page = select(moderator, ARTICLES, action, articles[0], across=1)
        assert page.text.count('name="_selected_action"') == 1
        write_article(alice, title="Too new")

        send(moderator, ARTICLES, Form(page.text, ""), button="")

        assert "in the background" in moderator.get(ARTICLES).text
        assert VisibilityChange.objects.count() == 10
        worker.empty_queues()
        assert Article.objects.exclude(hidden_at=None).count() == hidden
        assert not VisibilityChange.objects.exists()
    assert len(entries()) == 20


def test_the_last_decision_wins(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility_changes, "AT_ONCE", 2)
    first, *_ = (write_article(alice) for _ in range(3))
    change_visibility(Article.objects.all(), hide=True)

    change_visibility(Article.objects.filter(pk=first.pk), hide=True)
    change_visibility(Article.objects.filter(pk=first.pk), hide=False)
    worker.empty_queues()

    assert [*Article.objects.filter(hidden_at=None)] == [first]


@pytest.mark.parametrize("hide", [True, False])
def test_a_decision_cancels_a_queued_one(
    moderator: Client, alice: User, monkeypatch: pytest.MonkeyPatch, hide: bool
) -> None:
    """The row is still as it was: the queued change has not reached it."""
    monkeypatch.setattr(visibility_changes, "AT_ONCE", 2)
    first, second, *_ = (write_article(alice) for _ in range(5))
    change_visibility(Article.objects.all(), hide=not hide)
    worker.empty_queues()
    change_visibility(Article.objects.all(), hide=hide)

    change_visibility(Article.objects.filter(pk=first.pk), hide=not hide)
    press(moderator, second, "restore" if hide else "hide")
    worker.empty_queues()

    decided = Article.objects.filter(pk__in=[first.pk, second.pk])
    assert Article.objects.filter(hidden_at=None).count() == (2 if hide else 3)
    assert decided.filter(hidden_at=None).count() == (2 if hide else 0)


def test_a_restored_user_is_not_hidden_later(
    dora: User, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visibility_changes, "AT_ONCE", 2)
    suspend(User.objects.filter(pk__in=[dora.pk, alice.pk, bob.pk]), with_content=True)
    reinstate(User.objects.filter(pk=dora.pk))

    worker.empty_queues()

    dora.refresh_from_db()
    assert dora.is_active
    assert not dora.hidden_at


def test_a_row_whose_deletion_is_queued_cannot_be_restored(
    moderator: Client, article: Article
) -> None:
    enqueue(Article.objects.filter(pk=article.pk))

    assert moderator.post(url_of(article, "restore"), {"post": "yes"}).status_code == 404
    change_visibility(Article.objects.filter(pk=article.pk), hide=False)

    assert not Article.objects.filter(hidden_at=None).exists()


@pytest.mark.django_db(transaction=True)
def test_a_restored_row_is_hidden_again_by_a_deletion_at_the_same_moment(article: Article) -> None:
    rows = Article.objects.filter(pk=article.pk)
    for _ in range(10):
        change_visibility(rows, hide=True)
        at_once([lambda: enqueue(rows), lambda: change_visibility(rows, hide=False)])

        assert not Article.objects.filter(hidden_at=None).exists()
        Deletion.objects.all().delete()


@pytest.mark.parametrize("rights", [[], ["view_article", "change_article", "delete_article"]])
def test_staff_without_the_permission_can_hide_nothing(
    charlie: User, article: Article, rights: list[str]
) -> None:
    charlie.is_staff = True
    charlie.save()
    charlie.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(charlie)
    data = {"action": "hide", "_selected_action": [article.pk], "post": "yes"}

    assert client.get(url_of(article, "hide")).status_code == 403
    assert client.post(url_of(article, "hide"), {"post": "yes"}).status_code == 403
    assert client.post(ARTICLES, data).status_code == 403
    assert entries() == []
    assert Article.objects.filter(hidden_at=None).exists()
    if rights:
        assert url_of(article, "hide") not in client.get(ARTICLES).text
        page = client.get(reverse("admin:articles_article_change", args=[article.pk])).text
        assert url_of(article, "hide") not in page
        assert 'value="hide"' not in client.get(ARTICLES).text


def test_a_confirmation_needs_a_csrf_token(article: Article, editor: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(editor)

    assert client.post(url_of(article, "hide"), {"post": "yes"}).status_code == 403
    assert Article.objects.filter(hidden_at=None).exists()


def test_a_reason_that_is_too_long_is_refused(moderator: Client, article: Article) -> None:
    page = press(moderator, article, "hide", reason="x" * 1001)

    assert "at most 1000 characters" in page.text
    assert Article.objects.filter(hidden_at=None).exists()


# --- Users -------------------------------------------------------------------------


@pytest.fixture
def dora(alice: User, bob: User) -> User:
    """Writes an article with a comment by Bob, likes and comments Alice's, and has followers."""
    dora = make_user("dora")
    article = write_article(dora, title="Of Dora", tags=("dora", "shared"))
    write_comment(bob, article)
    other = write_article(alice, title="Of Alice", tags=("shared",))
    write_comment(dora, other, body="Of Dora")
    like(dora, other)
    follow(dora, alice)
    follow(bob, dora)
    return dora


def can_log_in(api: Api, user: User) -> bool:
    body = {"user": {"email": user.email, "password": PASSWORD}}
    answer = api().post("/api/users/login", body)
    if answer.status_code == 401:
        assert answer.json() == {"errors": {"credentials": ["invalid"]}}
    return bool(answer.status_code == 200)


def test_a_suspended_user_is_logged_out_and_cannot_log_in(
    moderator: Client, api: Api, dora: User
) -> None:
    assert can_log_in(api, dora)

    press(moderator, dora, "suspend", reason="Spam")

    answer = api(dora).get("/api/user")
    assert (answer.status_code, answer.json()) == (401, {"errors": {"token": ["is invalid"]}})
    assert not can_log_in(api, dora)
    # Their texts stay, because the moderator did not say otherwise.
    assert api().get("/api/profiles/dora").status_code == 200
    assert api().get("/api/articles?author=dora").json()["articlesCount"] == 1
    assert entries() == [("suspend", "users.user", "dora", "Spam")]

    press(moderator, dora, "restore")

    assert api(dora).get("/api/user").status_code == 401
    assert can_log_in(api, dora)
    assert entries()[1:] == [("restore", "users.user", "dora", "")]


def test_a_user_is_suspended_with_their_content_and_restored_with_it(
    moderator: Client, api: Api, dora: User, alice: User, bob: User
) -> None:
    one = write_article(dora, title="Hidden before")
    press(moderator, one, "hide")
    paths = ["/api/articles", "/api/tags", "/api/articles/feed", "/api/articles/of-alice/comments"]
    before = {path: api(bob).get(path).json() for path in paths}

    press(moderator, dora, "suspend", with_content="on")

    assert api().get("/api/profiles/dora").status_code == 404
    assert api().get("/api/articles/of-dora").status_code == 404
    articles = api(bob).get("/api/articles").json()
    assert [article["title"] for article in articles["articles"]] == ["Of Alice"]
    assert articles["articlesCount"] == 1
    # The favorites and follows of a suspended user count.
    assert articles["articles"][0]["favoritesCount"] == 1
    assert api().get("/api/tags").json() == {"tags": ["shared"]}
    assert api().get("/api/articles/of-alice/comments").json() == {"comments": []}
    details = AuditEntry.objects.filter(action="suspend").get().details
    assert details == "With their profile, articles and comments."

    press(moderator, dora, "restore")

    assert {path: api(bob).get(path).json() for path in paths} == before
    assert api().get(f"/api/articles/{one.slug}").status_code == 404


def test_many_users_are_suspended_at_once_and_hidden_in_the_background(
    moderator: Client, api: Api, dora: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visibility_changes, "AT_ONCE", 1)
    users = User.objects.filter(username__in=["dora", "bob", "alice"])
    page = select(moderator, USERS, "suspend", *users)
    form = Form(page.text, "")
    form.values["with_content"] = ["on"]

    send(moderator, USERS, form, button="")

    assert not users.filter(is_active=True).exists()
    assert "in the background" in moderator.get(USERS).text
    worker.empty_queues()
    assert api().get("/api/articles").json()["articlesCount"] == 0
    page = select(moderator, USERS, "restore", *users)
    send(moderator, USERS, Form(page.text, ""), button="")
    worker.empty_queues()
    assert api().get("/api/articles").json()["articlesCount"] == 2
    assert users.filter(is_active=True).count() == 3


def test_nobody_suspends_themselves_or_somebody_with_more_rights(
    moderator: Client, site: Client, editor: User
) -> None:
    oneself = User.objects.get(username="moderator")
    assert "has rights that you do not have" in moderator.get(url_of(editor, "suspend")).text
    for client, user in ((moderator, oneself), (moderator, editor), (site, editor)):
        assert 'name="post"' not in client.get(url_of(user, "suspend")).text
        assert client.post(url_of(user, "suspend"), {"post": "yes"}).status_code == 403
        data = {"action": "suspend", "_selected_action": [user.pk], "post": "yes"}
        assert client.post(USERS, data).status_code == 403
    assert entries() == []
    assert not User.objects.filter(is_active=False).exists()


def test_a_user_whose_deletion_is_queued_cannot_be_restored(dora: User) -> None:
    suspend(User.objects.filter(pk=dora.pk), with_content=True)
    enqueue(User.objects.filter(pk=dora.pk))

    reinstate(User.objects.filter(pk=dora.pk))

    dora.refresh_from_db()
    assert not dora.is_active
    assert dora.hidden_at


def test_a_hidden_user_whose_deletion_is_queued_cannot_log_in(api: Api, dora: User) -> None:
    users = User.objects.filter(pk=dora.pk)
    change_visibility(users, hide=True)
    assert can_log_in(api, dora)

    enqueue(users)

    assert not can_log_in(api, dora)
    assert api(dora).get("/api/user").status_code == 401


@pytest.mark.django_db(transaction=True)
def test_no_token_of_a_login_or_a_write_outlives_a_suspension(api: Api, dora: User) -> None:
    """Logins, a new password and a suspension at the same moment, with and without a restore."""

    def log_in() -> str:
        body = {"user": {"email": dora.email, "password": PASSWORD}}
        answer = api().post("/api/users/login", body)
        return str(answer.json()["user"]["token"]) if answer.status_code == 200 else ""

    def set_password() -> str:
        dora.refresh_from_db()
        token = tokens.issue(dora.pk, dora.token_generation)
        client = ApiClient(headers={"Authorization": f"Token {token}"})
        client.put("/api/user", {"user": {"password": PASSWORD}})
        return token

    users = User.objects.filter(pk=dora.pk)
    for _ in range(5):
        calls: list[Callable[[], Any]] = [log_in, set_password, set_password, log_in]
        calls.append(lambda: suspend(users, with_content=True))
        *issued, _ = at_once(calls)

        for restore in (False, True):
            if restore:
                reinstate(users)
            for token in filter(None, issued):
                client = ApiClient(headers={"Authorization": f"Token {token}"})
                assert client.get("/api/user").status_code == 401


@pytest.mark.django_db(transaction=True)
def test_counts_are_exact_after_moderation_beside_writers(
    api: Api, dora: User, alice: User, bob: User
) -> None:
    article = Article.objects.get(title="Of Dora")

    def write(user: User) -> None:
        for number in range(5):
            path = f"/api/articles/{article.slug}"
            api(user).post(f"{path}/favorite")
            api(user).delete(f"{path}/favorite")
            body = {"title": f"New {number}", "description": "x", "body": "x", "tagList": ["dora"]}
            answer = api(user).post("/api/articles", {"article": body})
            assert answer.status_code == 201

    def moderate(rows: Any) -> None:
        for hide in (True, False) * 5:
            change_visibility(rows, hide=hide)

    users = User.objects.filter(pk=dora.pk)
    at_once(
        [
            lambda: write(alice),
            lambda: write(bob),
            lambda: moderate(users),
            lambda: moderate(Article.objects.filter(author=dora)),
        ]
    )

    assert not connection.in_atomic_block
    assert counts_are_right()
    with transaction.atomic():
        assert api().get("/api/articles").json()["articlesCount"] == Article.objects.count()
