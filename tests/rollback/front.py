"""An API server that fails at patches as told, in front of the real one."""

from __future__ import annotations

import json
from typing import Any

from cluster.scripted import Behaviour, Handler, answer
from rollback.shop import PATH, Shop


class Front:
    """Passes reads on; each patch fails as told, or is passed on, or with `apply` both."""

    def __init__(self, shop: Shop, *patches: Behaviour, apply: bool = False) -> None:
        self._shop = shop
        self._patches = list(patches)
        self._apply = apply

    def __call__(self, handler: Handler) -> None:
        """Answer one request."""
        if handler.command != "PATCH":
            return answer(200, self._shop.cluster.get(handler.path))(handler)
        failing = self._patches.pop(0) if self._patches else None
        body: Any = json.loads(handler.server.requests[-1][3])
        if failing is None or self._apply:
            result = self._shop.cluster.patch(PATH, body)
        return failing(handler) if failing else answer(200, result)(handler)
