"""Every metric there is, in one typed place: name, labels, meaning, what to do.

Base units only; labels are bounded (never a lead or an e-mail address). Observed
once per batch on hot paths, not once per event.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_LATENCY_BUCKETS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.02,
    0.035,
    0.05,
    0.075,
    0.1,
    0.15,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)

EVENTS: Final = Counter(
    "leadpulse_events_total",
    "Events taken off the topics. "
    "result: scored, duplicate, replayed, suppressed (of who was erased), "
    "redirected (a second hop: the lead is part "
    "of another one), forwarded (came under a wrong key), dead.",
    ("source", "result"),
)
MACHINE_EVENTS: Final = Counter(
    "leadpulse_machine_events_total",
    "Events found to be a machine's, at once or late, by the reason told first. Over "
    "leadpulse_events_total it is the share of machine traffic: where it jumps, look "
    "which reason, and whether a campaign or a filter changed.",
    ("reason",),
)
DEAD_LETTERS: Final = Counter(
    "leadpulse_dead_letters_total",
    "Records set aside. A rising rate: look with `leadpulse dead-letters list`.",
    ("stage", "reason"),
)
SCORE_LATENCY: Final = Histogram(
    "leadpulse_score_latency_seconds",
    "Receipt by the collector until the score update was durable.",
    buckets=_LATENCY_BUCKETS,
)
ALERT_LATENCY: Final = Histogram(
    "leadpulse_alert_latency_seconds",
    "Receipt by the collector until the alert was durable on its topic.",
    buckets=_LATENCY_BUCKETS,
)
SCORE_UPDATES: Final = Counter(
    "leadpulse_score_updates_total",
    "Score updates published.",
    ("tier", "workspace"),
)
ALERTS: Final = Counter(
    "leadpulse_alerts_total",
    "Alert decisions by reason, sent or not.",
    ("alert", "reason", "sent", "workspace"),
)
BATCH_RECORDS: Final = Histogram(
    "leadpulse_batch_records",
    "Records in one batch of one partition.",
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500),
)
BATCH_SECONDS: Final = Histogram(
    "leadpulse_batch_seconds",
    "Time from taking a batch until everything it wrote was durable.",
    buckets=_LATENCY_BUCKETS,
)
THRESHOLD: Final = Gauge(
    "leadpulse_alert_threshold",
    "The score at which an alert with a capacity begins just now.",
    ("alert", "workspace"),
)
LEADS_ABOVE: Final = Gauge(
    "leadpulse_leads_above_threshold",
    "Leads that have reached that score.",
    ("alert", "workspace"),
)
CAPACITY: Final = Gauge(
    "leadpulse_alert_capacity",
    "Leads that the people on shift can deal with.",
    ("alert", "workspace"),
)
THRESHOLD_MOVES: Final = Counter(
    "leadpulse_threshold_moves_total",
    "Times a threshold was moved. reason: over-capacity, room.",
    ("alert", "reason", "workspace"),
)
LEADS: Final = Gauge(
    "leadpulse_leads",
    "Leads held by this worker.",
)
ACCOUNTS: Final = Gauge(
    "leadpulse_accounts",
    "Accounts held by this worker.",
)
ACCOUNT_COMMANDS: Final = Counter(
    "leadpulse_account_commands_total",
    "What leads tell their accounts, and wake-ups. "
    "result: applied, stale, early, replayed, ignored, suppressed, dead.",
    ("result",),
)
ACCOUNT_SCORES: Final = Counter(
    "leadpulse_account_scores_total",
    "Account scores published.",
    ("tier", "workspace"),
)
ERASURES: Final = Counter(
    "leadpulse_erasures_total",
    "Identifiers of erased people that workers forgot. result: erased, unknown "
    "(nothing was known by it; from now on nothing will be).",
    ("result",),
)
LINKS: Final = Counter(
    "leadpulse_links_total",
    "What became of links between identifiers. result: handed-over (what a weaker "
    "lead knew is on its way), absorbed (it has arrived), reserved (nothing was "
    "known yet), moved (somebody else's now), known.",
    ("result",),
)
MERGE_SECONDS: Final = Histogram(
    "leadpulse_merge_seconds",
    "Receipt of the event that linked two identifiers until the leads were one.",
    buckets=_LATENCY_BUCKETS,
)
ASSIGNED_PARTITIONS: Final = Gauge(
    "leadpulse_assigned_partitions",
    "Partitions of the score table owned by this worker.",
)
RECOVERING: Final = Gauge(
    "leadpulse_recovering",
    "1 while the score table is being rebuilt from its changelog.",
)
RECOVERED_RECORDS: Final = Counter(
    "leadpulse_recovered_records_total",
    "Changelog records applied during recovery.",
)
RECOVERY_LEFT: Final = Gauge(
    "leadpulse_recovery_left_records",
    "Changelog records that recovery still has to read, as far as the broker tells.",
)
RECOVERY_SECONDS: Final = Gauge(
    "leadpulse_recovery_seconds",
    "How long the last recovery took.",
)
CHANGELOG_BYTES: Final = Counter(
    "leadpulse_changelog_bytes_total",
    "What was written to the changelogs of the tables.",
)
TRAINING_READ: Final = Counter(
    "leadpulse_training_messages_total",
    "Score updates, alerts and CRM events that the training log has taken in.",
)
TRAINING_WRITTEN: Final = Counter(
    "leadpulse_training_records_total",
    "Training records that were written.",
)
TRAINING_LEADS: Final = Gauge(
    "leadpulse_training_leads",
    "Leads with a training record, of the partitions that this process follows.",
)
TRAINING_FAILURES: Final = Counter(
    "leadpulse_training_failures_total",
    "Times that Kafka did not take training records; they are tried again.",
)
FETCH_LIMIT: Final = Gauge(
    "leadpulse_fetch_limit_records",
    "Records that the next fetch may bring: what is done in a quarter of a second.",
)
FETCH_IN_HAND: Final = Gauge(
    "leadpulse_fetch_in_hand_seconds",
    "How long a worker has been at what it fetched last; 0 between two fetches.",
)
LOOP_LAG: Final = Gauge(
    "leadpulse_loop_lag_seconds",
    "By how much the worker's event loop was late, when it was asked last.",
)
RESTORED_STATES: Final = Counter(
    "leadpulse_restored_states_total",
    "States taken over from snapshots on this worker's disk.",
)
SNAPSHOTS: Final = Counter(
    "leadpulse_snapshots_total",
    "Snapshots of partitions of tables, by what became of them: taken, abandoned (the "
    "partition went away or a state was removed), failed, used, refused.",
    ("result",),
)
STANDBY_PARTITIONS: Final = Gauge(
    "leadpulse_standby_partitions",
    "Partitions of other workers that this one keeps a copy of the states of.",
)
STANDBY_LAG: Final = Gauge(
    "leadpulse_standby_lag_records",
    "Changelog records that copies of other workers' states lack.",
)
STANDBYS: Final = Counter(
    "leadpulse_standbys_total",
    "Partitions of tables taken over from a copy that was kept up to date: used, or "
    "refused because the changelog is another one.",
    ("result",),
)
SNAPSHOT_SECONDS: Final = Gauge(
    "leadpulse_snapshot_seconds",
    "Time that the last snapshots of all partitions took together.",
)
REBALANCES: Final = Counter(
    "leadpulse_rebalances_total",
    "Assignments of partitions received from the group coordinator.",
)
WAKEUPS_PENDING: Final = Gauge(
    "leadpulse_wakeups_pending",
    "Leads and accounts in the timer wheel.",
)
WAKEUPS: Final = Counter(
    "leadpulse_wakeups_total",
    "Wake-ups sent for leads and accounts whose planned instant came.",
)
WAKEUP_LAG: Final = Histogram(
    "leadpulse_wakeup_lag_seconds",
    "Real time from a planned instant until its wake-up was sent.",
    buckets=_LATENCY_BUCKETS,
)
LOST_TO_RETENTION: Final = Counter(
    "leadpulse_lost_to_retention_total",
    "Records that their topic did not keep until a worker came to score them; must "
    "stay 0.",
    ("topic",),
)
WORKER_ENDINGS: Final = Counter(
    "leadpulse_worker_endings_total",
    "How often workers of this data directory left with 1 so far. reason: dead-letters "
    "(the line is stopped), not-durable, unreadable-state, topic, other.",
    ("reason",),
)
COLLECTOR_REQUESTS: Final = Counter(
    "leadpulse_collector_requests_total",
    "HTTP requests to the collector.",
    ("route", "status"),
)
COLLECTOR_EVENTS: Final = Counter(
    "leadpulse_collector_events_total",
    "Events offered to the collector by verdict.",
    ("source", "verdict"),
)
COLLECTOR_PROVIDER_EVENTS: Final = Counter(
    "leadpulse_collector_provider_events_total",
    "What providers sent. verdict: accepted, refused (a dead letter), ignored (a type "
    "that says nothing of a person).",
    ("provider", "verdict"),
)
COLLECTOR_SECONDS: Final = Histogram(
    "leadpulse_collector_request_seconds",
    "Time from the request's last byte until its answer.",
    buckets=_LATENCY_BUCKETS,
)
COLLECTOR_IN_PROGRESS: Final = Gauge(
    "leadpulse_collector_requests_in_progress",
    "Requests that the collector has not answered yet.",
)
SPOOL_EVENTS: Final = Gauge(
    "leadpulse_spool_events",
    "Acknowledged events (and dead letters) on the collector's disk that Kafka does "
    "not have yet. Not 0 for long: Kafka is away, or refuses; see `/readyz`.",
)
SPOOL_BYTES: Final = Gauge(
    "leadpulse_spool_bytes",
    "What they weigh; at LEADPULSE_SPOOL_MAX_BYTES senders get 503.",
)
SPOOL_OLDEST: Final = Gauge(
    "leadpulse_spool_oldest_seconds",
    "Age of the oldest of them.",
)
SPOOL_ASIDE: Final = Gauge(
    "leadpulse_spool_aside_events",
    "Spooled records that Kafka will never take, or that the disk damaged: kept on "
    "disk, to be looked at.",
)
SPOOL_SPOOLED: Final = Counter(
    "leadpulse_spool_spooled_total",
    "Events (and dead letters) put on the spool.",
)
SPOOL_DRAINED: Final = Counter(
    "leadpulse_spool_drained_total",
    "Events (and dead letters) sent from the spool to Kafka.",
)
SPOOL_REFUSED: Final = Counter(
    "leadpulse_spool_refused_total",
    "Requests that the spool did not take and that got 503. reason: full, failed (the "
    "disk).",
    ("reason",),
)
for _reason in ("full", "failed"):
    SPOOL_REFUSED.labels(_reason)  # a rate needs to have seen the 0
VIEW_RECORDS: Final = Counter(
    "leadpulse_view_records_total",
    "Records written to the Redis view.",
    ("topic",),
)
VIEW_SKIPPED: Final = Counter(
    "leadpulse_view_skipped_total",
    "Records the view could not decode; bad events are dead letters of the worker.",
    ("topic",),
)
VIEW_FAILURES: Final = Counter(
    "leadpulse_view_failures_total",
    "Failed writes to Redis; the view retries and heals by itself.",
)
VIEW_LAG: Final = Gauge(
    "leadpulse_view_lag_seconds",
    "Age of the last record written to the view when it was written.",
)
DELIVERIES: Final = Counter(
    "leadpulse_delivery_total",
    "Attempts at messages to a target, and messages given up. result: sent, refused "
    "(a dead letter), gave-up (a dead letter), and why it was tried again: "
    "rate-limited, server-error, timeout, unreachable, credentials, misconfigured (a "
    "CRM lacks a field that is mapped).",
    ("target", "result"),
)
DELIVERY_ALERTS: Final = Counter(
    "leadpulse_delivery_alerts_total",
    "What became of alerts at a target. result: told, held (for a digest or the end of "
    "quiet hours), shown (its message was changed), undeliverable (a dead letter), "
    "and why nobody was told: duplicate, not-routed, nobody, overtaken (it ended "
    "while it waited), worked (taken up while it waited), suppressed, refused (no mail "
    "wanted), capped, no-digest.",
    ("target", "result"),
)
DELIVERY_LATENCY: Final = Histogram(
    "leadpulse_delivery_latency_seconds",
    "From the decision until a target had the alert, for what did not have to wait.",
    ("target",),
    buckets=_LATENCY_BUCKETS,
)
DELIVERY_HELD: Final = Gauge(
    "leadpulse_delivery_held",
    "Alerts that wait for a digest or the end of quiet hours.",
    ("target",),
)
DELIVERY_IN_HAND: Final = Gauge(
    "leadpulse_delivery_in_hand",
    "Alerts that were read and are not done. At its bound reading pauses: look whether "
    "the target's circuit is open.",
    ("target",),
)
SPEED_TO_LEAD: Final = Histogram(
    "leadpulse_speed_to_lead_seconds",
    "From the decision of an alert until sales took the lead up, by tier and owner "
    "(those of the delivery file; others are `other`).",
    ("tier", "owner"),
    buckets=(60, 300, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400, 259_200),
)
DELIVERY_SECONDS: Final = Histogram(
    "leadpulse_delivery_attempt_seconds",
    "Time that a target took to answer one attempt.",
    ("target",),
    buckets=_LATENCY_BUCKETS,
)
DELIVERY_CIRCUIT_OPEN: Final = Gauge(
    "leadpulse_delivery_circuit_open",
    "1 while a target is left alone after failures in a row; its messages wait.",
    ("target",),
)
BROKERS: Final = Gauge(
    "leadpulse_brokers",
    "Brokers of the Kafka cluster that are up, as the view's role sees it.",
)
LEADERLESS: Final = Gauge(
    "leadpulse_partitions_leaderless",
    "Partitions of our topics that no broker leads: they can be neither read nor "
    "written.",
)
UNDERREPLICATED: Final = Gauge(
    "leadpulse_partitions_underreplicated",
    "Partitions of our topics of which a replica is behind or away.",
)
TOPIC_END: Final = Gauge(
    "leadpulse_topic_end_offset",
    "Where a topic ends, all partitions together; it only grows, so its rate is what "
    "is written.",
    ("topic",),
)
LAG_RECORDS: Final = Gauge(
    "leadpulse_lag_records",
    "Records that a consumer group has not done, seen from outside. group: scoring, "
    "view, delivery.TARGET, sink.SINK.",
    ("group", "topic"),
)
LAG_SECONDS: Final = Gauge(
    "leadpulse_lag_seconds",
    "How long the oldest of them has waited, to within 10 s.",
    ("group", "topic"),
)
BROKER_SEEN: Final = Gauge(
    "leadpulse_broker_seen_timestamp_seconds",
    "When the broker last told how it is; what it told before is kept meanwhile.",
)
APPEND_SECONDS: Final = Histogram(
    "leadpulse_append_seconds",
    "Time until Kafka had acknowledged what was written at once.",
    ("log",),
    buckets=_LATENCY_BUCKETS,
)
APPEND_FAILURES: Final = Counter(
    "leadpulse_append_failures_total",
    "Writes that Kafka did not acknowledge. reason: refused, late, failed.",
    ("log", "reason"),
)
SINK_RECORDS: Final = Counter(
    "leadpulse_sink_records_total",
    "What became of leads' records in CRMs. result: written, created, cleared (of an "
    "erased, merged or refusing person), same (nothing to write), older (the CRM has a "
    "newer one), unknown (the CRM has no such record), no-key (nothing to find it by), "
    "suppressed (of who was erased), unreadable, refused (look in the log; `leadpulse "
    "sinks reconcile` finds them again).",
    ("sink", "result"),
)
SINK_WAITING: Final = Gauge(
    "leadpulse_sink_waiting_leads",
    "Leads whose latest score waits to be written into a CRM.",
    ("sink",),
)
SINK_LAG: Final = Gauge(
    "leadpulse_sink_lag_seconds",
    "Age of the oldest score update that waits for a CRM; 0 if none does.",
    ("sink",),
)
MODEL_INFO: Final = Gauge(
    "leadpulse_model_info",
    "1 for the model in force.",
    ("name", "version", "digest", "workspace"),
)
SIDE_EVENTS: Final = Counter(
    "leadpulse_side_events_total",
    "Inputs that changed a lead's score by a model beside the primary, by slot.",
    ("slot",),
)
MODEL_VERSIONS: Final = Counter(
    "leadpulse_model_versions_total",
    "Versions of models that came into a partition, by slot.",
    ("slot",),
)
SPANS: Final = Counter(
    "leadpulse_spans_total",
    "Spans of traces by what became of them. result: sent, lost (the receiver of "
    "LEADPULSE_OTLP_ENDPOINT did not take them; nothing else suffers).",
    ("result",),
)
ACCESS: Final = Counter(
    "leadpulse_access_total",
    "Requests that need a token, where there are tokens. result: admitted, unknown (no "
    "token, or none that is known), role (one whose role does not reach). Many unknown "
    "ones: somebody tries, or a scraper was forgotten.",
    ("surface", "result"),
)
WEB_REQUESTS: Final = Counter(
    "leadpulse_web_requests_total",
    "Requests to the web app and its API, by route and status. Many 503: the view's "
    "Redis does not answer; many 403: somebody's role does not reach, or another site "
    "tries.",
    ("route", "status"),
)
WEB_REQUEST_SECONDS: Final = Histogram(
    "leadpulse_web_request_seconds",
    "Time until the web app had an answer (of a stream: its beginning), by route.",
    ("route",),
    buckets=_LATENCY_BUCKETS,
)
WEB_LIVE_CLIENTS: Final = Gauge(
    "leadpulse_web_live_clients",
    "Browsers and programs that listen to live events of this web app.",
)
WEB_LIVE_MESSAGES: Final = Counter(
    "leadpulse_web_live_messages_total",
    "Messages handed to all who listen, each counted once. kind: lead, account, alert, "
    "work, gone (a lead that is part of another), reset (Redis was away).",
    ("kind",),
)
WEB_LIVE_DROPPED: Final = Counter(
    "leadpulse_web_live_dropped_total",
    "Listeners let go, for they took their messages too slowly; they come again and "
    "read anew.",
)
WEB_PUSH_SECONDS: Final = Histogram(
    "leadpulse_web_push_seconds",
    "From a message of the view's live channel until it was on its way to a browser.",
    buckets=_LATENCY_BUCKETS,
)
BUILD_INFO: Final = Gauge(
    "leadpulse_build_info",
    "1 for the running version.",
    ("version", "role"),
)
