"""Tests, by room; how fast the machine is on which they run is no matter to Hypothesis."""

from contextlib import suppress

# The demo and the benches do without it.
with suppress(ModuleNotFoundError):
    from hypothesis import HealthCheck, settings

    # Others run beside, and in CI these have what those leave.
    settings.register_profile("loaded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("loaded")
