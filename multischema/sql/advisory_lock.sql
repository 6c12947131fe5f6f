-- The lock of an app: one run at a time may build and publish a schema. 'etl' in ASCII is the class of our locks.
SELECT pg_try_advisory_lock(6648940, hashtext(%(schema)s)) AS locked
