import {expect} from 'chai'
import {latestInstanceSettings} from '../src/lib/procedures/instance-settings/latest.ts'
import {saveInstanceSettings, type SaveOptions} from '../src/lib/procedures/instance-settings/save.ts'
import {listBackups} from '../src/lib/procedures/list.ts'
import {Repository} from '../src/lib/repository/repository.ts'
import {smallDatabase, verify} from './lib/procedures/verify/verifying.ts'
import {runBackup} from './support/backup.ts'
import {isAllowed, POLICY_PLACES, readPolicy, type Wish} from './support/policy.ts'
import {recording, s3Actions, type Recorded} from './support/recorded-s3.ts'
import {openS3} from './support/s3-storage.ts'
import {temporaryFolder} from './support/temporary.ts'

describe('the policies of docs/iam, against real runs', function () {
  this.timeout(60_000)
  const folder = temporaryFolder()
  let s3: Awaited<ReturnType<typeof openS3>>

  before(async () => { s3 = await openS3() })
  after(async () => { await s3.close() })

  function assertAllowed(role: string, requests: readonly Recorded[]): void {
    const policy = readPolicy(role, POLICY_PLACES)
    const named = s3Actions()
    const denied = requests.map(({command, input: {Key, Prefix}}): Wish => ({
      action: named.get(command) ?? command, resource: Key === undefined ? 'arn:aws:s3:::backups' : `arn:aws:s3:::backups/${Key}`, context: Prefix === undefined ? {} : {'s3:prefix': Prefix},
    })).filter((wish) => !isAllowed(policy, wish))
    expect(requests.length, role).to.be.above(0)
    expect(denied, role).to.deep.equal([])
  }

  it('let a backup, its verification, the list, and the saved settings through', async () => {
    const backup = recording(s3)
    const {error, state} = await runBackup({url: await smallDatabase('docs_iam'), directory: folder.path, storages: [backup.storage]})
    if (error) throw error
    const api = {instance: () => Promise.resolve({DBInstanceIdentifier: 'crm'}), parameterGroup: () => Promise.resolve(undefined), parametersSet: () => Promise.resolve([]), proxyTargets: () => Promise.resolve([])} satisfies SaveOptions['api']
    await saveInstanceSettings({api, storages: [backup.storage], instance: 'crm', environment: 'development', by: 'test'}, new AbortController().signal)
    expect(backup.requests.map(({command}) => command)).to.include.members(['PutObject', 'DeleteObject', 'ListObjectsV2'])
    assertAllowed('backup', backup.requests)

    const restore = recording(s3)
    const verified = await verify({wanted: {kind: 'label', label: state.label ?? ''}, storages: [restore.storage], directory: folder.path})
    expect(verified.verified[0]).to.include({ok: true}).and.have.property('evidence').that.is.a('string')
    await listBackups({environments: [{environment: 'development', rpoSeconds: 60, storages: [restore.storage], foreign: []}], limit: 0, unfinished: true, now: new Date(), signal: new AbortController().signal})
    assertAllowed('restore', restore.requests)

    const pitr = recording(s3)
    expect(await latestInstanceSettings([pitr.storage], 'crm')).to.have.property('settings')
    expect(await new Repository(pitr.storage, 'development').latest()).to.have.property('label', state.label)
    assertAllowed('pitr', pitr.requests)

    const prune = recording(s3)
    await new Repository(prune.storage, 'development').remove(state.label ?? '')
    expect(prune.requests.map(({command}) => command)).to.include('DeleteObject')
    assertAllowed('prune', prune.requests)
  })
})
