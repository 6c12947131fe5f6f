"""The masks that a rules file can name."""

from multischema.masks.domains import Domain
from multischema.masks.keys import Keys
from multischema.masks.mask import Refined
from multischema.masks.numbers import Bands, Round
from multischema.masks.periods import Period
from multischema.masks.places import Department, Network
from multischema.masks.pseudonyms import Pseudonym
from multischema.masks.values import Values

KINDS: dict[str, type[Refined]] = {
    mask.kind: mask for mask in (Period, Department, Bands, Round, Network, Domain, Values, Keys, Pseudonym)
}
