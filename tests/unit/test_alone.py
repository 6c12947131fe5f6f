"""Demo, tests and benchmark know nothing of the user's: what their processes get, and what they see of the project."""

import os
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from demo import alone
from tests.conftest import OWN, ROOT


def flat(settings: Mapping[str, Any], prefix: str = "PREFECT") -> Iterator[tuple[str, str]]:
    """Give settings of a prefect.toml as variables."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}_{name.upper()}")
        else:
            yield f"{prefix}_{name.upper()}", str(value).lower()


def test_prefect_has_the_settings_of_the_project() -> None:
    assert dict(flat(tomllib.loads((ROOT / "prefect.toml").read_text()))) == alone.SETTINGS


def test_a_process_forgets_the_users_variables_whatever_their_case(tmp_path: Path) -> None:
    given = {
        **{"PREFECT_API_URL": "x", "prefect_api_url": "x", "Prefect_Profile": "x", "PREFECT_HOME": "x", "PGHOSTADDR": "x"},
        **{"PGSERVICE": "x", "PGPASSFILE": "x", "https_proxy": "x", "ETL_DB_URL": "x", "ORIGIN_DB_URL": "x", "APP": "x"},
        **{"UVICORN_ENV_FILE": "x", "WEB_CONCURRENCY": "3"},
        **{"PATH": "p", "HOME": "h", "LANG": "l", "TMPDIR": "t", "VIRTUAL_ENV": "v"},
    }
    own = {"PREFECT_HOME": str(tmp_path), "PREFECT_PROFILES_PATH": str(tmp_path / "no-profiles.toml"), "DO_NOT_TRACK": "1"}
    kept = {"PATH": "p", "HOME": "h", "LANG": "l", "TMPDIR": "t", "VIRTUAL_ENV": "v"}
    assert alone.environment(tmp_path, given) == {**kept, **alone.SETTINGS, **own}


def test_every_variable_of_the_example_is_the_users() -> None:
    names = [line.partition("=")[0] for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line]
    given = {name.lstrip("# "): "x" for name in names if name.isupper() or name.lstrip("# ").isupper()}
    assert {"ETL_DB_URL", "PREFECT_API_URL", "APP"} <= given.keys()
    assert "x" not in alone.environment(OWN, given).values()


def test_tests_run_where_nothing_of_the_users_is() -> None:
    assert Path.cwd() == OWN
    assert not {".env", "prefect.toml", "pyproject.toml", "profiles.toml"} & set(os.listdir(OWN))
    assert {"flows", "prefect.yaml"} <= set(os.listdir(OWN))


def test_make_alone_lists_every_target_with_its_text_and_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    plain = {"PATH": os.environ["PATH"]}  # a make of a make's says where it is
    made = subprocess.run(["make"], cwd=tmp_path, env=plain, capture_output=True, text=True, check=True)
    told = dict(line.split(maxsplit=1) for line in made.stdout.splitlines())
    (phony,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY: ")]
    assert list(told) == phony.split()[1:]
    assert told["demo"] == "publish two invented apps on embedded Postgres servers, and show rows before and after"
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
