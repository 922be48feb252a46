-- Two roles for a database: one that owns the tables and migrates them, one for the API, which
-- can do nothing but read and write rows.
--
-- Run it with psql 15 or newer in the database that they are for, as a superuser, or as the
-- database's owner with CREATEROLE. It can be run again at any time.
--
--     CONDUIT_OWNER_PASSWORD=… CONDUIT_PASSWORD=… psql --dbname=conduit --file=docs/roles.sql
--
-- A password that is not in the environment stays as it is; `\password conduit` in psql sets
-- one as well, and sends nothing but its hash. With --set come other names and numbers:
--
--     --set=owner=conduit_owner --set=app=conduit --set=connections=90 --set=pgbouncer=off

\set ON_ERROR_STOP on
\if :{?owner} \else \set owner conduit_owner \endif
\if :{?app} \else \set app conduit \endif
\if :{?connections} \else \set connections 90 \endif
\if :{?pgbouncer} \else \set pgbouncer off \endif

-- Not as arguments of psql, which everybody on the machine can list.
\set owner_password ''
\set app_password ''
\getenv owner_password CONDUIT_OWNER_PASSWORD
\getenv app_password CONDUIT_PASSWORD

BEGIN;

SELECT format('CREATE ROLE %I LOGIN', name)
    FROM (VALUES (:'owner'), (:'app')) AS roles (name)
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
-- New roles have none of these rights; one that was there before may.
SELECT format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', rolname)
    FROM pg_roles
    WHERE rolname IN (:'owner', :'app')
    AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls) \gexec
SELECT format('ALTER ROLE %I PASSWORD %L', name, password)
    FROM (VALUES (:'owner', :'owner_password'), (:'app', :'app_password')) AS roles (name, password)
    WHERE password <> '' \gexec
-- Whoever is no superuser has to be a member to say what becomes of what the roles own.
SELECT format('GRANT %I, %I TO CURRENT_USER', :'owner', :'app')
    FROM pg_roles WHERE rolname = CURRENT_USER AND NOT rolsuper \gexec

-- Server processes × (DATABASE_POOL_MAX + 1) must fit, and `manage.py dbcheck` says whether it
-- does. Of PostgreSQL's own 100 (max_connections) this leaves some for migrations, backups and
-- whoever has to look what is wrong; raise both together.
ALTER ROLE :"app" CONNECTION LIMIT :connections;

-- What is there already belongs to the owner, whoever has made it.
REASSIGN OWNED BY :"app" TO :"owner";
SELECT format('ALTER TABLE %I.%I OWNER TO %I', schemaname, tablename, :'owner')
    FROM pg_tables WHERE schemaname = 'public' AND tableowner <> :'owner' \gexec

-- Nobody else comes in, and nobody else makes tables: before version 15 everybody could.
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC, :"app";
REVOKE ALL ON SCHEMA public FROM PUBLIC, :"app";
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM :"app";
GRANT CONNECT, CREATE, TEMPORARY ON DATABASE :"DBNAME" TO :"owner";
GRANT USAGE, CREATE ON SCHEMA public TO :"owner";
GRANT CONNECT ON DATABASE :"DBNAME" TO :"app";
GRANT USAGE ON SCHEMA public TO :"app";

-- The tables that are there, then those of every migration to come.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :"app";
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO :"app";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"app";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public GRANT USAGE ON SEQUENCES TO :"app";

-- The API sets these as it connects. Behind PgBouncer (DATABASE_PGBOUNCER=on) it can't: there,
-- startup options are refused, and a session is everybody's. So the server has to know. A
-- migration may take its time.
\if :pgbouncer
    ALTER ROLE :"owner" IN DATABASE :"DBNAME" SET TimeZone = 'UTC';
    ALTER ROLE :"app" IN DATABASE :"DBNAME" SET TimeZone = 'UTC';
    ALTER ROLE :"app" IN DATABASE :"DBNAME" SET statement_timeout = '10s';
    ALTER ROLE :"app" IN DATABASE :"DBNAME" SET idle_in_transaction_session_timeout = '10s';
\endif

COMMIT;
