import {expect} from 'chai'
import {appendFile, mkdir, readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import {unreachableError} from '../../../src/lib/errors.ts'
import {listBackups, type BackupList, type ListedEnvironment, type ListOptions} from '../../../src/lib/procedures/list.ts'
import {newLabel} from '../../../src/lib/repository/label.ts'
import {serializeManifest, type Manifest} from '../../../src/lib/repository/manifest.ts'
import {Repository} from '../../../src/lib/repository/repository.ts'
import {LocalStorage} from '../../../src/lib/repository/storage/local.ts'
import type {Storage} from '../../../src/lib/repository/storage/storage.ts'
import {sampleManifest} from '../../support/manifest.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {openS3} from '../../support/s3-storage.ts'
import {temporaryFolder} from '../../support/temporary.ts'

const NOW = new Date('2026-11-22T12:00:00Z')
const HOUR = 3600

/** Puts a finished backup that was begun so many hours ago. */
async function put(storage: Storage, hoursAgo: number, {suffix = 'aaaa', environment = 'production', ...changes}: Partial<Manifest> & {suffix?: string} = {}): Promise<string> {
  const at = new Date(NOW.getTime() - hoursAgo * HOUR * 1000)
  const label = newLabel(at, suffix)
  await storage.put(`${environment}/${label}/manifest.json`, serializeManifest(sampleManifest({label, environment, createdAt: at.toISOString(), ...changes})))
  return label
}

describe('dr list', () => {
  const folder = temporaryFolder()
  const local = (name = 'a') => new LocalStorage(join(folder.path, name))
  const environment = (storages: readonly Storage[], changes: Partial<ListedEnvironment> = {}): ListedEnvironment => ({environment: 'production', rpoSeconds: HOUR, storages, foreign: [], ...changes})
  const list = (environments: readonly ListedEnvironment[], changes: Partial<ListOptions> = {}): Promise<BackupList> =>
    listBackups({environments, limit: 50, unfinished: false, now: NOW, signal: new AbortController().signal, ...changes})
  const labelsOf = ({backups}: BackupList) => backups.map(({label}) => label)

  it('merges the copies of a backup, newest first', async () => {
    const [a, b] = [local('a'), local('b')]
    const oldest = await put(a, 3)
    const both = await put(a, 2)
    await put(b, 2)
    const newest = await put(b, 1)
    const found = await list([environment([a, b])])
    expect(labelsOf(found)).to.deep.equal([newest, both, oldest])
    expect(found.backups.map(({copies}) => copies.map(({location}) => location))).to.deep.equal([
      [join(folder.path, 'b/production', newest)], [join(folder.path, 'a/production', both), join(folder.path, 'b/production', both)], [join(folder.path, 'a/production', oldest)],
    ])
    expect(found.backups[1]).to.include({environment: 'production', ageSeconds: 2 * HOUR, bytes: 1_000_000, tables: 2, rows: 12, level: 'stored'})
    expect(found).to.include({more: 0, moreForeign: 0})
  })

  it('says how the newest good one stands to the RPO', async () => {
    const storage = local()
    expect((await list([environment([storage])])).objectives).to.deep.equal([{environment: 'production', rpoSeconds: HOUR, newestGood: null, newestGoodAgeSeconds: null, breached: true}])
    const good = await put(storage, 2)
    await put(storage, 1, {status: 'suspect', suspicions: ['public.leads fell to no rows']})
    const late = await list([environment([storage])])
    expect(late.objectives).to.deep.equal([{environment: 'production', rpoSeconds: HOUR, newestGood: good, newestGoodAgeSeconds: 2 * HOUR, breached: true}])
    expect(late.backups[0]).to.deep.include({level: 'suspect', suspicions: ['public.leads fell to no rows']})
    expect((await list([environment([storage], {rpoSeconds: 2 * HOUR})])).objectives[0]).to.include({breached: false})
  })

  it('looks for the newest good one beyond the limit and past the filter', async () => {
    const storage = local()
    const good = await put(storage, 9)
    for (const hours of [3, 2, 1]) await put(storage, hours, {status: 'suspect'})
    const found = await list([environment([storage])], {limit: 2})
    expect(found.backups).to.have.length(2)
    expect(found.more).to.equal(2)
    expect(found.objectives[0]).to.include({newestGood: good})
    const filtered = await list([environment([storage])], {levels: ['stored']})
    expect(labelsOf(filtered)).to.deep.equal([good])
    expect(filtered.more).to.equal(0)
  })

  it('keeps a backup in its row when a copy cannot be read, and says why', async () => {
    const [a, b] = [local('a'), local('b')]
    const label = await put(a, 1)
    await put(b, 1)
    await writeFile(join(folder.path, 'b/production', label, 'manifest.json'), '{"schemaVersion": 1')
    const alone = await put(b, 2)
    await writeFile(join(folder.path, 'b/production', alone, 'manifest.json'), 'nonsense')
    const {backups} = await list([environment([a, b])])
    expect(backups.map(({level, bytes}) => [level, bytes])).to.deep.equal([['stored', 1_000_000], ['unreadable', null]])
    expect(backups[0]?.copies.map(({level}) => level)).to.deep.equal(['stored', 'unreadable'])
    expect(backups[1]?.copies[0]?.error).to.include({code: 'manifest.invalid'})
    expect(backups[1]?.createdAt).to.equal(new Date(NOW.getTime() - 2 * HOUR * 1000).toISOString())
  })

  it('takes the level from the evidence of the best copy', async () => {
    const [a, b] = [local('a'), local('b')]
    const label = await put(a, 1)
    await put(b, 1)
    const evidence = (storage: Storage, level: string, ok: boolean) => new Repository(storage, 'production').addEvidence(label, {kind: 'verified', at: NOW.toISOString(), level, ok, by: 'a test'})
    await evidence(a, 'full', false)
    await evidence(b, 'full', true)
    const {backups: [backup]} = await list([environment([a, b])])
    expect(backup?.level).to.equal('verified')
    expect(backup?.copies.map(({level}) => level)).to.deep.equal(['suspect', 'verified'])
  })

  it('leaves out what is unfinished, unless it is asked for', async () => {
    const storage = local()
    const repository = new Repository(storage, 'production')
    const dead = newLabel(new Date('2026-11-20T00:00:00Z'), '0001')
    await storage.put(`production/${dead}/toc.dat`, 'xxxx')
    const lease = await repository.takeLease(newLabel(new Date('2026-11-22T00:00:00Z'), '0002'), {run: 'r', host: 'h', pid: 1})
    try {
      expect((await list([environment([storage])], {now: new Date()})).backups).to.deep.equal([])
      const {unfinished} = await list([environment([storage])], {unfinished: true, now: new Date()})
      expect(unfinished.map(({label, running}) => [label, running])).to.deep.equal([['20261122T000000Z-0002', true], [dead, false]])
      expect(unfinished[1]).to.include({bytes: 4, storage: 'local'})
    } finally {
      await lease.release()
    }
  })

  it('lists every environment with its own objective', async () => {
    const storage = local()
    await put(storage, 2)
    await put(storage, 2, {environment: 'staging'})
    const both = await list([environment([storage]), environment([storage], {environment: 'staging', rpoSeconds: 24 * HOUR})])
    expect(both.backups.map((backup) => backup.environment)).to.deep.equal(['production', 'staging'])
    expect(both.objectives.map(({breached}) => breached)).to.deep.equal([true, false])
  })

  it('is an error when the only storage cannot be reached, and never an empty list', async () => {
    const error = await drErrorOf(list([environment([new LocalStorage(join(folder.path, 'gone'), {mustExist: true})])]))
    expect(error).to.include({code: 'storage.no-bucket', exitCode: 5})
  })

  it('lists what was reached and names what was not', async () => {
    const good = local('a')
    const label = await put(good, 1)
    const gone = new LocalStorage(join(folder.path, 'gone'), {mustExist: true})
    const found = await list([environment([gone, good])], {unfinished: true})
    expect(labelsOf(found)).to.deep.equal([label])
    expect(found.unreachable).to.have.length(1)
    expect(found.unreachable[0]).to.include({location: join(folder.path, 'gone'), code: 'storage.no-bucket'})
  })

  it('names a storage that fails in the middle', async () => {
    const [a, b] = [local('a'), local('b')]
    await put(a, 1)
    const older = await put(b, 2)
    const failing = new Proxy(b, {
      get: (target, name) => {
        if (name === 'read') return () => Promise.reject(unreachableError('storage.unreachable', 'It is gone.'))
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    const found = await list([environment([a, failing])])
    expect(labelsOf(found)).to.not.include(older)
    expect(found.unreachable.map(({code}) => code)).to.deep.equal(['storage.unreachable'])
  })

  it('lists dumps of others in the local folder, by what they are', async () => {
    const storage = local()
    await mkdir(join(folder.path, 'a/archive'), {recursive: true})
    await put(storage, 1)
    await writeFile(join(folder.path, 'a/old.sql.gz'), gzipSync('--\n-- PostgreSQL database dump\n--\n'))
    await writeFile(join(folder.path, 'a/old.dump'), Buffer.concat([Buffer.from('PGDMP'), Buffer.from([1, 14, 0, 4, 8, 1]), Buffer.alloc(100)]))
    await writeFile(join(folder.path, 'a/notes.txt'), 'Remember the milk')
    await writeFile(join(folder.path, 'a/archive/toc.dat'), 'PGDMP')
    await appendFile(join(folder.path, 'a/archive/1.dat'), 'xx')
    const {foreign} = await list([environment([storage], {foreign: [{storage, prefix: ''}]})])
    expect(foreign.map(({key, kind, compression, bytes}) => [key, kind, compression, bytes]).toSorted()).to.deep.equal([
      ['archive/', 'directory', 'none', 7], ['old.dump', 'custom', 'none', 111], ['old.sql.gz', 'plain', 'gzip', (await readFile(join(folder.path, 'a/old.sql.gz'))).length],
    ])
    expect(foreign.find(({key}) => key === 'old.dump')?.location).to.equal(join(folder.path, 'a/old.dump'))
  })
})

describe('dr list of a bucket', () => {
  let s3: Awaited<ReturnType<typeof openS3>>
  before(async () => {
    s3 = await openS3()
  })
  after(() => s3.close())
  const signal = () => new AbortController().signal

  it('reads only as many of 1,100 backups as are shown, and knows how many there are', async function () {
    this.timeout(60_000)
    const storage = s3.storage({prefix: 'many'})
    const hours = Array.from({length: 1100}, (_, index) => index)
    await Promise.all(Array.from({length: 16}, async (_, worker) => {
      for (const hour of hours.filter((one) => one % 16 === worker)) await put(storage, hour)
    }))
    const requests = s3.server.requests.length
    const found = await listBackups({environments: [{environment: 'production', rpoSeconds: HOUR, storages: [storage], foreign: []}], limit: 50, unfinished: false, now: NOW, signal: signal()})
    expect(found.backups.map(({ageSeconds}) => ageSeconds / HOUR)).to.deep.equal(hours.slice(0, 50))
    expect(found).to.include({more: 1050})
    expect(s3.server.requests.length - requests).to.be.lessThan(150)
    const all = await listBackups({environments: [{environment: 'production', rpoSeconds: HOUR, storages: [storage], foreign: []}], limit: 0, unfinished: false, now: NOW, signal: signal()})
    expect(all.backups.map(({ageSeconds}) => ageSeconds / HOUR)).to.deep.equal(hours)
    expect(all.more).to.equal(0)
  })

  it('lists old dumps under their prefix by what they are, looks into the newest only, and not at our own', async function () {
    this.timeout(60_000)
    const bucket = s3.storage({prefix: ''})
    const storage = s3.storage({prefix: 'backups/dr'})
    await put(storage, 1)
    await bucket.put('backups/production_20250101.sql.gz', Buffer.concat([Buffer.from('PGDMP'), Buffer.from([1, 14, 0, 4, 8, 1]), Buffer.alloc(300_000)]))
    await bucket.put('backups/readme', 'hello')
    const one = {environment: 'production', rpoSeconds: HOUR, storages: [storage], foreign: [{storage: bucket, prefix: 'backups/'}]}
    const {foreign} = await listBackups({environments: [one], limit: 50, unfinished: false, now: NOW, signal: signal()})
    expect(foreign.map(({location, kind}) => [location, kind]).toSorted()).to.deep.equal([['s3://backups/backups/production_20250101.sql.gz', 'custom'], ['s3://backups/backups/readme', 'unknown']])
    await Promise.all(Array.from({length: 60}, (_, index) => bucket.put(`old/${index}.sql`, '--\n-- PostgreSQL database dump\n')))
    const many = await listBackups({environments: [{...one, foreign: [{storage: bucket, prefix: 'old/'}]}], limit: 55, unfinished: false, now: NOW, signal: signal()})
    expect(many.foreign.map(({kind}) => kind === 'plain')).to.deep.equal([...Array.from({length: 50}, () => true), ...Array.from({length: 5}, () => false)])
    expect(many.moreForeign).to.equal(5)
  })
})
