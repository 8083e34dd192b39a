"""Figures for Prometheus. Labels are route templates, statuses, and a pack's own names: never a caller's words."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from api.jobs import Answer
from api.pool import WorkerPool

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """One application's figures, in a registry of their own."""

    def __init__(self, pool: WorkerPool) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "chartgap_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "chartgap_request_seconds", "Time to answer.", ("route",), registry=self._registry, buckets=_SECONDS
        )
        self._reports = Counter("chartgap_reports", "Gap reports made.", ("code", "verdict"), registry=self._registry)
        self._gaps = Counter(
            "chartgap_requirements", "Requirements judged.", ("requirement", "status"), registry=self._registry
        )
        self._feedback = Counter(
            "chartgap_cds_feedback", "What users did with cards.", ("service", "outcome"), registry=self._registry
        )
        for name, words, value in (
            ("chartgap_jobs_held", "Jobs accepted and not yet answered.", lambda: pool.held),
            ("chartgap_workers_ready", "Whether the workers are warm.", lambda: pool.ready),
            ("chartgap_worker_restarts", "Workers replaced after a death or a timeout.", lambda: pool.restarts),
        ):
            Gauge(name, words, registry=self._registry).set_function(value)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def report(self, answer: Answer) -> None:
        """Count a gap report."""
        if answer.code is not None and answer.status == 200:
            self._reports.labels(answer.code, answer.verdict or "none").inc()
            for gap in answer.gaps:
                self._gaps.labels(gap.requirement, gap.status).inc()

    def feedback(self, service: str, outcome: str) -> None:
        """Count what a user did with a card."""
        self._feedback.labels(service, outcome).inc()

    def text(self) -> bytes:
        """The figures as Prometheus reads them."""
        return generate_latest(self._registry)
