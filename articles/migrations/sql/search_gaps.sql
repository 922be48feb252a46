-- newest_matches() as in search.sql, but it skips blocks without rows: a program may insert a row with
-- an id far above all others, and would make each search ask for millions of empty blocks.
CREATE OR REPLACE FUNCTION newest_matches(texts regclass, text text, enough bigint)
    RETURNS SETOF bigint LANGUAGE plpgsql STABLE ROWS 1000
    SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    words tsquery := search_query(text, texts = 'articles_articletext'::regclass);
    block bigint;
    found bigint;
BEGIN
    IF numnode(words) = 0 THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT max(id) >> 15 FROM %s', texts) INTO block;
    WHILE block >= 0 AND enough > 0 LOOP -- NULL after the last block
        RETURN QUERY EXECUTE
            format('SELECT id FROM %s WHERE words @@ $1 ORDER BY id + 0 DESC LIMIT $2', texts)
            USING words && ('#' || block)::tsquery, enough;
        GET DIAGNOSTICS found = ROW_COUNT;
        enough := enough - found;
        EXECUTE format('SELECT max(id) >> 15 FROM %s WHERE id < $1', texts)
            INTO block USING block << 15;
    END LOOP;
END $$;
