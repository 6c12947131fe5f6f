"""Everything around the flow: the set-up, the checks of prefect.yaml, the worker of work pools of our own."""

from multischema import environment

environment.prepare()  # before anything here imports Prefect
