-- jsonb becomes {} whatever it held and whatever its default; json is like any other type.
CREATE TABLE documents (
    id integer PRIMARY KEY,
    a_jsonb jsonb,
    with_default jsonb DEFAULT '[]',
    never_null jsonb NOT NULL,
    never_null_with_default jsonb NOT NULL DEFAULT '{"a": 1}',
    a_json json,
    json_with_default json DEFAULT '[]',
    json_never_null json NOT NULL,
    kept_jsonb jsonb,
    kept_json json
);
INSERT INTO documents VALUES
    (1, '{"name": "Marie"}', '["Marie"]', '{"name": "Marie"}', '["Marie"]', '{"name": "Marie"}', '["Marie"]', '{"name": "Marie"}',
     '{"b": 1.10, "a": "é\n"}', '{"b": 1.10,  "a": "é\n", "b": 2}'),
    (2, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
    (3, 'null', 'null', 'null', 'null', 'null', 'null', 'null', 'null', 'null'),
    (4, NULL, NULL, '""', '0', NULL, NULL, '""', NULL, NULL);
