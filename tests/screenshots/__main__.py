"""Makes the pictures in `docs/screenshots/`: `make screenshots`, in about two minutes.

The pictures show the production server with two processes, on demo content, under load.
"""

import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
ARTICLES = 2_000
READERS = 12
WRITERS = 4
COMMENT = "I tried this on a busy server. The pool stayed at four connections."
LOAD_BEFORE = 60  # seconds; the charts of the pool page show five minutes
DESKTOP = {"width": 1280, "height": 860}
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
        stack.enter_context(load(server))
        browser = stack.enter_context(chromium())
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
    credentials = {"user": {"email": "john@example.com", "password": PASSWORD}}
    token = server.call("POST", "/api/users/login", credentials).content["user"]["token"]
    articles = server.call("GET", "/api/articles?limit=50").content["articles"]
    slugs = [article["slug"] for article in articles]

    def read(number: int) -> None:
        while not ended.wait(0.01):
            slug = slugs[number % len(slugs)]
            for path in ("articles", f"articles/{slug}", f"articles/{slug}/comments", "tags"):
                server.call("GET", f"/api/{path}", token=token)
            number += 1

    def write(number: int) -> None:
        while not ended.wait(0.3):
            path = f"/api/articles/{slugs[number % len(slugs)]}"
            server.call("POST", f"{path}/comments", {"comment": {"body": COMMENT}}, token)
            server.call("POST", f"{path}/favorite", token=token)
            server.call("DELETE", f"{path}/favorite", token=token)
            number += WRITERS

    threads = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    threads += [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def take(browser: Browser, server: Server) -> None:
    for scheme in ("light", "dark"):
        for name, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
            page = logged_in(browser, server, viewport, scheme)
            for title, path in (("admin", "/admin/"), ("pool", "/admin/database/")):
                page.goto(path)
                page.wait_for_load_state("networkidle")
                page.screenshot(path=FOLDER / f"{title}-{name}-{scheme}.png")
            page.context.close()
    page = logged_in(browser, server, DESKTOP, "light")
    page.goto("/api/docs")
    page.get_by_text("/api/articles/{slug}", exact=True).first.wait_for()
    page.screenshot(path=FOLDER / "api-docs.png")
    page.context.close()


def logged_in(browser: Browser, server: Server, viewport: Any, scheme: Any) -> Page:
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{server.port}", viewport=viewport, color_scheme=scheme
    )
    page = context.new_page()
    page.goto("/admin/")
    page.fill("input[name=username]", EDITOR)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "login" not in url)
    return page


if __name__ == "__main__":
    django.setup()
    main()
