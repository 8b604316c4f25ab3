"""The same scene again and again, and `guard` killed at one write further each time.

Decides where a scene begins; what must hold after a second run is each test's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from cluster.scripted import kubeconfig
from deploy_guard.embedded.cluster import EmbeddedCluster
from killing.proxy import KillingProxy, Side, Write
from killing.running import run_and_kill, run_guard
from rollback.shop import Shop

MOST_WRITES = 60


@dataclass(frozen=True, slots=True)
class Scene:
    """A cluster, the proxy before it, and a kubeconfig that leads to the proxy."""

    shop: Shop
    proxy: KillingProxy
    kubeconfig: Path

    def guard(self, arguments: Sequence[str]) -> CompletedProcess[str]:
        """Run `guard` to its end."""
        return run_guard(arguments, self.kubeconfig)

    def sent(self, text: str) -> list[Write]:
        """Return the writes so far whose content has this text."""
        return [write for write in self.proxy.writes if text in str(write.content)]


@dataclass(frozen=True, slots=True)
class Death:
    """Where a run was killed: before or after which of its writes, counted from 1."""

    side: Side
    number: int
    write: Write

    def __str__(self) -> str:
        return f"killed {self.side} write {self.number}, {self.write.short}"

    def prevented(self, text: str) -> bool:
        """Tell whether the server never saw the write because of it, and that has this text."""
        return self.side == "before" and text in str(self.write.content)


SceneMaker = Callable[[Path], AbstractContextManager[Scene]]


@contextmanager
def bad_release(folder: Path) -> Iterator[Scene]:
    """Give a shop in which a good release was followed by a bad one."""
    with (
        EmbeddedCluster(start_up=0.02, service=False) as embedded,
        Shop(embedded, folder) as shop,
        KillingProxy(embedded.url) as proxy,
    ):
        shop.release("good")
        shop.release("bad")
        yield Scene(shop, proxy, kubeconfig(folder / "guard", proxy.url))


def killed_at_each_write(
    make: SceneMaker, arguments: Sequence[str], *, side: Side, folder: Path
) -> Iterator[tuple[Scene, Death]]:
    """Yield a new scene for each write at which `guard` was killed, and which that was.

    Ends with the first run that lives because it has fewer writes; that run has to succeed.
    """
    for number in range(1, MOST_WRITES):
        place = folder / str(number)
        place.mkdir()
        with make(place) as scene:
            run = run_and_kill(scene.proxy, arguments, scene.kubeconfig, number=number, side=side)
            if run.returncode >= 0:
                assert run.returncode == 0, run.stderr
                assert number > 1, "no write was seen"
                return
            assert scene.proxy.killed.wait(20), run.stderr
            yield scene, Death(side, number, scene.proxy.writes[number - 1])
    raise AssertionError(f"more than {MOST_WRITES} writes")
