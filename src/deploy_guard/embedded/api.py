"""The API: from a request to its answer.

Decides in which order a request is judged, as kube-apiserver does: who (401), may they (403), is
there such a path (404), such a method (405), such a form (406, 415), and only then the object.
What each verb does is in `operations`, `lists` and `watches`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from deploy_guard.embedded import discovery, openapi, representations, statuses
from deploy_guard.embedded.access import Attributes, Authorizer, forbidden
from deploy_guard.embedded.decoding import (
    FieldValidation,
    check_patched_types,
    check_types,
    duplicates,
    go_json,
    read_object,
)
from deploy_guard.embedded.event_views import to_stored, to_view
from deploy_guard.embedded.lists import read_page
from deploy_guard.embedded.operations import Operations
from deploy_guard.embedded.patching import Change, quoted, read_patch
from deploy_guard.embedded.pod_proxy import Forwarder, PodProxy, split_name
from deploy_guard.embedded.raw_data import RawData
from deploy_guard.embedded.requests import Request, Response, Target, parse_target
from deploy_guard.embedded.resources import KUBERNETES, Catalogue, Resource, reference
from deploy_guard.embedded.reviews import answer_review, answer_token_request
from deploy_guard.embedded.scale import read_scale, write_scale
from deploy_guard.embedded.selectors import select
from deploy_guard.embedded.statuses import ApiError, PlainError
from deploy_guard.embedded.store import Store
from deploy_guard.embedded.watches import Watch, read_options
from deploy_guard.embedded.write_options import check_options, delete_options, read_body

Object = dict[str, Any]

HEALTH_PATHS = ("/healthz", "/livez", "/readyz")
OBJECT_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
COLLECTION_VERBS = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
STORED_BYTES = 1536 * 1024  # what etcd takes: --max-request-bytes


class Api:
    """Answers requests from a store."""

    def __init__(
        self,
        store: Store,
        authorizer: Authorizer,
        *,
        pods: PodProxy | None,
        bookmark_seconds: float,
        stopped: Callable[[], bool],
        catalogue: Catalogue = KUBERNETES,
        raw_data: RawData | None = None,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._authorizer = authorizer
        self._operations = Operations(store, catalogue)
        self._raw_data = raw_data or RawData()
        self._pods = Forwarder(store, pods)
        self._bookmark_seconds = bookmark_seconds
        self._stopped = stopped

    @property
    def authorizer(self) -> Authorizer:
        """Who says who a sender is."""
        return self._authorizer

    def close(self) -> None:
        """End what is under way to pods."""
        self._pods.close()

    def handle(self, request: Request, address: str) -> Response:
        """Answer a request whose sender is known; `address` is the server's own host:port."""
        try:
            return self._handle(request, address)
        except ApiError as error:
            return Response(error.code, error.body, headers=error.headers)
        except PlainError as error:
            return Response(error.code, error.text, "text/plain; charset=utf-8")

    def _handle(self, request: Request, address: str) -> Response:
        if request.path.rstrip("/") in HEALTH_PATHS:
            return Response(200, "ok", "text/plain; charset=utf-8")
        accept = request.headers.get("accept", "")
        if request.method == "GET":
            found = discovery.answer(request.path, accept, address, self._catalogue)
            document = found or openapi.answer(request.path, accept, self._catalogue)
            if document is not None:
                return Response(200, *document)
        target = parse_target(request.path)
        if target is None:
            raise PlainError(404, "404 page not found\n")
        self._authorize(request, target)
        resource = self._catalogue.find(target.group, target.version, target.plural)
        if resource is None:
            known = not target.group or target.group in self._catalogue.groups
            raise statuses.no_such_path() if known else PlainError(404, "404 page not found\n")
        if target.subresource and target.subresource not in resource.subresources:
            raise statuses.no_such_path()
        if target.subresource == "proxy":
            return self._proxy(resource, target, request)
        if resource.verbs == ("create",):
            return self._review(resource, request)
        if target.subresource in ("scale", "token"):
            return self._part(resource, target, request)
        if target.name:
            return self._object(resource, target, request)
        return self._collection(resource, target, request)

    def _authorize(self, request: Request, target: Target) -> None:
        verbs = OBJECT_VERBS if target.name else COLLECTION_VERBS
        verb = verbs.get(request.method, request.method.lower())
        verb = {"post": "create"}.get(verb, verb)
        if verb == "list" and request.flag("watch"):
            verb = "watch"
        name = split_name(target.name)[0] if target.subresource == "proxy" else target.name
        if not name:
            selected = request.query.get("fieldSelector", "")
            name = selected.removeprefix("metadata.name=") if "," not in selected else ""
            name = name if selected.startswith("metadata.name=") else ""
        wanted = Attributes(
            verb, target.group, target.plural, target.subresource, target.namespace, name
        )
        if not self._authorizer.decide(request.user, wanted).allowed:
            raise forbidden(request.user, wanted)

    def _collection(self, resource: Resource, target: Target, request: Request) -> Response:
        if request.method == "POST":
            if resource.namespaced and not target.namespace:
                raise statuses.method_not_allowed()
            return self._create(resource, target, request)
        if request.method not in ("GET", "DELETE"):
            raise statuses.method_not_allowed()
        form = representations.negotiate(request.headers.get("accept", ""))
        query = request.query
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        selection = select(resource, labels, fields)
        if request.method == "DELETE":
            options = delete_options(request)
            deleted = self._operations.delete_collection(
                resource, target.namespace, selection, options
            )
            shown = [to_view(resource, obj) for obj in deleted]
            metadata = {"resourceVersion": str(self._store.version)}
            return _shown(representations.show_list(resource, shown, metadata, form), form)
        if request.flag("watch"):
            options_ = read_options(request)
            watch = Watch(
                self._store,
                resource,
                target.namespace,
                selection,
                options_,
                self._bookmark_seconds,
                self._stopped,
            )
            return Response(200, stream=_chunks(watch, resource, form))
        page = read_page(self._store, resource, target.namespace, selection, request)
        return _shown(representations.show_list(resource, page.items, page.metadata, form), form)

    def _create(self, resource: Resource, target: Target, request: Request) -> Response:
        form = representations.negotiate(request.headers.get("accept", ""))
        dry_run = check_options(request)
        obj = read_object(resource, request.body, request.headers.get("content-type", ""))
        if len(request.body) > STORED_BYTES:
            raise ApiError(500, "", "etcdserver: request is too large")
        validation = FieldValidation(request.query.get("fieldValidation", ""))
        check_types(resource, obj, validation)
        created = self._operations.create(
            resource, target.namespace, to_stored(resource, obj), dry_run=dry_run
        )
        if not dry_run:
            self._raw_data.remember(created, request)
        view = representations.show_object(resource, to_view(resource, created), form)
        return _shown(view, form, code=201, warnings=validation.warnings)

    def _object(self, resource: Resource, target: Target, request: Request) -> Response:
        if request.method not in OBJECT_VERBS or (
            target.subresource and request.method == "DELETE"
        ):
            raise statuses.method_not_allowed()
        form = representations.negotiate(request.headers.get("accept", ""))
        namespace, name = target.namespace, target.name
        if request.method == "DELETE":
            return self._delete(resource, target, request, form)
        validation = FieldValidation(request.query.get("fieldValidation", ""))
        if request.method != "GET":
            stored = self._store.find(resource.store_name, namespace, name)
            self._raw_data.check(resource, stored, request)
        if request.method == "GET":
            obj = self._read(resource, target, request)
        elif request.method == "PUT":
            dry_run = check_options(request)
            sent = read_object(resource, request.body, request.headers.get("content-type", ""))
            check_types(resource, sent, validation)
            obj = self._operations.update(
                resource,
                namespace,
                name,
                to_stored(resource, sent),
                subresource=target.subresource,
                dry_run=dry_run,
            )
        else:
            patch = read_patch(request, strategic=not resource.custom)
            validation.doubled = duplicates(go_json(request.body))
            dry_run = check_options(request)

            def change(before: Object) -> Object:
                after = patch(to_view(resource, before))
                shown = quoted(request, after)
                check_patched_types(resource, after, validation, shown)
                return to_stored(resource, after)

            obj = self._operations.change(
                resource,
                namespace,
                name,
                change,
                subresource=target.subresource,
                dry_run=dry_run,
            )
        view = representations.show_object(resource, to_view(resource, obj), form)
        return _shown(view, form, warnings=validation.warnings)

    def _read(self, resource: Resource, target: Target, request: Request) -> Object:
        version = request.query.get("resourceVersion", "")
        if version.isdigit() and int(version) > self._store.version:
            raise statuses.future_version(int(version), self._store.version)
        obj = self._store.find(resource.store_name, target.namespace, target.name)
        if obj is None:
            raise statuses.not_found(resource, target.name)
        return obj

    def _delete(
        self, resource: Resource, target: Target, request: Request, form: representations.Form
    ) -> Response:
        options = delete_options(request)
        obj, gone = self._operations.delete(resource, target.namespace, target.name, options)
        if gone and not resource.whole_delete:
            return _shown(_deleted(resource, obj), form)
        return _shown(representations.show_object(resource, to_view(resource, obj), form), form)

    def _part(self, resource: Resource, target: Target, request: Request) -> Response:
        if target.subresource == "token":
            return self._token(resource, target, request)
        if request.method not in ("GET", "PUT", "PATCH"):
            raise statuses.method_not_allowed()
        form = representations.negotiate(request.headers.get("accept", ""))
        if request.method == "GET":
            return _shown(read_scale(self._read(resource, target, request)), form)
        if request.method == "PUT":
            scale = read_body(request)
            change: Change = lambda before: write_scale(before, scale)  # noqa: E731
        else:
            patch = read_patch(request)
            change = lambda before: write_scale(before, patch(read_scale(before)))  # noqa: E731
        obj = self._operations.change(
            resource, target.namespace, target.name, change, dry_run=check_options(request)
        )
        return _shown(read_scale(obj), form)

    def _token(self, resource: Resource, target: Target, request: Request) -> Response:
        if request.method != "POST":
            raise statuses.method_not_allowed()
        account = self._read(resource, target, request)
        return Response(201, answer_token_request(read_body(request), account, self._authorizer))

    def _review(self, resource: Resource, request: Request) -> Response:
        if request.method != "POST":
            raise statuses.method_not_allowed()
        form = representations.negotiate(request.headers.get("accept", ""))
        obj = read_object(resource, request.body, request.headers.get("content-type", ""))
        return _shown(
            answer_review(resource.kind, obj, request.user, self._authorizer), form, code=201
        )

    def _proxy(self, resource: Resource, target: Target, request: Request) -> Response:
        return self._pods.forward(
            resource,
            request,
            namespace=target.namespace,
            name=target.name,
            path=target.rest,
        )


def _shown(
    body: Object, form: representations.Form, *, code: int = 200, warnings: Sequence[str] = ()
) -> Response:
    if form.media == representations.YAML:
        return Response(code, representations.to_yaml(body), representations.YAML)
    return Response(code, body, warnings=list(warnings))


def _chunks(watch: Watch, resource: Resource, form: representations.Form) -> Iterator[bytes]:
    """Yield the lines of a watch stream; an empty chunk asks whether the client is there."""
    show = representations.event_shower(resource, form)
    for event in watch.events():
        if event is None:
            yield b""
            continue
        line = {"type": event[0], "object": show(*event)}
        yield json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _deleted(resource: Resource, obj: Object) -> Object:
    details = reference(resource, obj["metadata"]["name"])
    details["uid"] = obj["metadata"]["uid"]
    head = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
    return {**head, "status": "Success", "details": details}
