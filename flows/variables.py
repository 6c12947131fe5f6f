"""The variables of `prefect.yaml`: the one place that fills in `{{ $NAME }}`, for a deploy and for the command line."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Prefect takes seconds to import, and few commands need it
    from prefect.utilities.templating import Placeholder


def declared_variables(content: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the variables that a deploy takes from its environment, each name with its default.

    One without a default (None) must be set; one whose default is the empty text may stay unset.
    """
    definitions = content.get("definitions")
    found = definitions.get("environment") if isinstance(definitions, dict) else None
    if not isinstance(found, dict):
        return {}
    return {str(name): None if default is None else str(default) for name, default in found.items()}


def variables(content: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the declared variables' values, and the names of those without one."""
    values = {name: environment.get(name) or default for name, default in declared_variables(content).items()}
    return (
        {name: value for name, value in values.items() if value is not None},
        [name for name, value in values.items() if value is None],
    )


def resolved(value: Any, values: Mapping[str, str]) -> Any:
    """Return a part of the file with `{{ $NAME }}` replaced; a name without a value stays as it is."""
    if isinstance(value, dict):
        return {key: resolved(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, values) for item in value]
    if isinstance(value, str) and "{{" in value:
        from prefect.utilities.templating import find_placeholders

        for placeholder in find_placeholders(value):
            name = variable(placeholder)
            if name is not None and name in values:
                value = value.replace(placeholder.full_match, values[name])
    return value


def unresolved(texts: Iterable[str]) -> list[str]:
    """Return the names of the variables that texts still have."""
    from prefect.utilities.templating import find_placeholders

    names = (variable(placeholder) for text in texts for placeholder in find_placeholders(text))
    return sorted({name for name in names if name is not None})


def variable(placeholder: "Placeholder") -> str | None:
    """Return the environment variable that a template names, None if it names something else."""
    from prefect.utilities.templating import PlaceholderType

    return placeholder.name.lstrip("$") if placeholder.type is PlaceholderType.ENV_VAR else None
