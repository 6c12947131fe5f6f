-- A column keeps its collation where the target has it; one of the app's own schema it never has.
CREATE COLLATION french (provider = libc, locale = 'C');
CREATE DOMAIN sorted AS text COLLATE "C";
CREATE DOMAIN plain AS text;
CREATE DOMAIN number AS integer;
CREATE TABLE words (
    id integer PRIMARY KEY,
    by_default text,
    in_c text COLLATE "C",
    in_posix varchar(10) COLLATE "POSIX",
    in_ucs_basic text COLLATE ucs_basic,
    in_french text COLLATE french,
    masked text COLLATE "C",
    texts text[] COLLATE "C",
    a_name name,
    a_name_by_default name COLLATE "default",
    a_sorted sorted,
    a_sorted_in_posix sorted COLLATE "POSIX",
    a_sorted_by_default sorted COLLATE "default",
    a_plain plain,
    a_plain_in_c plain COLLATE "C",
    a_number number
);
CREATE INDEX by_french ON words (in_french);
CREATE INDEX by_c ON words (in_c);
INSERT INTO words VALUES (1, 'é', 'é', 'é', 'é', 'é', 'é', '{é}', 'é', 'é', 'é', 'é', 'é', 'é', 'é', 1);
