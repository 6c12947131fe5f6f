"""The masks that a rules file can name."""

from multischema.masks.mask import Refined
from multischema.masks.periods import Period

KINDS: dict[str, type[Refined]] = {mask.kind: mask for mask in (Period,)}
