-- Each row is masked by what another column of it holds: a value that is listed, another one, or NULL. Rows 4 and 5 are empty.
CREATE TYPE availability AS ENUM ('public', 'single_use', 'other');
CREATE TYPE mood AS ENUM ('calm', 'odd');
CREATE TYPE address AS (street text, city text);
CREATE DOMAIN nickname AS varchar(5);
CREATE TABLE places (
    id integer PRIMARY KEY,
    availability availability,
    is_private boolean,
    status char(6),
    floor smallint,
    name text,
    never_null varchar(20) NOT NULL,
    email text,
    code char(5),
    nickname nickname,
    tags varchar(5)[],
    details jsonb,
    born date,
    level integer NOT NULL DEFAULT 7,
    score integer,
    price numeric(5,2),
    mood mood NOT NULL,
    home address,
    homes address[],
    during int4range,
    fund text
);
CREATE INDEX places_name ON places (name);
CREATE UNIQUE INDEX places_never_null ON places (never_null);
INSERT INTO places VALUES
    (1, 'single_use', true, 'closed', -1, 'Rue A', 'Rue A', 'a@a.fr', 'ab', 'ab', '{a,b}', '{"a": 1}', '1980-02-03', 3, 4,
     12.34, 'odd', '(r,c)', '{"(r,c)"}', '[1,5)', 'x'),
    (2, 'public', false, 'open', 0, 'Rue A', 'Rue B', 'a@a.fr', 'ab', 'ab', '{a,b}', '{"a": 1}', '1980-02-03', 3, 4,
     12.34, 'odd', '(r,c)', '{"(r,c)"}', '[1,5)', 'x'),
    (3, NULL, NULL, NULL, NULL, 'Rue A', 'Rue C', 'a@a.fr', 'ab', 'ab', '{a,b}', '{"a": 1}', '1980-02-03', 3, 4,
     12.34, 'odd', '(r,c)', '{"(r,c)"}', '[1,5)', 'x'),
    (4, 'public', false, 'open', 0, '', '', '', '', '', '{}', '{}', NULL, 0, NULL, NULL, 'odd', NULL, NULL, 'empty', ''),
    (5, 'single_use', true, 'closed', -1, '', ' ', '', '', '', '{}', '{}', NULL, 0, NULL, NULL, 'odd', NULL, NULL, 'empty',
     '');
CREATE TABLE notes (status text, note text);
INSERT INTO notes VALUES ('closed', 'Marie is ill'), ('open', 'all well'), (NULL, 'Paul too'), ('Closed', 'as it is');
