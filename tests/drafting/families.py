"""Workloads that differ in what they measure, all in the namespace shop; one history of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drafting.shop_history import History, pods

RATE = 5.0  # requests a second of each pod
FAILED = 0.002  # of them
HOSTILE = (
    'pay"ments',
    "back\\slash",
    "new\nline",
    "{{ name }}",
    "\x1b[31mred",
    "värld",
    "} or vector(1) #",
    "plain",
)


@dataclass(frozen=True, slots=True)
class Case:
    """What a workload measures, and what is drafted of it.

    `signals` are the names in order, each with parts of its queries that must be there; `remarks`
    are parts of what is said of the rest.
    """

    name: str
    fill: Callable[[History, str], None]
    signals: dict[str, tuple[str, ...]]
    remarks: tuple[str, ...] = ()
    told_apart: bool = True


def _statuses(
    history: History, metric: str, labels: dict[str, str], label: str, *values: str
) -> None:
    """Two counters, of good requests and of failed ones, by their values of a label."""
    good, bad = values
    history.counter(metric, {**labels, label: good}, RATE * (1 - FAILED))
    history.counter(metric, {**labels, label: bad}, RATE * FAILED)


def _timed(
    history: History, metric: str, labels: dict[str, str], label: str, *, per_second: float = 1.0
) -> None:
    """A histogram that has the status among its labels."""
    history.histogram(metric, {**labels, label: "200"}, RATE * (1 - FAILED), per_second=per_second)
    history.histogram(metric, {**labels, label: "500"}, RATE * FAILED, per_second=per_second)


def web(history: History, name: str) -> None:
    for labels in pods(name):
        _statuses(history, "http_requests_total", labels, "code", "200", "503")
        history.histogram("http_request_duration_seconds", labels, RATE)


def classes(history: History, name: str) -> None:
    for labels in pods(name):
        _statuses(history, "http_requests_total", labels, "status", "2xx", "5xx")


def spring(history: History, name: str) -> None:
    for labels in pods(name):
        own = {**labels, "uri": "/orders", "outcome": "SUCCESS"}
        _timed(history, "http_server_requests_seconds", own, "status")
        routine = {**labels, "uri": "/actuator/health", "outcome": "SUCCESS", "status": "200"}
        history.histogram("http_server_requests_seconds", routine, 1.0)
        own = {**labels, "client_name": "payments.example"}
        _statuses(history, "http_client_requests_seconds_count", own, "status", "200", "IO_ERROR")


def without_buckets(history: History, name: str) -> None:
    for labels in pods(name):
        metric = "http_server_requests_seconds_count"
        _statuses(history, metric, labels, "status", "200", "500")


def telemetry(history: History, name: str) -> None:
    for labels in pods(name, "k8s_namespace_name", "k8s_pod_name"):
        metric = "http_server_request_duration_seconds"
        _timed(history, metric, labels, "http_response_status_code")
        own = {**labels, "server_address": "payments.example"}
        metric = "http_client_request_duration_seconds"
        _timed(history, metric, own, "http_response_status_code")


def old_telemetry(history: History, name: str) -> None:
    for labels in pods(name):
        metric = "http_server_duration_milliseconds"
        _timed(history, metric, labels, "http_status_code", per_second=1000.0)


def istio(history: History, name: str) -> None:
    for labels in pods(name):
        own = {**labels, "reporter": "destination"}
        _statuses(history, "istio_requests_total", own, "response_code", "200", "503")
        history.histogram("istio_request_duration_milliseconds", own, RATE, per_second=1000.0)
        own = {**labels, "reporter": "source", "destination_service_name": "payments"}
        _statuses(history, "istio_requests_total", own, "response_code", "200", "503")


def mesh(history: History, name: str) -> None:
    own = {
        "reporter": "waypoint",
        "destination_workload": name,
        "destination_workload_namespace": "shop",
        "pod": "waypoint-6b8d9c7f5-abcde",
        "namespace": "istio-system",
    }
    _statuses(history, "istio_requests_total", own, "response_code", "200", "503")


def ingress(history: History, name: str) -> None:
    own = {
        "namespace": "ingress",
        "pod": "ingress-nginx-7c9d8b6f5-abcde",
        "exported_namespace": "shop",
        "exported_service": name,
    }
    _statuses(history, "nginx_ingress_controller_requests", own, "status", "200", "502")
    history.histogram("nginx_ingress_controller_request_duration_seconds", own, RATE)


def ingress_and_app(history: History, name: str) -> None:
    web(history, name)
    ingress(history, name)


def envoy(history: History, name: str) -> None:
    metric = "envoy_cluster_upstream_rq_xx"
    for labels in pods(name):
        own = {**labels, "envoy_cluster_name": "local_app"}
        _statuses(history, metric, own, "envoy_response_code_class", "2", "5")
        history.histogram("envoy_cluster_upstream_rq_time", own, RATE, per_second=1000.0)
        own = {**labels, "envoy_cluster_name": "payments"}
        _statuses(history, metric, own, "envoy_response_code_class", "2", "5")


def gateway(history: History, name: str) -> None:
    own = {
        "namespace": "gateways",
        "pod": "envoy-7c9d8b6f5-abcde",
        "envoy_cluster_name": f"outbound|80||{name}.shop.svc.cluster.local",
    }
    metric = "envoy_cluster_upstream_rq_xx"
    _statuses(history, metric, own, "envoy_response_code_class", "2", "5")


def grpc(history: History, name: str) -> None:
    for labels in pods(name):
        own = {**labels, "grpc_service": "shop.Orders"}
        _statuses(history, "grpc_server_handled_total", own, "grpc_code", "OK", "Internal")
        history.counter("grpc_server_handled_total", {**own, "grpc_code": "NotFound"}, RATE)
        history.histogram("grpc_server_handling_seconds", own, 2 * RATE)
        own = {**labels, "grpc_service": "bank.Payments"}
        _statuses(history, "grpc_client_handled_total", own, "grpc_code", "OK", "Unavailable")


def rpc(history: History, name: str) -> None:
    for labels in pods(name):
        metric = "rpc_server_duration_milliseconds"
        history.histogram(metric, {**labels, "rpc_grpc_status_code": "0"}, RATE, per_second=1000.0)


def java_grpc(history: History, name: str) -> None:
    for labels in pods(name):
        own = {**labels, "grpc_service": "shop.Orders"}
        _statuses(history, "grpc_server_handled_total", own, "code", "OK", "DEADLINE_EXCEEDED")


def new_rpc(history: History, name: str) -> None:
    for labels in pods(name):
        metric, label = "rpc_server_call_duration_seconds", "rpc_response_status_code"
        history.histogram(metric, {**labels, label: "OK"}, RATE * (1 - FAILED))
        history.histogram(metric, {**labels, label: "DATA_LOSS"}, RATE * FAILED)
        own = {**labels, "grpc_target": "dns:///payments"}
        metric = "grpc_client_call_duration_seconds_count"
        _statuses(history, metric, own, "grpc_status", "OK", "UNAVAILABLE")


def annotated(history: History, name: str) -> None:
    for labels in pods(name, "kubernetes_namespace", "kubernetes_pod_name"):
        _statuses(history, "http_requests_total", labels, "code", "200", "503")
        history.histogram("http_request_duration_seconds", labels, RATE)


def exported(history: History, name: str) -> None:
    for labels in pods(name, "exported_namespace", "exported_pod"):
        own = {**labels, "namespace": "monitoring", "pod": "gateway-1"}
        _statuses(history, "http_requests_total", own, "code", "200", "503")


def integrations(history: History, name: str) -> None:
    for labels in pods(name):
        _statuses(history, "http_requests_total", labels, "code", "200", "503")
        for number in range(8):
            own = {**labels, "integration": f"api-{number}"}
            rate = RATE / (number + 1)
            history.counter("api_client_requests_total", {**own, "code": "200"}, rate * 0.99)
            history.counter("api_client_requests_total", {**own, "code": "error"}, rate * 0.01)
        own = {**labels, "integration": "broken", "code": "401"}
        history.counter("api_client_requests_total", own, 10 * RATE)


def hostile(history: History, name: str) -> None:
    for labels in pods(name):
        for value in HOSTILE:
            own = {**labels, "integration": value}
            _statuses(history, "api_client_requests_total", own, "code", "200", "500")
        own = {**labels, "code": '5"} or vector(1) #', "path": "\n# x"}
        history.counter("http_requests_total", own, RATE)
        history.counter("http_requests_total", {**labels, "code": "200", "path": "/"}, RATE)


def in_words(history: History, name: str) -> None:
    for labels in pods(name):
        _statuses(history, "http_requests_total", labels, "code", "success", "error")
        own = {**labels, "code": "GET"}
        _statuses(history, "http_server_requests_total", own, "status", "200", "500")


def unlabelled(history: History, name: str) -> None:
    for labels in pods(name):
        history.counter("http_requests_total", labels, RATE)


OWN = 'namespace="{{ namespace }}", pod=~"{{ pods }}"'
MILLISECONDS = 'le="+Inf"}) - sum by (pod) ('
CASES = [
    Case(
        "web",
        web,
        {
            "http-errors": (f'http_requests_total{{{OWN}, code=~"5.."}}', "sum by (pod) ("),
            "http-latency": (f"sum by (pod, le) (http_request_duration_seconds_bucket{{{OWN}}})",),
        },
    ),
    Case("classes", classes, {"http-errors": ('status=~"5.."',)}),
    Case(
        "spring",
        spring,
        {
            "http-errors": ('uri!~"/?(actuator)(/.*)?", status=~"5.."',),
            "http-latency": ("http_server_requests_seconds_bucket", 'uri!~"/?(actuator)(/.*)?"'),
            "payments-example-errors": ('client_name="payments.example", status!~"[123].*',),
        },
        ("the paths actuator are left out",),
    ),
    Case(
        "without-buckets",
        without_buckets,
        {"http-errors": ('status=~"5.."',)},
        ("http_server_requests_seconds has no buckets", "percentiles-histogram"),
    ),
    Case(
        "telemetry",
        telemetry,
        {
            "http-errors": ("label_replace(", '"pod", "$1", "k8s_pod_name", "(.+)")'),
            "http-latency": ("sum by (pod, le) (label_replace(",),
            "payments-example-errors": ('server_address="payments.example"',),
        },
    ),
    Case(
        "old-telemetry",
        old_telemetry,
        {
            "http-errors": ("http_server_duration_milliseconds_count",),
            "http-slow": (MILLISECONDS, 'le=~"500([.]0)?"'),
        },
    ),
    Case(
        "istio",
        istio,
        {
            "http-errors": ('reporter="destination", response_code=~"5.."',),
            "http-slow": (MILLISECONDS, 'reporter="destination", le=~"500([.]0)?"'),
            "payments-errors": ('reporter="source", destination_service_name="payments"',),
        },
    ),
    Case(
        "mesh",
        mesh,
        {"http-errors": ('destination_workload="{{ name }}"', "destination|waypoint")},
        told_apart=False,
    ),
    Case(
        "ingress",
        ingress,
        {
            "http-errors": ('exported_service="{{ name }}", status=~"5.."', "sum("),
            "http-latency": ("sum by (le) (nginx_ingress_controller_request_duration",),
        },
        told_apart=False,
    ),
    Case(
        "both",
        ingress_and_app,
        {
            "http-errors": (f"http_requests_total{{{OWN}",),
            "http-latency": ("http_request_duration_seconds_bucket",),
        },
        ("nginx_ingress_controller_requests (ingress-nginx, in front of the workload) counts",),
    ),
    Case(
        "envoy",
        envoy,
        {
            "http-errors": ('envoy_cluster_name=~"inbound.*|local_.*"',),
            "http-slow": (MILLISECONDS,),
            "payments-errors": ('envoy_cluster_name="payments"',),
        },
    ),
    Case(
        "gateway",
        gateway,
        {"http-errors": ('"outbound[|]80[|][|]gateway[.]shop[.]svc[.]cluster[.]local"',)},
        told_apart=False,
    ),
    Case(
        "grpc",
        grpc,
        {
            "grpc-errors": ('grpc_code=~"(?i)(unknown|deadline_', "grpc_server_handled_total"),
            "grpc-latency": ("grpc_server_handling_seconds_bucket",),
            "bank-payments-errors": ('grpc_service="bank.Payments"',),
        },
    ),
    Case(
        "rpc",
        rpc,
        {
            "grpc-errors": ('rpc_grpc_status_code=~"2|4|12|13|14|15"',),
            "grpc-slow": (MILLISECONDS,),
        },
    ),
    Case(
        "java-grpc",
        java_grpc,
        {"grpc-errors": (f'{{{OWN}, code=~"(?i)(unknown|deadline_?exceeded|',)},
    ),
    Case(
        "new-rpc",
        new_rpc,
        {
            "grpc-errors": ('rpc_response_status_code=~"(?i)(unknown|',),
            "grpc-latency": ("rpc_server_call_duration_seconds_bucket",),
            "dns-payments-errors": ('grpc_target="dns:///payments", grpc_status=~"(?i)(',),
        },
    ),
    Case(
        "annotated",
        annotated,
        {
            "http-errors": ('kubernetes_namespace="{{ namespace }}"', '"kubernetes_pod_name"'),
            "http-latency": ('"kubernetes_pod_name"',),
        },
    ),
    Case("exported", exported, {"http-errors": ('exported_pod=~"{{ pods }}"',)}),
    Case(
        "integrations",
        integrations,
        {
            "http-errors": (),
            **{f"api-{n}-errors": (f'integration="api-{n}", code!~"[123].*',) for n in range(5)},
        },
        ("calls to broken fail more often than not", "4 more integrations have no signal"),
    ),
    Case(
        "hostile",
        hostile,
        {
            "http-errors": (),
            "or-vector-1-errors": ('integration="} or vector(1) #"',),
            "back-slash-errors": ('integration="back\\\\slash"',),
            "pay-ments-errors": ('integration="pay\\"ments"',),
            "plain-errors": ('integration="plain"',),
        },
        ("4 more integrations have no signal",),
    ),
    Case("in-words", in_words, {"http-errors": ("http_server_requests_total", 'status=~"5.."')}),
    Case("unlabelled", unlabelled, {}, ("http_requests_total has no label that tells failed",)),
    Case("absent", lambda *_: None, {}),
]


def history(now: int) -> str:
    """Return the history of all workloads up to a moment, in Unix seconds."""
    found = History(now)
    for case in CASES:
        case.fill(found, case.name)
    return found.text()
