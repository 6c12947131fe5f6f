-- An array of a domain over an array is one of texts: the arrays in it have lengths of their own. Ranges of any type are text.
CREATE TYPE status AS ENUM ('new', 'closed');
CREATE TYPE address AS (street text, city text);
CREATE DOMAIN price AS numeric(6,2);
CREATE DOMAIN low_price AS price CHECK (value < 100);
CREATE DOMAIN numbers AS integer[];
CREATE DOMAIN tags AS text[];
CREATE DOMAIN homes AS address[];
CREATE DOMAIN prices AS low_price[];
CREATE TYPE statusrange AS RANGE (subtype = status);
CREATE TYPE pricerange AS RANGE (subtype = low_price);
CREATE TYPE mixed AS (numbers numbers, prices prices, statuses status[], during statusrange, home address);
CREATE TABLE things (
    id integer PRIMARY KEY,
    some_numbers numbers,
    many_numbers numbers[],
    many_tags tags[],
    many_homes homes[],
    some_prices prices,
    low_prices low_price[],
    statuses statusrange,
    some_statuses statusrange[],
    prices pricerange,
    mixed mixed,
    masked numbers[],
    masked_tags tags[],
    masked_never_null numbers[] NOT NULL,
    masked_mixed mixed NOT NULL
);
INSERT INTO things VALUES
    (1, '{{1,2},{3,4}}', '{"{1,2}","{3}",NULL}', '{"{a,NULL}","{}"}', '{"{\"(rue,Lyon)\"}"}', '{1.5}', '{1.5,NULL}', '[new,closed]',
     '{"[new,closed]",empty}', '[1,2)', ROW('{1}', '{1.5}', '{new}', '[new,]', ROW('rue', 'Lyon')),
     '{"{1,2}"}', '{"{Marie}"}', '{"{1,2}"}', ROW('{1}', '{1.5}', '{new}', '[new,]', ROW('rue', 'Lyon'))),
    (2, '{}', '{}', '{}', '{}', '{}', '{}', 'empty', '{}', 'empty', ROW('{}', '{}', '{}', 'empty', NULL), '{}', '{}', '{}', ROW(NULL, NULL, NULL, NULL, NULL)),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', ROW(NULL, NULL, NULL, NULL, NULL));
