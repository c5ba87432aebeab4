"""Tests, by room; how fast the machine is on which they run is no matter to Hypothesis.

With ``FLOCON_TESTS=few`` it tries few examples of each: where a package is made, it is to be seen
that all runs with what that machine has, and what is made up at random was tried elsewhere.
"""

import os
from contextlib import suppress
from typing import Any

#: The examples that are few.
FEW = 5

# The demo and the benches do without it.
with suppress(ModuleNotFoundError):
    from hypothesis import HealthCheck, settings

    # Others run beside, and in CI these have what those leave.
    settings.register_profile("loaded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("few", settings.get_profile("loaded"), max_examples=FEW)
    settings.load_profile("loaded")
    if os.environ.get("FLOCON_TESTS") == "few":
        settings.load_profile("few")
        _begin = settings.__init__

        def _with_few(self: settings, *arguments: Any, **values: Any) -> None:
            """Have a test that says how many it wants no more either."""
            if "max_examples" in values:
                values["max_examples"] = min(values["max_examples"], FEW)
            _begin(self, *arguments, **values)

        settings.__init__ = _with_few  # type: ignore[method-assign]
