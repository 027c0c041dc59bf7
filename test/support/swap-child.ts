import {connect} from '../../src/lib/postgres/connection.ts'
import {swapDatabases, type DatabaseSwap} from '../../src/lib/postgres/swap.ts'

/** A process that swaps databases and stands still at one moment, so that it can be killed there. Its argument: what and when, as JSON. */
const {url, swap, stopAt} = JSON.parse(process.argv[2] ?? '{}') as {url: string; swap: DatabaseSwap; stopAt: number}
let moments = 0
await swapDatabases(swap, {
  connect: () => connect(url, {applicationName: 'swap child'}),
  signal: new AbortController().signal,
  async hook(moment, statement) {
    if (moments++ !== stopAt) return
    process.stdout.write(`stands ${moment} ${statement}\n`)
    await new Promise((resolve) => { setTimeout(resolve, 3_600_000) })
  },
})
process.stdout.write('done\n')
