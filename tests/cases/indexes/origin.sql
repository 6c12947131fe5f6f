-- Every access method, order, operator class, collation, expression and predicate that an index may have.
CREATE TYPE status AS ENUM ('new', 'closed');
CREATE TYPE "Odd Status" AS ENUM ('a', 'b');
CREATE TYPE unused AS ENUM ('a', 'b');
CREATE COLLATION french (provider = libc, locale = 'C');
CREATE TABLE rdvs (
    id integer,
    status status NOT NULL,
    odd_status "Odd Status",
    name text,
    city varchar(20),
    created_at timestamp,
    price numeric,
    tags text[],
    document jsonb,
    during int4range,
    place point,
    ip inet,
    words tsvector
);
ALTER TABLE rdvs ADD CONSTRAINT "Primary Key!" PRIMARY KEY (id) INCLUDE (city) WITH (fillfactor = 80);
ALTER TABLE rdvs ADD CONSTRAINT deferred_key UNIQUE (id, city) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE rdvs ADD CONSTRAINT no_overlap EXCLUDE USING gist (during WITH &&) WHERE (id > 0);
ALTER TABLE rdvs ADD CONSTRAINT no_twin EXCLUDE (price WITH =);
INSERT INTO rdvs VALUES
    (1, 'new', 'a', 'Marie', 'Lyon', '2024-01-01', 1, '{a}', '{"a": 1}', '[1,2)', '(1,2)', '192.0.2.1', 'a'),
    (2, 'closed', 'b', 'Jean', 'Brest', '2024-01-02', 2, '{b}', '{"b": 1}', '[2,3)', '(1,2)', '192.0.2.2', 'b');
CREATE INDEX as_btree ON rdvs (created_at);
CREATE INDEX as_hash ON rdvs USING hash (city);
CREATE INDEX as_brin ON rdvs USING brin (created_at) WITH (pages_per_range = 64);
CREATE INDEX as_gin ON rdvs USING gin (tags);
CREATE INDEX as_gin_of_json ON rdvs USING gin (document jsonb_path_ops);
CREATE INDEX as_gin_of_words ON rdvs USING gin (words) WITH (fastupdate = off);
CREATE INDEX as_gist ON rdvs USING gist (during);
CREATE INDEX as_gist_of_place ON rdvs USING gist (place);
CREATE INDEX as_spgist ON rdvs USING spgist (ip inet_ops);
CREATE INDEX in_order ON rdvs (created_at DESC NULLS LAST, city, id NULLS FIRST);
CREATE INDEX with_class ON rdvs (city varchar_pattern_ops, name text_pattern_ops);
CREATE INDEX with_collation ON rdvs (city COLLATE "POSIX", name COLLATE "C" DESC);
CREATE INDEX with_own_collation ON rdvs (city COLLATE french);
CREATE INDEX with_include ON rdvs (city) INCLUDE (name, price) WITH (fillfactor = 70);
CREATE INDEX "with an Expression" ON rdvs (lower(city::text), (price * 2), date_trunc('day', created_at));
CREATE INDEX with_expression_of_json ON rdvs ((document ->> 'a'), (document #> '{a,b}'));
CREATE INDEX with_expression_of_masked ON rdvs (lower(name));
CREATE INDEX of_status ON rdvs (status, odd_status);
CREATE UNIQUE INDEX where_status ON rdvs (id) WHERE status = 'new';
CREATE INDEX where_status_in ON rdvs (city) WHERE status IN ('new', 'closed') AND odd_status <> 'b';
CREATE INDEX where_text ON rdvs (id) WHERE city = 'unused ( '' WHERE) USING' OR city IS NULL;
CREATE INDEX of_status_case ON rdvs ((CASE WHEN status = 'new' THEN 0 ELSE 1 END));
-- The order of an enum is lost; that two of its values are the same, or not, is not.
CREATE DOMAIN state AS status;
CREATE TABLE steps (id integer PRIMARY KEY, status status, before state, various status[], city text);
CREATE INDEX kept_any ON steps (id) WHERE status = ANY ('{new,closed}') AND status <> 'new' AND city > 'b' AND id >= 1;
CREATE INDEX kept_distinct ON steps ((status IS DISTINCT FROM 'new'));
CREATE UNIQUE INDEX lost_above ON steps (id) WHERE status > 'new';
CREATE INDEX lost_arrays ON steps (id) WHERE various < '{closed}';
CREATE INDEX lost_between ON steps (id) WHERE status BETWEEN 'new' AND 'closed';
CREATE INDEX lost_case ON steps ((CASE WHEN status <= 'new' THEN 0 ELSE 1 END));
CREATE INDEX lost_greatest ON steps (greatest(status, 'new'));
CREATE INDEX lost_least ON steps (id) WHERE least(status, 'closed') = 'new';
CREATE INDEX lost_of_domain ON steps (id) WHERE before::status >= 'closed';
CREATE INDEX lost_of_pair ON steps (id) WHERE status < before::status;
CREATE INDEX lost_of_row ON steps (id) WHERE (id, status) > (1, 'new');
CREATE INDEX lost_various ON steps (id) WHERE status < ANY ('{new,closed}');
CREATE FUNCTION own(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT upper($1) $$;
CREATE INDEX with_own_function ON rdvs (own(city));
CREATE TABLE sentences (words tsvector, sentence text, kind unused);
CREATE INDEX without_constant ON sentences (kind);
