-- A parent holds its own rows only, a child its own and what it inherited: columns, not keys.
CREATE TABLE places (id integer PRIMARY KEY, name text NOT NULL, city text DEFAULT 'Lyon');
CREATE TABLE offices (floor integer, city text) INHERITS (places);
CREATE TABLE rooms (id integer PRIMARY KEY) INHERITS (offices);
INSERT INTO places VALUES (1, 'Marie', 'Lyon');
INSERT INTO offices VALUES (2, 'Jean', 'Brest', 3);
INSERT INTO rooms VALUES (3, 'Luc', 'Nice', 4), (4, 'Ève', 'Lille', 5);
-- Of two parents, with a column of both.
CREATE TABLE named (name text NOT NULL, town text);
CREATE TABLE dated (made date, town text);
CREATE TABLE visits (id integer PRIMARY KEY, note text) INHERITS (named, dated);
INSERT INTO visits VALUES ('Marie', 'Lyon', '2024-02-29', 1, 'Marie');
INSERT INTO dated VALUES ('2024-03-01', 'Brest');
