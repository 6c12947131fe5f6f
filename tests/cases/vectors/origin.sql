-- needs extension: vector
CREATE TABLE embeddings (
    id integer PRIMARY KEY,
    kept vector(3),
    masked vector(3),
    masked_never_null vector(3) NOT NULL
);
INSERT INTO embeddings VALUES (1, '[1,2,3.5]', '[1,2,3.5]', '[1,2,3.5]'), (2, NULL, NULL, '[0,0,0]');
CREATE INDEX by_nearness ON embeddings USING hnsw (kept vector_l2_ops);
