-- The root of this partition is in a schema that is not read: it stands for itself.
CREATE SCHEMA archive;
CREATE TABLE archive.visits (id integer NOT NULL, name text) PARTITION BY LIST (id);
CREATE TABLE visits_default PARTITION OF archive.visits DEFAULT;
INSERT INTO archive.visits VALUES (7, 'Marie');
