"""The Metabase that reads the target: a Secret block, as it holds a key, or variables."""

import json
from collections.abc import Mapping

from blocks import urls
from multischema.errors import UsageError
from multischema.metabase import Metabase, metabase_of

BLOCK = "metabase-notify"
VARIABLES = {"url": "METABASE_URL", "database": "METABASE_DATABASE_ID", "key": "METABASE_API_KEY"}


def provided(environment: Mapping[str, str]) -> str | None:
    """Return what the block is to hold, as JSON, or None if the environment names no Metabase. Raises UsageError."""
    found = {name: environment.get(variable, "").strip() for name, variable in VARIABLES.items()}
    if not any(found.values()):
        return None
    if missing := [VARIABLES[name] for name, value in found.items() if not value]:
        raise UsageError(f"missing variable {' and '.join(missing)}: to tell Metabase, want {', '.join(VARIABLES.values())}")
    metabase_of(found, "METABASE_…")
    return json.dumps(found)


def find() -> Metabase | None:
    """Return the Metabase to tell, None if there is no such block. Raises UsageError if the block can't be used."""
    held = urls.held(BLOCK)
    if held is None:
        return None
    if isinstance(held, str):  # as it was given, or as somebody typed it into a text of a text
        try:
            held = json.loads(held)
        except ValueError:
            held = None
    return metabase_of(held, f"the Secret block {BLOCK}")
