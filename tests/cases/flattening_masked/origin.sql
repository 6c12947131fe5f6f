-- Types of the app's own, masked: a domain as what it stands for, the others as any type, in the type that is published.
CREATE TYPE status AS ENUM ('new', 'closed');
CREATE TYPE address AS (street text, city text);
CREATE TYPE floatrange AS RANGE (subtype = float8);
CREATE DOMAIN positive AS integer CHECK (value > 0);
CREATE DOMAIN short_text AS varchar(5) CHECK (value <> '[');
CREATE DOMAIN document AS jsonb;
CREATE DOMAIN tags AS text[];
CREATE DOMAIN state AS status;
CREATE TABLE nullable (
    id integer PRIMARY KEY,
    an_enum status,
    an_enum_with_default status DEFAULT 'closed',
    email_status status,
    some_enums status[],
    a_composite address,
    a_composite_with_default address DEFAULT ROW('a', 'b'),
    some_composites address[],
    a_positive positive,
    a_short_text short_text,
    an_email short_text,
    a_document document,
    some_tags tags,
    some_short_texts short_text[],
    a_state state,
    a_floatrange floatrange,
    a_floatrange_with_default floatrange DEFAULT '[1,2)',
    a_regclass regclass
);
INSERT INTO nullable VALUES
    (1, 'closed', 'new', 'new', '{new}', ROW('rue', 'Lyon'), ROW('rue', 'Lyon'), ARRAY[ROW('rue', 'Lyon')::address],
     1, 'Marie', 'm@m', '{"a": 1}', '{Marie}', '{Marie}', 'new', '[7,8)', '[7,8)', 'nullable'),
    (2, 'closed', 'new', 'new', '{}', ROW(NULL, NULL), ROW(NULL, NULL), '{}', 1, '', '', '{}', '{}', '{}', 'new', 'empty', 'empty', '0'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE never_null (
    id integer PRIMARY KEY,
    an_enum status NOT NULL,
    an_enum_with_default status NOT NULL DEFAULT 'closed',
    some_enums status[] NOT NULL,
    a_composite address NOT NULL,
    some_composites address[] NOT NULL,
    a_positive positive NOT NULL,
    a_short_text short_text NOT NULL,
    a_document document NOT NULL,
    some_tags tags NOT NULL,
    some_short_texts short_text[] NOT NULL,
    a_state state NOT NULL,
    a_floatrange floatrange NOT NULL,
    a_regclass regclass NOT NULL
);
INSERT INTO never_null VALUES
    (1, 'closed', 'new', '{new}', ROW('rue', 'Lyon'), ARRAY[ROW('rue', 'Lyon')::address], 1, '', '{"a": 1}', '{}', '{}', 'closed',
     '[7,8)', 'nullable');
