from __future__ import annotations

from hypothesis import HealthCheck, settings

# how long a machine takes says nothing about what is right: builders are shared and slow
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
