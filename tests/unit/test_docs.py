"""What docs/ says is true: its commands, options, variables and links exist."""

import importlib.util
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prefect.cli._app import _app as prefect_cli

from flows.apps import known_apps
from multischema.masks.known import KINDS
from multischema.postgres.refusals import advice
from tests.conftest import OWN, ROOT

DOCS = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "SECURITY.md", ROOT / "LISEZMOI.md"]
PAGES = [ROOT / "docs" / name for name in ("local.md", "one-machine.md", "scaleway.md", "scalingo.md")]
SOMEBODY = "11111111-1111-1111-1111-111111111111"  # where a page says ID
OTHERS = {
    "PASSWORD",
    "READ_ONLY_USER",
    "DATABASE",
    "COMMIT",
    "FILE_OR_URL",
    "SECRET_ID",
    "ID",
    "END",
}  # for the reader to fill in


def in_consoles(page: Path) -> list[str]:
    """Return the commands of a page's consoles, each on one line."""
    text = "\n".join(re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)).replace("\\\n", " ")
    return [line.split("$ ", 1)[1].strip() for line in text.splitlines() if line.strip().startswith("$ ")]


def in_lines(page: Path) -> list[str]:
    """Return what a page shows as code within its sentences and tables."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def commands(program: str) -> list[str]:
    """Return what follows a program, wherever the pages call it."""
    found = []
    for page in DOCS:
        for line in [part for command in in_consoles(page) for part in re.split(r"&&|\|\|", command)] + in_lines(page):
            if match := re.search(rf"(?:^|[ /]){program} (.+)", line):
                found.append(match.group(1))
    return sorted(set(found))


def command_of(line: str) -> str:
    """Return what a line calls: a module, and its command if it has several."""
    module, *words = line.split()
    return " ".join([module, *(words[:1] if module == "flows.rules" else ())])


def help_of(command: str) -> str:
    """Return what a command says of itself."""
    called = [sys.executable, "-m", *command.split(), "--help"]
    return subprocess.run(called, cwd=OWN, capture_output=True, text=True, check=True).stdout


def test_metabase_alerts_after_the_hours_of_prefect_yaml() -> None:
    said = re.search(r"FROM \(VALUES (.*?)\) AS wanted \(schema, hours\)", (ROOT / "docs" / "metabase.md").read_text())
    assert said
    hours = {schema: int(number) for schema, number in re.findall(r"\('(\w+)', (\d+)\)", said[1])}
    assert hours == {app.schema or app.name: app.silence for app in known_apps().values()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_goes_from_nothing_to_day_to_day_and_to_failures(page: Path) -> None:
    text = page.read_text()
    first, _, rest = text.partition("\n## From nothing to the first published app\n")[2].partition("\n## Day to day\n")
    steps = re.findall(r"^(\d+)\. ", first, re.MULTILINE)
    assert steps == [str(number + 1) for number in range(len(steps))]
    assert len(steps) >= 6
    for topic in ("run now", "add an app", "rotate", "roll", "failed"):
        assert topic in rest, topic


@pytest.mark.slow
def test_every_module_that_is_run_exists_and_has_the_options_that_are_given() -> None:
    called = commands("python -m")
    modules = {line.split()[0] for line in called}
    assert {"flows.etl", "flows.rules", "blocks.register", "deployment.setup", "deployment.scaleway"} <= modules
    given = {line: {word for word in line.split()[1:] if word.startswith("--")} for line in called}
    for module in modules:
        assert importlib.util.find_spec(module), module
    with_options = sorted({command_of(line) for line, options in given.items() if options})
    with ThreadPoolExecutor(2) as executor:
        helps = dict(zip(with_options, executor.map(help_of, with_options), strict=True))
    for line, options in given.items():
        if options:
            assert options <= set(re.findall(r"--[a-z-]+", helps[command_of(line)])), line


def test_every_make_command_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {line.split()[0] for line in commands("make")}
    assert {"install", "deploy"} <= called
    assert called <= targets


def test_every_prefect_command_is_understood_by_prefect() -> None:
    called = commands("bin/prefect")
    assert any(line.startswith("deployment run") for line in called)
    for line in called:
        words = [SOMEBODY if word == "ID" else word for word in shlex.split(line)]
        prefect_cli.parse_args(words, exit_on_error=False, print_error=False)


def test_every_app_that_is_named_is_a_deployment() -> None:
    deployments = set(re.findall(r"^    name: (\w+)$", (ROOT / "prefect.yaml").read_text(), re.MULTILINE))
    named = {match for page in DOCS for match in re.findall(r"(?<!-)\betl/(\w+)", page.read_text())}
    assert named
    assert named <= deployments


def test_every_variable_that_is_named_is_read_somewhere() -> None:
    folders = ("blocks", "deployment", "flows", "multischema", "terraform")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".sh", ".tf")]
    files += [ROOT / name for name in ("prefect.yaml", "Procfile", ".env.example")]
    read = "\n".join(path.read_text() for path in files)
    for page in PAGES:
        code = "\n".join(
            [*in_consoles(page), *in_lines(page), *re.findall(r"```dotenv\n(.*?)```", page.read_text(), re.DOTALL)]
        )
        names = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", code)) - OTHERS
        # Prefect's and Scalingo's own
        own = {"PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "SCALINGO_APP", "SCALINGO_REGION", "SCALINGO_POSTGRESQL_URL"}
        missing = sorted(name for name in names - own if not re.search(rf"\b{name}\b", read))
        assert missing == [], page.name


def test_every_link_and_picture_leads_to_a_file() -> None:
    for page in [*DOCS, ROOT / "README.md"]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if not target.startswith("https://"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_test_that_is_named_exists() -> None:
    named = {name for page in DOCS for name in re.findall(r"`(tests/[\w/]+\.py)`", page.read_text())}
    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_pictures_are_small_and_used() -> None:
    text = "".join(page.read_text() for page in [*DOCS, ROOT / "README.md"])
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    for picture in pictures:
        assert f"images/{picture.name})" in text, picture.name
        assert picture.stat().st_size < 200_000, picture.name


def test_what_terraform_is_asked_and_given_is_declared_and_nothing_is_missing() -> None:
    page = (ROOT / "docs" / "scaleway.md").read_text()
    blocks = (ROOT / "terraform" / "variables.tf").read_text().split('variable "')[1:]
    variables = {block.partition('"')[0]: "default " in block for block in blocks}
    given = set(re.findall(r"^ *(\w+) += ", page.split("terraform.tfvars <<END")[1].split("END")[0], re.MULTILINE))
    assert given == {name for name, has_default in variables.items() if not has_default}
    assert set(re.findall(r"-var (\w+)=", page)) <= variables.keys()
    outputs = re.findall(r'^output "(\w+)"', (ROOT / "terraform" / "outputs.tf").read_text(), re.MULTILINE)
    assert set(re.findall(r"output -raw (\w+)", page)) == set(outputs)


def test_every_refusal_of_a_connection_that_is_explained_has_its_advice() -> None:
    page = (ROOT / "docs" / "connections.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", page.partition("\n## When one is refused\n")[2].partition("\n## ")[0], re.MULTILINE)
    said = [each for row in rows for each in re.findall(r"`([^`]+)`", row)]
    assert len(said) > 10
    assert [each for each in said if not advice(each, tuple)] == []


def test_every_mask_is_explained_with_the_types_that_it_takes() -> None:
    page = (ROOT / "docs" / "masks.md").read_text().partition("\n## What each mask publishes\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE)
    assert {kind: re.findall(r"`(\w+)`", types) for kind, types in rows} == {
        kind: list(mask.fits) for kind, mask in KINDS.items()
    }
