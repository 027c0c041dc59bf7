import {expect} from 'chai'
import {readdir} from 'node:fs/promises'
import {withClient} from '../../../../src/lib/postgres/connection.ts'
import type {Storage} from '../../../../src/lib/repository/storage/storage.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {runRestore, wrongFindings, type RestoreOutcome, type RestoreSetting} from '../../../support/restore.ts'
import {MIB, openS3} from '../../../support/s3-storage.ts'

describe('a restore from S3', function () {
  this.timeout(60_000)
  let cluster: TestCluster
  let s3: Awaited<ReturnType<typeof openS3>>
  let directory = ''
  let url = ''
  let label = ''

  before(async () => {
    cluster = await testCluster({major: 17})
    s3 = await openS3()
    url = await cluster.createDatabase('remote')
    await withClient(url, {}, (client) => client.query(`
      CREATE TABLE small (i int PRIMARY KEY); INSERT INTO small SELECT generate_series(1, 5); SELECT lo_create(78), lo_put(78, 0, 'large object');
      CREATE TABLE one AS SELECT i, md5(random()::text) || md5(random()::text) AS note FROM generate_series(1, 40000) i;
      CREATE TABLE two AS SELECT * FROM one; CREATE TABLE three AS SELECT * FROM one WHERE i < 20000`))
    directory = await temporaryFolder('restore')
    const {error, state} = await runBackup({url, directory, storages: [s3.storage({prefix: 'dr'})], toolsMajor: 17, digest: true})
    if (error) throw error
    label = state.label ?? ''
  })
  after(async () => {
    await s3.close()
    await withClient(cluster.adminUrl, {}, (client) => client.query('DROP DATABASE remote WITH (FORCE)'))
    await removeFolder(directory)
  })

  const restore = (setting: Partial<RestoreSetting> = {}, storage: (prefix?: string) => Storage = (prefix = 'dr') => s3.storage({prefix})) =>
    runRestore({url, directory, s3: {wanted: 'latest', bucket: 'backups', storage: (prefix) => Promise.resolve(storage(prefix))}, ...setting})
  const left = async () => ({
    staged: await readdir(`${directory}/staging`).catch(() => []),
    runs: await readdir(`${directory}/run`),
    databases: await withClient(cluster.adminUrl, {}, (client) => client.query("SELECT datname FROM pg_database WHERE datname LIKE 'remote_restore%' OR datname LIKE 'dr_unfinished%'").then(({rowCount}) => rowCount)),
  })
  const drop = ({state: {database}}: RestoreOutcome) => withClient(cluster.adminUrl, {}, (client) => client.query(`DROP DATABASE ${client.escapeIdentifier(database)}`))

  it('equals its source, and leaves no download behind', async () => {
    const outcome = await restore()
    expect(outcome.error).to.equal(undefined)
    expect(wrongFindings(outcome.state.findings)).to.deep.equal([])
    expect(outcome.state.timings.map(({phase}) => phase)).to.include('download')
    expect(outcome.state.location).to.equal(`s3://backups/dr/development/${label}`)
    await drop(outcome)
    expect(await left()).to.deep.equal({staged: [], runs: [], databases: 0})
  })

  it('loads the first tables while later ones are still on their way, and tells how much has come', async () => {
    s3.server.setRate(MIB / 2)
    const seen: {done: number; downloaded: number; total: number}[] = []
    try {
      const outcome = await restore({jobs: 1, onProgress: (progress) => {
        if (typeof progress === 'string' || progress.unit !== 'bytes') return
        seen.push({done: progress.done, total: progress.total ?? 0, downloaded: Number(/([\d.]+) MB downloaded/.exec(progress.note ?? '')?.[1]) * 1e6})
      }})
      expect(outcome.error).to.equal(undefined)
      await drop(outcome)
    } finally {
      s3.server.setRate(undefined)
    }
    const whole = Math.max(...seen.map(({downloaded}) => downloaded))
    expect(seen.some(({done, downloaded}) => done > 0 && downloaded < whole), JSON.stringify(seen)).to.equal(true)
  })

  it('takes a label and a key', async () => {
    for (const wanted of [label, `development/${label}`]) {
      const outcome = await restore({s3: {wanted, bucket: 'backups', storage: (prefix = 'dr') => Promise.resolve(s3.storage({prefix}))}})
      expect(outcome.error).to.equal(undefined)
      await drop(outcome)
    }
  })

  it('loads nothing of a member that came otherwise, and drops the database', async () => {
    /** One bit of every large member turns on its way. */
    const turning = (prefix = 'dr'): Storage => {
      const storage = s3.storage({prefix})
      const read = storage.read.bind(storage)
      storage.read = async (key, options) => {
        const stream = await read(key, options)
        if (!/\d+\.dat/.test(key)) return stream
        return stream.map((chunk: Buffer) => {
          chunk[0] = (chunk[0] ?? 0) ^ 1
          return chunk
        })
      }
      return storage
    }
    const {error} = await restore({}, turning)
    expect(error, String(error)).to.include({code: 'restore.member-damaged', exitCode: 4})
    expect(await left()).to.deep.equal({staged: [], runs: [], databases: 0})
  })

  it('is refused before anything is made when a member is missing', async () => {
    const storage = s3.storage({prefix: 'dr'})
    const keys: string[] = []
    for await (const {key} of storage.list(`development/${label}/`)) keys.push(key)
    const victim = keys.find((key) => /\/\d+\.dat/.test(key)) ?? expect.fail('no member')
    const bytes = await (await storage.read(victim)).toArray() as Buffer[]
    await storage.remove(victim)
    try {
      const steps: string[] = []
      const {error} = await restore({onStep: (id) => { steps.push(id) }})
      expect(error, String(error)).to.include({exitCode: 4}).and.property('message').contains('missing')
      expect(steps).to.deep.equal(['restore.backup'])
    } finally {
      await storage.put(victim, Buffer.concat(bytes))
    }
  })

  it('stops at Ctrl-C in the middle, and leaves nothing', async () => {
    s3.server.setRate(2 * MIB)
    const controller = new AbortController()
    try {
      const {error} = await restore({signal: controller.signal, onProgress: (progress) => {
        if (typeof progress !== 'string' && progress.unit === 'bytes') controller.abort(new Error('Ctrl-C'))
      }})
      expect(error?.message).to.equal('Ctrl-C')
      expect(await left()).to.deep.equal({staged: [], runs: [], databases: 0})
    } finally {
      s3.server.setRate(undefined)
    }
  })
})
