import {expect} from 'chai'
import {existsSync, readdirSync, rmSync} from 'node:fs'
import {basename, join} from 'node:path'
import {unreachableError} from '../../../../src/lib/errors.ts'
import type {Archive} from '../../../../src/lib/postgres/archive.ts'
import {connect, endQuietly} from '../../../../src/lib/postgres/connection.ts'
import {assertSameTables} from '../../../../src/lib/procedures/backup/attempt.ts'
import {LocalStorage} from '../../../../src/lib/repository/storage/local.ts'
import {failing, keysOf, localRepository, removeFolder, runBackup, temporaryFolder, type BackupSetting} from '../../../support/backup.ts'
import {testCluster} from '../../../support/cluster.ts'

describe('the destinations of a backup', () => {
  let url = ''
  let directory = ''
  const run = (setting: Partial<BackupSetting> = {}) => runBackup({url, directory, ...setting})

  before(async () => {
    url = await (await testCluster({major: 18})).createDatabase('backup_destinations_test')
    const client = await connect(url)
    await client.query('CREATE TABLE leads AS SELECT i FROM generate_series(1, 100) i')
    await endQuietly(client)
  })
  beforeEach(async () => { directory = await temporaryFolder('destinations') })
  afterEach(() => removeFolder(directory))

  it('takes a new label when another backup has it, finished or not, and leaves that one alone', async () => {
    const storage = localRepository(directory)
    const [finished, begun, free] = ['20260101T000000Z-aaaa', '20260101T000000Z-bbbb', '20260101T000000Z-cccc']
    await storage.put(`development/${finished}/manifest.json`, '{}')
    await storage.put(`development/${begun}/lease.json`, '{}')
    const labels = [finished, begun, free]
    const {state, error} = await run({newLabel: () => labels.shift() ?? ''})
    expect(error).to.equal(undefined)
    expect(state.label).to.equal(free)
    expect(await keysOf(storage, `development/${finished}`)).to.have.length(1)
    expect(await keysOf(storage, `development/${begun}`)).to.have.length(1)
  })

  it('gives up after a few labels, and removes nobody\'s backup', async () => {
    const storage = localRepository(directory)
    await storage.put('development/20260101T000000Z-aaaa/manifest.json', '{}')
    const {error} = await run({newLabel: () => '20260101T000000Z-aaaa'})
    expect(error).to.have.property('code', 'storage.exists')
    expect(await keysOf(storage)).to.deep.equal(['development/20260101T000000Z-aaaa/manifest.json'])
  })

  it('writes no manifest where a member is gone meanwhile', async () => {
    const storage = localRepository(directory)
    const {error} = await run({onStep: (id) => {
      if (id !== 'backup.commit') return
      const [label = ''] = readdirSync(join(directory, 'backups', 'development'))
      rmSync(join(directory, 'backups', 'development', label, 'toc.dat'))
    }})
    expect(error).to.include({code: 'backup.members', exitCode: 4})
    expect(await keysOf(storage)).to.deep.equal([])
  })

  it('goes on without a destination that is lost before the comparison', async () => {
    await run()
    let lost = false
    const broken = new Proxy(localRepository(join(directory, 'other')), {get: (inner, name) => {
      const value: unknown = Reflect.get(inner, name, inner)
      return typeof value !== 'function' ? value : (...args: unknown[]) => (lost && name !== 'close' ? (name === 'list' ? unreachableList() : Promise.reject(unreachableError('storage.unreachable', 'lost'))) : (value as (...all: unknown[]) => unknown).apply(inner, args))
    }})
    const {state, error} = await run({storages: [localRepository(directory), broken], onStep: (id) => { lost ||= id === 'backup.compare' }})
    expect(error).to.equal(undefined)
    expect(state.failures.map(({code}) => code)).to.deep.equal(['storage.unreachable'])
  })

  it('says what could not be taken back, and leaves the lease for the next run to find', async () => {
    const stuck = new Proxy(failing(localRepository(directory), (key) => key.endsWith('manifest.json')), {get: (inner, name) => {
      const value: unknown = Reflect.get(inner, name, inner)
      return name === 'remove' ? () => Promise.reject(unreachableError('storage.unreachable', 'cannot remove')) : value
    }})
    const {error} = await run({storages: [stuck]})
    expect(error?.message).to.contain('Not undone').and.to.contain('cannot remove')
    expect((await keysOf(localRepository(directory))).filter((key) => key.endsWith('lease.json'))).to.have.length(1)
  })

  it('makes nothing in the folder of a disk that is not mounted', async () => {
    const mount = join(directory, '..', `${basename(directory)}-mount`)
    const gone = new LocalStorage(join(mount, 'backups'), {mustExist: true})
    const {state, error} = await run({storages: [gone, localRepository(directory)], stagingRoot: join(mount, 'backups', '.staging')})
    expect(error).to.equal(undefined)
    expect(state.failures.map(({code}) => code)).to.deep.equal(['storage.no-bucket'])
    expect(existsSync(mount)).to.equal(false)
  })
})

describe('assertSameTables', () => {
  const entry = (tag: string, kind = 'TABLE DATA') => ({dumpId: 1, kind, schema: 'public', tag})
  const archive = (...entries: ReturnType<typeof entry>[]) => ({entries}) as unknown as Archive
  const table = (name: string, kind: 'table' | 'partitioned' = 'table') => ({schema: 'public', name, kind})

  it('takes the same tables, whatever else the archive holds', () => {
    assertSameTables(archive(entry('a'), entry('parent', 'TABLE'), entry('view', 'MATERIALIZED VIEW DATA')), [table('a'), table('parent', 'partitioned')])
    assertSameTables(archive(), [])
  })

  it('refuses a table that was not dumped, and one that was not counted', () => {
    expect(() => { assertSameTables(archive(entry('a')), [table('a'), table('b')]) }).to.throw(/public\.b was not dumped/).with.property('code', 'backup.tables')
    expect(() => { assertSameTables(archive(entry('a'), entry('c')), [table('a')]) }).to.throw(/public\.c was not counted/)
  })
})

async function* unreachableList(): AsyncGenerator<never> {
  throw unreachableError('storage.unreachable', 'lost')
}
