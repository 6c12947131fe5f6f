-- A row of values, a row of empty arrays, a row of NULLs.
CREATE TABLE nullable (
    id integer PRIMARY KEY,
    varchars varchar[],
    varchars_10 varchar(10)[],
    texts text[],
    chars char(2)[],
    bytes "char"[],
    names name[],
    emails text[],
    with_default text[] DEFAULT '{Lyon}',
    numbers integer[],
    numbers_with_default integer[] DEFAULT '{7}',
    documents jsonb[]
);
INSERT INTO nullable VALUES
    (1, '{Marie}', '{Marie}', '{Marie,Jean}', '{ab}', '{M}', '{Marie}', '{m@m.fr}', '{Marie}', '{1}', '{1,2}', ARRAY['{"a": 1}'::jsonb]),
    (2, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, '{""}', '{NULL}', '{{Marie,Jean},{A,B}}', '{" "}', '{""}', '{""}', '{NULL,m@m.fr}', '{""}', '{{1,2},{3,4}}', '{NULL}', '{NULL}');
CREATE TABLE never_null (
    id integer PRIMARY KEY,
    texts text[] NOT NULL,
    varchars_10 varchar(10)[] NOT NULL DEFAULT '{}',
    numbers integer[] NOT NULL,
    numbers_with_default integer[] NOT NULL DEFAULT '{7}',
    documents jsonb[] NOT NULL
);
INSERT INTO never_null VALUES
    (1, '{Marie}', '{Marie}', '{1}', '{1}', ARRAY['{"a": 1}'::jsonb]),
    (2, '{}', '{}', '{}', '{}', '{}');
CREATE TABLE as_they_are (
    id integer PRIMARY KEY,
    texts text[],
    varchars_10 varchar(10)[] NOT NULL,
    chars char(2)[],
    numbers integer[],
    documents jsonb[],
    moments timestamp(3)[],
    bits bit(2)[],
    amounts numeric(6,2)[]
);
INSERT INTO as_they_are VALUES
    (1, '{Lyon,NULL,""}', '{Lyon}', '{ab}', '{{1,2},{3,4}}', ARRAY['{"a": 1}'::jsonb], '{2024-02-29 12:00:00.123}', '{01}', '{1.50,NULL}'),
    (2, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
    (3, NULL, '[5:5]={x}', NULL, '[0:1]={1,2}', NULL, NULL, NULL, NULL);
