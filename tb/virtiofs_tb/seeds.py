"""Random streams that depend on nothing but the run's seed, the component's name and the item's index.

A component never shares a generator with another one, so what one draws cannot change what another sees, and an
item's draws do not depend on the order in which earlier items finished.
"""

from __future__ import annotations

import hashlib
import math
import random


def stream(seed: int, path: str, index: int = 0) -> random.Random:
    """The generator of item `index` of the component `path` in the run `seed`."""
    digest = hashlib.sha256(f"{seed}/{path}/{index}".encode()).digest()
    return random.Random(int.from_bytes(digest[:16], "little"))


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    """A number in [low, high] whose logarithm is evenly distributed; low must be above 0."""
    return low * math.exp(rng.random() * math.log(high / low)) if high > low else low
