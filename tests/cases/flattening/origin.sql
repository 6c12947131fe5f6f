-- Types of the app's own, as any BI tool reads them: a row of values, a row of what is empty, a row of NULLs.
CREATE TYPE status AS ENUM ('new', 'it''s closed');
CREATE TYPE "Odd Status" AS ENUM ('a,b', '"c"');
CREATE TYPE address AS (street text, "zip code" varchar(5), since date);
CREATE TYPE person AS (name text, home address, others address[], state status);
CREATE TYPE floatrange AS RANGE (subtype = float8);
CREATE DOMAIN positive AS integer CHECK (value > 0);
CREATE DOMAIN small_positive AS positive CHECK (value < 100);
CREATE DOMAIN postcode AS varchar(5);
CREATE DOMAIN tags AS text[];
CREATE DOMAIN state AS status;
CREATE DOMAIN home AS address;
CREATE DOMAIN homes AS address[];
CREATE TABLE things (id integer PRIMARY KEY, label text);
CREATE TABLE flat (
    id integer PRIMARY KEY,
    an_enum status,
    an_odd_enum "Odd Status",
    some_enums status[],
    some_odd_enums "Odd Status"[] NOT NULL,
    a_composite address,
    some_composites address[],
    a_nested_composite person,
    a_positive positive,
    a_small_positive small_positive,
    a_postcode postcode,
    some_tags tags,
    a_state state,
    a_home home,
    a_home_list homes,
    some_positives positive[],
    some_postcodes postcode[],
    some_homes home[],
    a_floatrange floatrange,
    some_floatranges floatrange[],
    a_regclass regclass,
    a_regtype regtype,
    a_regproc regproc,
    a_regprocedure regprocedure,
    a_regoperator regoperator,
    a_regnamespace regnamespace,
    a_regconfig regconfig,
    some_regtypes regtype[],
    a_regrole regrole,
    some_regroles regrole[],
    an_aclitem aclitem[],
    a_table_row things
);
INSERT INTO flat VALUES
    (1, 'it''s closed', 'a,b', '{new,NULL,it''s closed}', '{"a,b","\"c\""}',
     ROW('1, rue "d''En Bas"', '29200', '2020-02-29'), ARRAY[ROW('a', 'b', NULL)::address, NULL],
     ROW('Marie', ROW('é', NULL, '-infinity'), ARRAY[ROW('x', 'y', NULL)::address], 'new'),
     7, 7, '29200', '{a,NULL}', 'new', ROW('é', NULL, NULL), ARRAY[ROW('é', NULL, NULL)::address],
     '{7,8}', '{29200}', ARRAY[ROW('é', NULL, NULL)::address::home],
     '[0.1,2)', '{"[0.1,2)",empty}', 'things', 'integer', 'version', 'length(text)', '+(integer,integer)', 'public', 'french',
     '{integer,text[]}', 'pg_monitor', '{pg_monitor,-,NULL}', '{=r/postgres}', ROW(1, 'x')),
    (2, 'new', '"c"', '{}', '{}', ROW(NULL, NULL, NULL), '{}', ROW(NULL, NULL, NULL, NULL),
     1, 1, '', '{}', 'new', ROW('', '', NULL), '{}', '{}', '{}', '{}', 'empty', '{}', '0', '0', '0', '0', '0', '0', '0', '{}', '0', '{}', '{}',
     ROW(NULL, NULL)),
    (3, NULL, NULL, NULL, '{NULL}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
