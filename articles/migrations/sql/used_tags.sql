-- The tags that have articles, with the number of their articles. The names sort by code point.
--
-- This is no join. With the statistics of a small or an empty table, which remain for a while after
-- many rows are loaded, PostgreSQL may join by comparing each tag with each count. For 20,000 tags,
-- that takes ten seconds. Here it reads the counts once and the tags once, whatever the statistics.
CREATE VIEW articles_usedtag AS
    SELECT key AS id, min(name) COLLATE "C" AS name, sum(count) AS articles_count
    FROM (
        SELECT key, count, NULL AS name FROM articles_tally WHERE counted = 2
        UNION ALL
        SELECT id, 0, name FROM articles_tag
    ) AS counts_and_names
    GROUP BY key HAVING sum(count) > 0 AND min(name) IS NOT NULL;
