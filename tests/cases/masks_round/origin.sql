-- needs: 14
-- Halves, what does not fit once rounded, what is no number, what a float holds that a numeric can't, and a zero with a sign.
CREATE DOMAIN latitude AS double precision;
CREATE TABLE places (
    id integer PRIMARY KEY,
    a_numeric numeric,
    a_numeric_4_2 numeric(4,2) NOT NULL,
    a_real real,
    a_double double precision,
    a_domain latitude,
    a_point point,
    whole double precision
);
CREATE INDEX places_a_point ON places USING gist (a_point);
INSERT INTO places VALUES
    (1, 0.05, 0.05, 0.05, 0.05, 48.85661, '(48.85661,2.35222)', 0.5),
    (2, -0.05, -0.05, -0.04, -0.04, -48.85661, '(-0.004,0.005)', -0.4),
    (3, 5, 99.99, 16777217, 2.675, 90, '(1e300,-1e300)', 1e300),
    (4, 1e40, -99.99, 3.4e38, '1.7976931348623157e308', '-180', '(NaN,Infinity)', 2.5),
    (5, 'Infinity', 0, '-Infinity', 'Infinity', 'NaN', '(-0,-Infinity)', 123456789012345678),
    (6, 'NaN', 'NaN', 'NaN', 'NaN', 0, NULL, '-0'),
    (7, NULL, 1.25, '-0', 5e-324, NULL, '(0,0)', NULL);
