"""Generated content in three sizes.

All sizes have the same users, tags and articles for the benchmarks to request, so two answers
differ only by the size of the site around them. These rows have names, such as the tag `rare` or
the reader `reader-of-1000`; all other rows are numbered. The content of a size is always the same,
because a hash of the row number replaces random numbers.
"""

from typing import LiteralString, NamedTuple

import psycopg

from users.hashers import Argon2Hasher

PASSWORD = "everybody-may-know-it"
PEOPLE = 100  # users with these first ids are requested or log in; the others are the crowd
PROLIFIC = 35
TAGS = 1_000
# The readers of the benchmarks and their ids. They and `login1` to `login58` have the PASSWORD.
READERS = {
    "reader-of-10000": 36,
    "reader-of-1000": 37,
    "follows20": 38,
    "follows50": 39,
    "follows500": 40,
    "follows-prolific": 41,
    "viewer": 42,
}
LOGINS = 58


class Size(NamedTuple):
    articles: int
    users: int
    prolific: int
    """The number of articles of `prolific`."""
    share: int
    """`prolific2` wrote a half of this number of articles, `prolific3` a third, and so on."""
    beloved: int
    """The number of favorites of each article with the tag `beloved`."""


SIZES = {
    "small": Size(articles=20_000, users=1_000, prolific=1_000, share=800, beloved=800),
    "large": Size(articles=1_000_000, users=250_000, prolific=2_000, share=20_000, beloved=200_000),
    "huge": Size(
        articles=5_000_000, users=1_250_000, prolific=2_000, share=20_000, beloved=200_000
    ),
}

WORDS = (
    "the city was built upon a river whose source no traveller had ever reached and those who "
    "came home told of bridges without number of markets held by night and of a library where "
    "every book was kept open at the page that had been read last so that nobody could say that "
    "a question had been asked there in vain while outside the rain fell on roofs of slate"
)
TEXT = " ".join(" ".join(WORDS.split()[start:]) for start in range(0, 70, 3))

# The rows satisfy the foreign keys; checking fifteen million rows one by one would take minutes.
# This setting also turns off the triggers, so the load writes the copied columns itself.
BEGIN: LiteralString = """
SET session_replication_role = replica;
SET TimeZone = 'UTC';

CREATE FUNCTION pg_temp.chance(number bigint, salt int, choices bigint) RETURNS bigint
    IMMUTABLE LANGUAGE SQL
    RETURN mod(hashint8extended(number, salt) & 9223372036854775807, choices);

CREATE FUNCTION pg_temp.words(content text, number bigint, salt int, length int) RETURNS text
    IMMUTABLE LANGUAGE SQL
    RETURN 'x' || substr(content, 1 + pg_temp.chance(number, salt, 2000)::int, length);
"""

# With `wal_level` minimal, tables that are truncated in the same transaction are written without
# WAL: the articles take a third of the time.
TRUNCATE: LiteralString = "TRUNCATE users_user, articles_tag CASCADE"

USERS: LiteralString = """
INSERT INTO users_user (id, password, is_superuser, email, email_folded, username,
                        username_folded, bio, image, is_active, is_staff, created_at)
SELECT n, CASE WHEN n BETWEEN 36 AND 100 THEN %(hash)s ELSE '!' END, false,
       name || '@example.com', name || '@example.com', name, name,
       pg_temp.words(%(text)s, n, 1, 80), 'https://example.com/faces/' || name || '.png',
       true, false, '2017-01-01'
FROM generate_series(1, %(users)s) AS n, LATERAL (SELECT CASE
    WHEN n = 1 THEN 'prolific'
    WHEN n <= 35 THEN 'prolific' || n
    WHEN n <= 42 THEN (%(readers)s::text[])[n - 35]
    WHEN n <= 100 THEN 'login' || n - 42
    ELSE 'user' || n
END) AS known(name)
"""

TAG_NAMES: LiteralString = """
INSERT INTO articles_tag (id, name)
SELECT n, CASE n WHEN 1 THEN 'common' WHEN 2 THEN 'rare' WHEN 3 THEN 'beloved'
                 WHEN 4 THEN 'plain' ELSE 'tag' || n END
FROM generate_series(1, %(tags)s) AS n
"""

# The author and time of each article, and whether the benchmarks request it. Each rank is another
# order of all articles; each value of `special` marks twenty articles, spread over the years.
DRAFT: LiteralString = """
CREATE TEMP TABLE draft AS
WITH shares(author, share) AS (
    SELECT n, CASE n WHEN 1 THEN %(prolific)s ELSE %(share)s / n END
        FROM generate_series(1, %(prolific_people)s) AS n
    UNION ALL
    SELECT n, 20 FROM generate_series(%(people)s + 1, %(users)s) AS n
), authors AS (
    SELECT author, row_number() OVER (ORDER BY author) AS place
    FROM shares, generate_series(1, share)
), ranked AS (
    SELECT n, mod(n, %(articles)s / 20) AS special,
           row_number() OVER (ORDER BY hashint8extended(n, 1)) AS place,
           row_number() OVER (ORDER BY hashint8extended(n, 2)) AS common_rank,
           row_number() OVER (ORDER BY hashint8extended(n, 3)) AS reader_rank,
           row_number() OVER (ORDER BY hashint8extended(n, 4)) AS other_reader_rank
    FROM generate_series(1, %(articles)s) AS n
)
SELECT n, author, special, common_rank, reader_rank, other_reader_rank,
       n = 4 AS is_discussed,
       timestamptz '2018-01-01' + interval '2900 days'
           * ((n + pg_temp.chance(n, 2, %(articles)s / 100)) / %(articles)s::float8) AS created_at
FROM ranked JOIN authors USING (place)
ORDER BY n
"""

# Three tags for each article: one of 20 common tags, one of 80, and one of the other 900.
TAGGINGS: LiteralString = """
INSERT INTO articles_tagging (article_id, tag_id, article_created_at, article_author_id)
SELECT n, tag, created_at, author
FROM draft, LATERAL (VALUES
    (CASE WHEN common_rank <= %(articles)s / 20 THEN 1 ELSE 5 + pg_temp.chance(n, 7, 19) END),
    (24 + pg_temp.chance(n, 8, 80)),
    (CASE special WHEN 1 THEN 3 WHEN 2 THEN 4 WHEN 3 THEN 2
                  ELSE 104 + pg_temp.chance(n, 9, %(tags)s - 103) END)
) AS tags(tag)
"""

ARTICLES: LiteralString = """
INSERT INTO articles_article (id, author_id, slug, title, description, body,
                              created_at, updated_at, tag_names)
SELECT n, author,
       CASE WHEN is_discussed THEN 'discussed' ELSE 'article-number-' || n END,
       'Article number ' || n,
       pg_temp.words(%(text)s, n, 3, 100),
       pg_temp.words(%(text)s, n, 4, 800 + pg_temp.chance(n, 5, 400)::int),
       created_at,
       created_at + CASE mod(n, 3) WHEN 0 THEN interval '1 minute' * pg_temp.chance(n, 6, 10000)
                                   ELSE interval '0' END,
       names
FROM draft JOIN (
    SELECT article_id AS n, array_agg(name::text ORDER BY name COLLATE "C") AS names
    FROM articles_tagging JOIN articles_tag ON articles_tag.id = tag_id GROUP BY article_id
) AS tagged USING (n)
ORDER BY n
"""

# Five favorites for each article, by different users: `step` is at most a fifth of the crowd.
FAVORITES: LiteralString = """
INSERT INTO articles_favorite (user_id, article_id, created_at,
                               article_created_at, article_author_id)
SELECT %(people)s + 1 + mod(first + nth * step, %(crowd)s), n, created_at + interval '1 hour',
       created_at, author
FROM draft,
     LATERAL (SELECT pg_temp.chance(n, 10, %(crowd)s), 1 + pg_temp.chance(n, 11, %(crowd)s / 5 - 1))
         AS chosen(first, step),
     generate_series(0, 4) AS nth
WHERE special <> 1
UNION ALL
SELECT u, n, created_at + interval '1 hour', created_at, author
FROM draft, generate_series(%(people)s + 1, %(people)s + %(beloved)s) AS u
WHERE special = 1
UNION ALL
SELECT 36, n, created_at + interval '1 hour', created_at, author
FROM draft WHERE reader_rank <= 10000
UNION ALL
SELECT 37, n, created_at + interval '1 hour', created_at, author
FROM draft WHERE other_reader_rank <= 1000
"""

# Each user of the crowd follows four users, one of them prolific; `step` as above.
FOLLOWS: LiteralString = """
INSERT INTO profiles_follow (follower_id, followed_id, created_at)
SELECT u, 1 + pg_temp.chance(u, 12, %(prolific_people)s), timestamptz '2024-01-01'
FROM generate_series(%(people)s + 1, %(users)s) AS u
UNION ALL
SELECT u, %(people)s + 1 + mod(u - %(people)s
              + mod(pg_temp.chance(u, 13, %(crowd)s) + nth * step, %(crowd)s - 1), %(crowd)s),
       timestamptz '2024-01-01'
FROM generate_series(%(people)s + 1, %(users)s) AS u,
     LATERAL (SELECT 1 + pg_temp.chance(u, 14, %(crowd)s / 4 - 1)) AS chosen(step),
     generate_series(1, 3) AS nth
UNION ALL
SELECT follower, %(people)s + nth, timestamptz '2024-01-01'
FROM (VALUES (38, 20), (39, 50), (40, 500), (42, 20)) AS readers(follower, count),
     generate_series(1, count) AS nth
UNION ALL
SELECT 41, nth, timestamptz '2024-01-01' FROM generate_series(1, %(prolific_people)s) AS nth
"""

COMMENTS: LiteralString = """
INSERT INTO articles_comment (article_id, author_id, body, created_at, updated_at)
SELECT n, %(people)s + 1 + pg_temp.chance(nth, 15, %(crowd)s),
       pg_temp.words(%(text)s, nth, 16, 100 + pg_temp.chance(nth, 17, 200)::int), at, at
FROM (
    SELECT nth, 1 + pg_temp.chance(nth, 18, %(articles)s) AS n
        FROM generate_series(1, %(articles)s) AS nth
    UNION ALL
    SELECT -nth, n FROM draft, generate_series(1, 100) AS nth WHERE is_discussed
) AS said
JOIN draft USING (n),
LATERAL (SELECT created_at + interval '1 minute' * pg_temp.chance(nth, 19, 20000)) AS moment(at)
WHERE (nth < 0) = is_discussed
"""

SEQUENCES: LiteralString = """
SELECT setval(pg_get_serial_sequence('users_user', 'id'), (SELECT max(id) FROM users_user)),
       setval(pg_get_serial_sequence('articles_tag', 'id'), (SELECT max(id) FROM articles_tag)),
       setval(pg_get_serial_sequence('articles_article', 'id'),
              (SELECT max(id) FROM articles_article))
"""

STEPS = (USERS, TAG_NAMES, DRAFT, TAGGINGS, ARTICLES, FAVORITES, FOLLOWS, COMMENTS, SEQUENCES)


def load(session: psycopg.Connection, size: Size) -> None:
    """Fill the empty tables.

    `session` belongs to a superuser, has autocommit, and must not be used afterwards. The counts
    that triggers maintain are missing: run `verify_counts --repair`.
    """
    hashed = Argon2Hasher().encode(PASSWORD, salt="the same in every run")
    values = size._asdict() | {
        "hash": hashed,
        "text": TEXT,
        "tags": TAGS,
        "readers": [*READERS],
        "people": PEOPLE,
        "crowd": size.users - PEOPLE,
        "prolific_people": PROLIFIC,
    }
    session.execute(BEGIN)
    cursor = psycopg.ClientCursor(session)
    with session.transaction():
        session.execute(TRUNCATE)
        for step in STEPS:
            cursor.execute(step, values)
