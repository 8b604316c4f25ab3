"""The metrics that services have by habit: names, labels, and which values mean a failure.

Data, not code: a new library is a new entry. Families of one group measure the same thing, the
best known first; which of them a workload has, and which is chosen, is decided in `choose`.

Sources: the conventions of the client libraries of Prometheus, Micrometer (Spring), OpenTelemetry
(HTTP and RPC metrics, https://opentelemetry.io/docs/specs/semconv/), go-grpc-prometheus, Istio's
standard metrics, Envoy's statistics, and the ingress controller ingress-nginx.
"""

from __future__ import annotations

from dataclasses import dataclass

# `5..` matches 503 and the class 5xx alike.
SERVER_FAULT = '=~"5.."'
# Of calls that go out 4xx counts too: a wrong key is a 401, a wrong path a 404. So does a call
# without any answer, which has a word of its own, or no status at all.
NO_SUCCESS = '!~"[123].*|ok|OK|success|SUCCESS"'
# Codes that say that the server is at fault, by OpenTelemetry's rule for spans of servers:
# https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
# Go writes DeadlineExceeded, Java, Python and OpenTelemetry DEADLINE_EXCEEDED.
GRPC_FAULT = '=~"(?i)(unknown|deadline_?exceeded|unimplemented|internal|unavailable|data_?loss)"'
GRPC_FAULT_NUMBERS = '=~"2|4|12|13|14|15"'
# Of calls that go out a refused key or a spent quota counts too.
GRPC_OUT = (
    '=~"(?i)(unknown|deadline_?exceeded|permission_?denied|resource_?exhausted|unimplemented|'
    'internal|unavailable|data_?loss|unauthenticated)"'
)
GRPC_OUT_NUMBERS = '=~"2|4|7|8|12|13|14|15|16"'

HTTP_LABELS = (
    "code",
    "status",
    "status_code",
    "response_code",
    "http_status",
    "http_status_code",
    "http_response_status_code",
    "statusCode",
)
GRPC_LABELS = ("grpc_code", "code")
ROUTES = ("uri", "path", "route", "http_route", "handler", "endpoint")
# Requests of the kubelet and of Prometheus: always quick, always good, and nobody's.
ROUTINE = (
    "/?(actuator|health|healthz|healthcheck|live|livez|liveness|ready|readyz|readiness|metrics|"
    "ping)(/.*)?"
)


def _each(labels: tuple[str, ...], matcher: str) -> tuple[tuple[str, str], ...]:
    return tuple((label, label + matcher) for label in labels)


@dataclass(frozen=True, slots=True)
class Family:
    """Counters and a histogram that one library, proxy or mesh writes about requests.

    `counters` are names of counters of all requests, `histogram` is a name without ``_bucket``,
    `failed` are pairs of a label and the condition that picks failed requests by it. The bounds
    of the histogram are in 1 / `per_second` seconds. `fixed` are conditions that always hold,
    `peers` the labels that name who is called, `advice` how to get buckets where there are none.
    """

    title: str
    group: str
    counters: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    histogram: str = ""
    per_second: float = 1.0
    fixed: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    advice: str = ""

    @property
    def outgoing(self) -> bool:
        """Whether it counts calls that the workload makes, not those that it answers."""
        return bool(self.peers)


FAMILIES: tuple[Family, ...] = (
    # --- requests that come in ------------------------------------------------------------------
    Family(
        "HTTP server of Spring (Micrometer)",
        "http",
        ("http_server_requests_seconds_count",),
        (*_each(("status",), SERVER_FAULT), ("outcome", 'outcome="SERVER_ERROR"')),
        "http_server_requests_seconds",
        advice="set management.metrics.distribution.percentiles-histogram.http.server.requests",
    ),
    Family(
        "HTTP server by OpenTelemetry",
        "http",
        ("http_server_request_duration_seconds_count",),
        _each(("http_response_status_code", *HTTP_LABELS), SERVER_FAULT),
        "http_server_request_duration_seconds",
    ),
    Family(
        "HTTP server",
        "http",
        (
            "http_requests_total",
            "http_server_requests_total",
            "http_requests_received_total",
            "http_request_duration_seconds_count",
        ),
        _each(HTTP_LABELS, SERVER_FAULT),
        "http_request_duration_seconds",
    ),
    Family(
        "HTTP server by OpenTelemetry (before 1.23)",
        "http",
        ("http_server_duration_milliseconds_count", "http_server_duration_count"),
        _each(HTTP_LABELS, SERVER_FAULT),
        "http_server_duration_milliseconds",
        per_second=1000.0,
    ),
    Family(
        "Istio, as the destination",
        "http",
        ("istio_requests_total",),
        _each(("response_code",), SERVER_FAULT),
        "istio_request_duration_milliseconds",
        per_second=1000.0,
        fixed=('reporter="destination"',),
    ),
    Family(
        "Envoy, inbound",
        "http",
        ("envoy_cluster_upstream_rq_xx",),
        (("envoy_response_code_class", 'envoy_response_code_class="5"'),),
        "envoy_cluster_upstream_rq_time",
        per_second=1000.0,
        fixed=('envoy_cluster_name=~"inbound.*|local_.*"',),
    ),
    Family(
        "gRPC server",
        "grpc",
        ("grpc_server_handled_total",),
        _each(GRPC_LABELS, GRPC_FAULT),
        "grpc_server_handling_seconds",
        advice="switch the handling time histogram on where the interceptor is set up",
    ),
    Family(
        "gRPC server by gRPC's own OpenTelemetry",
        "grpc",
        ("grpc_server_call_duration_seconds_count",),
        _each(("grpc_status",), GRPC_FAULT),
        "grpc_server_call_duration_seconds",
    ),
    Family(
        "RPC server by OpenTelemetry",
        "grpc",
        ("rpc_server_call_duration_seconds_count",),
        _each(("rpc_response_status_code",), GRPC_FAULT),
        "rpc_server_call_duration_seconds",
    ),
    Family(
        "RPC server by OpenTelemetry (before 1.38)",
        "grpc",
        ("rpc_server_duration_milliseconds_count", "rpc_server_duration_count"),
        (("rpc_grpc_status_code", "rpc_grpc_status_code" + GRPC_FAULT_NUMBERS),),
        "rpc_server_duration_milliseconds",
        per_second=1000.0,
    ),
    # --- calls that go out ----------------------------------------------------------------------
    Family(
        "calls to APIs",
        "http-out",
        ("api_client_requests_total",),
        _each(HTTP_LABELS, NO_SUCCESS),
        peers=("integration", "api", "client", "target"),
    ),
    Family(
        "HTTP client of Spring (Micrometer)",
        "http-out",
        ("http_client_requests_seconds_count",),
        _each(("status",), NO_SUCCESS),
        peers=("client_name", "clientName"),
    ),
    Family(
        "HTTP client by OpenTelemetry",
        "http-out",
        ("http_client_request_duration_seconds_count",),
        _each(("http_response_status_code", *HTTP_LABELS), NO_SUCCESS),
        peers=("server_address",),
    ),
    Family(
        "HTTP client by OpenTelemetry (before 1.23)",
        "http-out",
        ("http_client_duration_milliseconds_count", "http_client_duration_count"),
        _each(("http_status_code",), NO_SUCCESS),
        peers=("net_peer_name", "server_address"),
    ),
    Family(
        "Istio, as the source",
        "http-out",
        ("istio_requests_total",),
        _each(("response_code",), NO_SUCCESS),
        fixed=('reporter="source"',),
        peers=("destination_service_name", "destination_service"),
    ),
    Family(
        "Envoy, outbound",
        "http-out",
        ("envoy_cluster_upstream_rq_xx",),
        (("envoy_response_code_class", 'envoy_response_code_class=~"4|5"'),),
        fixed=(
            'envoy_cluster_name!~"[Ii]nbound.*|local_.*|[xs]ds.*|.*BlackHole.*|prometheus_stats|agent"',
        ),
        peers=("envoy_cluster_name",),
    ),
    Family(
        "gRPC client",
        "grpc-out",
        ("grpc_client_handled_total",),
        _each(GRPC_LABELS, GRPC_OUT),
        peers=("grpc_service",),
    ),
    Family(
        "gRPC client by gRPC's own OpenTelemetry",
        "grpc-out",
        ("grpc_client_call_duration_seconds_count",),
        _each(("grpc_status",), GRPC_OUT),
        peers=("grpc_target",),
    ),
    Family(
        "RPC client by OpenTelemetry",
        "grpc-out",
        ("rpc_client_call_duration_seconds_count",),
        _each(("rpc_response_status_code",), GRPC_OUT),
        peers=("server_address",),
    ),
    Family(
        "RPC client by OpenTelemetry (before 1.38)",
        "grpc-out",
        ("rpc_client_duration_milliseconds_count", "rpc_client_duration_count"),
        (("rpc_grpc_status_code", "rpc_grpc_status_code" + GRPC_OUT_NUMBERS),),
        peers=("server_address", "rpc_service"),
    ),
)

# What a proxy in front of the workload counts: its pods are the proxy's, so that old and new pods
# of the workload are not told apart. Tied to the workload by `Front.named`.
INGRESS = Family(
    "ingress-nginx, in front of the workload",
    "http",
    ("nginx_ingress_controller_requests",),
    _each(("status",), SERVER_FAULT),
    "nginx_ingress_controller_request_duration_seconds",
)
GATEWAY = Family(
    "Envoy, in front of the workload",
    "http",
    ("envoy_cluster_upstream_rq_xx",),
    (("envoy_response_code_class", 'envoy_response_code_class="5"'),),
    "envoy_cluster_upstream_rq_time",
    per_second=1000.0,
)
MESH = Family(
    "Istio, by the name of the workload",
    "http",
    ("istio_requests_total",),
    _each(("response_code",), SERVER_FAULT),
    "istio_request_duration_milliseconds",
    per_second=1000.0,
    fixed=('reporter=~"destination|waypoint"',),  # a waypoint reports in a mesh without sidecars
)

# Labels by which scrapers name a pod and its namespace, the usual ones first.
CONVENTIONS: tuple[tuple[str, str], ...] = (
    ("namespace", "pod"),
    ("exported_namespace", "exported_pod"),
    ("kubernetes_namespace", "kubernetes_pod_name"),
    ("kubernetes_namespace", "kubernetes_pod"),
    ("k8s_namespace_name", "k8s_pod_name"),
    ("namespace", "pod_name"),
    ("", "pod"),
)
