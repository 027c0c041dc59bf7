// Preloaded into `dr` by `node --import`: at its end it writes down what it used, for the benchmark.
import {readFileSync, writeFileSync} from 'node:fs'

const file = process.env.DR_BENCH_USAGE
if (file) {
  process.once('exit', () => {
    const {user, system} = process.cpuUsage()
    writeFileSync(file, JSON.stringify({status: readFileSync('/proc/self/status', 'utf8'), cpuMs: (user + system) / 1000}))
  })
}
