"""What looks like a secret is hidden everywhere alike, and what helps is not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from deploy_guard.masking import HIDDEN, masked, shown
from deploy_guard.redact import redacted
from deploy_guard.secret_names import hide, hide_in_prose, is_certain, is_secret

SECRET = "hunter2hunter2"
NAMES = [
    "DB_PASSWORD",
    "DB_PWD",
    "PGPASSFILE",
    "passphrase",
    "pw",
    "APIKEY",
    "x-api-key",
    "key",
    "Authorization",
    "X-Auth",
    "bearer",
    "JWT",
    "OTP_SEED",
    "Cookie",
    "sessionId",
    "dsn",
    "connectionString",
    "SLACK_WEBHOOK_URL",
    "salt",
    "tls.key",
    "tls.cert",
    "ssh-privatekey",
    ".dockerconfigjson",
    "kubeconfig",
    "id_rsa",
    "STRIPE_SIGNATURE",
    "sas",
    "clientSecret",
    "cred",
]
HARMLESS = [
    "image",
    "name",
    "tag",
    "namespace",
    "secretName",
    "topologyKey",
    "tokenExpirationSeconds",
    "key",
    "mountPath",
    "replicas",
    "LOG_LEVEL",
    "TIMEOUT",
    "design",
    "assign",
    "signal",
    "pinned",
    "spinner",
]
VALUES = [
    "postgres://shop:{}@db/shop",
    "redis://:{}@cache/0",
    "--verbose --db-password={} -v",
    "--token {}",
    "-Djavax.net.ssl.trustStorePassword={} -Xmx1g",
    "https://hook.example/x?token={}&a=1",
    "https://store.example/x?a=1&sig={}",
    "Authorization: Bearer {}",
    "X-Api-Key: {}",
    '{{"db": {{"password": "{}"}}}}',
    '{{"db":{{"password":"a\\"{}"}}}}',
    "Server=db;Password={};Timeout=3",
    "PASSWORD='{}' exec app",
    "db.password={},image.tag=v1",
    "a: 1\npassword: |\n  {}\nb: 2",
    "password:{}",
]
PLAIN = [
    "registry.example/keycloak:24",
    "registry.example/team/auth:1.2",
    "http://auth:8080/healthz",
    "auth.shop.svc:8080",
    "--log-level=info --workers 4",
    "app=web,tier=front",
    "user@example.com",
    "12:30:00",
    "git@example.com:team/repo.git",
]


@pytest.mark.parametrize("name", NAMES)
def test_values_under_a_secrets_name_are_hidden(name: str) -> None:
    """Variables, headers and parameters of such a name have no value that is shown."""
    variable = {"name": name, "value": SECRET}
    assert masked({"env": [variable]}) == {"env": [{"name": name, "value": HIDDEN}]}
    assert SECRET not in str(
        redacted({"headers": {name: SECRET}, "url": f"http://x?{name}={SECRET}"})
    )


@pytest.mark.parametrize("name", HARMLESS)
def test_values_under_another_name_are_shown(name: str) -> None:
    """Names of objects and settings are what one has to see."""
    assert not is_secret(name)
    assert masked({name: "db"}) == {name: "db"}


@pytest.mark.parametrize("form", VALUES)
def test_a_secret_within_a_value_is_hidden(form: str) -> None:
    """Whatever the value's name, what stands behind a secret's name in it is not shown."""
    text = form.format(SECRET)
    assert SECRET not in shown(text)
    assert SECRET not in str(masked({"args": [text], "X": text}))


@pytest.mark.parametrize("text", PLAIN)
def test_a_value_without_a_secret_is_as_it_is(text: str) -> None:
    """Images, addresses and settings stay readable."""
    assert shown(text) == text
    assert masked({"x": text, "args": [text]}) == {"x": text, "args": [text]}


def test_references_are_shown() -> None:
    """Which key of which Secret is read, and where, is no secret."""
    volume: dict[str, Any] = {
        "secret": {"secretName": "db", "items": [{"key": "tls.key", "path": "tls.key"}]},
        "projected": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}],
        "configMapKeyRef": {"name": "app", "key": "password"},
    }
    assert masked(volume) == volume
    assert HIDDEN not in shown(volume)


def test_a_path_is_shown_without_the_secret_in_it() -> None:
    """The path of a probe may carry a token."""
    probe = {"httpGet": {"path": f"/healthz?token={SECRET}"}}
    assert masked(probe) == {"httpGet": {"path": f"/healthz?token={HIDDEN}"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"pull https://bob:{SECRET}@registry/x failed", "pull https://***@registry/x failed"),
        (f"exec --token={SECRET} failed", "exec --token=*** failed"),
        ("references non-existent secret key: tls.crt", None),
        ('secrets "db" is forbidden', None),
        ("couldn't find key password in Secret shop/db", None),
        ('secret "db" not found', None),
    ],
)
def test_messages_of_the_cluster_keep_what_helps(text: str, expected: str | None) -> None:
    """In sentences only what certainly is a secret is blanked."""
    assert hide_in_prose(text, "***") == (expected or text)


@pytest.mark.parametrize("name", ["X-Author", "Idempotency-Key", "X-Scope-OrgID", "Accept"])
def test_what_is_refused_is_certain(name: str) -> None:
    """A policy is not refused for a header that only may be a secret."""
    assert not is_certain(name)


@pytest.mark.parametrize("part", ["-", "key", "a", "token=", "://", '"', "password: ", "\\", "x@"])
def test_no_text_takes_long(part: str) -> None:
    """A value of a hundred thousand characters is looked through at once."""
    began = time.perf_counter()
    hide(part * (100_000 // len(part)), HIDDEN)
    hide_in_prose(part * (100_000 // len(part)), HIDDEN)
    assert time.perf_counter() - began < 5
