"""What sales sees: leads, alerts, how fast people are told."""

from draw import (
    GREEN_TO_ONE,
    JOB,
    Dashboard,
    Query,
    Row,
    lines,
    quantile,
    rate,
    stat,
)

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
                    GREEN_TO_ONE,
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
