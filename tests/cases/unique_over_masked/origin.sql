-- Which unique indexes the masks satisfy: those with a mask of its own per row, or with NULL, among the key columns.
CREATE TABLE users (
    id integer PRIMARY KEY,
    email text UNIQUE,
    login varchar(8) NOT NULL UNIQUE,
    number integer UNIQUE,
    code integer NOT NULL UNIQUE,
    level integer UNIQUE DEFAULT 7,
    document jsonb UNIQUE,
    tags text[] UNIQUE,
    city text UNIQUE,
    country text
);
CREATE UNIQUE INDEX by_city_and_email ON users (city, email);
CREATE UNIQUE INDEX by_city_and_code ON users (city, code);
CREATE UNIQUE INDEX by_city_and_number ON users (city, number);
CREATE UNIQUE INDEX by_code_and_level ON users (code, level);
CREATE UNIQUE INDEX by_lower_email ON users (lower(email));
CREATE UNIQUE INDEX by_lower_city ON users (lower(city));
CREATE UNIQUE INDEX by_lower_city_and_login ON users (lower(city), login);
CREATE UNIQUE INDEX by_city_of_those_with_code ON users (city) WHERE code > 0;
CREATE UNIQUE INDEX by_email_of_those_with_code ON users (email) WHERE code > 0;
CREATE UNIQUE INDEX by_code_of_those_with_city ON users (code) WHERE city IS NOT NULL;
CREATE UNIQUE INDEX by_city_with_email ON users (city) INCLUDE (email);
CREATE UNIQUE INDEX by_city_with_code ON users (city) INCLUDE (code);
INSERT INTO users VALUES
    (1, 'a@a.fr', 'a', 1, 1, 1, '1', '{a}', 'Lyon', 'France'),
    (2, 'b@b.fr', 'b', 2, 2, 2, '2', '{b}', 'Brest', 'France'),
    (3, NULL, 'c', NULL, 3, NULL, NULL, NULL, NULL, 'France'),
    (4, NULL, '', NULL, 4, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE without_key (email text UNIQUE, city text UNIQUE);
INSERT INTO without_key VALUES ('a@a.fr', 'Lyon'), ('b@b.fr', 'Brest'), (NULL, NULL);
-- Its id is no key: two rows may have one, and so one mask.
CREATE TABLE id_twice (id integer, email text UNIQUE);
INSERT INTO id_twice VALUES (3, 'a@a.fr'), (3, 'b@b.fr');
CREATE TABLE id_once (id integer NOT NULL, number integer PRIMARY KEY, email text UNIQUE);
CREATE UNIQUE INDEX by_id ON id_once (id);
INSERT INTO id_once VALUES (3, 30, 'a@a.fr'), (4, 40, 'b@b.fr');
CREATE TABLE id_once_or_null (id integer UNIQUE, email text UNIQUE);
INSERT INTO id_once_or_null VALUES (NULL, 'a@a.fr'), (NULL, 'b@b.fr');
