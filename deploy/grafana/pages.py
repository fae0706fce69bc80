"""What is on the dashboards: `python deploy/grafana/pages.py` writes dashboards/*.json.

`make docs` runs it, `make check` runs it with --check. The numbers of sales come first,
for they are what all of it is for.
"""

import sys

from draw import (
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
    write,
)

_GREEN_TO_ONE = ((None, "green"), (0.5, "yellow"), (1, "red"))
_ANY_IS_BAD = ((None, "green"), (1, "red"))
_ANY_IS_NOTED = ((None, "green"), (1, "yellow"))

SALES = Dashboard(
    "sales",
    "Leadpulse sales operations",
    "How many leads are worth a call, what was told to whom, and how fast.",
    (
        Row(
            "Now",
            (
                stat("Leads", "Leads held.", f"sum(leadpulse_leads{{{JOB}}})"),
                stat(
                    "Alerts, last hour",
                    "Alerts decided and sent on their way.",
                    f'sum(increase(leadpulse_alerts_total{{{JOB},sent="true"}}[1h]))',
                ),
                stat(
                    "Event to alert, p99",
                    "From receipt of the event until the alert is safe. The promise is "
                    "one second.",
                    quantile(0.99, "leadpulse_alert_latency_seconds", window="5m").expr,
                    "s",
                    _GREEN_TO_ONE,
                ),
                stat(
                    "Waiting to be delivered",
                    "How long the oldest alert has waited for its messages.",
                    'max(leadpulse_lag_seconds{group=~"delivery[.].+"}) or vector(0)',
                    "s",
                    ((None, "green"), (10, "yellow"), (60, "red")),
                ),
                stat(
                    "View's age",
                    "How old the oldest change is that the ranked list does not show.",
                    'max(leadpulse_lag_seconds{group="view"})',
                    "s",
                    ((None, "green"), (30, "yellow"), (120, "red")),
                ),
                stat(
                    "Objective: scores in 1 s",
                    "Share of the scores of six hours that took longer; 1 % is allowed.",
                    "leadpulse:score_slow:ratio_rate6h",
                    "percentunit",
                    ((None, "green"), (0.005, "yellow"), (0.01, "red")),
                ),
            ),
            4,
        ),
        Row(
            "Leads",
            (
                lines(
                    "Score updates by tier",
                    "Changes of scores, by the lead's tier after the change.",
                    rate("leadpulse_score_updates_total", "tier"),
                    unit="cps",
                    stacked=True,
                ),
                lines(
                    "Account scores by tier",
                    "Changes of companies' scores.",
                    rate("leadpulse_account_scores_total", "tier"),
                    unit="cps",
                    stacked=True,
                ),
                lines(
                    "Where events come from",
                    "Events accepted, by source.",
                    rate(
                        "leadpulse_collector_events_total",
                        "source",
                        where='verdict="accepted"',
                    ),
                    unit="cps",
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Speed to lead",
            (
                lines(
                    "Until taken up, median by tier",
                    "From the decision of an alert until sales took the lead up.",
                    Query(
                        "histogram_quantile(0.5, sum by (le, tier) (rate("
                        f"leadpulse_speed_to_lead_seconds_bucket{{{JOB}}}[1h])))",
                        "{{tier}}",
                    ),
                    unit="s",
                ),
                lines(
                    "Until taken up, median by owner",
                    "The same by who owns the lead.",
                    Query(
                        "histogram_quantile(0.5, sum by (le, owner) (rate("
                        f"leadpulse_speed_to_lead_seconds_bucket{{{JOB}}}[1h])))",
                        "{{owner}}",
                    ),
                    unit="s",
                ),
                lines(
                    "Taken up",
                    "Leads that sales took up in the last hour, by tier.",
                    Query(
                        "sum by (tier) (increase("
                        f"leadpulse_speed_to_lead_seconds_count{{{JOB}}}[1h]))",
                        "{{tier}}",
                    ),
                ),
            ),
        ),
        Row(
            "Alerts",
            (
                lines(
                    "Alerts by policy and reason",
                    "What was sent, each minute.",
                    Query(
                        "sum by (alert, reason) (rate(leadpulse_alerts_total"
                        f'{{{JOB},sent="true"}}[$__rate_interval])) * 60',
                        "{{alert}}: {{reason}}",
                    ),
                    unit="cpm",
                ),
                lines(
                    "Held back, and why",
                    "Hysteresis, cooldown, quiet hours, merging: noise that nobody got.",
                    Query(
                        "sum by (reason) (rate(leadpulse_alerts_total"
                        f'{{{JOB},sent="false"}}[$__rate_interval])) * 60',
                        "{{reason}}",
                    ),
                    unit="cpm",
                ),
                lines(
                    "People and room",
                    "Where an alert has a capacity: leads above its threshold, and how "
                    "many the people on shift can deal with.",
                    Query(
                        f"sum by (alert) (leadpulse_leads_above_threshold{{{JOB}}})",
                        "{{alert}}: leads above",
                    ),
                    Query(
                        f"sum by (alert) (leadpulse_alert_capacity{{{JOB}}})",
                        "{{alert}}: capacity",
                    ),
                ),
                lines(
                    "Machine traffic",
                    "Events found to be a machine's, of all that were scored, by reason.",
                    Query(
                        f"sum by (reason) (rate(leadpulse_machine_events_total{{{JOB}}}"
                        "[5m])) / ignoring (reason) group_left sum(rate("
                        f'leadpulse_events_total{{{JOB},result="scored"}}[5m]))',
                        "{{reason}}",
                    ),
                    unit="percentunit",
                ),
            ),
        ),
    ),
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
                    _GREEN_TO_ONE,
                ),
                stat(
                    "Alert latency p99",
                    "From receipt by the collector until the alert is durable; last five "
                    "minutes. The promise is one second.",
                    quantile(0.99, "leadpulse_alert_latency_seconds", window="5m").expr,
                    "s",
                    _GREEN_TO_ONE,
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
                    steps=_ANY_IS_NOTED,
                ),
                stat(
                    "Roles down",
                    "Processes that Prometheus cannot scrape.",
                    f"sum(1 - up{{{JOB}}})",
                    steps=_ANY_IS_BAD,
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
                    steps=_ANY_IS_BAD,
                ),
                stat(
                    "Missing a replica",
                    "Partitions that one more loss could stop.",
                    "max(leadpulse_partitions_underreplicated)",
                    steps=_ANY_IS_NOTED,
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

DELIVERY = Dashboard(
    "delivery",
    "Leadpulse delivery",
    "What leaves for people, CRMs and the view: results, speed, and who does not answer.",
    (
        Row(
            "Now",
            (
                stat(
                    "Waiting",
                    "How long the oldest alert has waited to be delivered.",
                    'max(leadpulse_lag_seconds{group=~"delivery[.].+"}) or vector(0)',
                    "s",
                    ((None, "green"), (10, "yellow"), (60, "red")),
                ),
                stat(
                    "Sent, last hour",
                    "Messages that their targets took.",
                    'sum(increase(leadpulse_delivery_total{result="sent"}[1h])) '
                    "or vector(0)",
                ),
                stat(
                    "Given up, last hour",
                    "Messages that became dead letters.",
                    "sum(increase(leadpulse_delivery_total"
                    '{result=~"gave-up|refused"}[1h])) or vector(0)',
                    steps=_ANY_IS_BAD,
                ),
                stat(
                    "Targets left alone",
                    "Targets that failed in a row; their messages wait.",
                    "sum(max by (target) (leadpulse_delivery_circuit_open)) "
                    "or vector(0)",
                    steps=_ANY_IS_BAD,
                ),
            ),
            4,
        ),
        Row(
            "Targets",
            (
                lines(
                    "Attempts by target and result",
                    "Each minute; anything but sent is tried again or given up.",
                    Query(
                        "sum by (target, result) (rate(leadpulse_delivery_total"
                        f"{{{JOB}}}[$__rate_interval])) * 60",
                        "{{target}}: {{result}}",
                    ),
                    unit="cpm",
                ),
                lines(
                    "Answers, p99 by target",
                    "Time that a target took to answer one attempt.",
                    Query(
                        "histogram_quantile(0.99, sum by (le, target) (rate("
                        f"leadpulse_delivery_attempt_seconds_bucket{{{JOB}}}"
                        "[$__rate_interval])))",
                        "{{target}}",
                    ),
                    unit="s",
                ),
            ),
        ),
        Row(
            "Alerts",
            (
                lines(
                    "What became of alerts",
                    "Each minute, by target: told, held, shown, or why nobody was told.",
                    Query(
                        "sum by (target, result) (rate(leadpulse_delivery_alerts_total"
                        f"{{{JOB}}}[$__rate_interval])) * 60",
                        "{{target}}: {{result}}",
                    ),
                    unit="cpm",
                ),
                lines(
                    "Decision to target, p99",
                    "For what did not have to wait for a digest or quiet hours.",
                    Query(
                        "histogram_quantile(0.99, sum by (le, target) (rate("
                        f"leadpulse_delivery_latency_seconds_bucket{{{JOB}}}"
                        "[$__rate_interval])))",
                        "{{target}}",
                    ),
                    unit="s",
                ),
                lines(
                    "Held, and in hand",
                    "What waits for a digest or the end of quiet hours; what was read "
                    "and is not done.",
                    Query(
                        "max by (target) (leadpulse_delivery_held)", "{{target}}: held"
                    ),
                    Query(
                        "max by (target) (leadpulse_delivery_in_hand)",
                        "{{target}}: in hand",
                    ),
                ),
            ),
        ),
        Row(
            "CRMs",
            (
                lines(
                    "Records by sink and result",
                    "What became of leads' records in CRMs.",
                    rate("leadpulse_sink_records_total", "sink, result"),
                    unit="cps",
                    stacked=True,
                ),
                lines(
                    "Leads that wait",
                    "Their latest score is not in the CRM yet.",
                    Query("max by (sink) (leadpulse_sink_waiting_leads)", "{{sink}}"),
                ),
                lines(
                    "Age of the oldest",
                    "How old the oldest of those scores is.",
                    Query("max by (sink) (leadpulse_sink_lag_seconds)", "{{sink}}"),
                    unit="s",
                ),
            ),
        ),
        Row(
            "View",
            (
                lines(
                    "Age of what was written last",
                    "From its topic into Redis.",
                    gauge("leadpulse_view_lag_seconds"),
                    unit="s",
                ),
                lines(
                    "Written to the view",
                    "Records by topic.",
                    rate("leadpulse_view_records_total", "topic"),
                    unit="cps",
                    stacked=True,
                ),
                lines(
                    "Failed writes",
                    "Redis did not take them; they are tried again.",
                    rate("leadpulse_view_failures_total"),
                    unit="cps",
                ),
            ),
        ),
    ),
)

DASHBOARDS = (SALES, PIPELINE, BROKER, DELIVERY)

if __name__ == "__main__":
    checking = "--check" in sys.argv
    stale = write(DASHBOARDS, check=checking)
    print(f"dashboards: {stale} of {len(DASHBOARDS)} were not as drawn")
    sys.exit(1 if checking and stale else 0)
