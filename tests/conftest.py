"""What holds for all tests: how long one example takes on a busy machine is no defect."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("any-speed", deadline=None)
settings.load_profile("any-speed")
