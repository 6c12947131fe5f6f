-- What masks that keep something do to keys: nobody searches by a name, and a year is searched by as a date is.
CREATE TABLE users (
    id integer PRIMARY KEY,
    born date,
    joined timestamp NOT NULL,
    name text,
    status text,
    code integer,
    EXCLUDE USING btree (born WITH =)
);
CREATE INDEX users_born ON users (born);
CREATE INDEX users_name ON users (name);
CREATE INDEX users_name_born ON users (name, born);
CREATE INDEX users_unborn ON users ((born IS NULL));
CREATE INDEX users_since ON users (id) WHERE born > '1990-01-01';
CREATE UNIQUE INDEX users_code ON users (code) WHERE joined IS NOT NULL;
CREATE UNIQUE INDEX users_id ON users (id) INCLUDE (born);
CREATE UNIQUE INDEX users_name_joined ON users (name, joined);
CREATE TABLE places (id integer PRIMARY KEY, name text UNIQUE, note text, kind text, opened date);
CREATE INDEX places_note ON places (note);
CREATE INDEX places_opened ON places (opened, kind);
CREATE TABLE doors (id integer PRIMARY KEY, place text REFERENCES places (name));
-- the year of the first row is that of the third
INSERT INTO users VALUES (1, '1983-02-07', '2024-05-06 07:08:09', 'Marie', 'new', 10), (2, NULL, '2025-01-01', 'Jean', 'new', 11);
INSERT INTO users VALUES (3, '1983-11-30', '2024-12-31', 'Marie', 'old', 12);
INSERT INTO places VALUES (1, 'Chez Marie', 'Marie', 'home', '2021-03-04'), (2, 'Mairie', 'a hall', 'hall', '2021-03-05');
INSERT INTO places VALUES (3, 'Chez Jean', NULL, NULL, '2021-03-06'), (4, NULL, 'a note', 'hall', NULL);
INSERT INTO doors VALUES (1, 'Mairie'), (2, 'Chez Marie');
