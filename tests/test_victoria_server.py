"""The VictoriaMetrics of the tests answers as Prometheus does."""

from __future__ import annotations

from pathlib import Path

from victoria_server import VictoriaServer, needs_victoria

pytestmark = needs_victoria
HISTORY = """\
# TYPE hits counter
hits_total{pod="web-1"} 5 1700000000
hits_total{pod="web-1"} 9 1700000060.5
# EOF
"""


def test_it_answers_with_the_history_that_it_was_given(tmp_path: Path) -> None:
    """A sample is there at its second, under its labels."""
    with VictoriaServer(tmp_path / "victoria", history=HISTORY) as server:
        found = server.query("hits_total", at=1700000061)
        assert found == [({"__name__": "hits_total", "pod": "web-1"}, 9.0)]
        assert server.query("hits_total", at=1700000010)[0][1] == 5.0
        assert server.query("hits_total", at=1699999990) == []
