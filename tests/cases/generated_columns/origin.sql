-- A generated column is copied as a plain one, unless it is computed from a masked column: then it is left out, with its indexes.
CREATE TABLE users (
    id integer PRIMARY KEY,
    first_name text,
    city text NOT NULL,
    price integer NOT NULL,
    price_with_tax numeric GENERATED ALWAYS AS (price * 1.2) STORED,
    upper_city text GENERATED ALWAYS AS (upper(city)) STORED NOT NULL,
    of_nothing integer GENERATED ALWAYS AS (7) STORED,
    full_name text GENERATED ALWAYS AS (first_name || ' ' || city) STORED,
    words tsvector GENERATED ALWAYS AS (to_tsvector('simple', coalesce(first_name, ''))) STORED,
    masked_itself text GENERATED ALWAYS AS (lower(city)) STORED
);
CREATE INDEX by_words ON users USING gin (words);
CREATE UNIQUE INDEX by_upper_city ON users (upper_city);
CREATE INDEX by_city_where_full_name ON users (city) WHERE full_name IS NOT NULL;
COMMENT ON COLUMN users.price_with_tax IS 'TTC';
COMMENT ON COLUMN users.words IS 'nobody sees this';
INSERT INTO users VALUES (1, 'Marie', 'Lyon', 10), (2, NULL, 'Brest', 20);
-- Here the key is computed from a masked column: it is left out, and goes into no mask.
CREATE TABLE cards (
    number text NOT NULL,
    id integer GENERATED ALWAYS AS (length(number)) STORED PRIMARY KEY,
    label text
);
INSERT INTO cards (number, label) VALUES ('4970', 'Marie'), ('49', 'Jean');
CREATE TABLE payments (id integer PRIMARY KEY, card_id integer REFERENCES cards);
INSERT INTO payments VALUES (1, 4);
