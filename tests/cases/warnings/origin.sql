-- What rules and catalog disagree about, and what a run does not read, stops nothing: the report says so.
CREATE SCHEMA other;
CREATE TABLE other.things (id integer);
CREATE SCHEMA without_tables;
CREATE COLLATION french (provider = libc, locale = 'C');
CREATE TABLE users (
    id integer PRIMARY KEY,
    email text UNIQUE,
    city text COLLATE "C" NOT NULL,
    country text COLLATE french,
    error_message text
);
CREATE TABLE countries (code varchar(2) PRIMARY KEY, label text);
CREATE TABLE regions (id numeric PRIMARY KEY, country_code varchar(2) REFERENCES countries, user_id integer REFERENCES users);
CREATE VIEW everyone AS SELECT * FROM users;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM users;
INSERT INTO users VALUES (1, 'm@m.fr', 'Lyon', 'fr', 'no user Marie');
INSERT INTO countries VALUES ('fr', 'France');
INSERT INTO regions VALUES (84.1, 'fr', 1);
