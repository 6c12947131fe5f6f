-- needs extension: xml2
-- A server that has this extension was built with libxml; those without it have the type, and read no document.
CREATE TABLE documents (id integer PRIMARY KEY, masked xml, kept xml);
INSERT INTO documents VALUES (1, '<name>Marie</name>', NULL), (2, NULL, NULL);
