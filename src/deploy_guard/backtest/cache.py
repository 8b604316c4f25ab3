"""What history said, kept on disk: the past does not change.

Decides what is kept and under which name. A file's name is a hash of the server, the tenant and
the query; the file has the query and its answer, and no address, header or secret.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy_guard.backtest.tracks import Grid, Track
from deploy_guard.errors import GuardError
from deploy_guard.signals.credentials import resolve

if TYPE_CHECKING:
    from deploy_guard.backtest.history import RangeQuery
    from deploy_guard.policy.models import PrometheusConnection

VERSION = 1
SETTLED = 600.0  # seconds after which late samples and slow replicas are there


class Cache:
    """Keeps answers in a directory, which is made when the first one is kept.

    Raises GuardError when the directory cannot be written. A file that cannot be read counts as
    none.
    """

    def __init__(
        self, directory: Path, connection: PrometheusConnection, *, environ: Mapping[str, str]
    ) -> None:
        self._directory = directory
        url = connection.url if isinstance(connection.url, str) else None
        headers = {
            name: value if isinstance(value, str) else value.model_dump()
            for name, value in connection.headers.items()
        }
        # A secret address only goes into the hash.
        address = url if url is not None else resolve(connection.url, environ)  # type: ignore[arg-type]
        self._server = json.dumps([address.rstrip("/"), headers], sort_keys=True)

    def get(self, query: RangeQuery) -> Grid | None:
        """Return the kept answer, None without one."""
        try:
            with gzip.open(self._path(query), "rt", encoding="utf-8") as file:
                document = json.load(file)
            if document["version"] != VERSION or document["query"] != query.text:
                return None
            tracks = tuple(_track(series) for series in document["series"])
        except (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError, RecursionError):
            return None
        return Grid(query.step, query.first, query.last, tracks)

    def put(self, query: RangeQuery, grid: Grid, *, now: float) -> None:
        """Keep an answer whose last moment is long enough ago."""
        if query.end > now - SETTLED:
            return
        series = [{"labels": t.labels, "first": t.first, "values": t.values} for t in grid.tracks]
        document = {
            "version": VERSION,
            "query": query.text,
            "start": query.start,
            "end": query.end,
            "step": query.step,
            "series": series,
        }
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            _write(self._path(query), gzip.compress(json.dumps(document).encode(), 3))
        except OSError as error:
            raise GuardError(
                f"the cache {self._directory} cannot be written: {error.strerror}",
                help="name another directory with --cache, or leave it out",
            ) from error

    def _path(self, query: RangeQuery) -> Path:
        key = json.dumps([self._server, query.text, query.step, query.first, query.last])
        return self._directory / f"{hashlib.sha256(key.encode()).hexdigest()}.json.gz"


def _track(series: Any) -> Track:
    """Return a kept series; raises ValueError, or what a wrong type raises, where it is damaged."""
    labels, first, values = series["labels"], series["first"], series["values"]
    whole = (
        isinstance(first, int)
        and isinstance(values, list)
        and isinstance(labels, dict)
        and all(isinstance(text, str) for pair in labels.items() for text in pair)
        and all(value is None or isinstance(value, int | float) for value in values)
    )
    if not whole:
        raise ValueError("a series was expected")
    return Track(labels, first, values)


def _write(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all; raises OSError."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.replace(file.name, path)  # noqa: PTH105 - atomic, by name
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
