-- Two roles for a database: an owner, which owns the tables and migrates them, and the role of the
-- API, which can only read and write rows.
--
-- Run this file with psql 15 or newer, in the database of the API, as a superuser or as the
-- database's owner with CREATEROLE. It may be run again at any time.
--
--     CONDUIT_OWNER_PASSWORD=… CONDUIT_PASSWORD=… psql --dbname=conduit --file=docs/roles.sql
--
-- A password that is not in the environment does not change. `\password conduit` in psql also sets
-- a password, and sends only its hash. Options for other names and numbers:
--
--     --set=owner=conduit_owner --set=app=conduit --set=connections=90 --set=pgbouncer=off

\set ON_ERROR_STOP on
\if :{?owner} \else \set owner conduit_owner \endif
\if :{?app} \else \set app conduit \endif
\if :{?connections} \else \set connections 90 \endif
\if :{?pgbouncer} \else \set pgbouncer off \endif

-- From the environment: every user of the machine can list the arguments of psql.
\set owner_password ''
\set app_password ''
\getenv owner_password CONDUIT_OWNER_PASSWORD
\getenv app_password CONDUIT_PASSWORD

BEGIN;

SELECT format('CREATE ROLE %I LOGIN', name)
    FROM (VALUES (:'owner'), (:'app')) AS roles (name)
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
-- A role that existed before may have these rights; a new role has none of them.
SELECT format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', rolname)
    FROM pg_roles
    WHERE rolname IN (:'owner', :'app')
    AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls) \gexec
SELECT format('ALTER ROLE %I PASSWORD %L', name, password)
    FROM (VALUES (:'owner', :'owner_password'), (:'app', :'app_password')) AS roles (name, password)
    WHERE password <> '' \gexec
-- Without superuser rights, only a member of a role can change what the role owns.
SELECT format('GRANT %I, %I TO CURRENT_USER', :'owner', :'app')
    FROM pg_roles WHERE rolname = CURRENT_USER AND NOT rolsuper \gexec

-- Server processes × (DATABASE_POOL_MAX + 1) must not exceed this limit; with reads on standbys,
-- DATABASE_READ_POOL_MAX is added. `manage.py dbcheck` checks it. PostgreSQL's default is 100
-- connections (max_connections). The rest is for migrations, backups and operators. Raise both
-- together.
ALTER ROLE :"app" CONNECTION LIMIT :connections;

-- The owner gets all existing tables, views and functions, except for those of extensions.
REASSIGN OWNED BY :"app" TO :"owner";
SELECT format('ALTER %s OWNER TO %I', object, :'owner')
    FROM (
        SELECT oid, 'TABLE ' || oid::regclass, relowner FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
        UNION ALL
        SELECT oid, 'ROUTINE ' || oid::regprocedure, proowner FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace
    ) AS objects (oid, object, role)
    WHERE pg_get_userbyid(role) <> :'owner'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = objects.oid AND deptype = 'e') \gexec

-- No other role may connect or create tables. Before PostgreSQL 15, every role could.
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC, :"app";
REVOKE ALL ON SCHEMA public FROM PUBLIC, :"app";
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM :"app";
GRANT CONNECT, CREATE, TEMPORARY ON DATABASE :"DBNAME" TO :"owner";
GRANT USAGE, CREATE ON SCHEMA public TO :"owner";
GRANT CONNECT ON DATABASE :"DBNAME" TO :"app";
GRANT USAGE ON SCHEMA public TO :"app";

-- Rights on the existing tables, then on the tables of future migrations.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :"app";
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO :"app";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"app";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public GRANT USAGE ON SEQUENCES TO :"app";

-- The API sets these when it connects. Behind PgBouncer (DATABASE_PGBOUNCER=on) it cannot: startup
-- options are refused, and clients share sessions. So the roles set them. The owner has no
-- timeouts, because a migration may be slow.
\if :pgbouncer
    ALTER ROLE :"owner" IN DATABASE :"DBNAME" SET TimeZone = 'UTC';
    ALTER ROLE :"app" IN DATABASE :"DBNAME" SET TimeZone = 'UTC';
    ALTER ROLE :"app" IN DATABASE :"DBNAME" SET statement_timeout = '10s';
    ALTER ROLE :"app" IN DATABASE :"DBNAME" SET idle_in_transaction_session_timeout = '10s';
    ALTER ROLE :"app" IN DATABASE :"DBNAME" SET random_page_cost = 1.1;
\endif

COMMIT;
