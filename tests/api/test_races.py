"""Simultaneous requests, each on its own thread and database connection."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.utils.text import slugify

from articles.models import Article, Comment, Favorite, Tag
from profiles.models import Follow
from tests.builders import PASSWORD, like, make_user, write_article
from tests.client import ApiClient
from tests.races import Call, at_once, while_deleting
from users import tokens
from users.models import User

Api = Callable[..., ApiClient]

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 20
TEXTS = {"description": "About it", "body": "A text"}


def statuses(answers: list[Any]) -> dict[int, int]:
    return dict(Counter(answer.status_code for answer in answers))


def registration(client: ApiClient, username: str, email: str) -> Call:
    user = {"username": username, "email": email, "password": PASSWORD}
    return lambda: client.post("/api/users", {"user": user})


def change(client: ApiClient, **fields: str) -> Call:
    return lambda: client.put("/api/user", {"user": fields})


def log_in(client: ApiClient, email: str, password: str) -> Any:
    credentials = {"user": {"email": email, "password": password}}
    return client.post("/api/users/login", credentials)


def test_one_email_is_registered_once(api: Api) -> None:
    answers = at_once([registration(api(), f"user{n}", "one@example.com") for n in range(MANY)])

    assert statuses(answers) == {201: 1, 409: MANY - 1}
    errors = [answer.json() for answer in answers if answer.status_code == 409]
    assert errors == [{"errors": {"email": ["has already been taken"]}}] * (MANY - 1)
    assert User.objects.count() == 1


def test_one_username_is_registered_once(api: Api) -> None:
    answers = at_once([registration(api(), "alice", f"{n}@example.com") for n in range(MANY)])

    assert statuses(answers) == {201: 1, 409: MANY - 1}
    errors = [answer.json() for answer in answers if answer.status_code == 409]
    assert errors == [{"errors": {"username": ["has already been taken"]}}] * (MANY - 1)
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    "names",
    [
        ("alice", "ALICE", "Alice", "aLICE"),
        ("ärger", "ÄRGER", "A\u0308RGER", "a\u0308rger"),
        ("σίσυφος", "ΣΊΣΥΦΟΣ", "σίσυφοσ", "Σίσυφος"),
    ],
    ids=ascii,
)
def test_one_username_in_many_cases_is_registered_once(api: Api, names: tuple[str, ...]) -> None:
    answers = at_once(
        [registration(api(), name, f"{n}@example.com") for n, name in enumerate(names * 3)]
    )

    assert statuses(answers) == {201: 1, 409: len(answers) - 1}


def test_the_same_registration_succeeds_once(api: Api) -> None:
    answers = at_once([registration(api(), "alice", "alice@example.com")] * MANY)

    assert statuses(answers) == {201: 1, 409: MANY - 1}


def test_different_people_register_at_once(api: Api) -> None:
    answers = at_once([registration(api(), f"u{n}", f"{n}@example.com") for n in range(MANY)])

    assert statuses(answers) == {201: MANY}


@pytest.mark.parametrize("field", ["username", "email"])
def test_only_one_user_can_change_to_a_name(api: Api, field: str) -> None:
    wanted = {"username": "wanted", "email": "wanted@example.com"}[field]
    people = [make_user(f"user{n}") for n in range(MANY)]

    answers = at_once([change(api(user), **{field: wanted}) for user in people])

    assert statuses(answers) == {200: 1, 409: MANY - 1}
    errors = [answer.json() for answer in answers if answer.status_code == 409]
    assert errors == [{"errors": {field: ["has already been taken"]}}] * (MANY - 1)
    assert User.objects.filter(**{field: wanted}).count() == 1


def test_a_registration_and_a_rename_cannot_both_get_a_name(api: Api, alice: User) -> None:
    for round_ in range(5):
        name = f"wanted{round_}"

        answers = at_once(
            [registration(api(), name, f"{name}@example.com"), change(api(alice), username=name)]
        )

        assert sorted(answer.status_code for answer in answers) in ([200, 409], [201, 409])
        assert User.objects.filter(username=name).count() == 1


def test_simultaneous_changes_of_different_fields_are_all_kept(api: Api, alice: User) -> None:
    for round_ in range(10):
        answers = at_once(
            [
                change(api(alice), bio=f"bio {round_}"),
                change(api(alice), image=f"image {round_}"),
                change(api(alice), username=f"alice{round_}"),
            ]
        )

        assert statuses(answers) == {200: 3}
        shown = User.objects.get(pk=alice.pk)
        assert (shown.bio, shown.image) == (f"bio {round_}", f"image {round_}")
        assert shown.username == f"alice{round_}"


def test_a_simultaneous_new_password_and_new_email_are_both_kept(api: Api, alice: User) -> None:
    for round_ in range(30):
        alice.refresh_from_db()  # the new password has changed her token generation
        old, new = alice.email, f"alice{round_}@example.com"
        password = f"horse number {round_}"
        # Both requests use one token, because a new password ends the other tokens.
        header = {"Authorization": f"Token {tokens.issue(alice.pk, alice.token_generation)}"}

        answers = at_once(
            [
                change(api(headers=header), password=password),
                change(api(headers=header), email=new.title()),
            ]
        )

        assert statuses(answers) == {200: 2}
        assert log_in(api(), new, password).status_code == 200
        assert log_in(api(), old, password).status_code == 401
        thief = registration(api(), f"thief{round_}", new)()
        assert thief.json() == {"errors": {"email": ["has already been taken"]}}
        newcomer = registration(api(), f"newcomer{round_}", old)()
        assert newcomer.status_code == 201


def test_a_simultaneous_new_email_and_new_username_are_both_kept(api: Api, alice: User) -> None:
    for round_ in range(30):
        answers = at_once(
            [
                change(api(alice), email=f"Alice{round_}@example.com"),
                change(api(alice), username=f"Alice{round_}"),
                change(api(alice), bio=f"bio {round_}"),
            ]
        )

        assert statuses(answers) == {200: 3}
        row = User.objects.get(pk=alice.pk)
        assert (row.email_folded, row.username_folded) == (
            f"alice{round_}@example.com",
            f"alice{round_}",
        )


def test_simultaneous_follows_make_one_row(api: Api, alice: User, charlie: User) -> None:
    answers = at_once([lambda: api(charlie).post("/api/profiles/alice/follow")] * MANY)

    assert statuses(answers) == {200: MANY}
    assert all(answer.json()["profile"]["following"] for answer in answers)
    assert Follow.objects.filter(follower=charlie, followed=alice).count() == 1


def test_simultaneous_follows_and_unfollows_all_succeed(api: Api, alice: User, bob: User) -> None:
    path = "/api/profiles/alice/follow"

    answers = at_once([lambda: api(bob).post(path), lambda: api(bob).delete(path)] * (MANY // 2))

    assert statuses(answers) == {200: MANY}
    assert Follow.objects.filter(follower=bob, followed=alice).count() <= 1


def test_two_users_can_follow_each_other_simultaneously(
    api: Api, alice: User, charlie: User
) -> None:
    answers = at_once(
        [
            lambda: api(charlie).post("/api/profiles/alice/follow"),
            lambda: api(alice).post("/api/profiles/charlie/follow"),
        ]
    )

    assert statuses(answers) == {200: 2}
    assert Follow.objects.count() == 2


@pytest.mark.parametrize("title", ["One title", "日本語", "!!!", "feed", "x" * 255])
def test_simultaneous_articles_with_one_title_get_different_slugs(
    api: Api, alice: User, title: str
) -> None:
    client = api(alice)
    content = {"article": {"title": title, **TEXTS}}

    answers = at_once([lambda: client.post("/api/articles", content)] * MANY)

    assert statuses(answers) == {201: MANY}
    slugs = {answer.json()["article"]["slug"] for answer in answers}
    assert len(slugs) == MANY
    assert slugs == set(Article.objects.values_list("slug", flat=True))
    assert "feed" not in slugs


def test_simultaneous_changes_to_one_title_get_different_slugs(api: Api, alice: User) -> None:
    slugs = [write_article(alice).slug for _ in range(MANY)]
    client = api(alice)

    def retitle(slug: str) -> Call:
        return lambda: client.put(f"/api/articles/{slug}", {"article": {"title": "One title"}})

    answers = at_once([retitle(slug) for slug in slugs])

    assert statuses(answers) == {200: MANY}
    assert len({answer.json()["article"]["slug"] for answer in answers}) == MANY


def rename(client: ApiClient, slug: str, title: str) -> Call:
    return lambda: client.put(f"/api/articles/{slug}", {"article": {"title": title}})


def test_simultaneous_titles_leave_a_slug_that_matches_the_title(api: Api, alice: User) -> None:
    client = api(alice)
    for _ in range(40):
        article = write_article(alice, title="Old title")

        answers = at_once(
            [rename(client, article.slug, title) for title in ("New title", "Old title") * 4]
        )

        # Writes to the old slug are 404 after the title has changed.
        assert statuses(answers).keys() <= {200, 404}
        assert 200 in statuses(answers)
        shown = [answer.json()["article"] for answer in answers if answer.status_code == 200]
        stored = Article.objects.get(pk=article.pk)
        pairs = [(article["title"], article["slug"]) for article in shown]
        for title, slug in [*pairs, (stored.title, stored.slug)]:
            assert slug.startswith(slugify(title))


def test_two_articles_that_swap_their_titles_do_not_deadlock(
    api: Api, alice: User, bob: User
) -> None:
    for number in range(30):
        of_alice = write_article(alice, title=f"One {number}")
        of_bob = write_article(bob, title=f"Two {number}")

        answers = at_once(
            [
                rename(api(alice), of_alice.slug, of_bob.title),
                rename(api(bob), of_bob.slug, of_alice.title),
            ]
        )

        assert statuses(answers) == {200: 2}
        assert len({answer.json()["article"]["slug"] for answer in answers}) == 2


def test_no_other_article_gets_a_slug_that_is_given_up_simultaneously(
    api: Api, alice: User, bob: User, charlie: User
) -> None:
    for number in range(40):
        title = f"Title {number}"
        slug = write_article(alice, title=title).slug
        other = write_article(charlie)
        content = {"article": {"title": title, **TEXTS}}

        renamed, *others = at_once(
            [
                rename(api(alice), slug, f"Another title {number}"),
                rename(api(charlie), other.slug, title),
                *[lambda content=content: api(bob).post("/api/articles", content)] * 3,
            ]
        )

        assert renamed.status_code == 200
        assert statuses(others) == {200: 1, 201: 3}
        assert slug not in {answer.json()["article"]["slug"] for answer in others}
        moved = api().get(f"/api/articles/{slug}")
        new_slug = renamed.json()["article"]["slug"]
        assert (moved.status_code, moved["Location"]) == (301, f"/api/articles/{new_slug}")


def test_reads_find_the_article_under_every_slug_while_its_title_changes(
    api: Api, alice: User
) -> None:
    article = write_article(alice, title="One")
    paths = {f"/api/articles/{article.slug}"}

    def read(path: str) -> Call:
        return lambda: [api().get(path).status_code for _ in range(3)]

    for _ in range(30):
        slug = Article.objects.get().slug
        renames = [rename(api(alice), slug, title) for title in ("One", "Two", "Three")]

        answers = at_once([*renames, *(read(path) for path in paths)])

        renamed, reads = answers[:3], answers[3:]
        assert statuses(renamed).keys() <= {200, 404}
        assert {status for read in reads for status in read} <= {200, 301}
        shown = [answer.json()["article"] for answer in renamed if answer.status_code == 200]
        paths = {f"/api/articles/{article['slug']}" for article in shown} | {*sorted(paths)[:4]}
        current = f"/api/articles/{Article.objects.get().slug}"
        assert api().get(current).status_code == 200
        for old in paths - {current}:
            moved = api().get(old)
            assert (moved.status_code, moved["Location"]) == (301, current)


def test_twenty_users_can_favorite_an_article_simultaneously(api: Api, article: Article) -> None:
    people = [make_user(f"reader{n}") for n in range(MANY)]
    path = f"/api/articles/{article.slug}/favorite"

    def like(user: User) -> Call:
        return lambda: api(user).post(path)

    answers = at_once([like(user) for user in people])

    assert statuses(answers) == {200: MANY}
    assert all(answer.json()["article"]["favorited"] for answer in answers)
    shown = api().get(f"/api/articles/{article.slug}").json()["article"]
    assert shown["favoritesCount"] == MANY


def test_simultaneous_favorites_of_one_user_make_one_row(
    api: Api, article: Article, bob: User
) -> None:
    path = f"/api/articles/{article.slug}/favorite"

    answers = at_once([lambda: api(bob).post(path)] * MANY)

    assert statuses(answers) == {200: MANY}
    assert {answer.json()["article"]["favoritesCount"] for answer in answers} == {1}
    assert Favorite.objects.count() == 1

    answers = at_once([lambda: api(bob).delete(path)] * MANY)

    assert statuses(answers) == {200: MANY}
    assert {answer.json()["article"]["favoritesCount"] for answer in answers} == {0}


def test_the_same_new_tags_in_different_orders_do_not_deadlock(api: Api, alice: User) -> None:
    for round_ in range(3):
        tags = [f"tag{round_}.{n}" for n in range(30)]

        def write(tags: list[str]) -> Call:
            content = {"article": {"title": "Tagged", **TEXTS, "tagList": tags}}
            return lambda: api(alice).post("/api/articles", content)

        answers = at_once([write(tags), write(tags[::-1])] * (MANY // 2))

        assert statuses(answers) == {201: MANY}
        for answer in answers:
            assert answer.json()["article"]["tagList"] == sorted(tags)
        assert Tag.objects.filter(name__in=tags).count() == len(tags)


def test_simultaneous_tag_lists_of_one_article_leave_one_of_the_lists(
    api: Api, article: Article
) -> None:
    client, path = api(article.author), f"/api/articles/{article.slug}"
    sets = [[f"a{n}", f"b{n}", "common"] for n in range(MANY)]

    def tag(tags: list[str]) -> Call:
        return lambda: client.put(path, {"article": {"tagList": tags}})

    answers = at_once([tag(tags) for tags in sets])

    assert statuses(answers) == {200: MANY}
    assert client.get(path).json()["article"]["tagList"] in sets


def test_simultaneous_requests_to_a_deleted_article_are_404(
    api: Api, alice: User, bob: User, charlie: User
) -> None:
    def requests(path: str) -> dict[str, Call]:
        comment = {"comment": {"body": "Still there?"}}
        return {
            "comment": lambda: api(bob).post(f"{path}/comments", comment),
            "favorite": lambda: api(charlie).post(f"{path}/favorite"),
            "tag": lambda: api(alice).put(path, {"article": {"tagList": ["three"]}}),
            "edit": lambda: api(alice).put(path, {"article": {"body": "Another text"}}),
            "delete": lambda: api(alice).delete(path),
        }

    for _ in range(5):
        path = f"/api/articles/{write_article(alice, tags=('one', 'two')).slug}"

        answers = at_once([*requests(path).values()] * 3)

        assert statuses(answers).keys() <= {200, 201, 204, 404}
        assert 204 in statuses(answers)
        errors = [answer.json() for answer in answers if answer.status_code == 404]
        assert all(error == {"errors": {"article": ["not found"]}} for error in errors)
        assert not Comment.objects.exists()
        assert not Favorite.objects.exists()
        assert not Article.objects.exists()


@pytest.mark.parametrize("what", ["comment", "favorite", "unfavorite", "edit", "tag", "retitle"])
def test_an_article_deleted_during_a_request_is_404(
    api: Api, article: Article, bob: User, charlie: User, what: str
) -> None:
    path = f"/api/articles/{article.slug}"
    like(charlie, article)
    calls: dict[str, Call] = {
        "comment": lambda: api(bob).post(f"{path}/comments", {"comment": {"body": "Hello?"}}),
        "favorite": lambda: api(bob).post(f"{path}/favorite"),
        "unfavorite": lambda: api(charlie).delete(f"{path}/favorite"),
        "edit": lambda: api(article.author).put(path, {"article": {"body": "Another text"}}),
        "tag": lambda: api(article.author).put(path, {"article": {"tagList": ["three"]}}),
        "retitle": lambda: api(article.author).put(path, {"article": {"title": "Another"}}),
    }

    answer = while_deleting(article, calls[what])

    assert answer.status_code == 404
    assert answer.json() == {"errors": {"article": ["not found"]}}
    assert not Comment.objects.exists()
    assert not Favorite.objects.exists()


def test_a_second_simultaneous_delete_is_not_a_server_error(api: Api, article: Article) -> None:
    path = f"/api/articles/{article.slug}"
    author = api(article.author)

    answer = while_deleting(article, lambda: author.delete(path))

    assert answer.status_code in (204, 404)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_user_deleted_during_a_follow_is_404(
    api: Api, alice: User, bob: User, charlie: User, method: str
) -> None:
    follower = charlie if method == "POST" else bob

    answer = while_deleting(
        alice, lambda: api(follower).generic(method, "/api/profiles/alice/follow")
    )

    if method == "POST":
        assert answer.status_code == 404
        assert answer.json() == {"errors": {"profile": ["not found"]}}
    else:
        assert answer.status_code in (200, 404)
    assert not Follow.objects.exists()
