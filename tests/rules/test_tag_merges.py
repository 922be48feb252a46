"""Moderators merge and rename tags of any size; the names at the articles stay exact."""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import permutations
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.urls import reverse

from articles import tag_merges
from articles.models import Article, Tag, Tagging, TagMerge
from articles.tag_merges import TagMergeError, merge_tags, rename_tag
from tests.builders import make_user, write_article
from tests.client import ApiClient
from tests.forms import Form, open_form, send
from tests.races import at_once, while_deleting
from tests.rules.test_large_deletions import counts_are_right
from tests.rules.test_moderation import select, url_of
from users.audit import AuditEntry
from users.models import User
from users.queue_worker import worker
from users.retries import retry_after_deadlock

Api = Callable[..., ApiClient]
pytestmark = pytest.mark.django_db(transaction=True)  # verify_counts starts transactions

TAGS = reverse("admin:articles_tag_changelist")


@pytest.fixture
def articles(alice: User, bob: User) -> list[Article]:
    """Articles with either of two tags, or with both."""
    return [
        write_article(author, tags=tags)
        for author in (alice, bob)
        for tags in (("java", "old"), ("javascript",), ("java", "javascript"), ("other",))
    ]


@pytest.fixture
def site(db: None) -> Client:
    user = make_user("moderator", is_staff=True)
    names = ["merge_tag", "view_tag", "change_tag"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


def tag(name: str) -> Tag:
    return Tag.objects.get(name=name)


def names() -> list[list[str]]:
    return [*Article.objects.order_by("pk").values_list("tag_names", flat=True)]


def confirm(site: Client, page: Any, url: str, **fields: str) -> Any:
    form = Form(page.text, "")
    form.values |= {name: [value] for name, value in fields.items()}
    return send(site, url, form, button="")


MERGED = [["js", "old"], ["javascript"], ["javascript", "js"], ["other"]] * 2


@pytest.mark.parametrize("at_once", [1_000, 1])
@pytest.mark.parametrize("batch", [1_000, 3])
def test_tags_are_merged_into_an_existing_one(
    api: Api, articles: list[Article], monkeypatch: pytest.MonkeyPatch, at_once: int, batch: int
) -> None:
    monkeypatch.setattr(tag_merges, "AT_ONCE", at_once)
    monkeypatch.setattr(tag_merges, "BATCH", batch)
    before = [*Article.objects.order_by("pk").values_list("updated_at", flat=True)]

    done = merge_tags([tag("java"), tag("old")], "javascript")

    assert done == (at_once == 1_000)
    worker.empty_queues()
    assert names() == [["javascript"], ["javascript"], ["javascript"], ["other"]] * 2
    assert api().get("/api/tags").json() == {"tags": ["javascript", "other"]}
    assert api().get("/api/articles?tag=javascript").json()["articlesCount"] == 6
    assert [*Article.objects.order_by("pk").values_list("updated_at", flat=True)] == before
    assert not TagMerge.objects.exists()
    assert counts_are_right()


@pytest.mark.parametrize("at_once", [1_000, 1])
def test_a_tag_is_renamed(
    articles: list[Article], monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(tag_merges, "AT_ONCE", at_once)

    assert rename_tag(tag("java"), "js") == (at_once == 1_000)

    worker.empty_queues()
    assert names() == MERGED
    assert not Tag.objects.filter(name="java").exists()
    assert counts_are_right()


def test_both_names_exist_until_a_large_tag_is_merged(
    api: Api, articles: list[Article], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_merges, "AT_ONCE", 1)
    merge_tags([tag("java")], "js")
    assert "java" in api().get("/api/tags").json()["tags"]
    article = write_article(articles[0].author, tags=("java",))

    worker.empty_queues()

    article.refresh_from_db()
    assert article.tag_names == ["js"]
    assert "java" not in api().get("/api/tags").json()["tags"]


def test_merges_of_merges_end_at_the_last_tag(
    articles: list[Article], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_merges, "AT_ONCE", 0)
    merge_tags([tag("old")], "java")
    merge_tags([tag("java")], "javascript")
    merge_tags([tag("other")], "java")
    with pytest.raises(TagMergeError, match="“java” is being merged into “javascript”"):
        merge_tags([tag("javascript")], "java")

    worker.empty_queues()

    assert {*map(tuple, names())} == {("javascript",)}
    assert [*Tag.objects.values_list("name", flat=True)] == ["javascript"]
    assert counts_are_right()


def test_a_merge_into_a_deleted_tag_ends(
    articles: list[Article], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_merges, "AT_ONCE", 0)
    merge_tags([tag("old")], "java")
    tag("java").delete()

    worker.empty_queues()

    assert Tag.objects.filter(name="old").exists()
    assert counts_are_right()


@pytest.mark.parametrize("deleted", ["old", "java"])
def test_a_merge_ends_while_a_tag_of_it_is_deleted(
    articles: list[Article], monkeypatch: pytest.MonkeyPatch, deleted: str
) -> None:
    monkeypatch.setattr(tag_merges, "AT_ONCE", 0)
    merge_tags([tag("old")], "java")

    assert while_deleting(tag(deleted), TagMerge.run_batch).startswith("Ended")

    assert not TagMerge.objects.exists()
    assert Tag.objects.filter(name__in=["old", "java"]).count() == 1
    assert counts_are_right()


def one_after_the_other(merges: tuple[str, ...], *, queued: bool) -> str:
    """The tags that remain of "abcd". Queued merges lead to the last tag of a chain."""
    tags, targets = {*"abcd"}, dict[str, str]()
    for merge in merges:
        source, target = merge[0], merge[1]
        if not queued and source in tags:
            tags = tags - {source} | {target}
        if queued and (last := targets.get(target, target)) != source:
            targets = {each: last if to == source else to for each, to in targets.items()}
            targets[source] = last
    return "".join(sorted({targets.get(tag, tag) for tag in tags}))


@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize("merges", ["ab bc", "ab bc cd", "ab ba", "ab bc ca"])
def test_merges_at_the_same_moment_end_as_in_some_order(
    alice: User, monkeypatch: pytest.MonkeyPatch, merges: str, queued: bool
) -> None:
    monkeypatch.setattr(tag_merges, "AT_ONCE", 0 if queued else 1_000)
    pairs = merges.split()
    expected = {one_after_the_other(order, queued=queued) for order in permutations(pairs)}

    def merge(source: str, target: str) -> None:
        tags = [*Tag.objects.filter(name=source)]
        with suppress(TagMergeError):
            if tags:
                merge_tags(tags, target)

    def attempt(pair: str) -> Callable[[], None]:
        return partial(retry_after_deadlock, partial(merge, pair[0], pair[1]))

    article = write_article(alice)
    for _ in range(5):
        article.tags.set(Tag.objects.named("abcd"))

        at_once([attempt(pair) for pair in pairs])

        assert not TagMerge.objects.filter(target__in=TagMerge.objects.values("source")).exists()
        worker.empty_queues()
        article.refresh_from_db()
        assert "".join(article.tag_names) in expected
        Tag.objects.all().delete()


@pytest.mark.parametrize("at_once_", [1_000, 0])
def test_tags_that_are_deleted_at_the_same_moment_are_merged_or_gone(
    alice: User, monkeypatch: pytest.MonkeyPatch, at_once_: int
) -> None:
    monkeypatch.setattr(tag_merges, "AT_ONCE", at_once_)
    article = write_article(alice)
    for deleted in ("java", "js") * 3:
        article.tags.set(Tag.objects.named(["java", "js"]))
        calls: list[Callable[[], Any]] = [
            partial(merge_tags, [tag("java")], "js"),
            tag(deleted).delete,
        ]

        at_once([partial(retry_after_deadlock, call) for call in calls])

        worker.empty_queues()
        assert not TagMerge.objects.exists()
        assert "java" not in article.tags.values_list("name", flat=True) or deleted == "js"
    assert counts_are_right()


@pytest.mark.parametrize("at_once_", [1_000, 1])
def test_merging_beside_writers_is_exact(
    api: Api, articles: list[Article], monkeypatch: pytest.MonkeyPatch, at_once_: int
) -> None:
    """New articles, new tag lists, deleted articles and renames while tags are merged."""
    monkeypatch.setattr(tag_merges, "AT_ONCE", at_once_)
    monkeypatch.setattr(tag_merges, "BATCH", 2)
    alice, bob = articles[0].author, articles[-1].author
    text = {"title": "New", "description": "x", "body": "x"}

    def write(author: User) -> list[int]:
        statuses = []
        for number in range(8):
            tags = ["java", "javascript", "old"][number % 3 :]
            new = api(author).post("/api/articles", {"article": text | {"tagList": tags}})
            path = f"/api/articles/{new.json()['article']['slug']}"
            change = {"article": {"tagList": ["old", "java"]}}
            statuses += [new.status_code, api(author).put(path, change).status_code]
            if number % 3 == 0:
                statuses.append(api(author).delete(path).status_code)
        return statuses

    def merge() -> None:
        for source, target in [("java", "js"), ("js", "javascript"), ("old", "javascript")] * 4:
            (found,) = Tag.objects.named([source])
            merge_tags([found], target)
            worker.empty_queues()

    *statuses, _ = at_once([lambda: write(alice), lambda: write(bob), merge])

    assert {*statuses[0], *statuses[1]} <= {200, 201, 204}
    merge()
    assert {name for article in names() for name in article} == {"javascript", "other"}
    assert not TagMerge.objects.exists()
    assert counts_are_right()


def test_a_request_creates_a_tag_that_is_deleted_at_the_same_moment(
    api: Api, alice: User, articles: list[Article]
) -> None:
    text = {"title": "New", "description": "x", "body": "x", "tagList": ["java", "x"]}
    for _ in range(10):
        Tag.objects.named(["java"])
        answer, _ = at_once(
            [
                lambda: api(alice).post("/api/articles", {"article": text}),
                lambda: merge_tags([tag("java")], "js"),
            ]
        )

        assert answer.status_code == 201
        assert answer.json()["article"]["tagList"] == ["java", "x"]
    assert counts_are_right()


def test_a_request_is_served_though_its_tag_is_deleted_in_each_attempt(
    api: Api, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = {"title": "New", "description": "x", "body": "x", "tagList": ["java", "x"]}
    Tag.objects.named(["java"])
    bulk_create, deletions = Tagging.objects.bulk_create, []

    def delete_and_create() -> None:
        Tag.objects.filter(name="java").delete()
        Tag.objects.named(["java"])
        connection.close()

    def create_late(taggings: Any) -> Any:
        """Others first delete the tag and create it again, unless they must wait for this one."""
        deletions.append(threading.Thread(target=delete_and_create))
        deletions[-1].start()
        deletions[-1].join(1)
        return bulk_create(taggings)

    monkeypatch.setattr(Tagging.objects, "bulk_create", create_late)

    answer = api(alice).post("/api/articles", {"article": text})

    for deletion in deletions:
        deletion.join()
    assert answer.status_code == 201  # a deletion that waited may have removed "java" again
    assert len(deletions) == 2
    assert counts_are_right()


# --- The admin -----------------------------------------------------------------------


def test_selected_tags_are_merged_in_the_admin(site: Client, articles: list[Article]) -> None:
    page = select(site, TAGS, "merge", tag("java"), tag("old"), tag("javascript"))

    response = confirm(site, page, TAGS, target="javascript", reason="Same")

    assert response.status_code == 302
    assert "Merged into “javascript”: 2 tags." in site.get(TAGS).text
    assert names() == [["javascript"], ["javascript"], ["javascript"], ["other"]] * 2
    columns = ("action", "object_name", "details", "reason")
    assert [*AuditEntry.objects.order_by("pk").values_list(*columns)] == [
        ("merge", "java", "Into “javascript”.", "Same"),
        ("merge", "old", "Into “javascript”.", "Same"),
    ]


def test_a_tag_is_merged_from_its_page_into_a_new_one(
    site: Client, articles: list[Article]
) -> None:
    url = url_of(tag("java"), "merge")

    assert "“java” is the same tag" in follow(
        site, confirm(site, site.get(url), url, target="java")
    )
    page = confirm(site, site.get(url), url, target="two\nlines")
    assert "This must be one line." in page.text
    confirm(site, site.get(url), url, target="js")

    assert names() == MERGED


def follow(site: Client, response: Any) -> str:
    return str(site.get(response["Location"]).text)


def test_a_new_name_that_is_taken_offers_to_merge(site: Client, articles: list[Article]) -> None:
    url = reverse("admin:articles_tag_change", args=[tag("java").pk])
    form = open_form(site, url, "tag_form")
    form.values["name"] = ["javascript"]

    page = send(site, url, form)

    link = f"{url_of(tag('java'), 'merge')}?target=javascript"
    assert link in page.text
    assert 'value="javascript"' in site.get(link).text
    form.values["name"] = ["js"]
    assert send(site, url, form).status_code == 302
    assert names() == MERGED
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.details) == ("rename", "From “java” to “js”.")


def test_a_large_tag_gets_its_new_name_in_the_background(
    site: Client, articles: list[Article], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_merges, "AT_ONCE", 1)
    url = reverse("admin:articles_tag_change", args=[tag("java").pk])
    form = open_form(site, url, "tag_form")
    form.values["name"] = ["js"]

    response = send(site, url, form)

    assert "in the background" in follow(site, response)
    worker.empty_queues()
    assert names() == MERGED


def test_staff_without_the_permission_can_neither_merge_nor_rename(
    charlie: User, articles: list[Article]
) -> None:
    charlie.is_staff = True
    charlie.save()
    rights = ["view_tag", "change_tag", "delete_tag"]
    charlie.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(charlie)
    java = tag("java")
    data = {"action": "merge", "_selected_action": [java.pk], "post": "yes", "target": "js"}
    change = reverse("admin:articles_tag_change", args=[java.pk])

    assert client.post(TAGS, data).status_code == 403
    assert client.post(url_of(java, "merge"), data).status_code == 403
    client.post(change, {"name": "js", "_save": "Save"})

    assert url_of(java, "merge") not in client.get(change).text
    assert tag("java")
    assert connection.in_atomic_block is False
    assert names()[0] == ["java", "old"]
