"""Makes the pictures in `docs/screenshots/`: `make screenshots`, in about two minutes.

The pictures show the production server with two processes, on demo content: first the site, then
the admin under load.
"""

import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from time import sleep
from typing import Any

import django
from playwright.sync_api import Browser, Page, sync_playwright

from config.settings import BASE_DIR
from tests.database.servers import PostgreSQL, migrated
from tests.processes import Server, run, serving

FOLDER = BASE_DIR / "docs/screenshots"
PASSWORD = "screenshots"
EDITOR = "editor@example.com"
AUTHOR = "john@example.com"
ARTICLES = 2_000
READERS = 12
WRITERS = ("nadia", "tomasz", "imani", "bjarne")
COMMENTS = (
    "This answers a question that I have had for years.",
    "I tried it at home, and it works. Thank you!",
    "The second half could be an article of its own.",
    "Do you have a source for the figures?",
    "I sent this to the whole team.",
)
ARTICLE = {
    "title": "What a connection pool is for",
    "description": "It saves the time to connect. But first of all, it is a queue.",
    "tagList": ["postgresql", "django", "performance"],
    "body": """\
Ask ten developers why they use a connection pool, and nine say: *because connecting is slow*. \
That is true, and it is the smaller half of the answer.

# A connection is a process

PostgreSQL starts a process for each connection. A thousand of them do not work a thousand times \
as fast. They share the same few cores, the same locks and the same disk:

> Past a certain number, each further connection makes all the others slower.

So the number that matters is not how many clients there are, but how many queries **run at the \
same time**. Twice the number of cores is a good first guess:

```sh
DATABASE_POOL_MIN=2
DATABASE_POOL_MAX=16   # on a server with 8 cores
```

# The queue is the feature

All others wait *in front of* the database, where waiting costs nothing.
""",
}
REMARKS = (
    "This answers a question that I have had for years. Thank you!",
    "We went from 400 connections to 24, and everything became faster.",
)
SETTLE = 3  # seconds; the pool page is refreshed once
LOAD_BEFORE = 60  # seconds; the charts of the pool page show five minutes
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with ExitStack() as stack:
        postgresql = stack.enter_context(migrated())
        manage(postgresql, "demo_data", f"--articles={ARTICLES}", DEMO_PASSWORD=PASSWORD)
        variables = {
            "DATABASE_URL": postgresql.url(),
            "DEBUG": "on",  # static files need no collectstatic
            "SERVER_WORKERS": "2",
            "SERVER_THREADS": "8",
            "DATABASE_POOL_MAX": "4",
        }
        server = stack.enter_context(serving(serve, **variables))
        browser = stack.enter_context(chromium())
        take_site(browser, server)
        stack.enter_context(load(server))
        sleep(LOAD_BEFORE)
        take(browser, server)


def manage(postgresql: PostgreSQL, *arguments: str, **variables: str) -> None:
    process = run("manage.py", *arguments, DATABASE_URL=postgresql.url(), **variables)
    if process.returncode:
        sys.exit(process.stderr)


def serve(port: int) -> list[str]:
    return [sys.executable, "manage.py", "serve", "--port", str(port)]


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        with playwright.chromium.launch(executable_path=path, args=["--no-sandbox"]) as browser:
            yield browser


@contextmanager
def load(server: Server) -> Iterator[None]:
    """Readers and writers, until the end of the block."""
    ended = threading.Event()
    articles = server.call("GET", "/api/articles?limit=50").content["articles"]
    paths = [f"/api/articles/{article['slug']}" for article in articles]

    def read(number: int) -> None:
        while not ended.wait(0.01):
            path = paths[number % len(paths)]
            for each in ("/api/articles", path, f"{path}/comments", "/api/tags"):
                server.call("GET", each)
            number += 1

    def write(name: str) -> None:
        person = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        token = server.call("POST", "/api/users", {"user": person}).content["user"]["token"]
        for number, path in enumerate(cycle(paths)):
            if number % 20 == 0:
                article = {"title": f"Notes, part {number // 20 + 1}", "body": "To be continued."}
                article["description"] = "What I learned today"
                server.call("POST", "/api/articles", {"article": article}, token)
            comment = {"body": COMMENTS[number % len(COMMENTS)]}
            server.call("POST", f"{path}/comments", {"comment": comment}, token)
            server.call("POST", f"{path}/favorite", token=token)
            if ended.wait(2):
                return

    threads = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    threads += [threading.Thread(target=write, args=(name,)) for name in WRITERS]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def take_site(browser: Browser, server: Server) -> None:
    """The pages as a stranger sees them, and the editor with an article."""
    slug = write_article(server)
    for scheme in ("light", "dark"):
        for name, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
            page = opened(browser, server, viewport, scheme)
            for title, path in (
                ("home", "/"),
                ("article", f"/article/{slug}"),
                ("profile", "/profile/johndoe"),
            ):
                page.goto(path)
                page.screenshot(path=FOLDER / f"{title}-{name}-{scheme}.png")
            page.goto("/login")
            page.fill("input[name=email]", AUTHOR)
            page.fill("input[name=password]", PASSWORD)
            page.click("main button[type=submit]")
            page.wait_for_url("/")
            page.goto(f"/editor/{slug}")
            page.screenshot(path=FOLDER / f"editor-{name}-{scheme}.png")
            page.context.close()


def write_article(server: Server) -> str:
    """The slug of an article that has a bit of everything, with comments."""
    login = {"user": {"email": AUTHOR, "password": PASSWORD}}
    token = server.call("POST", "/api/users/login", login).content["user"]["token"]
    article = server.call("POST", "/api/articles", {"article": ARTICLE}, token).content["article"]
    for body in reversed(REMARKS):
        comment = {"comment": {"body": body}}
        server.call("POST", f"/api/articles/{article['slug']}/comments", comment, token)
    return str(article["slug"])


def take(browser: Browser, server: Server) -> None:
    for scheme in ("light", "dark"):
        for name, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
            page = logged_in(browser, server, viewport, scheme)
            for title, path in (("admin", "/admin/"), ("pool", "/admin/database/")):
                page.goto(path)
                sleep(SETTLE)
                page.screenshot(path=FOLDER / f"{title}-{name}-{scheme}.png")
            page.context.close()
    page = logged_in(browser, server, DESKTOP, "light")
    page.goto("/api/docs")
    operation = page.locator("#operations-Articles-GetArticles")
    operation.get_by_role("button").first.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    operation.locator(".live-responses-table").wait_for()
    operation.evaluate("element => element.scrollIntoView()")
    page.screenshot(path=FOLDER / "api-docs.png")
    page.context.close()


def opened(browser: Browser, server: Server, viewport: Any, scheme: Any) -> Page:
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{server.port}", viewport=viewport, color_scheme=scheme
    )
    return context.new_page()


def logged_in(browser: Browser, server: Server, viewport: Any, scheme: Any) -> Page:
    """Logged in to the admin."""
    page = opened(browser, server, viewport, scheme)
    page.goto("/admin/")
    page.fill("input[name=username]", EDITOR)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "login" not in url)
    return page


if __name__ == "__main__":
    django.setup()
    main()
