"""Kafka, its topics and who is behind on them."""

from draw import (
    ANY_IS_BAD,
    ANY_IS_NOTED,
    Dashboard,
    Query,
    Row,
    gauge,
    lines,
    rate,
    stat,
)

BROKER = Dashboard(
    "broker",
    "Leadpulse broker",
    "Kafka as Leadpulse needs it: is all of it there, who is behind, how fast it writes.",
    (
        Row(
            "Now",
            (
                stat("Brokers", "Brokers that are up.", "max(leadpulse_brokers)"),
                stat(
                    "Without a leader",
                    "Partitions that can be neither read nor written.",
                    "max(leadpulse_partitions_leaderless)",
                    steps=ANY_IS_BAD,
                ),
                stat(
                    "Missing a replica",
                    "Partitions that one more loss could stop.",
                    "max(leadpulse_partitions_underreplicated)",
                    steps=ANY_IS_NOTED,
                ),
                stat(
                    "Last heard",
                    "How old all of this is.",
                    "time() - max(leadpulse_broker_seen_timestamp_seconds)",
                    "s",
                    ((None, "green"), (30, "yellow"), (60, "red")),
                ),
            ),
            4,
        ),
        Row(
            "Who is behind",
            (
                lines(
                    "Seconds",
                    "How long the oldest record that a group has not done waits.",
                    Query("leadpulse:lag_seconds:max", "{{group}}"),
                    unit="s",
                ),
                lines(
                    "Records",
                    "How many records each group has not done.",
                    Query("leadpulse:lag_records:sum", "{{group}}"),
                ),
                lines(
                    "Records by topic",
                    "Where they are.",
                    Query(
                        "max by (group, topic) (leadpulse_lag_records)",
                        "{{group}}: {{topic}}",
                    ),
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Writing",
            (
                lines(
                    "Written by topic",
                    "Records per second.",
                    Query(
                        "max by (topic) (rate(leadpulse_topic_end_offset[1m]))",
                        "{{topic}}",
                    ),
                    unit="cps",
                    stacked=True,
                ),
                lines(
                    "Collector: until acknowledged",
                    "Time of one write, all replicas in step included.",
                    Query(
                        "histogram_quantile(0.5, sum by (le) (rate("
                        'leadpulse_append_seconds_bucket{log="collector"}'
                        "[$__rate_interval])))",
                        "p50",
                    ),
                    Query(
                        "histogram_quantile(0.99, sum by (le) (rate("
                        'leadpulse_append_seconds_bucket{log="collector"}'
                        "[$__rate_interval])))",
                        "p99",
                    ),
                    unit="s",
                ),
                lines(
                    "Workers: until acknowledged",
                    "Time of one write, all replicas in step included.",
                    Query(
                        "histogram_quantile(0.5, sum by (le) (rate("
                        'leadpulse_append_seconds_bucket{log="worker"}'
                        "[$__rate_interval])))",
                        "p50",
                    ),
                    Query(
                        "histogram_quantile(0.99, sum by (le) (rate("
                        'leadpulse_append_seconds_bucket{log="worker"}'
                        "[$__rate_interval])))",
                        "p99",
                    ),
                    unit="s",
                ),
                lines(
                    "Not acknowledged",
                    "Writes that Kafka did not take.",
                    rate("leadpulse_append_failures_total", "log, reason"),
                    unit="cps",
                ),
            ),
        ),
        Row(
            "Spool",
            (
                lines(
                    "Events on collectors' disks",
                    "Accepted, and not on Kafka yet.",
                    gauge("leadpulse_spool_events"),
                ),
                lines(
                    "Age of the oldest",
                    "How late the latest scores are.",
                    gauge("leadpulse_spool_oldest_seconds"),
                    unit="s",
                ),
                lines(
                    "In and out",
                    "Put on disk and sent on from there, per second; and what found no "
                    "room.",
                    rate("leadpulse_spool_spooled_total", legend="in"),
                    rate("leadpulse_spool_drained_total", legend="out"),
                    rate("leadpulse_spool_refused_total", legend="refused"),
                    unit="cps",
                ),
            ),
        ),
    ),
)
