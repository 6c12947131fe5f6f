"""Findings as tests compare them: what they say, without the side and the line of the file that stand in front."""

from collections.abc import Iterable

from multischema.findings import Finding


def texts(found: Iterable[Finding]) -> tuple[str, ...]:
    """Return what each finding says, and what to do."""
    return tuple("; ".join(filter(None, (finding.what, finding.todo))) for finding in found)
