"""``/metrics``: the node's figures in Prometheus's words, made when asked for and kept nowhere.

Nothing is counted here. Each scrape reads the node's own counters through a collector in a registry
of its own, so no process-wide state is touched. Only ``page`` imports this, once it is asked for:
prometheus-client takes memory that a node at rest is better without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.core import Metric

    from flocon.books.figures import Figures, Spans


def exposition(figures: Figures) -> bytes:
    """Return what a scrape is answered with."""
    registry = CollectorRegistry()
    registry.register(_Figures(figures))
    return generate_latest(registry)


class _Figures(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        yield from self._counters()
        yield from self._others()
        yield from self._gauges()
        yield from self._histograms()
        yield from self._mirror()
        for name, value in self._figures.builds.items():
            yield GaugeMetricFamily(f"flocon_builds_{name}", _BUILDS[name], value=value)
        for name, text in _OWN.items() if self._figures.own else ():
            gauge = GaugeMetricFamily(f"flocon_own_{name}", text, labels=("repository",))
            for repository, values in self._figures.own.items():
                gauge.add_metric((repository,), values[name])
            yield gauge
        for name, text in _PARENTS.items() if self._figures.parents else ():
            counter = CounterMetricFamily(f"flocon_parent_{name}", text, labels=("parent",))
            for place, values in self._figures.parents.items():
                counter.add_metric((place,), values[name])
            yield counter

    def _counters(self) -> Iterator[Metric]:
        one = self._figures
        requests = CounterMetricFamily(
            "flocon_requests",
            "Answers to pacman, by kind of file, source and result.",
            labels=("kind", "source", "result"),
        )
        for words, count in one.requests.items():
            requests.add_metric(words, count)
        yield requests
        yield _counter("bytes", "Bytes by direction.", "direction", one.bytes)
        yield _counter(
            "dropped_datagrams", "Datagrams dropped, by reason.", "reason", one.dropped_datagrams
        )
        yield _counter("lan_answers", "Answers to peers, by kind.", "kind", one.lan_answers)
        yield _counter(
            "lan_refusals", "Requests and connections of peers refused.", "reason", one.lan_refusals
        )
        text = "Bytes fetched before pacman asked: it took them, or they left unused."
        yield _counter("ahead_bytes", text, "use", one.ahead_bytes)
        text = "Seconds that pacman did not wait for the WAN."
        yield CounterMetricFamily("flocon_saved_seconds", text, value=one.seconds_saved)
        if one.longest_hold_seconds is not None:
            text = "Turns of the reactor that took more than 50 ms."
            yield CounterMetricFamily("flocon_reactor_long_holds", text, value=one.long_holds)

        if one.standins:
            text = "Requests in the place of another tool, answered or refused, by kind."
            standins = CounterMetricFamily("flocon_standin_requests", text, labels=("tool", "kind"))
            for tool, counts in one.standins.items():
                for kind, count in counts.items():
                    standins.add_metric((tool, kind), count)
            yield standins

    def _others(self) -> Iterator[Metric]:
        one = self._figures
        if one.foreign:
            text = "What happened with other tools' machines, by what it was."
            yield _counter("foreign_events", text, "event", one.foreign)
        if one.foreign_bytes:
            text = "Bytes that came from each of other tools' machines."
            told = CounterMetricFamily("flocon_foreign_bytes", text, labels=("tool", "address"))
            for place, count in one.foreign_bytes.items():
                told.add_metric(place, count)
            yield told
        if one.far_datagrams:
            text = "Datagrams to nodes of other networks, or of them to the own group."
            yield _counter("far_datagrams", text, "to", one.far_datagrams)
        if one.mdns_datagrams:
            text = "Datagrams of mDNS, by what became of them."
            yield _counter("mdns_datagrams", text, "result", one.mdns_datagrams)

    def _gauges(self) -> Iterator[Metric]:
        one = self._figures
        version = GaugeMetricFamily("flocon_info", "The version that runs.", labels=("version",))
        version.add_metric((one.version,), 1)
        yield version
        for name, text, values in (
            ("peers", "Peers heard, by state.", one.peers),
            ("upgrade_packages", "Packages of the next upgrade, by state.", one.upgrade_packages),
            ("upgrade_bytes", "Bytes of the next upgrade, by state.", one.upgrade_bytes),
            ("far_names", "Names in peers.static, by state.", one.far_names),
        ):
            if name == "far_names" and not values:
                continue
            gauge = GaugeMetricFamily(f"flocon_{name}", text, labels=("state",))
            for state, count in values.items():
                gauge.add_metric((state,), count)
            yield gauge
        if one.silent_folders:
            text = "Seconds for which a folder has not answered."
            silent = GaugeMetricFamily("flocon_silent_folder_seconds", text, labels=("folder",))
            for folder, seconds in one.silent_folders.items():
                silent.add_metric((folder,), seconds)
            yield silent
        for name, text, value in (
            ("uptime_seconds", "Seconds since this node started.", one.uptime_seconds),
            ("transfers_running", "Files on their way into this node.", one.transfers),
            ("quarantined_peers", "Peers that are not asked, for wrong bytes.", one.quarantined),
            ("inventory_files", "Packages held.", one.files),
            ("inventory_bytes", "Bytes of the packages held.", one.files_bytes),
            (
                "ahead_waiting_bytes",
                "Bytes fetched ahead that pacman has not asked for.",
                one.ahead_waiting_bytes,
            ),
            ("wan_bytes_per_second", "The WAN's measured rate.", one.wan_bytes_per_second),
            ("far_peers", "Nodes of other networks that are known.", one.far_peers),
            (
                "reactor_longest_hold_seconds",
                "The longest turn of the reactor.",
                one.longest_hold_seconds,
            ),
        ):
            if value is not None:
                yield GaugeMetricFamily(f"flocon_{name}", text, value=value)

    def _histograms(self) -> Iterator[Metric]:
        one = self._figures
        look_ups = HistogramMetricFamily(
            "flocon_look_up_seconds", "Time to decide whom to ask for a file."
        )
        look_ups.add_metric((), _buckets(one.look_up_seconds), one.look_up_seconds.sum)
        yield look_ups
        transfers = HistogramMetricFamily(
            "flocon_transfer_seconds", "Time to fetch a file from one source.", labels=("source",)
        )
        for source, spans in one.transfer_seconds.items():
            transfers.add_metric((source,), _buckets(spans), spans.sum)
        yield transfers

    def _mirror(self) -> Iterator[Metric]:
        for name, value in self._figures.mirror.items():
            family = CounterMetricFamily if name in _MIRROR_COUNTS else GaugeMetricFamily
            yield family(f"flocon_mirror_{name}", _MIRROR[name], value=value)


#: What is told of a mirror for the LAN, and what of it only grows while the node runs.
_MIRROR = {
    "state_timestamp_seconds": "When the mirror had the state that clients are given.",
    "published_timestamp_seconds": "Since when clients are given it.",
    "read_timestamp_seconds": "When a mirror was last read to its end.",
    "failing": "Whether the last refresh failed.",
    "waiting": "Whether a newer state waits to be given.",
    "missing_packages": "Packages that are wanted of it and not here yet.",
    "missing_bytes": "Bytes of them.",
    "snapshots": "Snapshots that are kept.",
    "protected_bytes": "Bytes in the store that stay in any case.",
    "cleared_bytes": "Bytes that were cleared out of the store.",
    "clients": "Machines without a node that are known.",
    "client_requests": "Requests of machines without a node.",
    "client_bytes": "Bytes sent to machines without a node.",
    "client_fetched_bytes": "Bytes of these that came from the WAN for them.",
}
#: What is told of builds.
_BUILDS = {
    "watched": "Recipes that are watched.",
    "waiting": "Recipes of which something waits for a person.",
    "failed": "Recipes that failed when they were last built.",
    "running": "Whether one is being built.",
    "oldest_wait_seconds": "For how long the first of those that wait has.",
    "polled_timestamp_seconds": "When it could last be told whether anything is new.",
}
#: What is told of each own repository.
_OWN = {
    "signed_timestamp_seconds": "When the newest database that is here was signed.",
    "packages": "Packages that it lists.",
    "copies_wanted": "Packages of it that this node is to keep for others.",
    "copies_here": "Those of them that are here.",
}
#: What is told of each caching proxy of the LAN.
_PARENTS = {
    "bytes": "Bytes that came from it.",
    "files": "Files, or parts of them, that came from it.",
    "missing": "Files that it did not have.",
    "failures": "Times that it gave no answer, or one that ended early.",
    "wrong": "Files of which it sent other bytes than it should have.",
    "sent_elsewhere": "Files for which it sent this node to a mirror.",
}
_MIRROR_COUNTS = {"cleared_bytes", "client_requests", "client_bytes", "client_fetched_bytes"}


def _counter(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"flocon_{name}", text, labels=(label,))
    for word, count in values.items():
        family.add_metric((word,), count)
    return family


def _buckets(spans: Spans) -> list[tuple[str, float]]:
    return [
        ("+Inf" if bound == float("inf") else str(bound), count)
        for bound, count in spans.cumulative()
    ]
