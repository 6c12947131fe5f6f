-- needs extension: xml2
-- needs extension in target: xml2
-- A server that has this extension was built with libxml; those without it have the type, and read no document.
CREATE TABLE documents (
    id integer PRIMARY KEY,
    masked xml,
    masked_not_null xml NOT NULL,
    masked_default xml DEFAULT '<a/>',
    masked_list xml[] NOT NULL,
    kept xml,
    kept_list xml[]
);
INSERT INTO documents VALUES
    (1, '<name>Marie</name>', '<name>Marie</name>', '<name>Marie</name>', '{<name/>}', '<été a="1">x &lt; y</été>', '{<a/>,NULL,"b c"}'),
    (2, NULL, '', NULL, '{}', 'no <b>document</b>', '{}'),
    (3, NULL, '', NULL, '{}', '<?xml version="1.0" encoding="UTF-8"?><a/>', NULL),
    (4, NULL, '', NULL, '{}', '', NULL),
    (5, NULL, '', NULL, '{}', NULL, NULL);
