"""The command line: whose database, whose rules, and what is missing."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from blocks import urls
from flows import apps, command_line
from flows.apps import known_apps
from flows.etl import etl
from multischema.errors import UsageError
from multischema.job import Job

TARGET = {"ETL_DB_URL": "postgresql://etl@target/analytics", "METABASE_USERNAME": "metabase"}
ORIGIN = {"ORIGIN_DB_URL": "postgresql://origin"}
OWN = {
    "rdvs": "RDV_SOLIDARITES_DB_URL",
    "rdvsp": "RDV_SERVICE_PUBLIC_DB_URL",
    "rdvi": "RDV_INSERTION_DB_URL",
}
RULES = {
    "rdvs": "https://raw.githubusercontent.com/betagouv/rdv-service-public/production/config/anonymizer.yml",
    "rdvsp": "https://raw.githubusercontent.com/betagouv/rdv-service-public/production/config/anonymizer.yml",
    "rdvi": "https://raw.githubusercontent.com/gip-inclusion/rdv-insertion/main/config/anonymizer.yml",
    "aei": (
        "https://gitlab.com/incubateur-territoires/startups/agents-intervention/agents-en-intervention/"
        "-/raw/main/config.etl.yml"
    ),
}


@pytest.fixture(autouse=True)
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the URLs that the command gives to the stages, by block, and forget them after the test."""
    blocks: dict[str, str] = {}
    monkeypatch.setattr(urls, "_given", blocks)
    return blocks


def resolve(environment: Mapping[str, str], *arguments: str) -> dict[str, object]:
    """Return the flow's parameters for a command in an environment."""
    return command_line.resolve(etl, command_line.parser(etl, "python -m flows.etl").parse_args(arguments), environment)


def problems(environment: Mapping[str, str], *arguments: str) -> list[str]:
    """Return the lines of a command that can't be used, whose exit status is 2."""
    with pytest.raises(UsageError) as caught:
        resolve(environment, *arguments)
    assert caught.value.exit_status == 2
    return list(caught.value.problems)


def test_the_known_apps_and_their_rules_stand_in_prefect_yaml() -> None:
    assert {name: app.rules for name, app in known_apps().items()}.items() >= RULES.items()


@pytest.mark.parametrize(("app", "variable"), OWN.items())
def test_a_known_app_has_its_own_variable_and_its_own_rules(app: str, variable: str, given: dict[str, str]) -> None:
    others = {name: f"postgresql://{name}" for name in [*OWN.values(), "ORIGIN_DB_URL"]}
    parameters = resolve({**TARGET, **others, "CONFIG_PATH": "other.yml"}, "--app", app)
    assert parameters == {
        "app": app,
        "rules": RULES[app],
        "schema": app,
        "origin_schema": "public",
        "reader": "metabase",
        "jobs": 4,
        "lock_wait": 3600,
        "mode": "stream",
        "from_dump": "",
        "keep_dump": False,
        "clear_raw": False,
        "schema_reader": [],
        "accept_drop": [],
        "drop_rows": 100,
        "drop_percent": 50,
        "report_schema": "etl_report",
        "scan": "changed",
        "strict_scan": False,
        "check": False,
        "indexes": "useful",
        "drop_dependants": False,
        "adopt": False,
        "refresh": "auto",
        "full_every": 7,
    }
    assert given == {f"{app}-db-url": f"postgresql://{variable}", "etl-db-url": TARGET["ETL_DB_URL"]}


def test_what_the_entry_of_an_app_says_wins_over_the_flow_and_the_command_over_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "prefect.yaml").write_text(
        "definitions: {environment: {HISTORY: ours}}\n"
        "deployments: [{name: nobody, parameters: {app: nobody, rules: mine.yml, report_schema: '{{ $HISTORY }}', "
        "drop_rows: 7, full_every: 3, accept_drop: [users]}}]"
    )
    monkeypatch.setattr(apps, "_FILE", tmp_path / "prefect.yaml")
    parameters = resolve({**TARGET, **ORIGIN}, "--app", "nobody", "--full-every", "5")
    assert (parameters["report_schema"], parameters["drop_rows"], parameters["full_every"]) == ("ours", 7, 5)
    assert (parameters["accept_drop"], parameters["drop_percent"]) == (["users"], 50)
    assert resolve({**TARGET, **ORIGIN, "HISTORY": "theirs"}, "--app", "nobody")["report_schema"] == "theirs"


READERS = {
    "rdvs": "RDV_SOLIDARITES_SCHEMA_READER_USERNAME",
    "rdvsp": "RDV_SERVICE_PUBLIC_SCHEMA_READER_USERNAME",
    "rdvi": "RDV_INSERTION_SCHEMA_READER_USERNAME",
}


@pytest.mark.parametrize(("app", "variable"), READERS.items())
def test_a_known_app_has_its_own_schema_readers_unless_the_command_names_others(app: str, variable: str) -> None:
    environment = {**TARGET, OWN[app]: "postgresql://origin", **{name: f"{name}-1, {name}-2" for name in READERS.values()}}
    assert resolve(environment, "--app", app)["schema_reader"] == [f"{variable}-1", f"{variable}-2"]
    assert resolve({**environment, variable: " ,"}, "--app", app)["schema_reader"] == []
    assert resolve({**environment, "APP": "aei", **ORIGIN}, "--app", "aei")["schema_reader"] == []
    said = resolve(environment, "--app", app, "--schema-reader", "team", "--schema-reader", "other, third")
    assert Job.of(said, "0123abcd").readers == ("metabase", "team", "other", "third")


def test_an_app_of_prefect_yaml_has_the_schema_readers_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apps, "_FILE", tmp_path / "prefect.yaml")
    (tmp_path / "prefect.yaml").write_text(
        'definitions: {environment: {AEI_TEAM: "", AEI_GUESTS: "", AEI_AUDIT: "auditor, second"}}\n'
        "deployments: [{parameters: {app: aei, rules: mine.yml, "
        'schema_reader: [analysts, "{{ $AEI_TEAM }}", "{{ $AEI_GUESTS }}", "{{ $AEI_AUDIT }}"]}}]'
    )

    def readers(**environment: str) -> object:
        return resolve({**TARGET, **ORIGIN, **environment}, "--app", "aei")["schema_reader"]

    assert readers(AEI_TEAM="one,two") == ["analysts", "one", "two", "auditor", "second"]
    # an empty variable has its default, as in a deploy: to take its rights, change the file
    assert readers(AEI_AUDIT="") == ["analysts", "auditor", "second"]
    assert readers(AEI_AUDIT="other") == ["analysts", "other"]


def test_a_schema_reader_whose_variable_has_no_value_is_a_usage_error_as_in_a_deploy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    """A run without it would take the rights from a reader that the deployment has."""
    monkeypatch.setattr(apps, "_FILE", tmp_path / "prefect.yaml")
    (tmp_path / "prefect.yaml").write_text(
        "definitions: {environment: {AEI_TEAM: }}\n"
        'deployments: [{parameters: {app: aei, rules: mine.yml, schema_reader: ["{{ $AEI_TEAM }}"]}}]'
    )
    assert problems({**TARGET}, "--app", "aei") == [
        "missing variable AEI_TEAM: prefect.yaml has no default for it",
        "missing variable ORIGIN_DB_URL: want the URL of the origin aei",
    ]
    assert given == {}
    assert resolve({**TARGET, **ORIGIN}, "--app", "aei", "--schema-reader", "other")["schema_reader"] == ["other"]


def test_a_reader_that_is_named_twice_is_one() -> None:
    arguments = ("--app", "nobody", "--rules", "mine.yml", *("--schema-reader", "team") * 2, "--schema-reader", "metabase")
    job = Job.of(resolve({**TARGET, **ORIGIN}, *arguments), "0123abcd")
    assert job.readers == ("metabase", "team")


@pytest.mark.parametrize(("app", "variable"), OWN.items())
def test_the_other_origin_and_the_other_rules_never_apply_to_a_known_app(
    app: str, variable: str, given: dict[str, str]
) -> None:
    environment = {**TARGET, **ORIGIN, "CONFIG_PATH": "other.yml"}
    assert problems(environment, "--app", app) == [f"missing variable {variable}: want the URL of the origin {app}"]
    assert problems({**environment, "APP": app}) == [f"missing variable {variable}: want the URL of the origin {app}"]
    assert given == {}


def test_another_app_has_the_other_origin_and_the_other_rules(given: dict[str, str]) -> None:
    parameters = resolve({**TARGET, **ORIGIN, "CONFIG_PATH": "other.yml", "APP": "nobody"})
    assert (parameters["app"], parameters["rules"], parameters["schema"]) == ("nobody", "other.yml", "nobody")
    assert given["nobody-db-url"] == ORIGIN["ORIGIN_DB_URL"]


def test_an_app_of_prefect_yaml_without_a_variable_has_the_other_origin_and_its_own_rules(given: dict[str, str]) -> None:
    parameters = resolve({**TARGET, **ORIGIN, "CONFIG_PATH": "other.yml"}, "--app", "aei")
    assert parameters["rules"] == RULES["aei"]
    assert given["aei-db-url"] == ORIGIN["ORIGIN_DB_URL"]


def test_the_rules_that_are_asked_for_stand_above_all_others() -> None:
    environment = {**TARGET, **ORIGIN, "RDV_INSERTION_DB_URL": "postgresql://rdvi", "CONFIG_PATH": "other.yml"}
    assert resolve(environment, "--app", "nobody", "--rules", "mine.yml")["rules"] == "mine.yml"
    assert resolve(environment, "--app", "rdvi", "--rules", "mine.yml")["rules"] == "mine.yml"


def test_the_app_that_is_asked_for_stands_above_the_environment_s(given: dict[str, str]) -> None:
    environment = {**TARGET, "APP": "nobody", "RDV_INSERTION_DB_URL": "postgresql://rdvi"}
    assert resolve(environment, "--app", "rdvi")["app"] == "rdvi"
    assert given["rdvi-db-url"] == "postgresql://rdvi"


@pytest.mark.parametrize("owner", ["nobody", "aei"])
@pytest.mark.parametrize("app", ["other", "aei"])
def test_the_other_origin_belongs_to_the_app_of_the_environment(owner: str, app: str, given: dict[str, str]) -> None:
    environment = {**TARGET, **ORIGIN, "APP": owner, "CONFIG_PATH": "nobody.yml"}
    if app == owner:
        assert resolve(environment, "--app", app)["app"] == app
    else:
        assert problems(environment, "--app", app) == [f"ORIGIN_DB_URL belongs to APP={owner}, not to {app}"]
        assert given == {}


def test_the_other_origin_is_no_known_app_s_even_if_the_environment_names_one(given: dict[str, str]) -> None:
    assert resolve({**TARGET, **ORIGIN, "APP": "rdvs"}, "--app", "nobody", "--rules", "mine.yml")["app"] == "nobody"
    assert given["nobody-db-url"] == ORIGIN["ORIGIN_DB_URL"]


MISSING = {
    "ORIGIN_DB_URL": "missing variable ORIGIN_DB_URL: want the URL of the origin nobody",
    "ETL_DB_URL": "missing variable ETL_DB_URL: want the URL of the target",
    "METABASE_USERNAME": "missing variable METABASE_USERNAME: want the role that Metabase reads with",
    "CONFIG_PATH": (
        f"unknown app nobody: known apps: {', '.join(sorted(known_apps()))}; "
        "give another --rules, CONFIG_PATH or an entry in prefect.yaml"
    ),
    "APP": "no app: want --app, or APP in the environment",
}


@pytest.mark.parametrize("variable", MISSING)
@pytest.mark.parametrize("kind", ["absent", "empty"])
def test_a_missing_variable_is_named(variable: str, kind: str) -> None:
    environment = {**TARGET, **ORIGIN, "CONFIG_PATH": "other.yml", "APP": "nobody"}
    if kind == "absent":
        del environment[variable]
    else:
        environment[variable] = ""
    assert problems(environment) == [MISSING[variable]]


def test_all_that_is_missing_is_named_at_once(given: dict[str, str]) -> None:
    lines = [MISSING[name] for name in ("CONFIG_PATH", "ORIGIN_DB_URL", "ETL_DB_URL", "METABASE_USERNAME")]
    assert problems({"APP": "nobody"}) == lines
    assert given == {}


@pytest.mark.parametrize("name", ["Shop", "my_shop", "-nobody", "nobody-", "../nobody", "nobody\n", "é"])
def test_a_name_that_no_app_can_have_is_refused(name: str) -> None:
    assert problems({**TARGET, **ORIGIN, "CONFIG_PATH": "other.yml"}, f"--app={name}") == [
        f"app {name!r}: want a name of lowercase letters, digits and dashes"
    ]


def test_names_and_numbers_of_the_command_become_parameters() -> None:
    arguments = ["--app", "nobody", "--rules", "mine.yml", "--schema", "Shop 2", "--origin-schema", "sales", "--jobs", "32"]
    arguments += ["--reader", "analyst", "--lock-wait", "5"]
    arguments += ["--mode", "dump", "--keep-dump", "--clear-raw", "--indexes", "all", "--drop-dependants", "--adopt"]
    arguments += ["--refresh", "full", "--full-every", "30", "--accept-drop", "users", "--accept-drop", "Old orders"]
    arguments += ["--schema-reader", "team", "--drop-rows", "7", "--drop-percent", "90", "--report-schema", "history"]
    assert resolve({**TARGET, **ORIGIN}, *arguments) == {
        "app": "nobody",
        "rules": "mine.yml",
        "schema": "Shop 2",
        "origin_schema": "sales",
        "reader": "analyst",
        "jobs": 32,
        "lock_wait": 5,
        "mode": "dump",
        "from_dump": "",
        "keep_dump": True,
        "clear_raw": True,
        "indexes": "all",
        "drop_dependants": True,
        "adopt": True,
        "refresh": "full",
        "full_every": 30,
        "accept_drop": ["users", "Old orders"],
        "schema_reader": ["team"],
        "drop_rows": 7,
        "drop_percent": 90,
        "report_schema": "history",
        "scan": "changed",
        "strict_scan": False,
        "check": False,
    }


METABASE = {"METABASE_URL": "https://metabase.example.org", "METABASE_DATABASE_ID": "2", "METABASE_API_KEY": "k3y"}


@pytest.mark.parametrize(
    ("changed", "warning"),
    [
        (
            {"METABASE_DATABASE_ID": "", "METABASE_API_KEY": ""},
            "missing variable METABASE_DATABASE_ID and METABASE_API_KEY: to tell Metabase, want METABASE_URL, "
            "METABASE_DATABASE_ID, METABASE_API_KEY",
        ),
        ({"METABASE_URL": "http://metabase.example.org"}, "METABASE_…: url: not https; the key would be read on the way: "),
        ({"METABASE_API_KEY": "hush hush"}, "METABASE_…: key: want the text that Metabase has in its own variable"),
    ],
)
def test_a_metabase_that_can_not_be_told_is_a_warning_and_no_usage_error(
    changed: dict[str, str], warning: str, given: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--app", "nobody", "--rules", "mine.yml")
    assert resolve({**TARGET, **ORIGIN, **METABASE, **changed}, *arguments)["app"] == "nobody"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {warning}")
    assert line.endswith("; these variables are ignored")
    assert "hush" not in line
    assert set(given) == {"nobody-db-url", "etl-db-url"}
    assert resolve({**TARGET, **ORIGIN, **METABASE}, *arguments)["app"] == "nobody"
    assert capsys.readouterr().err == ""
    assert "metabase-notify" in given


def test_a_backup_needs_no_origin_and_is_not_for_a_check() -> None:
    assert resolve(TARGET, "--app", "nobody", "--rules", "mine.yml", "--from-dump", "backup")["from_dump"] == "backup"
    assert problems(TARGET, "--app", "nobody", "--rules", "mine.yml", "--from-dump", "backup", "--check") == [
        "check writes nothing, but reading the catalog of from_dump restores its structure: leave out one of the two"
    ]


@pytest.mark.parametrize("jobs", ["0", "33", "-1", "two", "1.5", "", "²"])
def test_a_number_of_jobs_that_makes_no_sense_is_a_usage_error(jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        resolve({}, f"--jobs={jobs}")
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"python -m flows.etl: error: argument --jobs: {jobs!r}: want a number from 1 to 32"
    )


def test_every_parameter_of_the_flow_is_an_option_with_its_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        resolve({}, "--help")
    said = " ".join(capsys.readouterr().out.split())
    for name, shown in etl.parameters.properties.items():
        option = f"--{name.replace('_', '-')}"
        assert option in said
        assert f"{' '.join(shown['description'].split())}" in said.replace(f"{option} ", "")


def test_what_the_command_does_not_say_is_as_the_flow_has_it() -> None:
    parameters = resolve({**TARGET, **ORIGIN}, "--app", "nobody", "--rules", "mine.yml")
    defaults = {name: shown["default"] for name, shown in etl.parameters.properties.items() if "default" in shown}
    assert {name: parameters[name] for name in defaults} == {**defaults, "schema": "nobody"}
    assert set(parameters) == set(etl.parameters.properties)


def test_a_job_takes_all_parameters_of_the_flow_but_the_rules() -> None:
    parameters = resolve({**TARGET, **ORIGIN}, "--app", "nobody", "--rules", "mine.yml", "--schema", "sales", "--adopt")
    job = Job.of(parameters, "0123abcd", "89efcdab")
    own = {"id": "0123abcd", "names": "89efcdab"}
    expected = {name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()}
    assert asdict(job) == {**{name: value for name, value in expected.items() if name != "rules"}, **own}
    assert Job.of({**parameters, "schema": ""}, "0123abcd").schema == "nobody"


def test_without_prefect_yaml_no_app_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "_FILE", tmp_path / "prefect.yaml")
    assert problems({**TARGET, **ORIGIN, "APP": "shop"}) == [
        "unknown app shop: known apps: none; give another --rules, CONFIG_PATH or an entry in prefect.yaml"
    ]
    assert resolve({**TARGET, **ORIGIN}, "--app", "nobody", "--rules", "mine.yml")["rules"] == "mine.yml"
