"""Where the cluster is and how to log in: the kubeconfig, or the pod's own account.

Decides which configuration is used and explains what is wrong with it. Reading it, exec plugins,
OIDC, in-cluster accounts and proxies are the `kubernetes` package's work. No value of a kubeconfig
but names and file names reaches an error: it holds credentials.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from deploy_guard.cluster.errors import safe
from deploy_guard.errors import GuardError

CONNECTIONS = 64  # kept open; with fewer, urllib3 warns on stderr of each that it cannot keep
# seconds until the first question, between questions, questions; milliseconds for sent bytes
DEAD_PEER = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Connection:
    """A configured, not yet connected ApiClient, and what it was made from."""

    api: Any  # kubernetes.client.ApiClient
    namespace: str
    context: str  # empty inside a cluster
    renew: Callable[[], object]  # looks the credentials up anew; raises ConfigError


class ConfigError(GuardError):
    """The kubeconfig is missing or cannot be used."""


def open_connection(
    *,
    kubeconfig: str | None = None,
    context: str | None = None,
    namespace: str | None = None,
    account: Path = ACCOUNT,
) -> Connection:
    """Load the configuration as kubectl does: the file asked for, $KUBECONFIG, ~/.kube/config.

    Without any of these files the account of the pod is used, when there is one. The namespace is
    the one asked for, the context's, or ``default``; `account` is where a pod finds its own.
    Raises ConfigError; opens no connection.
    """
    files = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [Path(part).expanduser() for part in files.split(os.pathsep) if part]
    if any(path.exists() for path in paths):
        return _from_files(files, context=context, namespace=namespace)
    if kubeconfig is None and os.environ.get("KUBERNETES_SERVICE_HOST") and context is None:
        return _from_pod(namespace=namespace, account=account)
    raise ConfigError(
        f"kubeconfig {files} does not exist",
        help="name one with --kubeconfig or $KUBECONFIG",
    )


def _from_files(files: str, *, context: str | None, namespace: str | None) -> Connection:
    from kubernetes import config
    from kubernetes.client import ApiClient, Configuration

    loaders: Any = config.kube_config
    with _explained(files):
        merger = loaders.KubeConfigMerger(files)
        content = merger.config.value
    chosen = _choose_context(files, content, context)
    configuration = Configuration()

    def load() -> dict[str, Any]:
        """Find server and credentials; token files are read and plugins run each time."""
        failures: list[str] = []
        with _explained(files), _plugin_failures(failures):
            loader = loaders.KubeConfigLoader(
                config_dict=merger.config,
                active_context=chosen,
                config_base_path=None,
                config_persister=merger.save_changes,
            )
            loader.load_and_set(configuration)
            found: dict[str, Any] = loader.current_context["context"]
            server = getattr(loader, "host", None)
        if not server:
            raise ConfigError(f"kubeconfig {files} has no server for context {chosen!r}")
        if failures:
            raise ConfigError(
                f"credential plugin of context {chosen!r} gave no credentials: {failures[0]}",
                help="run it by hand, or log in again",
            )
        return found

    details = load()
    where = namespace or details.get("namespace") or "default"
    return Connection(_client(ApiClient, configuration), where, chosen, load)


def _from_pod(*, namespace: str | None, account: Path) -> Connection:
    from kubernetes import config
    from kubernetes.client import ApiClient, Configuration

    loaders: Any = config.incluster_config
    configuration = Configuration()

    def load() -> None:
        """Read the account's token, which the kubelet rotates, and the server's address."""
        loader = loaders.InClusterConfigLoader(
            token_filename=str(account / "token"), cert_filename=str(account / "ca.crt")
        )
        try:
            loader.load_and_set(configuration)
        except (config.ConfigException, OSError) as error:
            raise ConfigError(
                f"account of this pod is not usable: {error}", help="name a kubeconfig instead"
            ) from error

    load()
    if namespace is None:
        file = account / "namespace"
        namespace = file.read_text().strip() if file.exists() else "default"
    return Connection(_client(ApiClient, configuration), namespace, "", load)


def _client(factory: Any, configuration: Any) -> Any:
    """Make the ApiClient; no retries below ours, and no warning for a choice the user made."""
    import urllib3

    configuration.retries = False
    configuration.connection_pool_maxsize = CONNECTIONS
    configuration.socket_options = _socket_options()
    if not configuration.verify_ssl:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return factory(configuration)


def _socket_options() -> list[tuple[int, int, int]]:
    """Notice a peer that is gone without a word, on idle connections too, in about 15 seconds.

    Without it the kernel tries for a quarter of an hour. The names are Linux' and partly macOS'.
    """
    options = [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    ]
    for name, value in DEAD_PEER.items():
        if number := getattr(socket, name, None):
            options.append((socket.IPPROTO_TCP, number, value))
    return options


def _choose_context(files: str, content: dict[str, Any], asked: str | None) -> str:
    names = [str(c.value.get("name")) for c in content.get("contexts") or ()]
    chosen = asked or content.get("current-context") or ""
    if not chosen:
        raise ConfigError(
            f"kubeconfig {files} has no current context", help="name one with --context"
        )
    if chosen in names:
        return str(chosen)
    close = get_close_matches(chosen, names, n=1)
    known = f"known contexts: {', '.join(names)}" if names else "it has no contexts at all"
    raise ConfigError(
        f"context {chosen!r} is not in kubeconfig {files}",
        help=f"did you mean {close[0]}?" if close else known,
    )


@contextmanager
def _explained(files: str) -> Iterator[None]:
    """Turn whatever a broken file causes into one sentence that quotes nothing of the file."""
    import yaml

    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise ConfigError(f"kubeconfig {files}{where} is not valid YAML: {problem}") from None
    except OSError as error:
        what = f"file {error.filename}, which kubeconfig {files} names,"  # such as a tokenFile
        if error.filename is None or str(error.filename) in files:
            what = f"kubeconfig {files}"
        raise ConfigError(f"{what} cannot be read: {error.strerror}") from error
    except GuardError:
        raise
    except UnicodeDecodeError:
        raise ConfigError(f"kubeconfig {files} is not text") from None
    except Exception as error:
        if type(error).__name__ == "ConfigException":
            # its text can hold a whole user entry, so the cause is not chained either
            raise ConfigError(f"kubeconfig {files} is not usable: {safe(str(error))}") from None
        raise ConfigError(f"kubeconfig {files} does not have a kubeconfig's form") from None


@contextmanager
def _plugin_failures(into: list[str]) -> Iterator[None]:
    """Collect what the `kubernetes` package tells only to the root logger: exec plugins' errors."""

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            into.append(safe(re.sub(r"\[Errno \d+\] ", "", record.getMessage())))

    collector = Collector(level=logging.ERROR)
    root = logging.getLogger()
    root.addHandler(collector)
    try:
        yield
    finally:
        root.removeHandler(collector)
