-- A row of values, a row of what is empty, a row of NULLs; then the same where NULL is not allowed.
CREATE TABLE nullable (
    id integer PRIMARY KEY,
    a_varchar varchar,
    a_varchar_10 varchar(10),
    a_text text,
    a_char_5 char(5),
    a_byte "char",
    a_name name,
    with_default text DEFAULT 'Lyon',
    email varchar(20),
    "EMAIL" text,
    "work e-mail" text,
    contact_email_2 char(30)
);
INSERT INTO nullable VALUES
    (1, 'Marie', 'Marie', 'Marie', 'Marie', 'M', 'Marie', 'Marie', 'm@m.fr', 'm@m.fr', 'm@m.fr', 'm@m.fr'),
    (2, '', '', '', '', '', '', '', '', '', '', ''),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, ' ', E'\n', E'\t', '  ', ' ', ' ', '0', ' ', ' ', ' ', ' ');
CREATE TABLE never_null (
    id integer PRIMARY KEY,
    a_varchar varchar NOT NULL,
    a_varchar_10 varchar(10) NOT NULL,
    a_text text NOT NULL DEFAULT 'Lyon',
    a_char_5 char(5) NOT NULL,
    a_byte "char" NOT NULL,
    a_name name NOT NULL,
    email varchar(20) NOT NULL
);
INSERT INTO never_null VALUES
    (1, 'Marie', 'Marie', 'Marie', 'Marie', 'M', 'Marie', 'm@m.fr'),
    (2, '', '', '', '', '', '', '');
CREATE TABLE as_they_are (
    id integer PRIMARY KEY,
    a_varchar varchar,
    a_varchar_10 varchar(10),
    a_text text NOT NULL,
    a_char_5 char(5),
    a_byte "char",
    a_name name,
    email varchar(20)
);
INSERT INTO as_they_are VALUES
    (1, 'Lyon', 'Lyon', 'Lyon', 'Lyon', 'L', 'Lyon', 'l@l.fr'),
    (2, '', '', '', '', '', '', ''),
    (3, NULL, NULL, ' ', NULL, NULL, NULL, NULL);
