"""FastAPI and asyncpg, without an ORM."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import asyncpg  # type: ignore[import-untyped]
import jwt
import orjson
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response

SECRET_KEY = os.environ["BENCH_SECRET_KEY"]
STATEMENTS = json.loads(Path(os.environ["BENCH_STATEMENTS"]).read_text())


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    url = os.environ["BENCH_DATABASE_URL"]
    async with asyncpg.create_pool(url, min_size=2, max_size=8) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


async def connection(request: Request) -> AsyncIterator[asyncpg.Connection]:
    async with request.app.state.pool.acquire() as acquired:
        yield acquired


Connection = Annotated[asyncpg.Connection, Depends(connection)]


async def viewer(connection: Connection, authorization: Annotated[str, Header()]) -> int:
    try:
        claims = jwt.decode(authorization.partition(" ")[2], SECRET_KEY, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error
    user = await connection.fetchrow(STATEMENTS["user"], int(claims["sub"]))
    if user is None:
        raise HTTPException(401)
    return int(user["id"])


# orjson serializes the rows: with a response model, Pydantic would validate every field again.
@app.get("/api/articles")
async def list_articles(
    connection: Connection,
    viewer: Annotated[int, Depends(viewer)],
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Response:
    rows = await connection.fetch(STATEMENTS["page"], viewer)
    total = rows[0]["total"] if rows else 0
    content = {"articles": [article(row) for row in rows], "articlesCount": total}
    return Response(orjson.dumps(content), media_type="application/json")


def article(row: asyncpg.Record) -> dict[str, Any]:
    # Unpacked by position: asyncpg is slower at reading columns by name.
    (_, slug, title, description, tags, created_at, updated_at, favorited, favorites_count,
     username, bio, image, following, _) = row  # fmt: skip
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
