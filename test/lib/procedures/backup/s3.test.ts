import {CreateMultipartUploadCommand, S3Client} from '@aws-sdk/client-s3'
import {expect} from 'chai'
import {spawnSync} from 'node:child_process'
import {connect, endQuietly} from '../../../../src/lib/postgres/connection.ts'
import {Repository} from '../../../../src/lib/repository/repository.ts'
import {ownIdentity} from '../../../../src/lib/system/process-identity.ts'
import {keysOf, localRepository, removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {testCluster} from '../../../support/cluster.ts'
import {credentials, s3Fixture} from '../../../support/s3-storage.ts'

describe('dr backup to S3', function () {
  this.timeout(60_000)
  const s3 = s3Fixture()
  let url = ''
  let directory = ''

  before(async () => {
    url = await (await testCluster({major: 18})).createDatabase('backup_s3_test')
    const client = await connect(url)
    // Incompressible, so that the member takes several parts.
    await client.query(`CREATE TABLE big AS SELECT i, encode(sha512(i::text::bytea), 'base64') AS noise FROM generate_series(1, 150000) i;
      CREATE TABLE small AS SELECT i FROM generate_series(1, 10) i; CREATE TABLE other AS SELECT i FROM generate_series(1, 10) i`)
    await endQuietly(client)
  })
  beforeEach(async () => { directory = await temporaryFolder('backup-s3') })
  afterEach(() => removeFolder(directory))

  it('stores every member with a proof from the store, the large one in parts', async () => {
    const storage = s3.storage()
    const {state, error} = await runBackup({url, directory, storages: [storage]})
    expect(error).to.equal(undefined)
    const {manifest} = await new Repository(storage, 'development').open(state.label ?? '')
    expect(manifest.proofs).to.deep.equal([{destination: 's3://backups/team/dr', proof: 'store-sha256'}])
    expect(Math.max(...manifest.members.map(({bytes}) => bytes))).to.be.greaterThan(5 * 1024 * 1024)
    for (const {name, bytes} of manifest.members) expect((await storage.stat(`development/${manifest.label}/${name}`))?.bytes, name).to.equal(bytes)
    expect(await keysOf(storage)).to.have.length(manifest.members.length + 1)
  })

  it('stores in both places in one run, the same bytes', async () => {
    const [local, storage] = [localRepository(directory), s3.storage()]
    const {state, error} = await runBackup({url, directory, storages: [local, storage]})
    expect(error).to.equal(undefined)
    expect(await keysOf(storage)).to.deep.equal(await keysOf(local))
    expect(state.proofs?.map(({proof}) => proof)).to.deep.equal(['reread', 'store-sha256'])
  })

  it('waits out throttling and a connection that is cut', async () => {
    s3.server.faults.add(
      {match: {operation: 'PutObject'}, times: 3, action: {status: 503, code: 'SlowDown'}},
      {match: {operation: 'UploadPart'}, times: 2, action: {cutAfterBytes: 1_000_000}},
    )
    const storage = s3.storage()
    const {state, error} = await runBackup({url, directory, storages: [storage]})
    expect(error).to.equal(undefined)
    expect(await keysOf(storage, `development/${state.label ?? ''}/manifest.json`)).to.have.length(1)
    expect(s3.server.faults.rules.every(({times}) => times === 0), 'every fault was met').to.equal(true)
  })

  it('says what fails for good, and leaves no object and no part', async () => {
    s3.server.faults.add({match: {operation: 'UploadPart'}, times: 1000, action: {status: 403, code: 'AccessDenied'}})
    const storage = s3.storage()
    const {error} = await runBackup({url, directory, storages: [storage]})
    expect(error).to.include({code: 'storage.denied', exitCode: 5})
    expect(await keysOf(storage)).to.deep.equal([])
    expect(await storage.abandonedUploads(0)).to.deep.equal([])
  })

  it('is no success when the store kept another byte than was sent', async () => {
    s3.server.faults.add({match: {operation: 'UploadPart'}, times: 1, action: {corrupt: 'flip-byte'}})
    const storage = s3.storage({checksums: 'when-required'})
    const {error} = await runBackup({url, directory, storages: [storage]})
    expect(error).to.include({code: 'storage.corrupt', exitCode: 4})
    expect(await keysOf(storage)).to.deep.equal([])
  })

  it('clears away what a killed run left, parts included, and nothing that may be of a living one', async () => {
    const storage = s3.storage()
    const lease = (holder: object, expiresIn = 600_000) => JSON.stringify({run: 'r', ...ownIdentity(), ...holder, renewedAt: new Date().toISOString(), expiresAt: new Date(Date.now() + expiresIn).toISOString()})
    const {pid} = spawnSync('true')
    const left: Record<string, string> = {
      '20260101T000000Z-dead': lease({pid, ticks: '1'}),
      '20260101T000001Z-a11e': lease({}),
      '20260101T000002Z-07e2': lease({pid, host: 'another.host', boot: 'another'}),
      '20260101T000003Z-c012': lease({pid, ticks: '1', pidNamespace: 'pid:[1]'}),
      '20260101T000004Z-01d0': lease({pid, host: 'another.host', boot: 'another'}, -2 * 3_600_000),
    }
    const folder = (label: string) => `development/${label}/`
    for (const [label, text] of Object.entries(left)) {
      await storage.put(`${folder(label)}lease.json`, text)
      await storage.put(`${folder(label)}toc.dat`, 'begun')
    }
    const client = new S3Client({region: 'us-east-1', endpoint: s3.server.endpoint, forcePathStyle: true, credentials})
    for (const label of ['20260101T000000Z-dead', '20260101T000002Z-07e2']) await client.send(new CreateMultipartUploadCommand({Bucket: 'backups', Key: `team/dr/${folder(label)}1.dat.zst`}))
    client.destroy()
    const {notices, error} = await runBackup({url, directory, storages: [storage]})
    expect(error).to.equal(undefined)
    expect(notices.filter((text) => text.includes('-dead') || text.includes('-01d0'))).to.have.length(2)
    expect((await new Repository(storage, 'development').unfinished()).map(({label}) => label)).to.deep.equal(['20260101T000003Z-c012', '20260101T000002Z-07e2', '20260101T000001Z-a11e'])
    expect((await storage.abandonedUploads(0)).map(({key}) => key)).to.deep.equal(['development/20260101T000002Z-07e2/1.dat.zst'])
  })

  it('takes the lease out of a whole backup whose run was killed at its very end', async () => {
    const storage = s3.storage()
    const {pid} = spawnSync('true')
    const labels: string[] = []
    for (let at = 0; at < 2; at++) {
      const {error, state} = await runBackup({url, directory, storages: [storage]})
      if (error) throw error
      labels.push(state.label ?? '')
    }
    for (const [at, holder] of [{pid, ticks: '1'}, {}].entries()) {
      await storage.put(`development/${labels[at] ?? ''}/lease.json`, JSON.stringify({run: 'r', ...ownIdentity(), ...holder, renewedAt: new Date().toISOString(), expiresAt: new Date(Date.now() + 600_000).toISOString()}))
    }
    expect((await new Repository(storage, 'development').leftBehind()).leases.map(({label}) => label).toSorted()).to.deep.equal(labels.toSorted())
    const {error} = await runBackup({url, directory, storages: [storage]})
    expect(error).to.equal(undefined)
    expect((await new Repository(storage, 'development').leftBehind()).leases.map(({label}) => label)).to.deep.equal(labels.slice(1))
  })

  it('goes on when what a killed run left may not be removed', async () => {
    const storage = s3.storage()
    const {pid} = spawnSync('true')
    await storage.put('development/20260101T000000Z-dead/lease.json', JSON.stringify({run: 'r', ...ownIdentity(), pid, ticks: '1', renewedAt: new Date().toISOString(), expiresAt: new Date().toISOString()}))
    s3.server.faults.add({match: {operation: 'DeleteObject'}, times: 1000, action: {status: 403, code: 'AccessDenied'}})
    const {notices, error, state} = await runBackup({url, directory, storages: [storage]})
    expect(error).to.equal(undefined)
    expect(state.status).to.equal('good')
    expect(notices.join('\n')).to.contain('s3:DeleteObject')
  })

  it('names a bucket that is not there before anything is dumped', async () => {
    const steps: string[] = []
    const {error} = await runBackup({url, directory, storages: [s3.storage({bucket: 'nowhere'})], onStep: (id) => steps.push(id)})
    expect(error).to.include({code: 'storage.no-bucket'})
    expect(steps).not.to.include('backup.copy')
  })
})
