"""The endpoint `GET /api/articles?limit=20` with a token, in other frameworks.

Each follows the conventions of its community, has a connection pool, reads the same tables and
returns the same answer.

    raw_wsgi     a WSGI function and psycopg, without a framework
    fastapi_app  FastAPI and asyncpg
    drf          Django REST framework as its documentation shows it, with prefetching

The variables `BENCH_*` set the database and the key of the tokens. `raw_wsgi` and `fastapi_app`
also get the SQL of this project.
"""
