-- needs: 15
CREATE TABLE users (
    id integer PRIMARY KEY,
    email text UNIQUE NULLS NOT DISTINCT,
    number integer UNIQUE NULLS NOT DISTINCT,
    city text UNIQUE NULLS NOT DISTINCT,
    login text NOT NULL UNIQUE NULLS NOT DISTINCT
);
CREATE UNIQUE INDEX by_email_and_city ON users (city, email) NULLS NOT DISTINCT;
-- An empty e-mail becomes NULL, and with the other makes two of them.
INSERT INTO users VALUES (1, 'a@a.fr', 1, 'Lyon', 'a'), (2, NULL, 2, 'Brest', 'b'), (3, '', NULL, NULL, '');
