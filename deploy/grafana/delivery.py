"""What is told to whom: targets, sinks, retries."""

from draw import (
    ANY_IS_BAD,
    JOB,
    Dashboard,
    Query,
    Row,
    gauge,
    lines,
    rate,
    stat,
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
                    steps=ANY_IS_BAD,
                ),
                stat(
                    "Targets left alone",
                    "Targets that failed in a row; their messages wait.",
                    "sum(max by (target) (leadpulse_delivery_circuit_open)) "
                    "or vector(0)",
                    steps=ANY_IS_BAD,
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
