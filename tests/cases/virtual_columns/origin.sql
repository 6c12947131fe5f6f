-- needs: 18
CREATE TABLE users (
    id integer PRIMARY KEY,
    first_name text,
    city text NOT NULL,
    upper_city text GENERATED ALWAYS AS (upper(city)) VIRTUAL,
    full_name text GENERATED ALWAYS AS (first_name || ' ' || city),
    masked_itself text GENERATED ALWAYS AS (lower(city)) VIRTUAL NOT NULL
);
INSERT INTO users VALUES (1, 'Marie', 'Lyon'), (2, NULL, 'Brest');
