"""A WSGI function and psycopg, without a framework."""

import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import orjson
import psycopg
from psycopg_pool import ConnectionPool

SECRET_KEY = os.environ["BENCH_SECRET_KEY"]
STATEMENTS = json.loads(Path(os.environ["BENCH_STATEMENTS"]).read_text())
# Without a statement for the user, the statement of the page also checks the user.
USER, PAGE = STATEMENTS.get("user"), STATEMENTS["page"]

pool = ConnectionPool(
    os.environ["BENCH_DATABASE_URL"],
    min_size=2,
    max_size=8,
    kwargs={"autocommit": True, "cursor_factory": psycopg.RawCursor},
    open=True,
)


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]
) -> Iterable[bytes]:
    try:
        token = environ["HTTP_AUTHORIZATION"].partition(" ")[2]
        viewer = int(jwt.decode(token, SECRET_KEY, algorithms=["HS256"])["sub"])
    except (KeyError, jwt.InvalidTokenError):
        start_response("401 Unauthorized", [("Content-Length", "0")])
        return [b""]
    with pool.connection() as connection:
        active = not USER or connection.execute(USER, [viewer], prepare=True).fetchone()
        rows = connection.execute(PAGE, [viewer], prepare=True).fetchall() if active else []
    if not rows:
        start_response("404 Not Found", [("Content-Length", "0")])
        return [b""]
    articles = [article(*row) for row in rows]
    content = orjson.dumps({"articles": articles, "articlesCount": rows[0][-1]})
    length = str(len(content))
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", length)])
    return [content]


def article(
    _: int,
    slug: str,
    title: str,
    description: str,
    tags: list[str],
    created_at: datetime,
    updated_at: datetime,
    favorited: bool,
    favorites_count: int,
    username: str,
    bio: str | None,
    image: str | None,
    following: bool,
    total: int,
) -> dict[str, Any]:
    return {
        "slug": slug,
        "title": title,
        "description": description,
        "tagList": tags,
        "createdAt": timestamp(created_at),
        "updatedAt": timestamp(updated_at),
        "favorited": favorited,
        "favoritesCount": favorites_count,
        "author": {"username": username, "bio": bio, "image": image, "following": following},
    }


def timestamp(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
