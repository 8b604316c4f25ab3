from __future__ import annotations

import json

import pytest

from deploy_guard.cluster import errors
from deploy_guard.cluster.errors import ApiError, Call, from_answer, safe
from embedded.recordings import Step, load


def error_of(step: Step) -> ApiError:
    """Make the error of a recorded answer, as the client does."""
    call = Call.of(step.method.lower(), step.path.partition("?")[0])
    body = step.answer if isinstance(step.answer, str) else json.dumps(step.answer)
    return from_answer(call, step.status, step.answer_headers, body.encode())


def step(recording: str, name: str) -> Step:
    return next(s for s in load(recording).steps if s.name == name)


@pytest.mark.parametrize(
    ("recording", "name", "kind"),
    [
        ("09a-errors-401-403", "bad token", errors.Unauthorized),
        ("09a-errors-401-403", "no credentials: get", errors.Forbidden),
        ("06-concurrency", "test on generation, different", errors.Invalid),
        ("06-concurrency", "JSON patch that sets a stale resourceVersion", errors.Conflict),
        (
            "10-watch",
            "list at an exact resourceVersion that was compacted away",
            errors.Gone,
        ),
    ],
)
def test_recorded_answers_become_their_error(
    recording: str, name: str, kind: type[ApiError]
) -> None:
    """Each recorded refusal becomes the class of its cause and keeps code and reason."""
    found = step(recording, name)
    error = error_of(found)
    assert type(error) is kind
    assert (error.code, error.reason) == (found.status, found.answer["reason"])


def test_forbidden_names_the_missing_right() -> None:
    """A 403 of RBAC says which verb on which resource is missing, and where."""
    error = error_of(step("09a-errors-401-403", "patch deployment"))
    assert isinstance(error, errors.Forbidden)
    assert error.missing_right == (
        '"patch" on "deployments" of API group "apps" in namespace "rec-09a"'
    )
    assert "Role" in error.help


def test_refusals_of_admission_are_not_missing_rights() -> None:
    """A 403 of an admission rule does not send people to their RBAC."""
    refused = [
        s for s in load("09e-errors-admission").steps if s.status == 403 and s.method == "PATCH"
    ]
    assert refused
    for found in refused:
        error = error_of(found)
        assert isinstance(error, errors.Forbidden)
        assert not error.missing_right
        assert "admission" in error.help


def test_a_failed_test_operation_is_told_from_validation() -> None:
    """A failed JSON Patch test is recognised; a 422 of validation or of a policy is not one."""
    patch = error_of(step("06-concurrency", "test on generation, different"))
    assert isinstance(patch, errors.Invalid)
    assert patch.test_failed
    others = [s for s in load("09d-errors-invalid").steps if s.status == 422]
    others += [s for s in load("09e-errors-admission").steps if s.status == 422]
    found = [error_of(s) for s in others]
    assert any(isinstance(e, errors.Invalid) and not e.test_failed for e in found)
    for recorded, error in zip(others, found, strict=True):
        has_causes = bool((recorded.answer.get("details") or {}).get("causes"))
        assert isinstance(error, errors.Invalid)
        assert error.test_failed is not has_causes


def test_decode_errors_never_show_the_live_object() -> None:
    """A 422 that quotes the whole live object keeps none of it, Secret data included."""
    quoting = [
        s
        for name in ("09c-errors-client", "09d-errors-invalid", "13b-configmap-secret")
        for s in load(name).steps
        if s.status == 422 and "Invalid value" in json.dumps(s.answer) and "uid" in str(s.answer)
    ]
    assert quoting
    for found in quoting:
        error = error_of(found)
        text = f"{error} {error.help} {error.__dict__}"
        assert "uid" not in text
        assert "{" not in error.detail
        assert len(error.detail) <= errors.LONGEST


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (
            'patch: Invalid value: "{\\"data\\":{\\"p\\":\\"aHVu\\"}}": bad',
            "patch: Invalid value: bad",
        ),
        ('x: Invalid value: "say \\"hunter2\\" loud": too long', "x: Invalid value: too long"),
        ('x: Invalid value: {"password":"hunter2"}: immutable', "x: Invalid value: …"),
        ('x: Invalid value: "map[password:hunter2]": immutable', "x: Invalid value: immutable"),
        ('x: Invalid value: "cut off hunter2', "x: …"),
        ("x: Invalid value: -1: must be positive", "x: Invalid value: must be positive"),
        ("quota exceeded: used pods=3", "quota exceeded: used pods=3"),
    ],
)
def test_values_are_left_out_of_messages(message: str, kept: str) -> None:
    """Whatever form a quoted value has, only the words around it stay."""
    assert safe(message) == kept


def test_overload_is_plain_text() -> None:
    """A 429 is text/plain with Retry-After, and both are understood."""
    call = Call("get", "deployments", "web", "shop", "apps")
    headers = {"content-type": "text/plain; charset=utf-8", "retry-after": "7"}
    error = from_answer(call, 429, headers, b"Too many requests, please try again later.\n")
    assert isinstance(error, errors.TooManyRequests)
    assert error.retry_after == 7
    assert str(error) == (
        'deployments.apps "web" in namespace "shop": cannot get: '
        "Too many requests, please try again later."
    )


@pytest.mark.parametrize("code", [200, 302, 403, 503])
def test_a_login_page_is_not_kubernetes(code: int) -> None:
    """A page of HTML is reported as such, whatever its status, and not shown."""
    page = b"<html><body>token=hunter2</body></html>"
    error = from_answer(Call("get", "pods"), code, {"content-type": "text/html"}, page)
    assert isinstance(error, errors.NotKubernetes)
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("verb", "path", "what"),
    [
        (
            "patch",
            "/apis/apps/v1/namespaces/shop/deployments/web",
            'deployments.apps "web" in namespace "shop"',
        ),
        ("get", "/api/v1/namespaces/shop/pods", 'pods in namespace "shop"'),
        ("get", "/api/v1/namespaces/shop", 'namespaces "shop"'),
        ("get", "/api/v1/namespaces/shop/pods/p/log", 'pods/log "p" in namespace "shop"'),
        ("get", "/version", "/version"),
    ],
)
def test_calls_are_named_as_kubernetes_does(verb: str, path: str, what: str) -> None:
    """An error's subject is the object, read from the path."""
    assert Call.of(verb, path).what == what


def test_reading_a_collection_is_the_verb_list() -> None:
    """The verb is the one that a Role would grant."""
    assert Call.of("get", "/api/v1/namespaces/shop/pods").verb == "list"
    assert Call.of("get", "/api/v1/namespaces/shop/pods/p").verb == "get"
