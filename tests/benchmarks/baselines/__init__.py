"""One endpoint, `GET /api/articles?limit=20` with a token, as others would write it: each in
the manner of its own community, with a pool, on the same tables, with the same answer.

    raw_wsgi     a bare function and psycopg: as little as Python can do
    fastapi_app  FastAPI and asyncpg
    drf          Django REST framework as its documentation has it, with prefetching

They are told where the database is, the key that signs tokens and, but for the last, the SQL by
`BENCH_*` in the environment: the SQL is this project's own.
"""
