"""Flow runs as Scaleway Serverless Jobs: the work pool type `scaleway`, and its worker, `python -m deployment.scaleway`."""

from deployment.scaleway.worker import ScalewayWorker

__all__ = ["ScalewayWorker"]
