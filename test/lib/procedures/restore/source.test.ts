import {expect} from 'chai'
import {mkdir, rename, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {Readable} from 'node:stream'
import {gzipSync} from 'node:zlib'
import {loadConfig} from '../../../../src/lib/config/load.ts'
import type {FoundDump} from '../../../../src/lib/procedures/restore/foreign/dump.ts'
import {findBackup, findSource, type FindOptions, type FoundBackup, type WantedBackup} from '../../../../src/lib/procedures/restore/source.ts'
import {serializeEvidence} from '../../../../src/lib/repository/evidence.ts'
import {serializeManifest, type Manifest} from '../../../../src/lib/repository/manifest.ts'
import {LocalStorage} from '../../../../src/lib/repository/storage/local.ts'
import {unreachableError} from '../../../../src/lib/errors.ts'
import type {Storage} from '../../../../src/lib/repository/storage/storage.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {temporaryFolder} from '../../../support/temporary.ts'

const at = '2026-11-22T02:00:00Z'
const label = (day: number) => `202611${String(day).padStart(2, '0')}T020000Z-7f3a`

function manifest(name: string, change: Partial<Manifest> = {}): Manifest {
  return {
    schemaVersion: 1, label: name, environment: 'production', createdAt: at, finishedAt: at, status: 'good', suspicions: [], tool: {dr: '0', pgDump: '17.5', pgRestoreMajor: 17},
    server: {version: '17', versionNum: 170_000, major: 17}, source: {database: 'crm'}, snapshot: {at, lsn: '0/1', xmin: '1', xmax: '1', current: '1:1:'}, encoding: 'UTF8',
    collation: {provider: 'libc', collate: 'C', ctype: 'C'}, sizes: {databaseBytes: 1, archiveBytes: 1}, compression: 'none', jobs: 2, members: [], tables: [], sequences: [], materializedViews: [],
    largeObjects: 0, extensions: [], roles: [], rowSecurity: [], policies: [], grants: [], indexes: {count: 0, invalid: []}, constraints: {count: 0, notValidated: []}, databaseSettings: [],
    application: {}, encryption: null, timings: [], proofs: [], digests: false, ...change,
  }
}

describe('which backup a restore takes', () => {
  const folder = temporaryFolder()
  /** The bucket is a folder here: what differs between the two is tested with them. */
  const roots = () => ({local: join(folder.path, 'backups'), bucket: join(folder.path, 'bucket')})

  const put = async (root: string, name: string, change?: Partial<Manifest>) => {
    const directory = join(root, 'production', name)
    await mkdir(directory, {recursive: true})
    await writeFile(join(directory, 'manifest.json'), serializeManifest(manifest(name, change)))
    return directory
  }

  interface Finding {
    bucket?: boolean
    openS3?: FindOptions['openS3']
    openLocal?: FindOptions['openLocal']
    stdin?: Readable
    database?: string
  }

  function find(wanted: WantedBackup, how: Finding & {all: true}): Promise<FoundBackup | FoundDump>
  function find(wanted: WantedBackup, how?: Finding): Promise<FoundBackup>
  async function find(wanted: WantedBackup, {bucket = true, openS3, openLocal, stdin, database, all = false}: Finding & {all?: boolean} = {}) {
    const {config} = await loadConfig({env: bucket ? {AWS_S3_BUCKET: 'bkt'} : {}, cwd: folder.path, configDir: folder.path, dataDir: folder.path, flags: {environment: 'production'}})
    const s3 = (prefix = 'dr'): Promise<Storage> => Promise.resolve(Object.assign(new LocalStorage(join(roots().bucket, prefix)), {kind: 's3' as const}))
    return (all ? findSource : findBackup)(wanted, {config, cwd: folder.path, openLocal: openLocal ?? (() => Promise.resolve(new LocalStorage(roots().local))), openS3: openS3 ?? s3, signal: new AbortController().signal, database, ...(stdin && {stdin})})
  }

  beforeEach(async () => {
    await put(roots().local, label(1))
    await put(join(roots().bucket, 'dr'), label(2))
  })

  it('is the newest of all storages, and the local one of two that are the same', async () => {
    expect(await find({})).to.deep.include({location: join(roots().bucket, 'dr', 'production', label(2)), notices: []})
    await put(roots().local, label(2))
    expect((await find({backup: 'latest'})).directory).to.equal(join(roots().local, 'production', label(2), '/'))
  })

  it('is never a suspect one by itself, and says what it passed over and why', async () => {
    await put(roots().local, label(3), {status: 'suspect', suspicions: ['leads: no rows']})
    await put(roots().local, label(4))
    await mkdir(join(roots().local, 'production', label(4), 'evidence'))
    await writeFile(join(roots().local, 'production', label(4), 'evidence', '20261122T031500000Z-verified.json'), serializeEvidence({kind: 'verified', at, level: 'full', ok: false, by: 'test'}))
    const {manifest: {label: chosen}, notices} = await find({})
    expect(chosen).to.equal(label(2))
    expect(notices.join('\n')).to.match(new RegExp(`${label(4)}.*check.*failed`)).and.match(new RegExp(`${label(3)}.*leads: no rows`))
  })

  it('is one of the database that it must be of, and says how many of others were passed over', async () => {
    await put(roots().local, label(3), {source: {database: 'audit'}})
    await put(join(roots().bucket, 'dr'), label(4), {source: {database: 'audit'}})
    expect((await find({})).manifest.label).to.equal(label(4))
    const {manifest: {label: chosen}, notices} = await find({backup: 'latest'}, {database: 'crm'})
    expect(chosen).to.equal(label(2))
    expect(notices).to.deep.equal([`Passed over 2 newer backups, which are of other databases (audit); the newest of them is ${label(4)}.`])
    expect((await find({backup: label(3)}, {database: 'crm'})).manifest.label).to.equal(label(3))
    const refused = await drErrorOf(find({backup: 'latest'}, {database: 'shop'}))
    expect(refused).to.include({code: 'restore.other-database', exitCode: 3})
    expect(refused.message).to.contain('no backup of the database shop').and.contain(label(4))
    expect(refused.hints.join()).to.contain(`--from ${label(4)}`)
  })

  it('is a suspect one when it is named, with a word on it', async () => {
    await put(roots().local, label(3), {status: 'suspect', suspicions: ['leads: no rows']})
    expect((await find({backup: label(3)})).notices.join()).to.contain('leads: no rows')
  })

  const failCheck = async (directory: string) => {
    await mkdir(join(directory, 'evidence'))
    await writeFile(join(directory, 'evidence', '20261122T031500000Z-verified.json'), serializeEvidence({kind: 'verified', at, level: 'full', ok: false, by: 'test'}))
  }

  it('is the copy that is not suspect, and the suspect one when there is no other', async () => {
    await failCheck(await put(roots().local, label(6)))
    expect((await find({backup: label(6)})).suspect).to.equal(true)
    const good = await put(join(roots().bucket, 'dr'), label(6))
    const {location, suspect, notices} = await find({backup: label(6)})
    expect({location, suspect}).to.deep.equal({location: good, suspect: false})
    expect(notices.join()).to.contain('is suspect').and.contain(roots().local)
  })

  it('is known as suspect by its evidence when it is named by path or key, too', async () => {
    const directory = await put(roots().local, label(6))
    await failCheck(directory)
    await failCheck(await put(join(roots().bucket, 'dr'), label(7)))
    expect((await find({backup: directory})).suspect).to.equal(true)
    expect((await find({s3: `dr/production/${label(7)}`})).suspect).to.equal(true)
    expect((await find({s3: `dr/production/${label(2)}`})).suspect).to.equal(false)
  })

  it('is found in the bucket in a folder of any name', async () => {
    const directory = await put(join(roots().bucket, 'dr'), label(8))
    await rename(directory, join(roots().bucket, 'kept'))
    expect((await find({s3: 'kept'})).manifest.label).to.equal(label(8))
  })

  it('is called unfinished without its manifest, and no foreign archive', async () => {
    for (const file of ['lease.json', 'recover.sh']) {
      for (const root of [join(folder.path, 'some'), join(roots().bucket, 'some')]) {
        await mkdir(root, {recursive: true})
        await writeFile(join(root, 'toc.dat'), 'PGDMP')
        await writeFile(join(root, file), '')
      }
      expect(await drErrorOf(find({backup: 'some'}))).to.include({code: 'restore.unfinished', exitCode: 3})
      expect(await drErrorOf(find({s3: 'some'}))).to.include({code: 'restore.unfinished', exitCode: 3})
      for (const root of [folder.path, roots().bucket]) await rm(join(root, 'some', file))
    }
  })

  it('with a damaged manifest is not offered by name, but by recover.sh', async () => {
    const directory = await put(roots().local, label(3))
    await writeFile(join(directory, 'manifest.json'), '{}')
    await put(roots().local, label(1), {status: 'suspect', suspicions: ['x']})
    const {hints} = await drErrorOf(find({}, {bucket: false}))
    expect(hints.join('\n')).to.contain(`dr restore ${label(1)}`).and.contain('recover.sh').and.not.contain(`dr restore ${label(3)}`)
    expect((await drErrorOf(find({backup: label(3)}, {bucket: false}))).hints.join()).to.contain('recover.sh')
  })

  it('is looked for past a folder that is not mounted, with a word on it', async () => {
    const gone = {openLocal: () => Promise.resolve(new LocalStorage(join(folder.path, 'not mounted'), {mustExist: true}))}
    expect((await find({}, gone)).notices.join()).to.contain('not mounted')
    expect((await find({backup: label(2)}, gone)).manifest.label).to.equal(label(2))
    expect(await drErrorOf(find({backup: label(1)}, gone))).to.include({code: 'storage.no-bucket'})
  })

  it('is none when all are suspect', async () => {
    await put(roots().local, label(1), {status: 'suspect', suspicions: ['x']})
    expect(await drErrorOf(find({}, {bucket: false}))).to.include({code: 'restore.no-good-backup', exitCode: 3})
  })

  it('is found by its label wherever it lies', async () => {
    expect((await find({backup: label(1)})).location).to.equal(join(roots().local, 'production', label(1)))
    expect((await find({backup: label(2)})).location).to.equal(join(roots().bucket, 'dr', 'production', label(2)))
    expect(await drErrorOf(find({backup: label(9)}))).to.include({code: 'restore.no-backup', exitCode: 3})
  })

  it('is found by the path of its folder, or of a file in it, under any name', async () => {
    const directory = await put(folder.path, label(5))
    for (const path of [directory, join('production', label(5)), join(directory, 'manifest.json'), join(directory, 'toc.dat')]) {
      expect((await find({backup: path})).directory).to.equal(directory)
    }
  })

  it('is found in the bucket by label, by key with and without the prefix, by URL', async () => {
    for (const wanted of [label(2), `production/${label(2)}`, `dr/production/${label(2)}/`, `s3://bkt/dr/production/${label(2)}/manifest.json`, 'latest']) {
      expect((await find({s3: wanted})).manifest.label, wanted).to.equal(label(2))
    }
    expect((await find({backup: `s3://bkt/dr/production/${label(2)}`})).manifest.label).to.equal(label(2))
    expect(await drErrorOf(find({s3: `s3://other/dr/production/${label(2)}`}))).to.include({exitCode: 2})
  })

  it('is named once', async () => {
    expect(await drErrorOf(find({backup: 'latest', s3: 'latest'}))).to.include({exitCode: 2})
  })

  it('comes from the storage that answers, with a word on the other; a bucket asked for alone must answer', async () => {
    const openS3 = () => Promise.reject(unreachableError('storage.unreachable', 'The bucket does not answer.'))
    const broken = Object.assign(new LocalStorage(folder.path), {kind: 's3' as const, location: 's3://bkt/dr', folders: openS3})
    const {manifest: {label: chosen}, notices} = await find({}, {openS3: () => Promise.resolve(broken)})
    expect(chosen).to.equal(label(1))
    expect(notices.join()).to.contain('does not answer')
    expect(await drErrorOf(find({s3: 'latest'}, {openS3: () => Promise.resolve(broken)}))).to.include({exitCode: 5})
  })

  const sql = '--\n-- PostgreSQL database dump\n--\nSET statement_timeout = 0;\n'
  const foreign: Record<string, {bytes: Buffer; says: RegExp; kind: string}> = {
    'old.sql': {bytes: Buffer.from(sql), says: /plain SQL/, kind: 'plain'},
    'old.sql.gz': {bytes: gzipSync(Buffer.concat([Buffer.from('PGDMP\u0001\u000e\u0000\u0004\u0008\u0001', 'latin1'), Buffer.alloc(600, 1)])), says: /custom archive.*gzip/, kind: 'custom'},
    'odd.bin': {bytes: Buffer.alloc(600, 7), says: /no dump of PostgreSQL/, kind: 'unknown'},
  }
  for (const [name, {bytes, says, kind}] of Object.entries(foreign)) {
    it(`is none when it is a foreign dump, which is found all the same: ${name}, as a file and as an object`, async () => {
      await writeFile(join(folder.path, name), bytes)
      await mkdir(join(roots().bucket, 'backups'), {recursive: true})
      await writeFile(join(roots().bucket, 'backups', name), bytes)
      for (const wanted of [{backup: `./${name}`}, {s3: `backups/${name}`}]) {
        const error = await drErrorOf(find(wanted))
        expect(error).to.include({code: 'restore.foreign', exitCode: 3})
        expect(error.message).to.match(says)
        const dump = await find(wanted, {all: true})
        expect(dump).to.deep.include({name, bytes: bytes.length}).and.have.nested.property('found.kind', kind)
      }
    })
  }

  it('is none when it is a folder of pg_dump without a manifest, which is found all the same, or nothing at all', async () => {
    await mkdir(join(folder.path, 'dump'))
    expect(await drErrorOf(find({backup: 'dump'}))).to.include({code: 'restore.no-backup', exitCode: 3})
    await writeFile(join(folder.path, 'dump', 'toc.dat'), 'PGDMP')
    expect(await drErrorOf(find({backup: 'dump'}))).to.include({code: 'restore.foreign', exitCode: 3})
    for (const wanted of ['dump', 'dump/toc.dat']) expect(await find({backup: wanted}, {all: true})).to.deep.include({name: 'dump', place: {kind: 'folder', path: join(folder.path, 'dump')}})
    await mkdir(join(roots().bucket, 'dump'), {recursive: true})
    await writeFile(join(roots().bucket, 'dump', 'toc.dat'), 'PGDMP')
    for (const wanted of ['dump', 'dump/', 'dump/toc.dat']) expect(await find({s3: wanted}, {all: true})).to.have.nested.property('place.kind', 'prefix')
    expect(await drErrorOf(find({backup: 'nowhere'}))).to.include({code: 'restore.no-backup', exitCode: 3})
    expect(await drErrorOf(find({s3: 'backups/nowhere.sql'}))).to.include({code: 'restore.no-backup', exitCode: 3})
  })

  it('is standard input when it is called so, and something is piped in', async () => {
    expect(await find({backup: '-'}, {all: true, stdin: Readable.from([])})).to.include({location: 'standard input', name: 'stdin'})
    const terminal = Object.assign(Readable.from([]), {isTTY: true})
    expect(await drErrorOf(find({backup: '-'}, {all: true, stdin: terminal}))).to.include({code: 'restore.no-stdin', exitCode: 2})
  })
})
