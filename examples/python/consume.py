"""Keeps every lead's score in SQLite and tells each alert once.

    pip install confluent-kafka
    python consume.py [BROKER] [DATABASE]

`LEADPULSE_TOPIC_PREFIX` and `GROUP_ID` are read from the environment.
"""

import json
import os
import signal
import sqlite3
import sys

from confluent_kafka import Consumer, KafkaException

BROKER = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092"
DATABASE = sys.argv[2] if len(sys.argv) > 2 else "leads.sqlite"
PREFIX = os.environ.get("LEADPULSE_TOPIC_PREFIX", "")
SCORES = f"{PREFIX}lead.score-updates.v1"
ALERTS = f"{PREFIX}notifications.v1"

TABLES = """
CREATE TABLE IF NOT EXISTS leads (
    lead_id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, score REAL NOT NULL,
    tier TEXT NOT NULL, grade TEXT NOT NULL, email TEXT, reasons TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS alerts (id TEXT PRIMARY KEY, lead_id TEXT NOT NULL);
"""
UPSERT = """
INSERT INTO leads VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (lead_id) DO UPDATE SET
    sequence = excluded.sequence, score = excluded.score, tier = excluded.tier,
    grade = excluded.grade, email = excluded.email, reasons = excluded.reasons
WHERE excluded.sequence > leads.sequence
"""


def take_score(db, lead_id, value):
    """Keep the update with the largest sequence; forget who was erased."""
    if value is None:  # a tombstone: this person was erased, so erase them, too
        db.execute("DELETE FROM leads WHERE lead_id = ?", (lead_id,))
        db.execute("DELETE FROM alerts WHERE lead_id = ?", (lead_id,))
        return {"erased": lead_id}
    update = json.loads(value)
    if update.get("merged_into"):  # two leads were one person: the other one stays
        db.execute("DELETE FROM leads WHERE lead_id = ?", (lead_id,))
        return {"merged": lead_id, "into": update["merged_into"]}
    email = next(iter(update["identifiers"]["email"]), None)
    reasons = "; ".join(reason["text"] for reason in update["reasons"])
    row = (lead_id, update["sequence"], update["score"], update["tier"])
    changed = db.execute(UPSERT, (*row, update["grade"], email, reasons)).rowcount
    if not changed:  # stale, or delivered a second time
        return None
    names = ("lead_id", "sequence", "score", "tier")
    return dict(zip(names, row, strict=True))


def take_alert(db, value):
    """Tell an alert the first time its id is seen."""
    if value is None:
        return None
    alert = json.loads(value)
    seen = "INSERT OR IGNORE INTO alerts VALUES (?, ?)"
    if not db.execute(seen, (alert["id"], alert["lead_id"])).rowcount:
        return None
    told = ("alert", "kind", "lead_id", "score", "next_action")
    return {name: alert[name] for name in told}


def take(db, record):
    """Return what a record changes, None for nothing; the type is in its headers."""
    kind = dict(record.headers() or []).get("ce_type", b"").decode()
    if record.topic() == SCORES:
        # A tombstone has no headers: there is nothing left to describe.
        if record.value() is None or kind == "leadpulse.score-update.v1":
            return take_score(db, record.key().decode(), record.value())
    elif kind == "leadpulse.alert.v1":
        return take_alert(db, record.value())
    return None  # a type of tomorrow: pass it over


def main():
    """Consume until SIGTERM or Ctrl-C."""
    db = sqlite3.connect(DATABASE)
    db.executescript(TABLES)
    consumer = Consumer(
        {
            "bootstrap.servers": BROKER,
            "group.id": os.environ.get("GROUP_ID", "my-crm"),
            "auto.offset.reset": "earliest",  # the first time: every lead's latest
            "enable.auto.commit": False,
            "session.timeout.ms": 6_000,  # how soon another one takes over
        }
    )
    running = True

    def stop(*_):
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    consumer.subscribe([SCORES, ALERTS])
    while running:
        records = consumer.consume(500, timeout=0.5)
        if not records:
            continue
        with db:  # one transaction for all of them
            for record in records:
                if record.error() is not None:
                    raise KafkaException(record.error())
                if (change := take(db, record)) is not None:
                    print(json.dumps(change), flush=True)
        # Only now: what a crash repeats, the sequences and ids above take once.
        consumer.commit(asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    main()
