-- Releases the lock that advisory_lock took.
SELECT pg_advisory_unlock(6648940, hashtext(%(schema)s)) AS unlocked
