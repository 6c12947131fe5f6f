"""The jobs of docs/rules.md for an app's CI: their scripts run as they are, in a fresh clone of an app's repository."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, Place

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "rules.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## )", PAGE, re.DOTALL | re.MULTILINE))
GITHUB, GITLAB = re.findall(r"```yaml\n(.*?)```", SECTIONS["In an app's CI"], re.DOTALL)
TOOL = "https://github.com/betagouv/multi-schema-postgres-etl"
MIGRATE = """#!/bin/sh
exec python - <<'END'
import os, psycopg
with psycopg.connect(os.environ["ORIGIN_DB_URL"]) as connection:
    connection.execute(open("schema.sql", "rb").read())
END
"""
SCHEMA = "CREATE TABLE users (id serial PRIMARY KEY, email text, phone_number text, city text);\n"
RULES = """\
tables:
  - table_name: users
    anonymized_column_names: [email, phone_number]
    non_anonymized_column_names: [city]
"""


@dataclass
class Machine:
    """Where a job runs: a clone of the app's repository, on a branch, and the variables that all its steps have."""

    clone: Path
    variables: dict[str, str]

    def run(self, script: str, **variables: str) -> tuple[int, str, str]:
        """Run a script as GitHub and GitLab do, with bash that stops at the first failure."""
        ended = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.clone,
            env={**self.variables, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stdout, ended.stderr

    def git(self, *arguments: str) -> str:
        """Run git in the clone and return what it prints."""
        return git(self.clone, self.variables, *arguments)

    def change(self, file: str, text: str) -> None:
        """Commit a change of a file on the branch."""
        (self.clone / file).write_text(text)
        self.git("commit", "--quiet", "--all", "--message", f"Change {file}")


def git(folder: Path, variables: dict[str, str], *arguments: str) -> str:
    """Run git in a folder and return what it prints."""
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=variables, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def machine(place: Place, tmp_path: Path) -> Machine:
    """Return a machine with Python and git where the tool is cloned from this checkout, and its dependencies are there."""
    home = tmp_path / "home"
    home.mkdir()
    venv.create(home / "venv", with_pip=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    link = home / "venv" / "lib" / version / "site-packages" / "dependencies.pth"
    link.write_text(sysconfig.get_path("purelib"))
    variables = {
        "PATH": f"{home / 'venv' / 'bin'}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "RUNNER_TEMP": str(home),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    (home / ".gitconfig").write_text(
        "[user]\nname = A developer\nemail = developer@example.org\n[init]\ndefaultBranch = main\n"
        f'[url "file://{home / "published"}"]\ninsteadOf = {TOOL}\n'
    )
    for name in ("blocks", "flows", "multischema"):
        shutil.copytree(ROOT / name, home / "published" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "requirements.txt"):
        shutil.copy(ROOT / name, home / "published" / name)
    app = tmp_path / "app"
    (app / "bin").mkdir(parents=True)
    (app / "config").mkdir()
    (app / "bin" / "migrate").write_text(MIGRATE)
    (app / "bin" / "migrate").chmod(0o755)
    (app / "schema.sql").write_text(SCHEMA)
    (app / "config" / "anonymizer.yml").write_text(RULES)
    for folder in (home / "published", app):
        git(folder, variables, "init", "--quiet")
        git(folder, variables, "add", ".")
        git(folder, variables, "commit", "--quiet", "--message", "Begin")
    git(tmp_path, variables, "clone", "--quiet", str(app), "clone")
    machine = Machine(tmp_path / "clone", variables)
    machine.git("switch", "--quiet", "--create", "change")
    return machine


def given(variables: dict[str, Any], place: Place, service: dict[str, Any], host: str) -> dict[str, str]:
    """Return a job's variables, with the test's database where they name the one of the job's service."""
    password = service["POSTGRES_PASSWORD"]
    assert variables["ORIGIN_DB_URL"] == f"postgresql://postgres:{password}@{host}:5432/postgres"
    return {name: str(value) for name, value in variables.items()} | {"ORIGIN_DB_URL": place.origin_url}


def test_a_pull_request_on_github_gets_what_is_wrong_at_its_line(place: Place, machine: Machine) -> None:
    workflow = yaml.safe_load(GITHUB)
    assert workflow[True] == "pull_request"  # YAML 1.1 reads `on` as that
    (job,) = workflow["jobs"].values()
    assert [step["with"]["fetch-depth"] for step in job["steps"] if "checkout" in step.get("uses", "")] == [0]
    machine.variables |= given(job["env"], place, job["services"]["postgres"]["env"], "localhost")
    install, migrate, check, diff = (step["run"] for step in job["steps"] if "run" in step)
    for script in (install, migrate, check):
        status, out, err = machine.run(script)
        assert status == 0, out + err
    assert out.startswith("checked the rules: 1 table to copy")
    machine.change(
        "config/anonymizer.yml", RULES.replace("phone_number]", "phone_numbr]").replace("[city]", "[city, email]")
    )
    status, out, err = machine.run(check)
    assert (status, err) == (1, "")
    assert re.search("^::error.*phone_number", out, re.MULTILINE)
    assert re.search("^::warning.*phone_numbr", out, re.MULTILINE)
    assert "file=config/anonymizer.yml,line=3" in out
    machine.change(
        "config/anonymizer.yml", RULES.replace("[email, phone_number]", "[email]").replace("[city", "[phone_number, city")
    )
    status, out, err = machine.run(check)
    assert (status, err) == (0, "")
    status, out, err = machine.run(diff)
    assert (status, err) == (0, "")
    assert re.search(r"^::warning file=config/anonymizer.yml,line=4,[^\n]*users.phone_number", out, re.MULTILINE)


def test_a_merge_request_on_gitlab_gets_what_is_wrong_in_the_log(place: Place, machine: Machine) -> None:
    (job,) = yaml.safe_load(GITLAB).values()
    (service,) = job["services"]
    machine.variables |= given(job["variables"], place, job["variables"], service["alias"])
    began = machine.git("rev-parse", "HEAD")
    status, out, err = machine.run("\n".join(job["before_script"]))
    assert status == 0, out + err
    migrate, diff, check = job["script"]
    script = "\n".join([migrate, diff, check])
    status, out, err = machine.run(script, CI_MERGE_REQUEST_DIFF_BASE_SHA=began)
    assert (status, err) == (0, ""), out + err
    assert out.splitlines()[-1].startswith("checked the rules: 1 table to copy")
    place.in_origin("DROP TABLE users")
    machine.change("schema.sql", SCHEMA.replace("city text", "city text, iban text"))
    machine.change("config/anonymizer.yml", RULES.replace("[city]", "[city, phone_number]"))
    status, out, err = machine.run(script, CI_MERGE_REQUEST_DIFF_BASE_SHA=began)
    assert (status, err) == (1, "")
    assert re.search("^error: .*users.iban", out, re.MULTILINE)


def test_the_json_of_the_page_is_what_the_command_prints(place: Place, machine: Machine) -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", SECTIONS["check"], re.DOTALL)
    place.in_origin("CREATE TABLE users (id serial PRIMARY KEY, iban text)")
    machine.change("config/anonymizer.yml", "tables:\n  - table_name: users\n")
    called = f"{sys.executable} -m flows.rules check --app shop --rules config/anonymizer.yml --format json"
    _, out, _ = machine.run(called, PYTHONPATH=str(ROOT), ORIGIN_DB_URL=place.origin_url)
    printed, wanted = json.loads(out), json.loads(shown)
    assert list(printed) == list(wanted)
    assert [list(finding) for finding in printed["findings"]] == [list(finding) for finding in wanted["findings"]]
    same = ("ok", "rules", "app", "checked", "summary")
    assert {name: printed[name] for name in same} == {name: wanted[name] for name in same}
    (finding,), (example,) = printed["findings"], wanted["findings"]
    assert finding["level"] == example["level"]
    assert example["text"] in finding["text"]
