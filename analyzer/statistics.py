"""Two measures of agreement that need no library: Wilson's interval for a share, and Cohen's kappa."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

_Z_95 = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""


def wilson_interval(part: int, whole: int, z: float = _Z_95) -> tuple[float, float] | None:
    """Wilson's score interval for `part` of `whole`, within 0 and 1; None for an empty whole.

    It stays honest for few notes and for rates near 0 and 1, where the usual interval does not.
    source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927)
    """
    if whole <= 0:
        return None
    rate = part / whole
    spread = z * math.sqrt(rate * (1 - rate) / whole + z * z / (4 * whole * whole))
    middle, scale = rate + z * z / (2 * whole), 1 + z * z / whole
    # The bounds of none and all are exactly 0 and 1; rounding must not move them.
    low = 0.0 if part == 0 else (middle - spread) / scale
    high = 1.0 if part == whole else (middle + spread) / scale
    return low, high


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two readers' labels on the same items, or None where it is not defined.

    It is not defined without items, and where both readers give one and the same label throughout.
    source: J. Cohen, A coefficient of agreement for nominal scales, Educ. Psychol. Meas. 20 (1960)
    """
    if not pairs:
        return None
    total = len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    observed = sum(a == b for a, b in pairs) / total
    expected = sum(first[label] * second[label] for label in first) / (total * total)
    return None if expected == 1 else (observed - expected) / (1 - expected)
