"""What clients of the site look for: routes, names of fields, classes and texts. Public front ends
and browser tests for RealWorld use them, so they must stay as they are."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from django.db import transaction
from pytest_django.plugin import DjangoDbBlocker
from selectolax.lexbor import LexborNode

from articles.models import Article
from tests.builders import PASSWORD, follow, like, make_user, write_article, write_comment
from tests.website.reader import Page, Reader
from users.models import User

ALICE = "https://images.example/alice.png?size=2&round=1"
DAVE = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
SLUG = "how-to-train-your-dragon"
ARTICLE = f"/article/{SLUG}"
TITLE = "How to train your dragon"
BODY = "It takes *time*.\n\n# Food\n\nFish.\n\n## Sleep\n\nA cave."

# Each page by name: who reads it, and its path.
PAGES: dict[str, tuple[str | None, str]] = {
    "home of a stranger": (None, "/"),
    "home of a stranger, page 2": (None, "/?page=2"),
    "tag of a stranger": (None, "/tag/caves"),
    "login": (None, "/login"),
    "register": (None, "/register"),
    "article of a stranger": (None, ARTICLE),
    "profile of a stranger": (None, "/profile/alice"),
    "favorites of a stranger": (None, "/profile/bob/favorites"),
    "home": ("bob", "/"),
    "feed": ("bob", "/?feed=following"),
    "feed, page 2": ("bob", "/?feed=following&page=2"),
    "empty feed": ("charlie", "/?feed=following"),
    "tag": ("bob", "/tag/caves"),
    "tag, page 2": ("bob", "/tag/caves?page=2"),
    "tag with a slash": ("bob", "/tag/fire%2Fsmoke"),
    "empty tag": ("bob", "/tag/nobody-has-this-tag"),
    "article": ("bob", ARTICLE),
    "article of charlie": ("charlie", ARTICLE),
    "article of dave": ("dave", ARTICLE),
    "own article": ("alice", ARTICLE),
    "editor": ("bob", "/editor"),
    "editor of an article": ("alice", f"/editor/{SLUG}"),
    "settings": ("alice", "/settings"),
    "settings without a bio": ("bob", "/settings"),
    "profile": ("bob", "/profile/alice"),
    "profile of somebody not followed": ("charlie", "/profile/alice"),
    "profile without a bio": ("alice", "/profile/bob"),
    "profile with a bad image": ("alice", "/profile/charlie"),
    "own profile": ("alice", "/profile/alice"),
    "favorites": ("alice", "/profile/bob/favorites"),
    "no favorites": ("alice", "/profile/charlie/favorites"),
}
STRANGERS = [name for name, (reader, _) in PAGES.items() if reader is None]
READERS = {name: reader for name, (reader, _) in PAGES.items() if reader is not None}


class Some(NamedTuple):
    """At least one element."""


class First(NamedTuple):
    """The texts of the first elements. There may be more."""

    texts: list[str]


class Contains(NamedTuple):
    """One element, whose text contains this."""

    text: str


SOME, ONE, NONE = Some(), 1, 0

# A number of elements, the text of the only one, or the texts of all.
type Expected = int | str | list[str] | Some | First | Contains
type Check = tuple[str, str, Expected]
type Browser = Callable[[User], Reader]

MAIN = "main form:has([name]:not([type=hidden])) button[type=submit]"


def named(css: str, text: str) -> str:
    """Those of the elements that contain the text."""
    return f'{css}:lexbor-contains("{text}")'


def default_image(css: str) -> str:
    # Clients look for this name in the address, so the name must not contain a hash.
    return f"{css}[src*='default-avatar.svg']"


def image(css: str, address: str) -> str:
    return f"{css}[src='{address}']"


def bar() -> Iterator[Check]:
    link = "nav.navbar a.nav-link"
    for page in PAGES:
        yield page, "nav.navbar", ONE
        yield page, "nav.navbar a.navbar-brand[href='/']", ONE
        yield page, f"{link}[href='/']", "Home"
        yield page, ".container", SOME
    for page in STRANGERS:
        # Other links to the login carry where to return to.
        yield page, "a[href='/login']", ONE
        yield page, "a[href='/register']", ONE
        yield page, f"{link}[href='/login']", ONE
        yield page, f"{link}[href='/register']", ONE
        yield page, "img.user-pic", NONE
        yield page, "a[href='/editor'], a[href='/settings']", NONE
    for page, reader in READERS.items():
        yield page, f"{link}[href='/editor']", ONE
        yield page, f"{link}[href='/settings']", ONE
        yield page, f"{link}[href='/profile/{reader}']", reader
        yield page, f"{link}[href='/profile/{reader}'] img.user-pic", ONE
        yield page, "a[href='/login'], a[href='/register']", NONE
    yield "home of a stranger", ".banner", ONE
    yield "home", ".banner", NONE
    for page, path in {
        "home of a stranger": "/",
        "home": "/",
        "login": "/login",
        "register": "/register",
        "editor": "/editor",
        "settings": "/settings",
        "own profile": "/profile/alice",
    }.items():
        yield page, f"{link}.active", ONE
        yield page, f"{link}.active[href='{path}']", ONE
    yield "article", f"{link}.active", NONE
    yield "profile", f"{link}.active", NONE
    # Alice has an image, Dave too, Bob has none, and the one of Charlie has another scheme.
    yield "own article", image("img.user-pic", ALICE), ONE
    yield "article of dave", image("img.user-pic", DAVE), ONE
    yield "article", default_image("img.user-pic"), ONE
    yield "article of charlie", default_image("img.user-pic"), ONE


def tabs() -> Iterator[Check]:
    tab = ".feed-toggle a.nav-link"
    for page in ("home", "feed", "empty feed"):
        yield page, tab, ["Your Feed", "Global Feed"]
    yield "home of a stranger", tab, ["Global Feed"]
    for page, current, path in [
        ("home of a stranger", "Global Feed", "/"),
        ("home", "Global Feed", "/"),
        ("feed", "Your Feed", "/?feed=following"),
        ("feed, page 2", "Your Feed", "/?feed=following"),
        ("empty feed", "Your Feed", "/?feed=following"),
        ("tag", "caves", "/tag/caves"),
        ("tag, page 2", "caves", "/tag/caves"),
        ("tag of a stranger", "caves", "/tag/caves"),
        ("tag with a slash", "fire/smoke", "/tag/fire/smoke"),
    ]:
        yield page, ".feed-toggle", ONE
        yield page, f"{tab}.active", Contains(current)
        yield page, f"{tab}.active[href='{path}']", ONE
        yield page, f"{tab}[href='/']", "Global Feed"
    yield "tag", f"{tab}[href='/?feed=following']", "Your Feed"


def feeds() -> Iterator[Check]:
    for page in ("home of a stranger", "home", "feed", "tag", "tag of a stranger"):
        yield from feed(page, 1, rows=10, title=TITLE)
        yield page, f".article-preview a.preview-link[href='{ARTICLE}']", ONE
        tags = ".article-preview .tag-list .tag-default.tag-pill"
        yield page, tags, First(["caves", "dragons", "fire/smoke", "caves"])
    for page in ("home of a stranger, page 2", "feed, page 2", "tag, page 2"):
        yield from feed(page, 2, rows=2, title="Title 2")
    # Bob likes the first article.
    for page in ("home", "feed", "tag"):
        yield page, ".article-preview button.btn-primary", "1"
        yield page, ".article-preview button.btn-outline-primary", ["0"] * 9
    yield "home of a stranger", ".article-preview .btn-outline-primary", ["1", *["0"] * 9]
    yield "feed", ".page-link[href*='feed=following'][href*='page=2']", ONE
    yield "tag with a slash", ".article-preview h1", TITLE
    for page in ("empty tag", "no favorites"):
        yield page, ".empty-feed-message", "No articles are here... yet."
        yield page, ".article-preview h1, .pagination", NONE
    yield "empty feed", ".empty-feed-message", Contains("Your feed is empty")
    yield "empty feed", ".empty-feed-message a[href='/']", ONE


def feed(page: str, number: int, *, rows: int, title: str) -> Iterator[Check]:
    yield page, ".article-preview", rows
    for css in (
        *("h1", "p", ".author", ".article-meta", ".article-meta img", ".article-meta a.author"),
        *(".article-meta .date", "a.preview-link", "a.author[href='/profile/alice']"),
        image("img", ALICE),
    ):
        yield page, f".article-preview {css}", rows
    yield page, ".article-preview h1", First([title])
    yield page, ".article-preview p", First([f"About {title}"])
    yield page, ".empty-feed-message", NONE
    yield page, ".sidebar .tag-list .tag-pill", ["caves", "dragons", "fire/smoke"]
    yield page, ".sidebar .tag-list a.tag-pill[href='/tag/caves']", ONE
    yield page, ".pagination", ONE
    yield page, ".pagination .page-item", 2
    yield page, ".pagination .page-item .page-link", ["1", "2"]
    yield page, ".pagination .page-item.active", str(number)


def articles() -> Iterator[Check]:
    for page in ("article of a stranger", "article", "own article"):
        yield page, ".article-page", ONE
        yield page, "h1", TITLE
        yield page, ".article-content", "It takes time. Food Fish. Sleep A cave."
        yield page, ".article-content em", "time"
        yield page, ".article-content h2", "Food"
        yield page, ".article-content h3", "Sleep"
        yield page, ".tag-list .tag-default", ["caves", "dragons", "fire/smoke"]
        yield page, ".article-meta a.author[href='/profile/alice']", SOME
        yield page, image(".article-meta img", ALICE), SOME
        yield page, ".article-meta .date", SOME
        yield page, ".article-actions", SOME
    for page in ("article of a stranger", "article", "article of charlie"):
        yield page, "a[href^='/editor/']", NONE
        yield page, named("button", "Delete Article"), NONE
    yield "own article", f"a[href='/editor/{SLUG}']", "Edit Article"
    yield "own article", named("button", "Delete Article"), "Delete Article"
    yield "own article", named("button", "Favorite"), NONE
    yield "own article", named("button", "ollow "), NONE
    # One button of each kind, or the same button twice: above the text and below it.
    yield (
        "article",
        named("button.btn-primary", "Unfavorite Article"),
        First(["Unfavorite Article (1)"]),
    )
    yield "article", named("button", "Unfollow"), First(["Unfollow alice"])
    yield (
        "article of charlie",
        named("button.btn-outline-primary", "Favorite Article"),
        First(["Favorite Article (1)"]),
    )
    yield "article of charlie", named("button", "Follow"), First(["Follow alice"])
    yield (
        "article of a stranger",
        named("a.btn-outline-primary", "Favorite Article"),
        First(["Favorite Article (1)"]),
    )
    yield "article of a stranger", ".article-actions a[href^='/login?']", SOME


def comments() -> Iterator[Check]:
    card = ".card:not(.comment-form)"
    for page in ("article of a stranger", "article", "article of charlie", "own article"):
        yield page, card, 3
        yield page, named(f"{card} .card-block p", "by bob"), ONE
        yield page, named(f"{card} .card-block p", "by dave"), ONE
        yield page, f"{card} .card-footer", 3
        yield page, f"{card} img.comment-author-img", 3
        yield page, default_image(f"{card} img.comment-author-img"), 2
        yield page, image(f"{card} img.comment-author-img", DAVE), ONE
        yield page, f"{card} .comment-author[href='/profile/charlie']", SOME
    for page in ("article", "article of charlie", "own article"):
        yield page, ".card.comment-form", ONE
        yield page, "textarea[placeholder='Write a comment...']", ""
        yield page, ".card.comment-form img.comment-author-img", ONE
        yield page, "button[type=submit]", First(["Post Comment"])
    for page, writer in (("article", "bob"), ("article of charlie", "charlie")):
        yield page, default_image(".comment-form img.comment-author-img"), ONE
        yield page, "span.mod-options i.ion-trash-a", ONE
        yield page, ".card:has(i.ion-trash-a) .card-block", Contains(f"by {writer}")
    yield "own article", image(".comment-form img.comment-author-img", ALICE), ONE
    yield "article of dave", image(".comment-form img.comment-author-img", DAVE), ONE
    yield "own article", "i.ion-trash-a", NONE
    yield "article of a stranger", "i.ion-trash-a, .comment-form, textarea", NONE


def forms() -> Iterator[Check]:
    for page, heading, button, fields in [
        ("login", "Sign in", "Sign in", ["email", "password"]),
        ("register", "Sign up", "Sign up", ["username", "email", "password"]),
        ("settings", "Your Settings", "Update Settings", ["username", "email", "password"]),
    ]:
        yield page, "h1", heading
        yield page, "button[type=submit]", First([button])
        for field in fields:
            yield page, f"input[name='{field}']", ONE
        yield page, "input[name='password'][value]:not([value=''])", NONE
    yield "login", "[name='username']", NONE
    for page in ("editor", "editor of an article"):
        yield page, "button[type=submit]", First(["Publish Article"])
        yield page, "input[name='title']", ONE
        yield page, "input[name='description']", ONE
        yield page, "textarea[name='body']", ONE
        yield page, "input[placeholder='Enter tags']", ONE
    yield "editor", "textarea[name='body']", ""
    yield "editor of an article", f"input[name='title'][value='{TITLE}']", ONE
    yield "editor of an article", "textarea[name='body']", " ".join(BODY.split())
    for page, bio, address in (("settings", "I train.", ALICE), ("settings without a bio", "", "")):
        yield page, "textarea[name='bio']", bio
        yield page, "input[name='image']", ONE
        yield page, "input[name='image'][value]:not([value=''])", int(bool(address))
        yield page, "button.btn-outline-danger", First(["Or click here to logout."])
    yield "settings", f"input[name='image'][value='{ALICE}']", ONE
    yield "settings", "input[name='username'][value='alice']", ONE
    yield "settings", "input[name='email'][value='alice@example.com']", ONE


def profiles() -> Iterator[Check]:
    for page in ("profile of a stranger", "profile", "own profile"):
        yield page, ".profile-page", ONE
        yield page, image(".user-info img.user-img", ALICE), ONE
        yield page, ".user-info h4", "alice"
        yield page, ".user-info p", "I train."
        yield page, named("main a", "My Articles"), "My Articles"
        yield page, "main a[href='/profile/alice/favorites']", "Favorited Articles"
        yield page, "main a.nav-link.active", "My Articles"
        yield page, ".article-preview h1", First([TITLE, "Title 11"])
        yield page, ".article-preview", 10
        yield page, ".page-link", ["1", "2"]
    for page in ("favorites", "favorites of a stranger"):
        yield page, "main a.nav-link.active", "Favorited Articles"
        yield page, ".article-preview h1", TITLE
    for page in ("profile without a bio", "profile with a bad image"):
        yield page, ".user-info", ONE
        yield page, default_image(".user-info img.user-img"), ONE
        yield page, ".user-info h4", ONE
        yield page, ".user-info p", ""
    yield "own profile", ".user-info a[href='/settings']", "Edit Profile Settings"
    yield "own profile", ".user-info button", NONE
    yield "profile", ".user-info button", "Unfollow alice"
    yield "profile", ".user-info a[href='/settings']", NONE
    yield "profile of somebody not followed", ".user-info button", "Follow alice"
    yield "profile of a stranger", ".user-info a[href^='/login?']", "Follow alice"


CHECKS = [
    check for part in (bar, tabs, feeds, articles, comments, forms, profiles) for check in part()
]


@pytest.fixture(scope="module")
def pages(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Callable[[str], Page]:
    """`pages("home")` is the page of that name in PAGES. All pages are read once, because the
    checks change nothing."""
    with django_db_blocker.unblock(), transaction.atomic():
        write_site()
        read = {name: open_page(reader, path) for name, (reader, path) in PAGES.items()}
        transaction.set_rollback(True)
    return read.__getitem__


def write_site() -> None:
    """Bob follows Alice and likes her newest article. Charlie and Dave comment on it."""
    alice = make_user("alice", image=ALICE, bio="I train.")
    bob = make_user("bob")
    charlie = make_user("charlie", image="javascript:alert(1)")
    dave = make_user("dave", image=DAVE)
    follow(bob, alice)
    for number in range(1, 12):
        title = f"Title {number}"
        write_article(alice, title=title, description=f"About {title}", tags=("caves",))
    article = write_article(
        alice,
        title=TITLE,
        description=f"About {TITLE}",
        body=BODY,
        tags=("caves", "dragons", "fire/smoke"),
    )
    like(bob, article)
    for writer in (bob, charlie, dave):
        write_comment(writer, article, body=f"Written by {writer.username}")


def open_page(reader: str | None, path: str) -> Page:
    client = Reader()
    if reader is not None:
        client.as_user(User.objects.get(username=reader))
    return Page(client.get(path, follow=True))


def text_of(node: LexborNode) -> str:
    return " ".join(node.text().split())


def holds(texts: list[str], expected: Expected) -> bool:
    match expected:
        case int():
            return len(texts) == expected
        case str():
            return texts == [expected]
        case list():
            return texts == expected
        case Some():
            return bool(texts)
        case First():
            return texts[: len(expected.texts)] == expected.texts
        case Contains():
            return len(texts) == 1 and expected.text in texts[0]


@pytest.mark.parametrize("name", PAGES)
def test_the_page_has_what_clients_look_for(pages: Callable[[str], Page], name: str) -> None:
    page = pages(name)
    assert page.status == 200
    assert page.path == PAGES[name][1].replace("%2F", "/")

    wrong = []
    for css, expected in [(css, expected) for of, css, expected in CHECKS if of == name]:
        texts = [text_of(node) for node in page.all(css)]
        if not holds(texts, expected):
            wrong.append(f"{css} should be {expected!r}, and is {texts}")
    assert not wrong, "\n".join(wrong)


# --- What happens after a click --------------------------------------------------------

LOGGED_IN_ONLY = ["/editor", f"/editor/{SLUG}", "/settings", "/?feed=following"]


@pytest.mark.parametrize("path", LOGGED_IN_ONLY)
def test_a_page_that_needs_a_login_leads_a_stranger_to_it_and_back(
    stranger: Reader, alice: User, path: str
) -> None:
    write_article(alice, title=TITLE)

    response = stranger.get(path)
    assert (response.status_code, response["Location"]) == (302, "/login")

    page = stranger.log_in(alice.email)
    assert page.path == path


def test_login_and_registration_lead_home(stranger: Reader, alice: User) -> None:
    assert stranger.log_in(alice.email).path == "/"

    other = Reader()
    page = other.submit(
        other.open("/register"),
        "main button[type=submit]",
        username="new",
        email="new@example.com",
        password=PASSWORD,
    )
    assert page.path == "/"
    page.one("nav.navbar a.nav-link[href='/profile/new']")


def test_logging_out_leads_home(reader_for: Browser, alice: User) -> None:
    alices = reader_for(alice)

    page = alices.submit(alices.open("/settings"), "button.btn-outline-danger")

    assert page.path == "/"
    page.one("a[href='/login']")


def test_settings_lead_to_the_profile(reader_for: Browser, alice: User) -> None:
    alices = reader_for(alice)

    page = alices.submit(
        alices.open("/settings"), MAIN, username="alice.smith", bio="I write.", image=DAVE
    )

    assert page.path == "/profile/alice.smith"
    assert page.texts(".user-info p") == ["I write."]
    page.one(image(".user-info img.user-img", DAVE))
    page.one(image("img.user-pic", DAVE))


def test_a_bio_and_an_image_that_were_emptied_are_shown_as_empty(reader_for: Browser) -> None:
    alices = reader_for(make_user("alice", bio="I write.", image=ALICE))

    page = alices.submit(alices.open("/settings"), MAIN, bio="", image="")

    assert page.one(".user-info p").text(strip=True) == ""
    page.one(default_image("img.user-img"))
    page = alices.open("/settings")
    assert page.one("textarea[name=bio]").text() == ""
    assert not page.one("input[name=image]").attributes.get("value")


def test_an_article_is_published_edited_and_deleted(reader_for: Browser, alice: User) -> None:
    alices = reader_for(alice)

    page = alices.submit(alices.open("/editor"), MAIN, title=TITLE, description="Fly", body="One")
    assert page.path == ARTICLE
    assert page.texts(".article-content") == ["One"]

    page = alices.submit(alices.open(f"/editor/{SLUG}"), MAIN, body="Two")
    assert page.path == ARTICLE
    assert page.texts(".article-content") == ["Two"]

    page = alices.submit(page, named("button", "Delete Article"))
    assert page.path == "/"
    assert not Article.objects.exists()
    assert alices.open(ARTICLE, status=404).texts("main h1") != []


def test_a_comment_is_shown_and_its_box_is_empty_again(
    reader_for: Browser, alice: User, charlie: User
) -> None:
    write_article(alice, title=TITLE)
    charlies = reader_for(charlie)

    page = charlies.submit(charlies.open(ARTICLE), ".comment-form button", body="Thank you")
    assert page.path.partition("#")[0] == ARTICLE
    assert page.texts(".card:not(.comment-form) .card-block") == ["Thank you"]
    assert page.one("textarea[placeholder='Write a comment...']").text().strip() == ""

    page = charlies.submit(page, "button:has(i.ion-trash-a)")
    assert page.path == ARTICLE
    assert page.all(".card:not(.comment-form)") == []


@pytest.mark.parametrize("path", ["/", ARTICLE])
def test_a_favorite_changes_the_button_and_its_count(
    reader_for: Browser, alice: User, charlie: User, path: str
) -> None:
    like(alice, write_article(alice, title=TITLE))
    charlies = reader_for(charlie)
    before, after = (
        ("1", "2") if path == "/" else ("Favorite Article (1)", "Unfavorite Article (2)")
    )
    page = charlies.open(path)
    assert [*map(text_of, page.all("button[formaction$='/favorite'].btn-outline-primary"))] == (
        [before]
    )

    page = charlies.submit(page, "button[formaction$='/favorite']")
    assert page.path == path
    assert [*map(text_of, page.all("button.btn-primary[class]"))].count(after) == 1

    page = charlies.submit(page, "button[formaction$='/unfavorite']")
    assert [*map(text_of, page.all("button.btn-outline-primary"))].count(before) == 1


@pytest.mark.parametrize("path", ["/profile/alice", ARTICLE])
def test_a_follow_changes_the_button(
    reader_for: Browser, alice: User, charlie: User, path: str
) -> None:
    write_article(alice, title=TITLE)
    charlies = reader_for(charlie)

    page = charlies.submit(charlies.open(path), "button[formaction$='/follow']")
    assert page.path == path
    assert text_of(page.one("button[formaction$='/unfollow']")) == "Unfollow alice"

    page = charlies.submit(page, "button[formaction$='/unfollow']")
    assert text_of(page.one("button[formaction$='/follow']")) == "Follow alice"


# A form, what is typed, the errors, and what the form must not keep.
ERRORS: list[tuple[str, dict[str, str], list[str]]] = [
    (
        "/register",
        {"username": "", "email": "x@example.com", "password": PASSWORD},
        ["username can't be blank"],
    ),
    (
        "/register",
        {"username": "bob", "email": "x@example.com", "password": PASSWORD},
        ["username has already been taken"],
    ),
    ("/login", {"email": "x@example.com", "password": "wrong"}, ["credentials invalid"]),
    ("/login", {"email": "", "password": "wrong"}, ["email can't be blank"]),
    ("/editor", {"title": "", "description": "x", "body": "y"}, ["title can't be blank"]),
    (
        f"/editor/{SLUG}",
        {"title": "", "description": "", "body": "y"},
        ["title can't be blank", "description can't be blank"],
    ),
    ("/settings", {"username": "bob", "bio": "new"}, ["username has already been taken"]),
    (ARTICLE, {"body": " "}, ["body can't be blank"]),
]


@pytest.mark.parametrize(("path", "typed", "errors"), ERRORS)
def test_a_form_names_its_errors_and_keeps_what_was_typed(
    alice: User, bob: User, path: str, typed: dict[str, str], errors: list[str]
) -> None:
    write_article(alice, title=TITLE)
    reader = Reader() if path in ("/login", "/register") else Reader().as_user(alice)

    page = reader.submit(reader.open(path), MAIN, status=422, **typed)

    assert [*map(text_of, page.all("ul.error-messages li"))] == errors
    for name, text in typed.items():
        field = page.one(f"main [name='{name}']")
        kept = field.text() if field.tag == "textarea" else field.attributes.get("value") or ""
        assert kept.strip() == ("" if name == "password" else text.strip())
