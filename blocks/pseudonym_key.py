"""The key that pseudonyms are made with: a Secret block, or a variable on the command line. No text of ours holds it."""

import json
import os
import re
import secrets
from typing import Any

from blocks import urls
from multischema.environment import mended
from multischema.errors import UsageError
from multischema.masks.pseudonyms import KEY_BYTES

BLOCK = "etl-pseudonym-key"
VARIABLE = "ETL_PSEUDONYM_KEY"
_WANTED = f"want {2 * KEY_BYTES} hexadecimal digits ({KEY_BYTES} random bytes)"
_NEW = "`python -m blocks.register --new-pseudonym-key`"


def load() -> bytes:
    """Return the key of this process's variable where it has its URLs from variables, else of the block. Raises UsageError.

    The variable goes: no program that is started from here on has it.
    """
    os.environ.pop(VARIABLE, None)
    found = urls.held(BLOCK) if BLOCK in urls.given() or not urls.given() else None
    if found is None:
        raise UsageError(
            f"missing variable {VARIABLE}: {_WANTED}, those that the other apps have; for the first app, or for a check "
            "alone, new ones: `openssl rand -hex 32`"
            if urls.given()
            else f"there is no Secret block {BLOCK}: make and save one with {_NEW}"
        )
    return key_of(found, f"variable {VARIABLE}" if BLOCK in urls.given() else f"the Secret block {BLOCK}")


def key_of(found: Any, place: str) -> bytes:
    """Return the key that a text has. Raises UsageError, which tells its length at most."""
    text = mended(found) if isinstance(found, str) else ""
    if not isinstance(found, str) or _is_number(text):
        raise UsageError(f"{place} holds a number, as Prefect reads it, and no key; {_WANTED}, with one of a to f at least")
    if len(text) != 2 * KEY_BYTES:
        raise UsageError(f"{place} holds no key: {_WANTED}; found {len(text)} characters")
    if not re.fullmatch("[0-9a-fA-F]+", text):
        raise UsageError(f"{place} holds no key: {_WANTED}; found others than 0 to 9 and a to f")
    if not any(key := bytes.fromhex(text)):
        raise UsageError(f"{place} holds zeros and no key; {_WANTED}")
    return key


def save(text: str) -> bool:
    """Save a key unless it is there; tell whether it was not. Raises UsageError, without replacing it, if another is."""
    key = key_of(text, f"variable {VARIABLE}")
    held = urls.held(BLOCK)
    if held is None:
        _write(mended(text), overwrite=False)
        return True
    if not isinstance(held, str) or mended(held).lower() != key.hex():
        raise UsageError(
            f"the Secret block {BLOCK} holds another key than {VARIABLE}, and nothing was saved: unset the variable; to "
            "replace the key, and with it all pseudonyms, use --rotate-pseudonym-key"
        )
    return False


def make() -> None:
    """Save a new key. Raises UsageError if there is one."""
    if urls.held(BLOCK) is not None:
        raise UsageError(
            f"there is a Secret block {BLOCK}, and it was left as it is; to replace the key, and with it all pseudonyms, "
            "use --rotate-pseudonym-key"
        )
    _write(_new(), overwrite=False)


def rotate(text: str) -> str:
    """Replace the key with one that is given, or a new one; return where it is from. Raises UsageError if there is none."""
    held = urls.held(BLOCK)
    if held is None:
        raise UsageError(f"there is no Secret block {BLOCK} to replace: make and save one with {_NEW}")
    if not text:
        _write(_new(), overwrite=True)
        return "a new key"
    key = key_of(text, f"variable {VARIABLE}")
    if isinstance(held, str) and mended(held).lower() == key.hex():
        raise UsageError(f"{VARIABLE} is the key that the Secret block {BLOCK} holds: unset it, or set it to another")
    _write(mended(text), overwrite=True)
    return VARIABLE


def _write(text: str, *, overwrite: bool) -> None:
    from prefect.blocks.system import Secret  # takes seconds, and runs only load
    from pydantic import SecretStr

    try:
        Secret(value=SecretStr(text)).save(BLOCK, overwrite=overwrite)
    except ValueError:  # as if two people save one at a time
        raise UsageError(f"the Secret block {BLOCK} can't be saved, and was left as it was: is there one by now?") from None


def _new() -> str:
    while _is_number(text := secrets.token_hex(KEY_BYTES)):
        pass
    return text


def _is_number(text: str) -> bool:
    """Tell a text that a Secret block gives back as a number: digits alone, or with an e among them."""
    try:
        return isinstance(json.loads(text), int | float)
    except ValueError:
        return False
