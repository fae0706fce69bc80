// Sends three calls with @segment/analytics-node: node segment_node.mjs URL KEY
import { Analytics } from '@segment/analytics-node'

const [host, writeKey] = process.argv.slice(2)
const analytics = new Analytics({ host, writeKey, path: '/v1/batch' })
analytics.on('error', (error) => {
  console.error(error)
  process.exitCode = 1
})
analytics.identify({ userId: 'u-1', traits: { email: 'ada@example.com' } })
analytics.page({ userId: 'u-1', name: 'Pricing', properties: { path: '/pricing' } })
analytics.track({ userId: 'u-1', event: 'Demo Requested', properties: { plan: 'pro' } })
await analytics.closeAndFlush()
