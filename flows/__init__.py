"""The flow, its stages as Prefect tasks, and the command lines."""

from multischema import environment

environment.prepare()  # before anything here imports Prefect
