import {createAwkwardDatabase} from './support/awkward.ts'
import {testCluster} from './support/cluster.ts'
import {runBackup, temporaryFolder} from './support/backup.ts'
import {runRestore, wrongFindings} from './support/restore.ts'
describe('scratch', () => {
  for (const major of [17, 15] as const) it(`works ${major}`, async function () {
    this.timeout(120000)
    const cluster = await testCluster({major})
    const {url} = await createAwkwardDatabase(cluster, 'awk')
    const directory = await temporaryFolder('scratch')
    const b = await runBackup({url, directory, digest: true, toolsMajor: 18})
    console.log(b.error, b.notices, b.state.timings)
    const r = await runRestore({url, directory})
    console.log(r.error, r.notices, r.state.findings, r.state.timings, r.state.tools)
    console.log(wrongFindings(r.state.findings))
  })
})
