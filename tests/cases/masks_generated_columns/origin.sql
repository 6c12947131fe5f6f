-- What is computed from a masked column is left out, whatever its mask keeps, and wherever it masks: it would show the value.
CREATE TABLE users (
    id integer PRIMARY KEY,
    born date,
    at timestamp,
    name text,
    kind text,
    day integer GENERATED ALWAYS AS (born - '1970-01-01'::date) STORED,
    hour double precision GENERATED ALWAYS AS (date_part('hour', at)) STORED,
    loud text GENERATED ALWAYS AS (upper(name)) STORED,
    short text GENERATED ALWAYS AS (left(kind, 1)) STORED UNIQUE
);
CREATE INDEX users_day ON users (day, kind);
CREATE INDEX users_short ON users (short, born);
INSERT INTO users (id, born, at, name, kind) VALUES
    (1, '1983-02-07', '2024-05-06 07:08:09', 'Marie', 'person'), (2, '1990-04-05', NULL, 'Mairie', 'hall'), (3, NULL, NULL, NULL, NULL);
