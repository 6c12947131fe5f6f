-- needs extension: bloom
-- needs extension: btree_gin
-- needs extension: btree_gist
-- needs extension: pg_trgm
-- Access methods and operator classes that the target has not: each index is left out, and named.
CREATE TABLE rdvs (id integer PRIMARY KEY, room integer, during int4range, name text, city text);
INSERT INTO rdvs VALUES (1, 1, '[1,2)', 'Marie', 'Lyon'), (2, 1, '[2,3)', 'Jean', 'Brest');
ALTER TABLE rdvs ADD CONSTRAINT no_overlap EXCLUDE USING gist (room WITH =, during WITH &&);
CREATE INDEX as_bloom ON rdvs USING bloom (id, room);
CREATE INDEX of_words ON rdvs USING gin (city gin_trgm_ops);
CREATE INDEX of_both ON rdvs USING gin (id, to_tsvector('simple', city));
CREATE INDEX by_city ON rdvs (city);
