import {expect} from 'chai'
import {cp, readFile, readdir, rename, rm, truncate, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {DrError} from '../../../../src/lib/errors.ts'
import type {Manifest} from '../../../../src/lib/repository/manifest.ts'
import {sha256Of} from '../../../../src/lib/repository/checksum.ts'
import {Repository} from '../../../../src/lib/repository/repository.ts'
import {sealed} from '../../../../src/lib/repository/seal.ts'
import {LocalStorage} from '../../../../src/lib/repository/storage/local.ts'
import {localRepository, removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {errorsOf, sealManifest, seeded, smallDatabase, verify} from './verifying.ts'

const SEED = 20_261_122
const storageError = (code: string) => new DrError(code, `A test says ${code}.`, {exitCode: 5})

describe('dr verify of a backup', () => {
  let home = ''
  let url = ''
  /** Pristine backups by their compression; tests damage copies. */
  const made = new Map<string, {root: string; label: string}>()
  let directory = ''
  let label = ''
  let folder = ''
  const storage = () => localRepository(directory)
  const check = (level: 'quick' | 'full' = 'full') => verify({wanted: {kind: 'label', label}, storages: [storage()], directory, level})
  const members = async () => (await readdir(folder)).filter((name) => name !== 'evidence')
  const tables = async () => (JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as Manifest).tables
  const dataOf = async (name: string) => {
    const {dumpId} = (await tables()).find((table) => table.name === name) ?? {}
    return (await members()).find((member) => member.startsWith(`${dumpId}.dat`)) ?? ''
  }

  async function take(compress: string): Promise<void> {
    const known = made.get(compress) ?? (await fresh(compress))
    made.set(compress, known)
    directory = join(home, 'work')
    await rm(directory, {recursive: true, force: true})
    await cp(known.root, directory, {recursive: true})
    label = known.label
    folder = join(directory, 'backups', 'development', label)
  }

  async function fresh(compress: string): Promise<{root: string; label: string}> {
    const root = join(home, compress)
    const {state, error} = await runBackup({url, directory: root, compress, toolsMajor: 18})
    if (error) throw error
    await sealManifest(join(root, 'backups', 'development', state.label ?? ''))
    return {root, label: state.label ?? ''}
  }

  /** Rewrites the manifest, as if the backup had been made so. */
  async function pretend(change: (manifest: Manifest) => void): Promise<void> {
    const path = join(folder, 'manifest.json')
    const {seal, ...manifest} = JSON.parse(await readFile(path, 'utf8')) as Manifest & {seal?: string}
    void seal
    change(manifest as Manifest)
    await writeFile(path, sealed(`${JSON.stringify(manifest, undefined, 2)}\n`))
  }

  before(async () => {
    home = await temporaryFolder('verify')
    url = await smallDatabase('verify_test')
  })
  after(() => removeFolder(home))

  for (const compress of ['zstd:1', 'gzip:1', 'none']) {
    it(`passes a whole one (${compress}), quick and full, and notes it`, async () => {
      await take(compress)
      for (const level of ['quick', 'full'] as const) {
        const state = await check(level)
        const [result] = state.verified
        expect(errorsOf(state)).to.deep.equal([])
        expect(result).to.include({ok: true, level, kind: 'backup', label, storage: 'local'})
        expect(result?.evidence).to.match(/^evidence\/\d{8}T\d{9}Z-verified\.json$/)
        expect(result?.findings.map(({severity}) => severity)).to.not.include('warning')
      }
      const entry = await new Repository(storage(), 'development').open(label)
      expect(entry.level).to.equal('verified')
      expect(entry.evidence.map(({level, ok, by}) => [level, ok, by])).to.deep.equal([['quick', true, 'a test'], ['full', true, 'a test']])
      const bytes = entry.manifest.members.reduce((sum, member) => sum + member.bytes, 0)
      expect((await check()).verified[0]?.bytes).to.be.at.least(bytes)
    })
  }

  it('finds and names one flipped bit, wherever it is', async function () {
    this.timeout(60_000)
    await take('zstd:1')
    const random = seeded(SEED)
    for (const name of (await members()).toSorted()) {
      const path = join(folder, name)
      const whole = await readFile(path)
      const places = [0, whole.length - 1, ...Array.from({length: name === 'manifest.json' ? 40 : 2}, () => Math.floor(random() * whole.length))]
      for (const at of places) {
        const damaged = Buffer.from(whole)
        damaged[at] = (damaged[at] ?? 0) ^ (1 << Math.floor(random() * 8))
        await writeFile(path, damaged)
        const state = await verify({wanted: {kind: 'label', label}, storages: [storage()], directory, tools: undefined})
        expect(errorsOf(state).map((error) => error.split(' verify.')[0]), `${name}, byte ${at} of ${whole.length}, seed ${SEED}`).to.include(name)
        expect(state.verified[0]?.ok).to.equal(false)
        if (name !== 'manifest.json') expect(errorsOf(state), `${name}, byte ${at}`).to.deep.equal([`${name} verify.sha256`])
      }
      await writeFile(path, whole)
    }
    expect(errorsOf(await check())).to.deep.equal([])
  })

  it('finds every single flipped bit in the seal of the manifest and around it', async () => {
    await take('none')
    const path = join(folder, 'manifest.json')
    const whole = await readFile(path)
    for (let back = 1; back <= 100; back += 3) {
      const damaged = Buffer.from(whole)
      damaged[whole.length - back] = (damaged[whole.length - back] ?? 0) ^ 1
      await writeFile(path, damaged)
      expect(errorsOf(await check('quick')), `byte ${back} from the end`).to.include('manifest.json verify.manifest')
    }
  })

  it('finds one that is cut off by a byte, at both levels', async () => {
    await take('gzip:1')
    for (const name of [await dataOf('leads'), 'toc.dat', 'globals.sql', 'recover.sh']) {
      const whole = await readFile(join(folder, name))
      await truncate(join(folder, name), whole.length - 1)
      for (const level of ['quick', 'full'] as const) expect(errorsOf(await check(level)), name).to.deep.equal([`${name} verify.size`])
      await writeFile(join(folder, name), whole)
    }
  })

  it('finds one that is cut off at the end of a row, without compression', async () => {
    await take('none')
    const name = await dataOf('leads')
    const whole = await readFile(join(folder, name))
    const rowEnd = whole.indexOf('\n', whole.length >> 1) + 1
    await truncate(join(folder, name), rowEnd)
    expect(errorsOf(await check())).to.deep.equal([`${name} verify.size`])
    // And when it was stored like that, so that size and SHA-256 agree.
    await pretend(({members: list}) => {
      for (const member of list) if (member.name === name) Object.assign(member, {bytes: rowEnd, sha256: sha256Of(whole.subarray(0, rowEnd))})
    })
    expect(errorsOf(await check())).to.deep.equal([`${name} verify.copy-end`])
  })

  it('counts the rows of each table against the manifest', async () => {
    await take('none')
    const name = await dataOf('Odd "Name')
    const whole = await readFile(join(folder, name))
    const shorter = whole.subarray(whole.indexOf('\n') + 1)
    await writeFile(join(folder, name), shorter)
    await pretend(({members: list}) => {
      for (const member of list) if (member.name === name) Object.assign(member, {bytes: shorter.length, sha256: sha256Of(shorter)})
    })
    const state = await check()
    expect(errorsOf(state)).to.deep.equal([`${name} verify.rows`])
    expect(state.verified[0]?.findings.find(({code}) => code === 'verify.rows')?.message).to.equal('holds 499 rows of public.Odd "Name, the manifest says 500')
  })

  it('finds a stream that was stored damaged although its SHA-256 agrees', async () => {
    await take('zstd:1')
    const name = await dataOf('leads')
    const cut = (await readFile(join(folder, name))).subarray(0, -3)
    await writeFile(join(folder, name), cut)
    await pretend(({members: list}) => {
      for (const member of list) if (member.name === name) Object.assign(member, {bytes: cut.length, sha256: sha256Of(cut)})
    })
    expect(errorsOf(await check())).to.deep.equal([`${name} verify.compression`])
  })

  it('finds each member that is missing, at both levels', async () => {
    await take('zstd:1')
    for (const name of (await members()).filter((one) => one !== 'manifest.json')) {
      await rename(join(folder, name), join(directory, 'aside'))
      for (const level of ['quick', 'full'] as const) expect(errorsOf(await check(level))).to.deep.equal([`${name} verify.missing`])
      await rename(join(directory, 'aside'), join(folder, name))
    }
  })

  it('finds what does not belong, and lets a lease and evidence be', async () => {
    await take('zstd:1')
    await writeFile(join(folder, 'lease.json'), '{}')
    expect(errorsOf(await check('quick'))).to.deep.equal([])
    for (const name of ['9999.dat.zst', 'blob_1.dat.zst', 'notes.txt', 'evidence/other.txt']) {
      await writeFile(join(folder, name), 'x')
      for (const level of ['quick', 'full'] as const) expect(errorsOf(await check(level))).to.deep.equal([`${name} verify.extra`])
      await rm(join(folder, name))
    }
  })

  it('finds members that were swapped, and names both', async () => {
    await take('none')
    const [one, two] = [await dataOf('leads'), await dataOf('empty')]
    await rename(join(folder, one), join(directory, 'aside'))
    await rename(join(folder, two), join(folder, one))
    await rename(join(directory, 'aside'), join(folder, two))
    expect(errorsOf(await check())).to.have.members([`${one} verify.size`, `${two} verify.size`])
    // Of one size: only the bytes tell.
    await take('none')
    const [first = '', second = '', ...more] = (await members()).filter((name) => name.startsWith('blob_')).toSorted()
    expect(more).to.deep.equal([])
    await rename(join(folder, first), join(directory, 'aside'))
    await rename(join(folder, second), join(folder, first))
    await rename(join(directory, 'aside'), join(folder, second))
    expect(errorsOf(await check())).to.deep.equal([first, second].map((name) => `${name} verify.sha256`))
  })

  it('compares the table of contents with the manifest, both ways', async () => {
    const changes: [string, (manifest: Manifest) => void, string[]][] = [
      ['a table too many', ({tables: list}) => { list.push({schema: 'public', name: 'ghost', kind: 'table', rows: 0, columns: [], bytes: 0}) }, ['public.ghost verify.table']],
      ['a table without its data', ({tables: list}) => { for (const table of list) if (table.name === 'empty') Object.assign(table, {dumpId: undefined, rows: 7}) }, ['public.empty verify.table-data', 'public.empty verify.table-data']],
      ['a table too few', (manifest) => { manifest.tables = manifest.tables.filter(({name}) => name !== 'parted') }, ['public.parted verify.table']],
      ['another sequence value', ({sequences: [sequence]}) => { if (sequence) sequence.lastValue = '1' }, ['public.leads_id_seq verify.sequence']],
      ['a sequence too few', (manifest) => { manifest.sequences = [] }, ['public.leads_id_seq verify.sequence']],
      ['another view', (manifest) => { manifest.materializedViews = [{schema: 'public', name: 'other', populated: true}] }, ['public.other verify.table']],
      ['more large objects', (manifest) => { manifest.largeObjects = 3 }, ['verify.large-object']],
      ['a member twice', (manifest) => { manifest.members.push({...(manifest.members[0] ?? {name: '', bytes: 0, sha256: ''})}) }, ['manifest.json verify.manifest']],
      ['another label', (manifest) => { manifest.label = '20200101T000000Z-0000' }, ['manifest.json verify.manifest']],
      ['another environment', (manifest) => { manifest.environment = 'production' }, ['manifest.json verify.manifest']],
    ]
    for (const [name, change, errors] of changes) {
      await take('none')
      await pretend(change)
      expect(errorsOf(await check()), name).to.deep.equal(errors)
    }
  })

  it('says that a manifest cannot be read, and that nothing else could be compared', async () => {
    for (const text of ['', '{', '{"schemaVersion": 99}', '[]', 'null']) {
      await take('none')
      await writeFile(join(folder, 'manifest.json'), text)
      const {verified: [result]} = await check()
      expect(result?.ok).to.equal(false)
      expect(result?.findings.filter(({severity}) => severity === 'error').every(({subject}) => subject === 'manifest.json')).to.equal(true)
      expect(result?.findings.some(({message}) => message.startsWith('Without its manifest'))).to.equal(true)
    }
  })

  it('passes without pg_restore, and says what was not done', async () => {
    await take('zstd:1')
    const {verified: [result]} = await verify({wanted: {kind: 'label', label}, storages: [storage()], directory, tools: undefined})
    expect(result).to.include({ok: true})
    expect(result?.findings.find(({severity}) => severity === 'warning')).to.include({code: 'verify.pg-restore', subject: 'toc.dat'})
  })

  it('passes a copy in any folder, and finds that its manifest is missing', async () => {
    await take('zstd:1')
    const elsewhere = join(directory, 'a copy')
    await cp(folder, elsewhere, {recursive: true})
    const place = {kind: 'place', storage: new LocalStorage(directory), key: 'a copy'} as const
    const good = await verify({wanted: place, directory})
    expect(good.verified[0]).to.include({ok: true, kind: 'backup', label: 'a copy', location: elsewhere})
    await rm(join(elsewhere, 'manifest.json'))
    expect(errorsOf(await verify({wanted: place, directory}))).to.deep.equal(['manifest.json verify.manifest'])
  })

  it('verifies each copy by itself, and the newest label of all when asked for the latest', async () => {
    await take('zstd:1')
    const other = join(directory, 'other')
    await cp(join(directory, 'backups'), other, {recursive: true})
    const name = await dataOf('leads')
    await writeFile(join(other, 'development', label, name), 'x')
    const storages = [storage(), new LocalStorage(other)]
    const {verified} = await verify({wanted: {kind: 'latest'}, storages, directory})
    expect(verified.map(({location, ok}) => [location, ok])).to.deep.equal([[folder, true], [join(other, 'development', label), false]])
    const newer = '20991122T020000Z-0001'
    await cp(folder, join(directory, 'backups', 'development', newer), {recursive: true})
    expect((await verify({wanted: {kind: 'latest'}, storages, directory})).verified.map((one) => one.label)).to.deep.equal([newer])
    expect((await verify({wanted: {kind: 'all'}, storages, directory, level: 'quick'})).verified.map((one) => one.label)).to.deep.equal([newer, label, label])
  })

  it('says what is not there', async () => {
    await take('zstd:1')
    expect(await drErrorOf(verify({wanted: {kind: 'label', label: '20200101T000000Z-0000'}, storages: [storage()], directory}))).to.include({code: 'storage.not-found'})
    expect(await drErrorOf(verify({wanted: {kind: 'latest'}, storages: [new LocalStorage(join(directory, 'nothing'))], directory}))).to.include({code: 'verify.none'})
    expect(await drErrorOf(verify({wanted: {kind: 'place', storage: new LocalStorage(directory), key: 'backups'}, directory}))).to.include({code: 'storage.not-found'})
  })

  it('is a success with a notice where the result cannot be noted', async () => {
    await take('zstd:1')
    const readOnly = new Proxy(storage(), {
      get: (target, name) => {
        if (name === 'put') return () => Promise.reject(storageError('storage.denied'))
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    const state = await verify({wanted: {kind: 'label', label}, storages: [readOnly], directory})
    expect(state.verified[0]).to.include({ok: true, evidence: null})
    expect(state.notices.join('\n')).to.include('could not be noted')
  })

  it('stops at once when it is interrupted, and notes nothing', async () => {
    await take('zstd:1')
    const stop = new AbortController()
    stop.abort(new Error('stopped'))
    const error: unknown = await verify({wanted: {kind: 'label', label}, storages: [storage()], directory, signal: stop.signal}).catch((thrown: unknown) => thrown)
    expect((error as Error).message).to.equal('stopped')
    expect(await readdir(folder)).to.not.include('evidence')
    expect(await readdir(join(directory, 'run'))).to.deep.equal([])
  })

  it('tells a file that cannot be read from a store that cannot be reached', async () => {
    await take('zstd:1')
    const name = await dataOf('leads')
    const broken = (code: string, kind: 'local' | 's3') => new Proxy(storage(), {
      get: (target, property) => {
        if (property === 'kind') return kind
        if (property === 'read') return (key: string) => (key.endsWith(name) ? Promise.reject(storageError(code)) : target.read(key))
        const value: unknown = Reflect.get(target, property, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    const wanted = {kind: 'label', label} as const
    expect(errorsOf(await verify({wanted, storages: [broken('storage.unreachable', 'local')], directory}))).to.deep.equal([`${name} verify.unreadable`])
    expect(errorsOf(await verify({wanted, storages: [broken('storage.corrupt', 's3')], directory}))).to.deep.equal([`${name} verify.unreadable`])
    expect(await drErrorOf(verify({wanted, storages: [broken('storage.unreachable', 's3')], directory}))).to.include({code: 'storage.unreachable'})
  })
})
