"""Requests to the Kubernetes API: raw JSON in, raw JSON out.

Decides headers, timeouts and which error an answer becomes. Does not know any kind of object:
typed models drop the fields that are newer than themselves, so none are used. Reads are tried
again (`retry`), writes are sent once. Safe to use from several threads.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, urlencode

from deploy_guard import __version__
from deploy_guard.cluster import errors
from deploy_guard.cluster.clock import ServerTime
from deploy_guard.cluster.errors import Call
from deploy_guard.cluster.freshness import Freshness
from deploy_guard.cluster.network import explained, read_whole
from deploy_guard.cluster.retry import Retries
from deploy_guard.cluster.stream import Stream
from deploy_guard.errors import GuardError

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

MANAGER = "deploy-guard"  # fieldManager of every write
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
RENEW_EVERY = 2.0  # seconds between two times that refused credentials are looked up anew
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

Params = Mapping[str, str]


class Cluster:
    """A connection to one cluster, with the namespace that the user means."""

    write_params: ClassVar[Params] = {"fieldManager": MANAGER}
    dry = False

    def __init__(
        self,
        api: Any,
        *,
        namespace: str = "default",
        context: str = "",
        retries: Retries | None = None,
        timeout: float = 15.0,
        renew: Callable[[], object] | None = None,
    ) -> None:
        self.api = api  # kubernetes.client.ApiClient
        self.namespace = namespace
        self.context = context
        self.timeout = timeout
        self.retries = retries or Retries()
        self.server_time = ServerTime()
        self.freshness = Freshness()
        self._renew = renew  # reads token files and runs credential plugins again
        self._renewed_at: float | None = None
        self._login = threading.Lock()
        self._closed = threading.Event()

    @classmethod
    def connect(
        cls,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        namespace: str | None = None,
        retries: Retries | None = None,
    ) -> Cluster:
        """Load the configuration as kubectl does; no request is sent yet. Raises ConfigError."""
        from deploy_guard.cluster.connection import open_connection

        found = open_connection(kubeconfig=kubeconfig, context=context, namespace=namespace)
        return cls(
            found.api,
            namespace=found.namespace,
            context=found.context,
            retries=retries,
            renew=found.renew,
        )

    def dry_run(self) -> DryRunCluster:
        """Return the same cluster, where every write only answers what it would have done."""
        return DryRunCluster(self)

    def get(
        self,
        path: str,
        *,
        params: Params | None = None,
        timeout: float | None = None,
        patient: bool = True,
        accept: str = "application/json",
    ) -> dict[str, Any]:
        """Read an object or a list; `patient` tries again what may pass.

        With METADATA or METADATA_LIST as `accept` the server leaves out all but the metadata.
        """
        call = Call.of("get", path)

        def once() -> dict[str, Any]:
            found = self._json(call, "GET", path, params=params, timeout=timeout, accept=accept)
            self.freshness.check(call, path, found)
            self.freshness.saw(path, found)
            return found

        return self.retries.call(once, sleep=self._closed.wait) if patient else once()

    def exists(self, path: str) -> bool:
        """Tell whether an object exists, by its metadata alone: no Secret's data is sent."""

        def once() -> bool:
            try:
                self._json(Call.of("get", path), "GET", path, accept=METADATA)
            except errors.NotFound:
                return False
            return True

        return self.retries.call(once, sleep=self._closed.wait)

    def patch(
        self,
        path: str,
        body: Any,
        *,
        content_type: str = JSON_PATCH,
        params: Params | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Patch an object, once, and return it as it is then."""
        found = self._json(
            Call.of("patch", path),
            "PATCH",
            path,
            params={**self.write_params, **(params or {})},
            body=body,
            content_type=content_type,
            timeout=timeout,
        )
        if not self.dry:
            self.freshness.saw(path, found)
        return found

    def create(
        self, path: str, body: Any, *, params: Params | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """Create an object in the collection at `path`, once."""
        return self._json(
            Call.of("create", path),
            "POST",
            path,
            params={**self.write_params, **(params or {})},
            body=body,
            timeout=timeout,
        )

    def delete(
        self, path: str, *, uid: str, resource_version: str = "", timeout: float | None = None
    ) -> None:
        """Delete exactly the object that was read, once; another one or version is a Conflict.

        A dry run is named in the body, too: the server ignores the parameters of a DELETE with a
        body (apiserver/pkg/endpoints/handlers/delete.go).
        """
        conditions = {"uid": uid} | (
            {"resourceVersion": resource_version} if resource_version else {}
        )
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions}
        self._json(
            Call.of("delete", path),
            "DELETE",
            path,
            params={"dryRun": "All"} if self.dry else None,
            body=body | ({"dryRun": ["All"]} if self.dry else {}),
            timeout=timeout,
        )

    def review(self, path: str, body: Any) -> dict[str, Any]:
        """Ask a question that Kubernetes words as a POST; it stores nothing, dry run or not."""

        def once() -> dict[str, Any]:
            return self._json(Call.of("create", path), "POST", path, body=body)

        return self.retries.call(once, sleep=self._closed.wait)

    def watch(self, path: str, params: Params, *, silence: float = 25.0) -> Stream:
        """Open a watch; `silence` is how many seconds without a byte mean that it is broken."""
        call = Call.of("watch", path)
        response = self._open(call, "GET", path, params={**params, "watch": "1"}, timeout=silence)
        return Stream(call, response)

    def pod_get(
        self, namespace: str, pod: str, port: int | str, path: str, *, timeout: float = 5.0
    ) -> str:
        """Read a page of a pod through the API server's pod proxy, once."""
        where = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}:{port}/proxy"
        call = Call("get", "pods/proxy", f"{pod}:{port}", namespace)
        body, _ = self._body(call, "GET", f"{where}/{path.lstrip('/')}", timeout=timeout)
        return body.decode("utf-8", "replace")

    def close(self) -> None:
        """End waits between attempts and close idle connections."""
        self._closed.set()
        self.api.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _json(self, call: Call, method: str, path: str, **options: Any) -> dict[str, Any]:
        body, content = self._body(call, method, path, **options)
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            headers = {"content-type": content}
            raise errors.from_answer(call, 200, headers, b"")
        return value

    def _body(self, call: Call, method: str, path: str, **options: Any) -> tuple[bytes, str]:
        wait = options.get("timeout") or self.timeout
        response = self._open(call, method, path, **options)
        with explained(call), contextlib.closing(response):
            body = read_whole(call, response, seconds=wait)
            response.release_conn()
        return body, response.headers.get("content-type", "")

    def _open(
        self,
        call: Call,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float | None = None,
    ) -> BaseHTTPResponse:
        """Send a request and return the open answer; raise what is not a success."""
        headers = {"Accept": accept, **self._headers(call)}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body, separators=(",", ":")).encode()
        target = path + (f"?{urlencode(params)}" if params else "")
        with explained(call):
            response = self._send(method, target, headers, data, timeout)
            if response.status == 401 and self._renewed(call, headers, response):
                # nothing was done: who does not say who he is, is sent away
                headers |= self._headers(call)
                response = self._send(method, target, headers, data, timeout)
            if 200 <= response.status < 300:
                return response
            with contextlib.closing(response):
                answer = read_whole(call, response, seconds=self.timeout, largest=1024 * 1024)
        lowered = {key.lower(): value for key, value in response.headers.items()}
        raise errors.from_answer(call, response.status, lowered, answer)

    def _send(
        self,
        method: str,
        target: str,
        headers: Params,
        data: bytes | None,
        timeout: float | None,
    ) -> BaseHTTPResponse:
        from urllib3 import Timeout

        wait = timeout or self.timeout
        response: BaseHTTPResponse = self.api.rest_client.pool_manager.request(
            method,
            f"{self.api.configuration.host}{target}",
            body=data,
            headers=headers,
            timeout=Timeout(connect=min(wait, self.timeout), read=wait),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        self.server_time.note(response.headers.get("date"))
        return response

    def _headers(self, call: Call) -> dict[str, str]:
        """Return the headers with credentials that are refreshed for each request if need be."""
        with self._login:
            return {"User-Agent": f"{MANAGER}/{__version__}", **self._credentials(call)}

    def _credentials(self, call: Call) -> dict[str, str]:
        found = {}
        try:
            for setting in self.api.configuration.auth_settings().values():
                found[setting["key"]] = setting["value"].strip()  # token files end with a newline
        except Exception as error:  # whatever a plugin, a token file or a login server causes
            raise _not_renewed(call, str(error)) from None
        return found

    def _renewed(self, call: Call, sent: Params, refusal: BaseHTTPResponse) -> bool:
        """Tell whether there are other credentials than those that were refused, then close it.

        A token file is rotated and a session ends at any time: both are looked at again, seldom.
        """
        try:
            renewed = self._other_credentials(call, sent)
        except errors.Unauthorized:
            refusal.close()
            raise
        if renewed:
            refusal.close()
        return renewed

    def _other_credentials(self, call: Call, sent: Params) -> bool:
        with self._login:
            if not _has(sent, self._credentials(call)):
                return True  # another thread was quicker
            now = time.monotonic()
            if self._renew is None or now - (self._renewed_at or -RENEW_EVERY) < RENEW_EVERY:
                return False
            self._renewed_at = now
            try:
                self._renew()
            except GuardError as error:
                raise _not_renewed(call, error.message) from None
            return not _has(sent, self._credentials(call))


def _has(sent: Params, credentials: Params) -> bool:
    return all(sent.get(key) == value for key, value in credentials.items())


def _not_renewed(call: Call, why: str) -> errors.Unauthorized:
    text = f"the credentials cannot be refreshed: {errors.safe(why)}"
    return errors.Unauthorized(call, text, help="log in again")


class DryRunCluster(Cluster):
    """A cluster where every write carries dryRun=All: checked by the server, stored nowhere."""

    write_params: ClassVar[Params] = {"fieldManager": MANAGER, "dryRun": "All"}
    dry = True

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(
            cluster.api,
            namespace=cluster.namespace,
            context=cluster.context,
            retries=cluster.retries,
            timeout=cluster.timeout,
            renew=cluster._renew,
        )
        self.freshness = cluster.freshness
        self._login = cluster._login
        self._closed = cluster._closed

    def dry_run(self) -> DryRunCluster:
        """Return itself."""
        return self

    def patch(
        self,
        path: str,
        body: Any,
        *,
        content_type: str = JSON_PATCH,
        params: Params | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Ask what a patch would do; since it does nothing, it is tried again like a read."""

        def once() -> dict[str, Any]:
            return super(DryRunCluster, self).patch(
                path, body, content_type=content_type, params=params, timeout=timeout
            )

        return self.retries.call(once, sleep=self._closed.wait)
