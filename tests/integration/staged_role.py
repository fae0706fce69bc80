"""A role that says what it is told to: `python staged_role.py PORT`, lines on stdin.

It serves the product's own metrics by the product's own server. What takes several
brokers, a target that fails or ten minutes of recovery is staged by it.
"""

import sys

from schemas.topics import WEB_EVENTS
from streams import metrics
from streams.broker_watch import LagClock, Sight, tell_metrics
from streams.metrics_server import start_metrics_server
from streams.settings import Settings

PLACE = (WEB_EVENTS.name, 0)


def main() -> None:
    """Serve, and do what each line says."""
    port = start_metrics_server(Settings(metrics_port=int(sys.argv[1])), "delivery")
    metrics.DELIVERIES.labels("slack", "refused")
    metrics.DELIVERIES.labels("slack", "sent")
    metrics.WORKER_ENDINGS.labels("dead-letters")
    print(port, flush=True)
    for line in sys.stdin:
        {"ill": ill, "seen": seen, "well": well}[line.strip()]()


def ill() -> None:
    """Show everything that alerts are about."""
    metrics.RECOVERING.set(1)
    metrics.REBALANCES.inc(4)
    metrics.SPOOL_ASIDE.set(1)
    metrics.WORKER_ENDINGS.labels("dead-letters").inc()
    metrics.LOST_TO_RETENTION.labels(WEB_EVENTS.name).inc(120)
    for _ in range(20):
        metrics.WAKEUP_LAG.observe(100)
    metrics.MODEL_INFO.labels("other", "0", "0ld", "default").set(1)
    metrics.DELIVERY_CIRCUIT_OPEN.labels("slack").set(1)
    metrics.DELIVERIES.labels("slack", "refused").inc()
    metrics.DELIVERY_SECONDS.labels("slack").observe(1)
    metrics.LAG_SECONDS.labels("delivery.slack", "notifications.v1").set(100)
    metrics.SINK_LAG.labels("crm").set(1000)
    metrics.SINK_WAITING.labels("crm").set(3)
    metrics.SINK_RECORDS.labels("crm", "written").inc()
    metrics.DELIVERY_ALERTS.labels("slack", "told").inc()
    metrics.DELIVERY_LATENCY.labels("slack").observe(0.2)
    metrics.DELIVERY_HELD.labels("slack").set(1)
    metrics.DELIVERY_IN_HAND.labels("slack").set(1)
    metrics.SPEED_TO_LEAD.labels("hot", "other").observe(60)
    metrics.CAPACITY.labels("hot", "default").set(10)
    metrics.LEADS_ABOVE.labels("hot", "default").set(12)
    metrics.LINKS.labels("known").inc()
    metrics.APPEND_FAILURES.labels("staged", "late").inc()
    sight = Sight(1, {PLACE: 1}, {}, leaderless=[PLACE], underreplicated=[PLACE])
    tell_metrics(sight, LagClock(), 0.0)


def seen() -> None:
    """Show what a day's work shows, for the dashboards."""
    metrics.DEAD_LETTERS.labels("scoring", "invalid-event").inc()
    metrics.MACHINE_EVENTS.labels("crawler").inc()
    metrics.ACCOUNT_COMMANDS.labels("applied").inc()
    metrics.ACCOUNT_SCORES.labels("hot", "default").inc()
    for sent in ("true", "false"):
        metrics.ALERTS.labels("hot", "first", sent, "default").inc()


def well() -> None:
    """Show nothing of it any more."""
    metrics.RECOVERING.set(0)
    metrics.SPOOL_ASIDE.set(0)
    metrics.LOST_TO_RETENTION.clear()
    metrics.MODEL_INFO.clear()
    metrics.DELIVERY_CIRCUIT_OPEN.labels("slack").set(0)
    metrics.LAG_SECONDS.labels("delivery.slack", "notifications.v1").set(0)
    metrics.SINK_LAG.labels("crm").set(0)
    metrics.LEADERLESS.set(0)
    metrics.UNDERREPLICATED.set(0)
    # What it is not is not its to tell: the view's role is asked for the broker.
    metrics.BROKER_SEEN.set(0)


if __name__ == "__main__":
    main()
