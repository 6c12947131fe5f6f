-- Has the server say in English what it has to say: superusers may choose, and roles that were granted this (15).
SELECT set_config('lc_messages', 'C', false) WHERE has_parameter_privilege('lc_messages', 'SET')
