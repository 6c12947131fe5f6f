-- Tables that refer to each other, to themselves, to partitions' roots; keys of several columns.
CREATE TABLE users (id integer PRIMARY KEY, team_id integer NOT NULL, chief_id integer, locale text, number integer, UNIQUE (number, locale));
CREATE TABLE teams (id integer PRIMARY KEY, owner_id integer REFERENCES users DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE users
    ADD CONSTRAINT of_team FOREIGN KEY (team_id) REFERENCES teams DEFERRABLE,
    ADD CONSTRAINT of_chief FOREIGN KEY (chief_id) REFERENCES users ON DELETE SET NULL;
CREATE TABLE translations (id integer, locale text, number integer, original_id integer, original_locale text, PRIMARY KEY (id, locale));
ALTER TABLE translations
    ADD CONSTRAINT of_original FOREIGN KEY (original_id, original_locale) REFERENCES translations,
    ADD CONSTRAINT of_user FOREIGN KEY (locale, number) REFERENCES users (locale, number);
CREATE TABLE tree (id integer PRIMARY KEY, parent_id integer REFERENCES tree) PARTITION BY HASH (id);
CREATE TABLE tree_0 PARTITION OF tree FOR VALUES WITH (MODULUS 1, REMAINDER 0);
BEGIN;
INSERT INTO teams VALUES (1, 1);
INSERT INTO users VALUES (1, 1, 1, 'fr', 7);
COMMIT;
INSERT INTO translations VALUES (1, 'fr', 7, NULL, NULL), (1, 'en', NULL, 1, 'fr');
INSERT INTO tree VALUES (1, NULL), (2, 1);
