"""Spans and metrics of the program's own, with OpenTelemetry.

Without the packages of OpenTelemetry, or when disabled, the methods do nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from os import getenv
from typing import Any

__all__ = ["ObservabilityManager"]

logger = logging.getLogger(__name__)


class ObservabilityManager:
    """Makes spans and metrics. A handler gets one by the annotation of an argument, enabled by
    ``WORKER_ENABLE_METRICS``.

    It uses the providers that the program has set up. If there are none, it sets up those of ``opentelemetry-sdk``,
    which export to ``OTEL_EXPORTER_OTLP_ENDPOINT`` if that is set.
    """

    def __init__(
        self,
        enabled: bool = True,
        service_name: str = "avtomatika-worker",
        worker_id: str | None = None,
        worker_type: str | None = None,
        version: str | None = None,
    ) -> None:
        self.enabled = enabled
        self.tracer: Any = None
        self.meter: Any = None
        self._own: list[Any] = []
        self._instruments: dict[str, Any] = {}
        if not enabled:
            return
        try:
            trace, metrics = import_module("opentelemetry.trace"), import_module("opentelemetry.metrics")
        except ImportError:
            self.enabled = False
            logger.warning("there are no spans and metrics: the package `opentelemetry-api` is not installed")
            return
        resource = {
            "service.name": service_name,
            "service.instance.id": worker_id or "unknown",
            "worker.type": worker_type or "unknown",
            "worker.version": version or "unknown",
        }
        self._set_up_providers(trace, metrics, resource)
        self.tracer = trace.get_tracer(service_name)
        self.meter = metrics.get_meter(service_name)
        self._instruments = {
            "tasks": self.meter.create_counter("worker.tasks.total", "1", "Total number of tasks processed"),
            "duration": self.meter.create_histogram("worker.tasks.duration", "s", "Task execution duration"),
            "s3": self.meter.create_counter("worker.s3.operations.total", "1", "Total number of S3 operations"),
        }

    def _set_up_providers(self, trace: Any, metrics: Any, attributes: dict[str, str]) -> None:
        if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            return
        try:
            sdk, sdk_metrics = import_module("opentelemetry.sdk.trace"), import_module("opentelemetry.sdk.metrics")
        except ImportError:
            return
        resource = import_module("opentelemetry.sdk.resources").Resource.create(attributes)
        tracers = sdk.TracerProvider(resource=resource)
        readers = []
        if getenv("OTEL_EXPORTER_OTLP_ENDPOINT"):
            try:
                spans = import_module("opentelemetry.exporter.otlp.proto.grpc.trace_exporter").OTLPSpanExporter()
                points = import_module("opentelemetry.exporter.otlp.proto.grpc.metric_exporter").OTLPMetricExporter()
            except ImportError as error:
                logger.warning("spans and metrics are not exported: %s; install `opentelemetry-exporter-otlp`", error)
            else:
                tracers.add_span_processor(
                    import_module("opentelemetry.sdk.trace.export").BatchSpanProcessor(spans),
                )
                export = import_module("opentelemetry.sdk.metrics.export")
                readers.append(export.PeriodicExportingMetricReader(points))
        meters = sdk_metrics.MeterProvider(resource=resource, metric_readers=readers)
        trace.set_tracer_provider(tracers)
        metrics.set_meter_provider(meters)
        self._own = [tracers, meters]

    @property
    def has_otel(self) -> bool:
        """Whether spans and metrics are made."""
        return self.tracer is not None

    @contextmanager
    def start_task_span(
        self,
        task_type: str,
        task_id: str,
        job_id: str,
        parent_context: dict[str, Any] | None = None,
        step: int = 0,
        depth: int = 0,
        parent_hash: str | None = None,
    ) -> Iterator[Any]:
        """Runs the block in a span ``task.…``, and yields the span, or None. The parent is ``parent_context``, by default
        the current span."""
        attributes = {
            "task.id": task_id,
            "job.id": job_id,
            "task.type": task_type,
            "task.step": step,
            "task.depth": depth,
            **({} if parent_hash is None else {"task.parent_hash": parent_hash}),
        }
        with self._span(f"task.{task_type}", attributes, parent_context) as span:
            yield span

    @contextmanager
    def start_s3_span(self, op: str, uri: str) -> Iterator[Any]:
        """Runs the block in a span ``s3.…``, and yields the span, or None."""
        with self._span(f"s3.{op}", {"s3.uri": uri, "s3.operation": op}, None) as span:
            yield span

    @contextmanager
    def _span(self, name: str, attributes: dict[str, Any], parent: dict[str, Any] | None) -> Iterator[Any]:
        if self.tracer is None:
            yield None
            return
        context = import_module("opentelemetry.propagate").extract(parent) if parent else None
        with self.tracer.start_as_current_span(name, context=context, attributes=attributes) as span:
            yield span

    def set_span_status_error(self, span: Any, message: str) -> None:
        """Marks a span as failed."""
        if span is not None and self.tracer is not None:
            trace = import_module("opentelemetry.trace")
            span.set_status(trace.Status(trace.StatusCode.ERROR, message))

    def record_task_finished(self, task_type: str, status: str, duration: float) -> None:
        """Counts a task, and records its duration in seconds."""
        if self._instruments:
            self._instruments["tasks"].add(1, {"task.type": task_type, "status": status})
            self._instruments["duration"].record(duration, {"task.type": task_type})

    def record_s3_op(self, op: str, status: str) -> None:
        """Counts an operation on S3."""
        if self._instruments:
            self._instruments["s3"].add(1, {"s3.operation": op, "status": status})

    async def shutdown(self) -> None:
        """Exports what is left, if this manager has set up the providers."""
        import asyncio

        own, self._own = self._own, []
        for provider in own:
            await asyncio.to_thread(provider.shutdown)
