"""The admin does not answer 5xx to any query string, path or form."""

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from os import environ
from random import Random
from typing import Any
from urllib.parse import quote, urlencode, urljoin

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import models, transaction
from django.test import Client
from django.urls import reverse

from articles.models import Article
from tests.builders import like, write_comment
from tests.forms import FORM
from users.audit import Action, record
from users.models import User

REQUESTS = int(environ.get("FUZZ", 12))  # of each kind, for each model
HUGE = "9" * 30
VALUES = [
    *("", "0", "-1", "abc", HUGE, "1e400", "NaN", "\0", "a\0b", "\ud800", "\U0001f600", "'", "%"),
    *("\\", "(", "[", "*", "{", "a{99999999}", "\\1", "(?P<", "[[:x:]]", "1,2", "None", "\u0661"),
    *("2026", "10000", "9999", "2026-02-30", "9999-12-31", "9999-12-31 23:59:59-12:00", "{}"),
    *(
        "0001-01-01",
        "0001-01-01 00:00+14:00",
        "infinity",
        "[]",
        "x" * 20_000,
        "\n",
        ";",
        "é",
        "::1",
    ),
]
LOOKUPS = [
    *("exact", "iexact", "contains", "icontains", "in", "gt", "gte", "lt", "lte", "startswith"),
    *("endswith", "range", "year", "iso_year", "month", "day", "week", "week_day", "quarter"),
    *(
        "time",
        "date",
        "hour",
        "minute",
        "second",
        "isnull",
        "regex",
        "iregex",
        "search",
        "unaccent",
    ),
    *("trigram_similar", "date__year", "time__hour", "year__gt", "nonsense", "exact__exact", "pk"),
]
FIELDS = {
    "users_user": ["id", "pk", "username", "email", "created_at", "is_active", "bio", "groups",
                   "password", "last_login", "articles", "user_permissions", "logentry"],
    "auth_group": ["id", "name", "permissions"],
    "profiles_follow": ["id", "follower", "created_at", "follower__username"],
    "articles_article": ["id", "title", "created_at", "updated_at", "author", "tags", "likes",
                         "tags__name", "author__username", "body", "slug"],
    "articles_tag": ["id", "name", "has_articles", "articles_count", "taggings"],
    "articles_favorite": ["id", "user", "article", "article_created_at", "created_at"],
    "articles_comment": ["id", "body", "created_at", "author", "article__title"],
    "users_auditentry": ["id", "at", "actor_name", "action", "model", "object_id", "reason"],
}  # fmt: skip
SPECIAL = [
    *("q", "p", "o", "e", "all", "_facets", "_popup", "_to_field", "_source_model", "", "__", "\0"),
    *("_changelist_filters", "created_at__", "__year", "has_articles", "é", "pk__pk"),
]
QUERIES = [
    *("created_at__year=9999", "created_at__year=0", "created_at__year=abc", "created_at__month=0"),
    *("created_at__year=9999&created_at__month=12", "created_at__month=13&created_at__day=5"),
    *("created_at__year=9999&created_at__month=12&created_at__day=31", "created_at__day=1&e=1"),
    *("created_at__year=2026&created_at__month=2&created_at__day=30", "created_at__month=%D9%A1"),
    *("created_at__year=2026&created_at__year=abc", "created_at__gte=2026-02-30&created_at__lt="),
    *("id__regex=(", "id__range=1", "id__range=1,2,3", "created_at__date=abc", "id__search=1"),
    *("created_at__time=25:61", "created_at__week_day=abc", "created_at__isnull=abc"),
    *("o=1.-2.99", "o=-", "o=x", "o=" + "." * 99, "p=-1", "p=" + HUGE, "q=%00", "q=%22%00"),
    *("e=1", "e=1&id__regex=(", "e=1&q=%00", "_popup=1&_to_field=id", "_to_field=%00", "all=&p=9"),
    *("_facets=1", "_facets=1&q=%00", "_facets=1&created_at__gte=abc", "_facets=1&has_articles=x"),
    *("q=" + "a+" * 300, "q=" + "%22" * 300, "=", "&&&", "%", "%ff=%ff", "q=%ff%fe", "a" * 9000),
    *("q=1&q=2", "id__in=" + "1," * 2000, "id__in=,", "is_active__exact=7", "pk=" + HUGE),
]
IDS = ["0", "-1", "abc", HUGE, "9223372036854775808", "_00", "a_2Fb", "1.5", "None", "\0", "\u0661",
       "é", "x" * 5000, "_5B", "1_00", " 1", "1%0A"]  # fmt: skip
PAGES = ["change", "delete", "history"]
ACTIONS = ["action/hide", "action/restore", "action/%00"]


@pytest.fixture
def site(editor: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(editor)
    return client


@pytest.fixture
def content(article: Article, bob: User) -> Article:
    like(bob, article)
    write_comment(bob, article)
    Group.objects.create(name="Editors")
    record(bob, Action.CHANGE, [article])
    return article


@pytest.fixture
def faults(site: Client) -> Iterator[list[str]]:
    """Collects faults. The test fails at its end if there are any."""
    found: list[str] = []
    yield found
    assert found == []


def ask(site: Client, found: list[str], url: str, query: str = "") -> None:
    full = f"{url}?{query}" if query else url
    response = check(found, full, lambda: site.get(full))
    if response.status_code == 302:
        check(found, f"{full} -> {response.url}", lambda: site.get(urljoin(url, response.url)))


def write(site: Client, found: list[str], url: str, body: str) -> None:
    check(found, f"{url} {body}", lambda: site.post(url, body, content_type=FORM))


def check(found: list[str], what: str, call: Callable[[], Any]) -> Any:
    # In a savepoint, because an error of PostgreSQL would fail the transaction of the test.
    with transaction.atomic():
        response = call()
        transaction.set_rollback(True)
    if response.status_code >= 500:
        found.append(f"{response.status_code} {what[:120]}")
    return response


def sample[T](choices: Iterable[T], seed: str) -> list[T]:
    """REQUESTS of the choices, different for each seed but the same in each run."""
    choices = [*choices]
    return Random(seed).sample(choices, min(REQUESTS, len(choices)))  # noqa: S311 -- no secret


def parameter(name: str, value: str) -> str:
    return urlencode({name: value}, errors="replace")


def label(model: type[models.Model]) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"


def test_the_tests_cover_every_model() -> None:
    assert {*map(label, admin.site._registry)} == {*FIELDS}


@pytest.mark.parametrize("name", FIELDS)
def test_lists_accept_any_filter(
    site: Client, content: Article, faults: list[str], name: str
) -> None:
    url = reverse(f"admin:{name}_changelist")
    filters = (f"{field}__{lookup}" for field, lookup in product(FIELDS[name], LOOKUPS))
    queries = (parameter(name, value) for name, value in product(filters, VALUES))
    for query in sample(queries, name):
        ask(site, faults, url, query)


@pytest.mark.parametrize("name", FIELDS)
def test_lists_accept_any_parameter(
    site: Client, content: Article, faults: list[str], name: str
) -> None:
    url = reverse(f"admin:{name}_changelist")
    queries = (parameter(name, value) for name, value in product([*SPECIAL, *FIELDS[name]], VALUES))
    for query in [*sample(QUERIES, name), *sample(queries, name)]:
        ask(site, faults, url, query)


@pytest.mark.parametrize("name", FIELDS)
def test_pages_of_rows_accept_any_id(
    site: Client, content: Article, faults: list[str], name: str
) -> None:
    for page, row_id in sample(product([*PAGES, *ACTIONS], IDS), name):
        url = f"/admin/{name.replace('_', '/')}/{quote(row_id)}/{page}/"
        ask(site, faults, url)
        write(site, faults, url, "post=yes")


@pytest.mark.parametrize("name", FIELDS)
def test_pages_of_rows_accept_any_parameter(
    site: Client, content: Article, faults: list[str], name: str
) -> None:
    model = next(model for model in admin.site._registry if label(model) == name)
    row_id = model._default_manager.latest("pk").pk
    pages = [reverse(f"admin:{name}_{page}", args=[row_id]) for page in PAGES]
    pages.append(reverse(f"admin:{name}_add"))
    parameters = [*(field.name for field in model._meta.get_fields()), "_to_field", "_popup", "p"]
    queries = [parameter(*pair) for pair in product([*parameters, "_changelist_filters"], VALUES)]
    for url, query in sample(product(pages, queries), name):
        ask(site, faults, url, query)
        write(site, faults, f"{url}?{query}", query)


BODIES = [
    *("", "=", "%00=%00", "action=delete_selected&_selected_action=abc&index=0", "_save=Save"),
    *("action=hide&_selected_action=1&post=yes&newest=abc", "action=suspend&_selected_action=%00"),
    *("action=delete_selected&_selected_action=abc&post=yes", "_save=&_popup=1&_to_field=%00"),
    f"action=delete_selected&_selected_action={HUGE}&post=yes",
    "action=delete_selected&_selected_action=%00&index=0",
    "action=delete_selected&_selected_action=1&index=abc&select_across=abc",
    f"action=delete_selected&_selected_action=1&index={HUGE}&select_across={HUGE}",
    "action=nonsense&_selected_action=1&index=0",
    "action=delete_selected&index=-99&_selected_action=1&action=&post=",
    f"taggings-TOTAL_FORMS={HUGE}&taggings-INITIAL_FORMS=abc&title=a&author=abc&_save=1",
    "taggings-TOTAL_FORMS=1&taggings-INITIAL_FORMS=1&taggings-0-id=abc&taggings-0-tag=%00&_save=1",
    f"taggings-TOTAL_FORMS=3&taggings-INITIAL_FORMS=2&taggings-0-id={HUGE}&_continue=1",
    "taggings-TOTAL_FORMS=-1&taggings-INITIAL_FORMS=-1&_addanother=1",
    f"title=%00&body=%00&description=%00&author={HUGE}&initial-author=abc&initial-title=x",
    f"user={HUGE}&article=abc&follower=%00&followed=-1&tag=1&initial-user={HUGE}",
    "username=%00&email=%00&bio=%00&image=%00&groups=abc&user_permissions=%00&initial-groups=x",
    f"groups={HUGE}&initial-groups={HUGE}&permissions=abc&initial-permissions=%00&name=%00",
    "username=a&username=b&email=x&email=y&is_active=abc&password=x&_popup=1&_source_model=x",
    "name=" + "x" * 70_000,
    "_saveasnew=1&_popup=1&_source_model=articles.nonsense",
    "&".join(f"{number}=" for number in range(1500)),
]


PASSWORDS = [
    "password1=%00&password2=%00&usable_password=x",
    "old_password=%00&username=%00&password=%00",
    "username=a&password=b&next=%00",
]


@pytest.mark.parametrize("name", FIELDS)
def test_pages_accept_any_form(
    site: Client, content: Article, faults: list[str], name: str
) -> None:
    model = next(model for model in admin.site._registry if label(model) == name)
    row_id = model._default_manager.latest("pk").pk
    urls = [reverse(f"admin:{name}_{page}") for page in ("changelist", "add")]
    urls += [reverse(f"admin:{name}_{page}", args=[row_id]) for page in ("change", "delete")]
    for url, body in sample(product(urls, BODIES), name):
        write(site, faults, url, body)


def test_the_pages_of_the_site_accept_any_input(
    site: Client, content: Article, faults: list[str]
) -> None:
    relation = {"app_label": "articles", "model_name": "article", "field_name": "author"}
    url = reverse("admin:autocomplete")
    for name, value in sample(product([*relation, "term", "page"], VALUES), "autocomplete"):
        ask(site, faults, url, urlencode(relation | {"term": "a", name: value}, errors="replace"))
    for value in ("", "x", "0", "-1", "99", HUGE):
        ask(site, faults, reverse("admin:search"), urlencode({"s": "articles", "page": value}))
    paths = ["r/{}/1/", "r/1/{}/", "{}/", "users/user/{}/password/", "articles/{}/", "jsi18n/?{}"]
    for path, value in sample(product(paths, IDS), "paths"):
        ask(site, faults, f"/admin/{path.format(quote(value))}")
    user = User.objects.latest("pk")
    forms = ["login/", "password_change/", f"users/user/{user.pk}/password/"]
    for path, body in product(forms, [*PASSWORDS, *sample(BODIES, "passwords")[:5]]):
        write(site, faults, f"/admin/{path}", body)


def test_a_list_ignores_unusable_filters(site: Client, content: Article) -> None:
    url = reverse("admin:users_user_changelist")

    response = site.get(f"{url}?username__exact=%00")

    assert (response.status_code, response["Location"]) == (302, f"{url}?e=1")
    assert site.get(f"{url}?e=1").status_code == 200
    assert site.get(f"{url}?e=1&username__exact=%00").status_code == 400


def test_an_error_without_input_is_a_500(editor: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a fault of our own")

    client = Client(raise_request_exception=False)
    client.force_login(editor)
    monkeypatch.setattr(admin.site._registry[User], "get_queryset", fail)

    assert client.get(reverse("admin:users_user_changelist")).status_code == 500
