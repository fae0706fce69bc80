// Prints the first COUNT records of topics as JSON lines, with kafkajs:
// node kafkajs_consumer.mjs BROKER COUNT TOPIC…
import kafkajs from 'kafkajs'

const [broker, count, ...topics] = process.argv.slice(2)
const kafka = new kafkajs.Kafka({
  clientId: 'crm', brokers: [broker], logLevel: kafkajs.logLevel.NOTHING,
})
const consumer = kafka.consumer({ groupId: `crm-${process.pid}` })
let left = Number(count)

await consumer.connect()
await consumer.subscribe({ topics, fromBeginning: true })
await new Promise((done, failed) => {
  consumer.on(consumer.events.CRASH, ({ payload }) => failed(payload.error))
  consumer.run({
    eachMessage: async ({ topic, message }) => {
      if (left === 0) return
      const { key, value, headers } = message
      console.log(JSON.stringify({
        topic,
        key: key?.toString(),
        value: JSON.parse(value.toString()),
        type: headers.ce_type?.toString(),
      }))
      left -= 1
      if (left === 0) done()
    },
  })
})
await consumer.disconnect()
