"""A run in a process of its own, to be killed or interrupted."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from multischema.postgres.database import Database
from tests.conftest import ROOT, Place

SCRIPT = """
import importlib, json, os, signal, sys
from multischema import pipeline
from multischema.job import Job
from multischema.postgres import connecting
from multischema.postgres.database import Database

signal.signal(signal.SIGINT, signal.default_int_handler)
asked = json.load(sys.stdin)
if asked["dies"]:
    when, stage = asked["dies"].split()
    work = getattr(pipeline, stage)

    def die(*arguments, **more):
        if when == "after":
            work(*arguments, **more)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(pipeline, stage, die)
for name, value in asked["constants"].items():
    module, _, constant = name.rpartition(".")
    assert hasattr(importlib.import_module(module), constant), name
    setattr(sys.modules[module], constant, value)
for of_one_side in connecting._SETTINGS.values():
    of_one_side.update(asked["settings"])
origin, target = (Database(kind, "shop", asked[kind]) for kind in ("origin", "target"))
pipeline.run(Job(**asked["job"]), asked["rules"], origin, target)
"""


@contextmanager
def process(
    place: Place,
    rules: str,
    *databases: Database,
    dies: str = "",
    constants: Mapping[str, float] | None = None,
    settings: Mapping[str, str] | None = None,
    **changes: Any,
) -> Iterator[subprocess.Popen[str]]:
    """Give a process that runs the pipeline; `dies` names a stage before or after which it kills itself.

    `constants`, by their full names, and `settings` of its sessions are other ones than the product's.
    """
    origin, target = databases or place.databases()
    asked = {
        "job": vars(place.job(**changes)),
        "origin": origin.url,
        "target": target.url,
        "rules": place.rules(rules),
        "dies": dies,
        "constants": dict(constants or {}),
        "settings": dict(settings or {}),
    }
    running = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert running.stdin
        running.stdin.write(json.dumps(asked))
        running.stdin.close()
        yield running
    finally:
        running.kill()
        running.wait()
        assert running.stderr
        running.stderr.close()
