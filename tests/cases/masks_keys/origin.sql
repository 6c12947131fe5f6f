-- Of documents a few keys stay, where their values are scalars; a column has the name of a key.
CREATE DOMAIN document AS jsonb;
CREATE TABLE users (
    id integer PRIMARY KEY,
    settings jsonb NOT NULL,
    a_domain document,
    theme jsonb
);
INSERT INTO users VALUES
    (1, '{"theme": "dark", "locale": "fr", "name": "Marie"}', '{"it''s": 1, "a \"b\" \\ %s": 2, "été": 3, "": 4, "x": 5}', '{"1": 1}'),
    (2, '{"name": "Marie"}', '{}', '{"theme": 1}'),
    (3, '{"theme": null, "locale": {"name": "Marie"}}', '{"it''s": ["Marie"]}', '{"1": {}}'),
    (4, '["theme", "locale"]', '"it''s"', '1'),
    (5, 'null', '[]', 'true'),
    (6, '{"theme": 1.50, "locale": true, "Theme": "x", "theme ": "x"}', '{"it''s": "\"", "It''s": 1}', '[{"1": 1}]'),
    (7, '{}', NULL, NULL),
    (8, '{"name": "first", "locale": "fr", "theme": "dark", "z": {"theme": "x"}}', '{"été": "e", "éte": "x"}', '{"1": "dark"}');
