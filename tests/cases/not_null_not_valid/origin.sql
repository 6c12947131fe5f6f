-- needs: 18
-- A NOT NULL that is not validated promises nothing about the rows that are there.
CREATE TABLE users (id integer PRIMARY KEY, name text, city text, number integer);
INSERT INTO users VALUES (1, 'Marie', 'Lyon', 7), (2, NULL, NULL, NULL);
ALTER TABLE users ADD CONSTRAINT a NOT NULL name NOT VALID;
ALTER TABLE users ADD CONSTRAINT b NOT NULL city NOT VALID;
ALTER TABLE users ADD CONSTRAINT c NOT NULL number NOT VALID;
-- A foreign key that is not enforced may be wrong, too.
CREATE TABLE pets (id integer PRIMARY KEY, user_id integer REFERENCES users NOT ENFORCED);
INSERT INTO pets VALUES (1, 404);
