-- needs: 18
-- Keys WITHOUT OVERLAPS stand on gist, which makes no unique index: they become plain ones.
CREATE TABLE rooms (id int4range, during daterange, name text, PRIMARY KEY (id, during WITHOUT OVERLAPS));
CREATE TABLE rdvs (
    id int4range,
    during daterange,
    room_id int4range,
    UNIQUE (id, during WITHOUT OVERLAPS),
    FOREIGN KEY (room_id, PERIOD during) REFERENCES rooms (id, PERIOD during)
);
INSERT INTO rooms VALUES ('[1,2)', '[2024-01-01,2024-02-01)', 'Marie'), ('[1,2)', '[2024-02-01,2024-03-01)', 'Jean');
INSERT INTO rdvs VALUES ('[7,8)', '[2024-01-15,2024-02-15)', '[1,2)');
