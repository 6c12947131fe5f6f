-- needs: 14
CREATE TYPE floatrange AS RANGE (subtype = float8, multirange_type_name = floats);
CREATE TABLE ranges (
    id integer PRIMARY KEY,
    kept int4multirange,
    kept_dates datemultirange,
    kept_floats floats,
    kept_array nummultirange[],
    masked int4multirange,
    masked_with_default int4multirange DEFAULT '{[7,8)}',
    masked_never_null tstzmultirange NOT NULL,
    masked_floats floats NOT NULL
);
INSERT INTO ranges VALUES
    (1, '{[1,3),[5,)}', '{[2024-01-01,2024-02-01)}', '{[0.5,1]}', ARRAY['{[1.5,2)}'::nummultirange], '{[1,3)}', '{[1,3)}',
     '{[2024-01-01 00:00+01,)}', '{[1,2)}'),
    (2, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, '{}', '{}');
