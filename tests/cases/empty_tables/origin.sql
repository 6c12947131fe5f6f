-- Tables without rows, without columns, without both.
CREATE TABLE no_rows (id integer PRIMARY KEY, name text NOT NULL, city varchar(5));
CREATE TABLE no_columns ();
CREATE TABLE no_columns_but_rows (gone text);
INSERT INTO no_columns_but_rows VALUES ('Marie'), ('Jean');
ALTER TABLE no_columns_but_rows DROP COLUMN gone;
CREATE TABLE columns_gone_and_added (gone text, id integer, name text);
INSERT INTO columns_gone_and_added VALUES ('Marie', 1, 'Marie');
ALTER TABLE columns_gone_and_added DROP COLUMN gone, ADD added integer NOT NULL DEFAULT 7, ADD masked text NOT NULL DEFAULT 'Marie';
