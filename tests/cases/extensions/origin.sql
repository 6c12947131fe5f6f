-- needs extension: citext
-- needs extension: hstore
-- needs extension: ltree
-- needs extension: cube
-- Types of extensions, of which the target has none: citext is text, hstore is jsonb, the others become text.
CREATE DOMAIN login AS citext CHECK (value <> '');
CREATE TABLE as_they_are (
    id integer PRIMARY KEY,
    a_citext citext,
    some_citexts citext[],
    a_login login,
    an_hstore hstore,
    some_hstores hstore[],
    an_ltree ltree,
    some_ltrees ltree[],
    a_cube cube
);
INSERT INTO as_they_are VALUES
    (1, 'Été', '{É,NULL}', 'Login', 'a=>1, "b c"=>NULL', ARRAY['a=>"x\"y"'::hstore, NULL], 'a.b.c', '{a.b,NULL}', '(1,2),(3,4)'),
    (2, '', '{}', NULL, '', '{}', '', '{}', '0'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE UNIQUE INDEX by_citext ON as_they_are (a_citext);
CREATE INDEX by_hstore ON as_they_are USING gin (an_hstore);
CREATE INDEX by_hstore_gist ON as_they_are USING gist (an_hstore);
CREATE INDEX by_ltree ON as_they_are USING btree (an_ltree);
CREATE INDEX by_some_of_citext ON as_they_are (id) WHERE a_citext = 'Été';
CREATE TABLE masked (
    id integer PRIMARY KEY,
    a_citext citext,
    email citext NOT NULL,
    some_citexts citext[],
    a_login login,
    an_hstore hstore,
    hstore_never_null hstore NOT NULL DEFAULT 'a=>1',
    some_hstores hstore[],
    an_ltree ltree,
    ltree_never_null ltree NOT NULL
);
INSERT INTO masked VALUES
    (1, 'Marie', 'M@m.fr', '{Marie}', 'Marie', 'a=>Marie', 'a=>Marie', ARRAY['a=>Marie'::hstore], 'a.Marie', 'a.Marie'),
    (2, '', '', '{}', NULL, '', '', '{}', '', '');
CREATE UNIQUE INDEX by_email ON masked (email);
