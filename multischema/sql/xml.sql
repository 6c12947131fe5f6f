-- Fails on a server built without libxml: its catalog does not show that.
SELECT ''::xml
