-- Patroni runs this file once, on the first node of a new cluster (post_bootstrap in patroni.yml).
-- The passwords of the two roles come from the environment, see roles.sql.

CREATE DATABASE conduit;
\connect conduit
-- Of the 200 connections of a node (max_connections), 20 remain for migrations, backups, operators
-- and Patroni.
\set connections 180
\include_relative roles.sql
