-- Makes the server's messages English: superusers may choose the language, and roles that were granted this (15).
SELECT set_config('lc_messages', 'C', false) WHERE has_parameter_privilege('lc_messages', 'SET')
