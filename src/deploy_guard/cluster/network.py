"""What the network does, in our own words: errors of connections, TLS and time; whole answers.

Decides which error of ours a failure of the network becomes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from deploy_guard.cluster import errors
from deploy_guard.cluster.errors import ApiError, Call

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

LARGEST = 64 * 1024 * 1024  # bytes of an answer; a cluster's largest lists are below


def read_whole(
    call: Call, response: BaseHTTPResponse, *, seconds: float, largest: int = LARGEST
) -> bytes:
    """Read an answer whole, within `seconds` even if it comes drop by drop."""
    parts: list[bytes] = []
    size = 0
    end = time.monotonic() + seconds
    while part := response.read1(65536):
        parts.append(part)
        size += len(part)
        if size > largest:
            raise ApiError(call, f"the answer is larger than {largest // 1024**2} MiB")
        if time.monotonic() > end:
            raise errors.Timeout(call, f"the answer is not complete after {seconds:g} s")
    return b"".join(parts)


@contextlib.contextmanager
def explained(call: Call) -> Iterator[None]:
    """Turn the network's errors into ours, with the cause chained."""
    import urllib3.exceptions as network

    try:
        yield
    except network.SSLError as error:
        raise _tls(call, error) from error
    except network.ProxyError as error:
        raise errors.Unreachable(
            call,
            "the proxy on the way cannot be reached",
            help="check HTTPS_PROXY and NO_PROXY, and proxy-url in the kubeconfig",
        ) from error
    except network.NewConnectionError as error:  # urllib3 counts it as a timeout, too
        reason = getattr(error.__cause__, "strerror", None) or "no connection"
        raise errors.Unreachable(
            call,
            f"the server cannot be reached: {reason.lower()}",
            help="check the cluster's address in the kubeconfig, and the VPN or proxy",
        ) from error
    except network.TimeoutError as error:
        raise errors.Timeout(
            call, "no answer in time", help="the server is slow, or a network on the way is silent"
        ) from error
    except (network.HTTPError, OSError) as error:
        raise errors.Unreachable(call, "the connection broke") from error


def _tls(call: Call, error: Exception) -> ApiError:
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text.lower():
        return errors.Untrusted(
            call,
            "the server's certificate is not trusted",
            help="check certificate-authority in the kubeconfig: the server may be another one",
        )
    return errors.Unreachable(
        call,
        "the TLS connection failed",
        help="check the address in the kubeconfig: perhaps its server does not speak TLS",
    )
