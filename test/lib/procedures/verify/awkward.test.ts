import {expect} from 'chai'
import {removeFolder, runBackup, temporaryFolder, localRepository} from '../../../support/backup.ts'
import {serverMajors, testCluster} from '../../../support/cluster.ts'
import {createAwkwardDatabase} from '../../../support/awkward.ts'
import {errorsOf, verify} from './verifying.ts'

describe('dr verify of the awkward database', () => {
  for (const major of serverMajors) {
    it(`finds nothing wrong in a backup of PostgreSQL ${major}`, async function () {
      this.timeout(60_000)
      const directory = await temporaryFolder('verify-awkward')
      try {
        const cluster = await testCluster({major})
        const {url} = await createAwkwardDatabase(cluster, 'verify_awkward')
        const {state, error} = await runBackup({url, directory, toolsMajor: major === 18 ? 18 : 17})
        if (error) throw error
        const found = await verify({wanted: {kind: 'label', label: state.label ?? ''}, storages: [localRepository(directory)], directory})
        expect(errorsOf(found)).to.deep.equal([])
        expect(found.verified[0]?.ok).to.equal(true)
      } finally {
        await removeFolder(directory)
      }
    })
  }
})
