CREATE DOMAIN tags AS text[];
CREATE TYPE page AS (title text, tags tags[]);
CREATE TABLE books (id integer PRIMARY KEY, page page);
INSERT INTO books VALUES (1, ROW('a', '{"{b,c}","{d}"}'));
