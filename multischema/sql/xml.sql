-- An error on a server that was built without libxml: nothing in its catalog tells it from others.
SELECT ''::xml
