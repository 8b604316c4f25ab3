"""Access reviews and tokens: what a sender may do, who they are, a token for a ServiceAccount.

Decides the answers from the same authorizer that lets requests through.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from deploy_guard.embedded.access import MASTERS, Attributes, Authorizer, User
from deploy_guard.embedded.statuses import bad_request, bad_value, invalid
from deploy_guard.embedded.store import now_text

Object = dict[str, Any]

DISCOVERY_URLS = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi"]
DISCOVERY_URLS += ["/openapi/*", "/readyz", "/version", "/version/"]
OPEN_URLS = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
ISSUER_URLS = ["/.well-known/openid-configuration", "/.well-known/openid-configuration/"]
ISSUER_URLS += ["/openid/v1/jwks", "/openid/v1/jwks/"]


def answer_review(kind: str, obj: Object, user: User, authorizer: Authorizer) -> Object:
    """Return the posted review with its answer. Raises ApiError (400, 422)."""
    if kind == "SelfSubjectReview":
        return _who(obj, user)
    if kind == "SelfSubjectAccessReview":
        return _access(obj, user, authorizer)
    return _rules(obj, user, authorizer)


def answer_token_request(obj: Object, account: Object, authorizer: Authorizer) -> Object:
    """Return the TokenRequest with a new token of the ServiceAccount."""
    metadata = account["metadata"]
    spec = obj.get("spec") or {}
    seconds = int(spec.get("expirationSeconds") or 3600)
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    token = authorizer.issue(metadata["namespace"], metadata["name"], metadata["uid"])
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "creationTimestamp": now_text(),
        },
        "spec": {
            "audiences": spec.get("audiences") or ["https://kubernetes.default.svc"],
            "expirationSeconds": seconds,
            "boundObjectRef": None,
        },
        "status": {"token": token, "expirationTimestamp": ends.strftime("%Y-%m-%dT%H:%M:%SZ")},
    }


def _who(obj: Object, user: User) -> Object:
    info: Object = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    info = {key: value for key, value in info.items() if value}
    metadata = {"creationTimestamp": now_text()}
    return {**_head(obj), "metadata": metadata, "status": {"userInfo": info}}


def _access(obj: Object, user: User, authorizer: Authorizer) -> Object:
    spec = obj.get("spec") or {}
    asked, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (asked is None) == (path is None):
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        cause = bad_value("spec.resourceAttributes", asked, text)
        raise invalid("", "", [cause], group="authorization.k8s.io")
    status: Object = {"allowed": True}
    if asked is not None:
        fields = ("verb", "group", "resource", "subresource", "namespace", "name")
        wanted = Attributes(**{field: asked.get(field, "") for field in fields})
        decision = authorizer.decide(user, wanted)
        status = {"allowed": decision.allowed}
        if decision.reason:
            status["reason"] = decision.reason
    return {**_head(obj), "metadata": {}, "spec": spec, "status": status}


def _rules(obj: Object, user: User, authorizer: Authorizer) -> Object:
    namespace = (obj.get("spec") or {}).get("namespace", "")
    if not namespace:
        raise bad_request("no namespace on request")
    urls = [DISCOVERY_URLS, OPEN_URLS, ["/.well-known", "/.well-known/*"]]
    if user.name.startswith("system:serviceaccount:"):
        urls.insert(0, ISSUER_URLS)
    others = [{"verbs": ["get"], "nonResourceURLs": list(one)} for one in urls]
    if MASTERS in user.groups:
        others.append({"verbs": ["*"], "nonResourceURLs": ["*"]})
    status = {
        "resourceRules": authorizer.rules(user, namespace),
        "nonResourceRules": others,
        "incomplete": False,
    }
    return {**_head(obj), "metadata": {}, "spec": {}, "status": status}


def _head(obj: Object) -> Object:
    return {"kind": obj["kind"], "apiVersion": obj["apiVersion"]}
