"""How events become scores: rates, latency, state."""

from draw import (
    ANY_IS_BAD,
    ANY_IS_NOTED,
    GREEN_TO_ONE,
    JOB,
    Dashboard,
    Panel,
    Query,
    Row,
    gauge,
    lines,
    quantile,
    quantiles,
    rate,
    stat,
)

PIPELINE = Dashboard(
    "pipeline",
    "Leadpulse pipeline",
    "Events in, scores and alerts out: how many, how fast, and what was set aside.",
    (
        Row(
            "Now",
            (
                stat(
                    "Events",
                    "Events taken off the topics per second, duplicates included.",
                    rate("leadpulse_events_total").expr,
                    "cps",
                ),
                stat(
                    "Score latency p99",
                    "From receipt by the collector until the score update is durable; "
                    "last five minutes.",
                    quantile(0.99, "leadpulse_score_latency_seconds", window="5m").expr,
                    "s",
                    GREEN_TO_ONE,
                ),
                stat(
                    "Alert latency p99",
                    "From receipt by the collector until the alert is durable; last five "
                    "minutes. The promise is one second.",
                    quantile(0.99, "leadpulse_alert_latency_seconds", window="5m").expr,
                    "s",
                    GREEN_TO_ONE,
                ),
                stat(
                    "Scoring lag",
                    "How long the oldest event has waited that is not scored.",
                    'max(leadpulse_lag_seconds{group="scoring"})',
                    "s",
                    ((None, "green"), (10, "yellow"), (60, "red")),
                ),
                stat("Leads", "Held by all workers.", f"sum(leadpulse_leads{{{JOB}}})"),
                stat(
                    "Dead letters, last hour",
                    "Records set aside; look with `leadpulse dead-letters list`.",
                    f"sum(increase(leadpulse_dead_letters_total{{{JOB}}}[1h])) "
                    "or vector(0)",
                    steps=((None, "green"), (1, "yellow"), (100, "red")),
                ),
                stat(
                    "Recovering",
                    "Workers that are rebuilding their part of the score table.",
                    f"sum(leadpulse_recovering{{{JOB}}})",
                    steps=ANY_IS_NOTED,
                ),
                stat(
                    "Roles down",
                    "Processes that Prometheus cannot scrape.",
                    f"sum(1 - up{{{JOB}}})",
                    steps=ANY_IS_BAD,
                ),
            ),
            4,
        ),
        Row(
            "Flow",
            (
                lines(
                    "Offered to the collector",
                    "Events by verdict; anything but accepted is told to the sender.",
                    rate("leadpulse_collector_events_total", "verdict"),
                    unit="cps",
                    stacked=True,
                ),
                lines(
                    "Taken off the topics",
                    "Events by what became of them.",
                    rate("leadpulse_events_total", "result"),
                    unit="cps",
                    stacked=True,
                ),
                lines(
                    "Dead letters",
                    "By stage and reason.",
                    Query(
                        "sum by (stage, reason) (rate(leadpulse_dead_letters_total"
                        f"{{{JOB}}}[$__rate_interval])) * 60",
                        "{{stage}}: {{reason}}",
                    ),
                    unit="cpm",
                ),
            ),
        ),
        Row(
            "Latency",
            (
                lines(
                    "Receipt to durable score",
                    "Includes the collector, Kafka twice, and scoring. A dot is a trace.",
                    *quantiles("leadpulse_score_latency_seconds"),
                    unit="s",
                ),
                lines(
                    "Receipt to durable alert",
                    "What a salesperson waits for, before delivery.",
                    *quantiles("leadpulse_alert_latency_seconds"),
                    unit="s",
                ),
                Panel(
                    "heatmap",
                    "Score latency, all of it",
                    "Every update counted; a second band is a second population.",
                    [
                        Query(
                            "sum by (le) (rate(leadpulse_score_latency_seconds_bucket"
                            f"{{{JOB}}}[$__rate_interval]))",
                            "{{le}}",
                        )
                    ],
                    "s",
                ),
            ),
        ),
        Row(
            "Workers",
            (
                lines(
                    "Busy",
                    "Share of the time that a worker is at a batch; near 1, start more.",
                    Query("leadpulse:worker_busy:ratio_rate5m", "{{instance}}"),
                    unit="percentunit",
                ),
                lines(
                    "Batch, until durable",
                    "Time from taking a batch until everything it wrote is durable.",
                    *quantiles("leadpulse_batch_seconds"),
                    unit="s",
                ),
                lines(
                    "Records per batch",
                    "The mean; it grows with load, which keeps throughput up.",
                    Query(
                        f"sum by (instance) (rate(leadpulse_batch_records_sum{{{JOB}}}"
                        "[$__rate_interval])) / sum by (instance) "
                        f"(rate(leadpulse_batch_records_count{{{JOB}}}"
                        "[$__rate_interval]))",
                        "{{instance}}",
                    ),
                ),
                lines(
                    "In hand, and the loop",
                    "How long a worker is at its fetch, and how late its loop is; high, "
                    "Kafka does not acknowledge or the CPU is short.",
                    gauge("leadpulse_fetch_in_hand_seconds"),
                    gauge("leadpulse_loop_lag_seconds"),
                    unit="s",
                ),
            ),
        ),
        Row(
            "Tables",
            (
                lines(
                    "Partitions and rebalances",
                    "Partitions held per worker; rebalances of the last five minutes.",
                    gauge("leadpulse_assigned_partitions"),
                    Query(
                        f"sum(increase(leadpulse_rebalances_total{{{JOB}}}[5m]))",
                        "rebalances",
                    ),
                ),
                lines(
                    "Leads and accounts",
                    "Held by each worker; spread as their partitions are.",
                    gauge("leadpulse_leads"),
                    gauge("leadpulse_accounts"),
                    stacked=True,
                ),
                lines(
                    "Recovery, records left",
                    "What is still to be read of the changelogs; its slope says when.",
                    gauge("leadpulse_recovery_left_records"),
                ),
                lines(
                    "Changelog written",
                    "Bytes of states per second.",
                    rate("leadpulse_changelog_bytes_total", "instance"),
                    unit="Bps",
                ),
            ),
        ),
        Row(
            "Timers and HTTP",
            (
                lines(
                    "Wake-up lag",
                    "Real time from a planned instant until its wake-up was sent.",
                    *quantiles("leadpulse_wakeup_lag_seconds"),
                    unit="s",
                ),
                lines(
                    "Wake-ups",
                    "Leads in the timer wheels, and wake-ups sent per second.",
                    Query(f"sum(leadpulse_wakeups_pending{{{JOB}}})", "pending"),
                    rate("leadpulse_wakeups_total", legend="sent per second"),
                ),
                lines(
                    "Collector answers",
                    "Requests by status; 503 means that neither Kafka nor disk took "
                    "them.",
                    rate("leadpulse_collector_requests_total", "status"),
                    unit="reqps",
                    stacked=True,
                ),
                lines(
                    "Collector's time",
                    "From a request's last byte until its answer.",
                    *quantiles("leadpulse_collector_request_seconds"),
                    unit="s",
                ),
            ),
        ),
        Row(
            "Accounts",
            (
                lines(
                    "What accounts hear",
                    "Words of leads and wake-ups. Stale and replayed ones change "
                    "nothing; dead ones are among the dead letters.",
                    rate("leadpulse_account_commands_total", "result"),
                    unit="cps",
                ),
                lines(
                    "Identifiers that became one",
                    "Links between identifiers by what became of them.",
                    rate("leadpulse_links_total", "result"),
                    unit="cps",
                ),
            ),
        ),
        Row(
            "Processes",
            (
                lines(
                    "CPU",
                    "Seconds of CPU per second.",
                    Query(
                        f"rate(process_cpu_seconds_total{{{JOB}}}[$__rate_interval])",
                        "{{instance}}",
                    ),
                    unit="percentunit",
                ),
                lines(
                    "Memory",
                    "Resident set size.",
                    gauge("process_resident_memory_bytes"),
                    unit="bytes",
                ),
                lines(
                    "Up for",
                    "Since each process started.",
                    Query(
                        f"time() - process_start_time_seconds{{{JOB}}}", "{{instance}}"
                    ),
                    unit="s",
                ),
                Panel(
                    "table",
                    "Versions in force",
                    "More than one digest while a new model rolls out.",
                    [
                        Query(
                            "count by (name, version, digest, workspace) "
                            f"(leadpulse_model_info{{{JOB}}} == 1)"
                        ),
                        Query(
                            "count by (role, version) "
                            f"(leadpulse_build_info{{{JOB}}} == 1)"
                        ),
                    ],
                ),
            ),
        ),
    ),
)
