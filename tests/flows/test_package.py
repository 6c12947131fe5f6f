"""The package: installed into an environment of its own, its command works from a folder that holds nothing."""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.flows.conftest import Shop, variables
from tests.support.servers import PATIENCE, furnish

pytestmark = pytest.mark.slow

ORIGIN = "CREATE TABLE users (id serial PRIMARY KEY, name text); INSERT INTO users (name) VALUES ('Marie')"
RULES = "tables: [{table_name: users, anonymized_column_names: [name]}]"
PARTS = ("blocks", "flows", "multischema")


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the command of the package, which pip built and installed beside the dependencies of these tests."""
    folder = tmp_path_factory.mktemp("package")
    for name in PARTS:
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder / "source" / name)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", folder / "source"]
    subprocess.run([str(part) for part in install], cwd=folder, check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    link = folder / "venv" / "lib" / version / "site-packages" / "dependencies.pth"
    link.write_text(sysconfig.get_path("purelib"))
    return folder / "venv" / "bin" / "multischema-etl"


def run(command: Path, shop: Shop, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run the command in an empty folder, without a Prefect server; Python finds no checkout."""
    home = shop.directory / "home"
    if not home.exists():
        home.mkdir()
        furnish(home)
    (shop.directory / "empty").mkdir(exist_ok=True)
    # no setting of the tests: a user's Prefect has none
    given = {name: value for name, value in variables({}).items() if not name.startswith(("PREFECT_", "PYTHON"))}
    return subprocess.run(
        [command, *arguments],
        cwd=shop.directory / "empty",
        env={**given, "HOME": str(home), "PREFECT_HOME": str(home), **shop.environment, **changed},
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
        check=False,
    )


def test_the_command_checks_and_publishes_from_an_empty_folder(command: Path, shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    rules = ("--app", shop.app, "--rules", shop.place.rules(RULES))
    checked = run(command, shop, "--check", *rules)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert f"checked {shop.app}: 1 table to copy" in checked.stdout
    assert shop.place.schemas() == set()
    published = run(command, shop, *rules)
    assert (published.returncode, published.stderr) == (0, ""), published.stdout
    assert "Traceback" not in published.stdout
    assert "warning: " not in published.stdout
    assert shop.read("SELECT name FROM {}.users") == [("[valeur unique anonymisée 1]",)]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert shop.read(f"SELECT version FROM etl_report.runs WHERE app = '{shop.app}'") == [(version,)]
    assert list((shop.directory / "empty").iterdir()) == []


def test_the_command_says_its_own_name_and_knows_no_app_by_itself(command: Path, shop: Shop) -> None:
    assert run(command, shop, "--help").stdout.startswith("usage: multischema-etl ")
    unknown = run(command, shop)
    assert unknown.returncode == 2
    assert unknown.stderr == (
        f"error: unknown app {shop.app}: known apps: none; give another --rules, CONFIG_PATH or an entry in prefect.yaml\n"
    )


def test_the_command_looks_into_rules_from_an_empty_folder_without_target_and_reader(command: Path, shop: Shop) -> None:
    shop.place.in_origin(ORIGIN)
    alone = dict.fromkeys(("ETL_DB_URL", "METABASE_USERNAME"), "")
    rules = ("--app", shop.app, "--rules", shop.place.rules(RULES))
    shown = run(command, shop, "rules", "preview", "users", *rules, **alone)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "[valeur unique anonymisée 1]" in shown.stdout
    drafted = run(command, shop, "rules", "draft", "--app", shop.app, **alone)
    assert (drafted.returncode, drafted.stderr) == (0, "")
    assert "table_name: users" in drafted.stdout
    assert run(command, shop, "rules", "rights", *rules, **alone).stdout.startswith("-- in database ")
    misspelt = run(command, shop, "rules", "chek", **alone)
    assert (misspelt.returncode, misspelt.stdout) == (2, "")
    assert misspelt.stderr.startswith("usage: multischema-etl rules [-h] COMMAND")
    assert "(did you mean check?)" in misspelt.stderr
    assert list((shop.directory / "empty").iterdir()) == []


def test_all_files_that_the_code_reads_are_in_the_package(command: Path) -> None:
    (installed,) = command.parent.parent.glob("lib/python*/site-packages/multischema")
    wanted = {path.relative_to(ROOT / "multischema") for path in (ROOT / "multischema").rglob("*") if path.is_file()}
    found = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    assert {path for path in wanted - found if "__pycache__" not in path.parts} == set()
