// Keeps every lead's score in memory and tells each alert once.
//
//   npm install kafkajs
//   node consume.mjs [BROKER]
//
// The topic of scores is compacted: whoever reads it from its start has the latest of
// every lead, so a table in memory is filled anew at each start. Alerts go on where the
// group left off. LEADPULSE_TOPIC_PREFIX and GROUP_ID are read from the environment.
import { randomUUID } from "node:crypto";
import kafkajs from "kafkajs";

const [broker = "127.0.0.1:9092"] = process.argv.slice(2);
const prefix = process.env.LEADPULSE_TOPIC_PREFIX ?? "";
const group = process.env.GROUP_ID ?? "my-crm";
const scores = `${prefix}lead.score-updates.v1`;
const alerts = `${prefix}notifications.v1`;

const leads = new Map();
const told = new Set(); // in your system: a table with a unique id

// Keep the update with the largest sequence; forget who was erased.
function takeScore(leadId, value) {
  if (value === null) { // a tombstone: this person was erased, so erase them, too
    leads.delete(leadId);
    return { erased: leadId };
  }
  const update = JSON.parse(value.toString());
  if (update.merged_into) { // two leads were one person: the other one stays
    leads.delete(leadId);
    return { merged: leadId, into: update.merged_into };
  }
  const known = leads.get(leadId);
  if (known && known.sequence >= update.sequence) return null; // stale or repeated
  leads.set(leadId, update);
  const { sequence, score, tier } = update;
  return { lead_id: leadId, sequence, score, tier };
}

// Tell an alert the first time its id is seen.
function takeAlert(value) {
  if (value === null) return null;
  const { id, alert, kind, lead_id, score, next_action } = JSON.parse(value.toString());
  if (told.has(id)) return null;
  told.add(id);
  return { alert, kind, lead_id, score, next_action };
}

// What a record changes, null for nothing; the type is in its CloudEvents headers.
function take(topic, { key, value, headers }) {
  const type = headers?.ce_type?.toString();
  if (topic === scores) {
    // A tombstone has no headers: there is nothing left to describe.
    if (value === null || type === "leadpulse.score-update.v1") {
      return takeScore(key.toString(), value);
    }
  } else if (type === "leadpulse.alert.v1") {
    return takeAlert(value);
  }
  return null; // a type of tomorrow: pass it over
}

const kafka = new kafkajs.Kafka({
  clientId: "my-crm", brokers: [broker], logLevel: kafkajs.logLevel.ERROR,
});
const eachMessage = async ({ topic, message }) => {
  const change = take(topic, message);
  if (change !== null) console.log(JSON.stringify(change));
};

// kafkajs commits an offset only after `eachMessage` is done with it.
const table = kafka.consumer({ groupId: `${group}-table-${randomUUID()}` });
const calls = kafka.consumer({ groupId: group });
await Promise.all([table.connect(), calls.connect()]);
await table.subscribe({ topics: [scores], fromBeginning: true });
await calls.subscribe({ topics: [alerts], fromBeginning: true });
await table.run({ autoCommit: false, eachMessage });
await calls.run({ eachMessage });

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await Promise.all([table.disconnect(), calls.disconnect()]);
    process.exit(0);
  });
}
