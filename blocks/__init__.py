"""The Secret blocks that hold the database URLs and keys: their names, how they are loaded and registered."""

from multischema import environment

environment.prepare()  # before anything here imports Prefect
