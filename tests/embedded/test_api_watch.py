"""Watch streams: bookmarks, expiry, namespaces, and their end."""

from __future__ import annotations

import threading
import time

from deploy_guard.embedded.server import ApiServer
from deploy_guard.embedded.store import Store
from embedded.http_client import CONFIG_MAPS, ApiClient, config_map


def test_bookmarks_come_at_intervals_and_follow_other_resources(api: ApiClient) -> None:
    """A silent stream's bookmarks move on with the version of the whole cluster."""
    with api.watch(f"{CONFIG_MAPS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=30") as events:
        first = next(events)
        api.create("/api/v1/namespaces", {"metadata": {"name": "other"}})
        later = next(e for e in events if e["object"]["metadata"] != first["object"]["metadata"])
    assert (first["type"], later["type"]) == ("BOOKMARK", "BOOKMARK")
    assert int(later["object"]["metadata"]["resourceVersion"]) > int(
        first["object"]["metadata"]["resourceVersion"]
    )


def test_watch_from_forgotten_history_ends_with_410(api: ApiClient, store: Store) -> None:
    """A stream from before the history ends after one ERROR event with code 410."""
    version = api.create(CONFIG_MAPS, config_map("a"))["metadata"]["resourceVersion"]
    api.create(CONFIG_MAPS, config_map("b"))
    store.forget_history()
    with api.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={version}") as events:
        found = list(events)
    assert [(e["type"], e["object"]["code"]) for e in found] == [("ERROR", 410)]


def test_watch_of_one_namespace_does_not_see_others(api: ApiClient) -> None:
    """Events of other namespaces stay out of a namespaced stream, not out of the general one."""
    api.create("/api/v1/namespaces", {"metadata": {"name": "other"}})
    with (
        api.watch(f"{CONFIG_MAPS}?watch=1") as ours,
        api.watch("/api/v1/configmaps?watch=1") as all_of_them,
    ):
        api.create("/api/v1/namespaces/other/configmaps", config_map("theirs"))
        api.create(CONFIG_MAPS, config_map("ours"))
        assert next(ours)["object"]["metadata"]["name"] == "ours"
        names = [next(all_of_them)["object"]["metadata"]["name"] for _ in range(2)]
    assert names == ["theirs", "ours"]


def test_events_of_one_object_come_in_order(api: ApiClient) -> None:
    """A stream carries every change once, in the order of the versions."""
    with api.watch(f"{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name%3Da") as events:
        api.create(CONFIG_MAPS, config_map("a"))
        for value in range(20):
            api.patch(f"{CONFIG_MAPS}/a", {"data": {"v": f"{value}"}})
        api.call("DELETE", f"{CONFIG_MAPS}/a")
        found = [next(events) for _ in range(21)]
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in found]
    assert versions == sorted(set(versions))
    # the first patch may find v already "0": it changes nothing and makes no event
    assert [e["type"] for e in found] == ["ADDED", *["MODIFIED"] * 19, "DELETED"]


def test_close_ends_all_watches(store: Store) -> None:
    """Closing the server ends the streams at once, and with them their threads."""
    before = threading.active_count()
    server = ApiServer(store)
    server.start()
    client = ApiClient(server.url)
    with client.watch(f"{CONFIG_MAPS}?watch=1") as one, client.watch("/api/v1/pods?watch=1") as two:
        began = time.monotonic()
        server.close()
        assert (list(one), list(two)) == ([], [])
        assert time.monotonic() - began < 5
    assert threading.active_count() == before


def test_stream_of_a_client_that_left_ends(store: Store) -> None:
    """The server notices that a client of a silent stream has gone."""
    with ApiServer(store) as server:
        before = threading.active_count()
        with ApiClient(server.url).watch(f"{CONFIG_MAPS}?watch=1"):
            assert threading.active_count() > before
        deadline = time.monotonic() + 20
        while threading.active_count() > before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert threading.active_count() <= before
