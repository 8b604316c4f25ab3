"""Ages, pod states, protobuf bodies: small forms that kubectl reads or sends."""

from __future__ import annotations

import pytest

from deploy_guard.embedded.protobuf import UnreadableError, read_protobuf
from deploy_guard.embedded.representations import negotiate
from deploy_guard.embedded.resources import find_resource
from deploy_guard.embedded.statuses import ApiError
from deploy_guard.embedded.tables import human_age, row


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (1800, "30m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 120, "3h2m"),
        (9 * 3600 + 120, "9h"),
        (3 * 86400, "3d"),
        (3 * 86400 + 7200, "3d2h"),
        (30 * 86400 + 7200, "30d"),
    ],
)
def test_ages_are_short(seconds: int, text: str) -> None:
    """An age is written as kubectl writes it."""
    assert human_age(seconds) == text


@pytest.mark.parametrize(
    ("status", "deleted", "shown"),
    [
        ({"phase": "Pending"}, False, "Pending"),
        ({"phase": "Failed", "reason": "Evicted"}, False, "Evicted"),
        (
            {
                "phase": "Running",
                "containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
            },
            False,
            "CrashLoopBackOff",
        ),
        (
            {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]},
            False,
            "ExitCode:3",
        ),
        ({"phase": "Running"}, True, "Terminating"),
    ],
)
def test_state_of_a_pod(status: dict[str, object], deleted: bool, shown: str) -> None:
    """A pod's row shows the reason that matters most."""
    pods = find_resource("", "v1", "pods")
    assert pods is not None
    metadata = {"name": "a", **({"deletionTimestamp": "x"} if deleted else {})}
    obj = {"metadata": metadata, "spec": {"containers": [{}]}, "status": status}
    assert row(pods, obj, {})["cells"][2] == shown


@pytest.mark.parametrize(
    ("accept", "media", "target"),
    [
        ("", "application/json", ""),
        ("*/*", "application/json", ""),
        ("application/vnd.kubernetes.protobuf,application/json", "application/json", ""),
        (
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            "application/json",
            "Table",
        ),
        ("application/json;as=Unknown;v=v1;g=meta.k8s.io,application/json", "application/json", ""),
        ("application/yaml", "application/yaml", ""),
    ],
)
def test_accept(accept: str, media: str, target: str) -> None:
    """The first form that can be served is taken."""
    form = negotiate(accept)
    assert (form.media, form.target) == (media, target)


def test_accept_of_protobuf_alone_is_406() -> None:
    """Answers are never protobuf."""
    with pytest.raises(ApiError) as caught:
        negotiate("application/vnd.kubernetes.protobuf")
    assert caught.value.code == 406


def field(number: int, data: bytes | int) -> bytes:
    """Return one protobuf field."""
    if isinstance(data, int):
        return bytes([number << 3, data])
    return bytes([number << 3 | 2, len(data)]) + data


def envelope(kind: bytes, raw: bytes) -> bytes:
    """Return a body as Kubernetes' clients wrap it."""
    return b"k8s\x00" + field(1, field(1, b"v1") + field(2, kind)) + field(2, raw)


def test_protobuf_body_is_read() -> None:
    """Maps, nested messages, bytes and booleans come out as in JSON; empty text is dropped."""
    metadata = field(1, b"a") + field(2, b"") + field(11, field(1, b"k") + field(2, b"v"))
    raw = field(1, metadata) + field(2, field(1, b"p") + field(2, b"\x01")) + field(5, 1)
    assert read_protobuf(envelope(b"Secret", raw)) == {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"name": "a", "labels": {"k": "v"}},
        "data": {"p": "AQ=="},
        "immutable": True,
    }


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{}", id="not protobuf"),
        pytest.param(envelope(b"Widget", b""), id="unknown kind"),
        pytest.param(envelope(b"Secret", field(9, b"x")), id="unknown field"),
        pytest.param(envelope(b"Secret", b"\x0a\x7f"), id="cut off"),
    ],
)
def test_unreadable_protobuf_is_refused(body: bytes) -> None:
    """Nothing is dropped silently: what is not known is an error."""
    with pytest.raises(UnreadableError):
        read_protobuf(body)
