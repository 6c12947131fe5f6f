"""What `prefect.yaml` declares, and the flows that it names."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import ParameterSchema, parameter_schema

from multischema.errors import UsageError
from multischema.words import suggestion

ROOT = Path(__file__).parent.parent
FILE = ROOT / "prefect.yaml"
# what a deploy and the command line read of `definitions`; the rest of it must be parts that other parts refer to
DEFINITIONS = ("environment", "silence", "time_limit")


def read(file: Path = FILE) -> dict[str, Any]:
    """Return the file's content.

    Raises UsageError if it is not a YAML mapping, has a duplicate key, or a part of `definitions` that nothing reads.
    """
    try:
        text = file.read_text()
        node = yaml.compose(text, yaml.SafeLoader)
        wrong = [*_twice(node), *_idle(node)]
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file.name}: can't be read: {type(error).__name__}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{file.name}: is not YAML: {' '.join(str(error).split())}") from None
    if wrong:
        raise UsageError(*(f"{file.name}: {problem}" for problem in wrong))
    if not isinstance(content, dict):
        raise UsageError(f"{file.name}: found {type(content).__name__}, want a mapping with `deployments`")
    return content


@cache
def flow(entrypoint: str) -> Flow[Any, Any]:
    """Return the flow of an entrypoint such as `flows/etl.py:etl`. Raises UsageError if there is none."""
    path, _, name = entrypoint.rpartition(":")
    try:
        return load_flow_from_entrypoint(f"{ROOT / path}:{name}")
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"entrypoint {entrypoint}: can't be loaded: {type(error).__name__}: {reason}") from None


@cache
def parameters_of(entrypoint: str) -> ParameterSchema:
    """Return the schema of the parameters that the flow of an entrypoint takes."""
    return parameter_schema(flow(entrypoint))


def _idle(root: yaml.Node | None) -> Iterator[str]:
    """Find parts of `definitions` that nothing reads: a misspelt name would change nothing, and nobody would know."""
    if not isinstance(root, yaml.MappingNode):
        return
    # an alias is the very node that it refers to
    uses = Counter(id(node) for node in _nodes(root))
    for key, definitions in root.value:
        if key.value == "definitions" and isinstance(definitions, yaml.MappingNode):
            for name, part in definitions.value:
                if name.value not in DEFINITIONS and uses[id(part)] == 1:
                    yield (
                        f"line {name.start_mark.line + 1}: definitions.{name.value} is unknown, and nothing refers to it; "
                        f"known are {', '.join(DEFINITIONS)}{suggestion(str(name.value), DEFINITIONS)}"
                    )


def _nodes(node: yaml.Node, seen: set[int] | None = None) -> Iterator[yaml.Node]:
    """Give every node as often as something refers to it, and what is in it once."""
    seen = set() if seen is None else seen
    yield node
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    for part in parts:
        yield from _nodes(part, seen)


def _twice(node: yaml.Node | None, seen: set[int] | None = None) -> Iterator[str]:
    """Find duplicate keys in a mapping: YAML readers silently keep the last one."""
    seen = set() if seen is None else seen
    if node is None or id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if key.value in keys:
                yield f"line {key.start_mark.line + 1}: {key.value} stands twice in one mapping"
            keys.add(key.value)
            yield from _twice(value, seen)
    else:
        for item in node.value:
            yield from _twice(item, seen)
