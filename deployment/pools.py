"""The work pools, with their types and base job templates."""

from collections.abc import Callable, Iterator
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.workers.base import BaseWorker
from prefect.workers.process import ProcessWorker

from multischema.errors import UsageError

Worker = type[BaseWorker[Any, Any, Any]]


def _scaleway() -> Worker:
    from deployment.scaleway import ScalewayWorker

    return ScalewayWorker


WORKERS: dict[str, Callable[[], Worker]] = {"scalingo": lambda: ProcessWorker, "scaleway": _scaleway}


def template(pool: str) -> dict[str, Any]:
    """Return the base job template of a work pool, from its worker's class."""
    return WORKERS[pool]().get_default_base_job_template()


def set_up(client: SyncPrefectClient, names: list[str]) -> Iterator[str]:
    """Create work pools or update their base job templates; yield what was done to each."""
    for name in names:
        type_ = WORKERS[name]().type
        try:
            found = client.read_work_pool(name)
        except ObjectNotFound:
            client.create_work_pool(WorkPoolCreate(name=name, type=type_, base_job_template=template(name)))
            yield f"work pool {name}: created, type {type_}"
            continue
        if found.type != type_:
            raise UsageError(
                f"work pool {name}: found type {found.type}, want {type_}, and a type can't be changed: "
                f"`prefect work-pool delete {name}`, then set up again"
            )
        if found.base_job_template == template(name):
            yield f"work pool {name}: unchanged"
        else:
            client.update_work_pool(name, WorkPoolUpdate(base_job_template=template(name)))
            yield f"work pool {name}: updated its base job template"
