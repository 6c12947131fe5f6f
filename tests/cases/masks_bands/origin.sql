-- needs: 14
-- Both ends of each type, negative numbers, what is between whole numbers, and what is no number.
CREATE DOMAIN count_of AS smallint;
CREATE TABLE by_bounds (
    id integer PRIMARY KEY,
    a_smallint smallint,
    an_integer integer NOT NULL,
    a_bigint bigint,
    a_domain count_of,
    a_numeric numeric,
    a_numeric_4_1 numeric(4,1)
);
CREATE INDEX by_bounds_an_integer ON by_bounds (an_integer);
INSERT INTO by_bounds VALUES
    (1, -32768, -2147483648, -9223372036854775808, -1, '-Infinity', -999.9),
    (2, -1, -1, -1, 0, -0.001, -0.1),
    (3, 0, 0, 0, 1, 0, 0),
    (4, 1, 1, 1, 2, 1.4999, 1.4),
    (5, 2, 2, 2, 3, 1.50, 1.5),
    (6, 3, 3, 3, 4, 1e30, 999.9),
    (7, 32767, 2147483647, 9223372036854775807, 32767, 'Infinity', 'NaN'),
    (8, NULL, 0, NULL, NULL, 'NaN', NULL);
CREATE TABLE by_width (
    id integer PRIMARY KEY,
    a_smallint smallint,
    an_integer integer NOT NULL,
    a_bigint bigint,
    a_numeric numeric,
    a_numeric_4_1 numeric(4,1)
);
INSERT INTO by_width VALUES
    (1, -32768, -2147483648, -9223372036854775808, '-Infinity', -999.9),
    (2, -32765, -2147483645, -9223372036854775805, -12.34, -0.1),
    (3, -5, -5, -5, -2.50, -2.5),
    (4, -1, -1, -1, -0.0001, 0),
    (5, 0, 0, 0, 0.00, 2.4),
    (6, 4, 4, 4, 12.34, 2.5),
    (7, 5, 5, 5, 1e20, 999.9),
    (8, 32767, 2147483647, 9223372036854775807, 'Infinity', 'NaN'),
    (9, NULL, 1, NULL, 'NaN', NULL);
