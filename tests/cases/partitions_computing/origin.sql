-- needs: 16
-- A partition may compute the column otherwise than its root does; what one of them computes from a masked column is left out.
CREATE TABLE visits (id integer, name text, city text, label text GENERATED ALWAYS AS (upper(city)) STORED, town text
                     GENERATED ALWAYS AS (lower(city)) STORED) PARTITION BY LIST (id);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
CREATE TABLE visits_2 (id integer, name text, city text, label text GENERATED ALWAYS AS (name || city) STORED, town text
                       GENERATED ALWAYS AS (upper(city)) STORED);
ALTER TABLE visits ATTACH PARTITION visits_2 FOR VALUES IN (2);
INSERT INTO visits VALUES (1, 'Marie', 'Lyon'), (2, 'Jean', 'Brest');
