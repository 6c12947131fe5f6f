"""The image, the workflows that build it and the Terraform that runs it, as far as they show without engine and cloud."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

DOCKERFILE = ROOT / "Dockerfile"
TERRAFORM = ROOT / "terraform"


def instructions(word: str) -> list[str]:
    """Return what follows an instruction of the Dockerfile, its lines joined, each time that it stands there."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    return [line.removeprefix(f"{word} ").strip() for line in text.splitlines() if line.startswith(f"{word} ")]


def argv(word: str) -> list[str]:
    """Return the words of the last CMD, ENTRYPOINT or HEALTHCHECK."""
    words: list[str] = json.loads(instructions(word)[-1].partition("CMD ")[2] or instructions(word)[-1])
    return words


def context() -> list[str]:
    """Return the names that .dockerignore lets into the image."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert [line for line in lines[1:] if not line.startswith("!")] == ["**/__pycache__"]
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def workflow(name: str) -> dict[str, Any]:
    """Return a workflow."""
    found: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    return found


def steps(job: dict[str, Any]) -> list[str]:
    """Return what the steps of a job run or use."""
    return [step.get("run") or step["uses"].partition("@")[0] for step in job["steps"]]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Return a folder with what the image has in /app."""
    app = tmp_path / "app"
    app.mkdir()
    (tmp_path / "home").mkdir()
    for name in context():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, app / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, app / name)
    return app


def in_app(app: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as in the image, with nothing of this checkout in reach and no variable set."""
    assert command[0] == "python"
    return subprocess.run(
        [sys.executable, *command[1:]],
        cwd=app,
        env={"PYTHONPATH": str(app), "PATH": "/usr/bin:/bin", "HOME": str(app.parent / "home")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_linter_finds_nothing() -> None:
    linter = Path(sysconfig.get_path("scripts")) / "hadolint"
    found = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == ("", 0)


def test_the_base_is_one_release_of_the_python_that_the_hosts_run() -> None:
    (base,) = instructions("FROM")
    version = (ROOT / ".python-version").read_text().strip()
    assert re.fullmatch(rf"python:{re.escape(version)}\.\d+-slim-[a-z]+", base)


def test_nothing_runs_as_root() -> None:
    user = instructions("USER")[-1]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    (made,) = [line for line in instructions("RUN") if "useradd" in line]
    assert f"--uid {user.split(':')[0]}" in made


def test_requirements_are_installed_as_they_are_locked_and_before_the_code_is_copied() -> None:
    lines = DOCKERFILE.read_text().splitlines()
    (install,) = [line for line in lines if line.startswith("RUN pip")]
    assert {"--require-hashes", "--no-cache-dir", "requirements.txt"} <= set(shlex.split(install))
    order = [lines.index(line) for line in ("COPY requirements.txt .", install, "COPY . .")]
    assert order == sorted(order)


def test_nothing_that_is_built_in_is_a_secret() -> None:
    assert instructions("ARG") == []
    assert not re.search("PASSWORD|SECRET|TOKEN|KEY|AUTH|URL", " ".join(instructions("ENV")))
    assert not [name for name in context() if name.startswith(".")]


def test_all_that_gets_in_is_there(app: Path) -> None:
    assert {path.name for path in app.iterdir()} == set(context())
    assert {"requirements.txt", "prefect.yaml", "prefect.toml"} <= set(context())


def test_the_image_knows_its_version(app: Path) -> None:
    said = in_app(app, "python", "-c", "from multischema.version import VERSION; print(VERSION)")
    assert said.stdout.strip() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_what_gets_in_is_all_that_it_needs(app: Path) -> None:
    packages = [name for name in context() if (app / name).is_dir()]
    modules = [path.relative_to(app).with_suffix("") for name in packages for path in (app / name).rglob("*.py")]
    names = [".".join(path.parts) for path in modules if path.name != "__init__"]
    assert {"flows.etl", "blocks.register", "deployment.setup", "deployment.scaleway.__main__"} <= set(names)
    imported = in_app(app, "python", "-c", f"import importlib\nfor name in {names}: importlib.import_module(name)")
    assert (imported.stderr, imported.returncode) == ("", 0)


def test_without_a_command_it_publishes_the_app_of_its_environment(app: Path) -> None:
    assert argv("CMD") == ["python", "-m", "flows.etl"]
    run = in_app(app, *argv("CMD"))
    assert (run.returncode, run.stderr) == (2, "error: no app: want --app, or APP in the environment\n")


def test_its_command_etl_is_the_command_line(app: Path, tmp_path: Path) -> None:
    (made,) = [line for line in instructions("RUN") if "/usr/local/bin/etl" in line]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    subprocess.run(["sh", "-c", made.replace("/usr/local/bin", str(tmp_path / "bin"))], check=True)
    for command in ("etl", "etl rules preview"):
        run = subprocess.run(
            [*command.split(), "--app", "of two words", "--rules"],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{app}:{sysconfig.get_path('purelib')}", "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr.startswith(f"usage: {command} [-h] [--app ")
        assert run.stderr.endswith("error: argument --rules: expected one argument\n")


def test_a_stop_reaches_its_command() -> None:
    assert argv("ENTRYPOINT") == ["tini", "--"]
    assert any(re.search(r"apt-get install .*\btini\b", line) for line in instructions("RUN"))


class Health(BaseHTTPRequestHandler):
    """Answer as a worker does that was started --with-healthcheck."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """Return a port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


def healthy(port: int) -> bool:
    """Tell what the health check says of a container whose worker would answer at a port."""
    environment = {**os.environ, "PREFECT_WORKER_WEBSERVER_PORT": str(port)}
    return subprocess.run(argv("HEALTHCHECK"), env=environment, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(("status", "expected"), [(200, True), (503, False), (404, False)])
def test_a_worker_is_as_healthy_as_it_says(status: int, expected: bool) -> None:
    handler = type("Health", (Health,), {"status": status})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert healthy(server.server_address[1]) is expected
        server.shutdown()


def test_a_container_without_a_worker_is_not_ill(port: int) -> None:
    assert healthy(port)


def test_ci_runs_the_checks_and_the_tests_and_the_image_on_a_postgres_server() -> None:
    jobs = workflow("ci.yml")["jobs"]
    assert steps(jobs["tests"])[-1] == ".ci/run"
    assert jobs["image"]["services"]["postgres"]["image"].startswith("postgres:")
    assert steps(jobs["image"])[-2:] == ["docker/build-push-action", ".ci/image etl:ci"]
    for script in ("run", "image"):
        assert os.access(ROOT / ".ci" / script, os.X_OK)
        subprocess.run(["bash", "-n", ROOT / ".ci" / script], check=True)


def test_an_image_is_pushed_only_once_ci_has_passed_and_bears_branch_tag_commit_and_latest() -> None:
    jobs = workflow("image.yml")["jobs"]
    assert jobs["ci"] == {"uses": "./.github/workflows/ci.yml"}
    assert jobs["push"]["needs"] == "ci"
    (metadata,) = [step["with"] for step in jobs["push"]["steps"] if step.get("id") == "metadata"]
    assert metadata["images"] == "ghcr.io/${{ github.repository }}"
    assert metadata["tags"].split() == [
        "type=ref,event=branch",
        "type=ref,event=tag",
        "type=sha,format=long,prefix=",
        "type=raw,value=latest,enable={{is_default_branch}}",
    ]


@pytest.mark.parametrize("name", ["ci.yml", "image.yml"])
def test_a_workflow_may_read_the_code_and_only_the_push_may_write_packages(name: str) -> None:
    found = workflow(name)
    text = (ROOT / ".github" / "workflows" / name).read_text()
    assert found["permissions"] == {"contents": "read"}
    allowed = {job: steps_["permissions"] for job, steps_ in found["jobs"].items() if "permissions" in steps_}
    assert allowed == ({"push": {"contents": "read", "packages": "write"}} if name == "image.yml" else {})
    assert set(re.findall(r"secrets\.(\w+)", text)) <= {"GITHUB_TOKEN"}
    assert all(
        re.fullmatch(r"[\w-]+/[\w-]+@v\d+|\./\.github/workflows/ci\.yml", used) for used in re.findall(r"uses: (\S+)", text)
    )


def test_terraform_declares_what_it_uses_and_uses_what_it_declares() -> None:
    text = "".join(file.read_text() for file in sorted(TERRAFORM.glob("*.tf")))
    declared = set(re.findall(r'^variable "(\w+)"', text, re.MULTILINE))
    assert declared == set(re.findall(r"\bvar\.(\w+)", text))
    named = set(re.findall(r'^(?:resource|data) "(\w+)" "(\w+)"', text, re.MULTILINE))
    used = set(re.findall(r"\b(scaleway_\w+)\.(\w+)", text))
    assert used <= named
    assert set(re.findall(r'^output "(\w+)"', text, re.MULTILINE)) == {"job_definition_id", "worker_application_id"}


def test_terraform_leaves_schedules_to_prefect_and_passwords_to_secret_manager() -> None:
    text = "".join(re.sub(r"#.*", "", file.read_text()) for file in sorted(TERRAFORM.glob("*.tf")))
    assert not re.search(r"^\s*(cron|retry_policy)\b", text, re.MULTILINE)
    assert "scaleway_secret_version" not in text
    assert "scaleway_iam_api_key" not in text
