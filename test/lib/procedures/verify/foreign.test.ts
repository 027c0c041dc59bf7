import {expect} from 'chai'
import {execFileSync} from 'node:child_process'
import {mkdir, readdir, readFile, rename, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {gzipSync, zstdCompressSync} from 'node:zlib'
import {LocalStorage} from '../../../../src/lib/repository/storage/local.ts'
import type {Storage} from '../../../../src/lib/repository/storage/storage.ts'
import {removeFolder, temporaryFolder} from '../../../support/backup.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {openS3} from '../../../support/s3-storage.ts'
import {clientTools} from '../../../support/tools.ts'
import {errorsOf, seeded, smallDatabase, verify} from './verifying.ts'

const SEED = 7

describe('dr verify of a dump that dr did not make', () => {
  let home = ''
  let directory = ''
  let bin = ''
  let url = ''
  const dumps = new Map<string, Buffer>()
  let archive = ''

  before(async function () {
    this.timeout(60_000)
    home = await temporaryFolder('verify-foreign')
    directory = join(home, 'dumps')
    await mkdir(directory)
    bin = await clientTools(18)
    url = await smallDatabase('verify_foreign_test')
    const dump = (...args: string[]) => execFileSync(join(bin, 'pg_dump'), [...args, url], {maxBuffer: 1e9, stdio: ['ignore', 'pipe', 'ignore']})
    for (const [name, flag] of [['custom', '-Fc'], ['tar', '-Ft'], ['plain', '-Fp']] as const) dumps.set(name, dump(flag))
    dumps.set('cluster', execFileSync(join(bin, 'pg_dumpall'), ['--globals-only', '-d', url], {stdio: ['ignore', 'pipe', 'ignore']}))
    archive = join(home, 'archive')
    dump('-Fd', '-Z', 'gzip:1', '-f', archive)
  })
  after(() => removeFolder(home))

  const check = async (name: string, level: 'quick' | 'full' = 'full', storage: Storage = new LocalStorage(directory)) =>
    verify({wanted: {kind: 'place', storage, key: name}, directory: home, level})

  const pack = {none: (bytes: Buffer) => bytes, gzip: (bytes: Buffer) => gzipSync(bytes), zstd: (bytes: Buffer) => zstdCompressSync(bytes)}

  for (const kind of ['custom', 'tar', 'plain', 'cluster'] as const) {
    for (const compression of ['none', 'gzip', 'zstd'] as const) {
      it(`passes ${kind}, ${compression}, says how far it went, and finds it cut off`, async () => {
        const whole = pack[compression](dumps.get(kind) ?? Buffer.alloc(0))
        // The old scripts named everything so.
        await writeFile(join(directory, 'production.sql.gz'), whole)
        const {verified: [good]} = await check('production.sql.gz')
        expect(good?.findings).to.deep.equal([])
        expect(good).to.include({ok: true, kind: 'foreign', label: 'production.sql.gz', evidence: null, bytes: whole.length})
        expect(good?.extent).to.match(kind === 'custom' ? /every block of data read by pg_restore 18.*no manifest to compare the rows with/ : kind === 'tar' ? /data of every table has its end.*no manifest to compare the rows with/ : /nothing was executed, and there is no manifest/)
        expect(good?.extent).to.match(compression === 'none' ? /^(?!.*decompressed)/ : new RegExp(`${compression} decompressed to its end`))
        for (const cut of [1, Math.floor(whole.length / 3)]) {
          // The last byte of plain SQL is the end of an empty line.
          if (compression === 'none' && cut === 1 && (kind === 'plain' || kind === 'cluster')) continue
          await writeFile(join(directory, 'production.sql.gz'), whole.subarray(0, whole.length - cut))
          const state = await check('production.sql.gz')
          expect(state.verified[0]?.ok, `cut by ${cut}`).to.equal(false)
          expect(errorsOf(state), `cut by ${cut}`).to.have.length(1)
        }
        expect(await readdir(join(home, 'run')), 'nothing is left unpacked').to.deep.equal([])
      })
    }
  }

  it('finds a flipped bit in a compressed custom archive', async () => {
    const random = seeded(SEED)
    const whole = gzipSync(dumps.get('custom') ?? Buffer.alloc(0))
    for (let round = 0; round < 10; round += 1) {
      const damaged = Buffer.from(whole)
      // Past the header, whose time stamp and name mean nothing.
      const at = 10 + Math.floor(random() * (whole.length - 10))
      damaged[at] = (damaged[at] ?? 0) ^ (1 << Math.floor(random() * 8))
      await writeFile(join(directory, 'flipped'), damaged)
      expect((await check('flipped')).verified[0]?.ok, `byte ${at}, seed ${SEED}`).to.equal(false)
    }
  })

  it('finds what follows the end of a dump', async () => {
    await writeFile(join(directory, 'more.sql'), Buffer.concat([dumps.get('plain') ?? Buffer.alloc(0), Buffer.from('DROP TABLE leads;\n')]))
    expect(errorsOf(await check('more.sql'))).to.deep.equal(['verify.end'])
    await writeFile(join(directory, 'more.zst'), Buffer.concat([zstdCompressSync(dumps.get('plain') ?? Buffer.alloc(0)), Buffer.from('more')]))
    expect(errorsOf(await check('more.zst'))).to.deep.equal(['verify.compression'])
  })

  it('does not say of a dump that is cut off that it ends as pg_dump ends one', async () => {
    const whole = dumps.get('plain') ?? Buffer.alloc(0)
    await writeFile(join(directory, 'cut.sql'), whole.subarray(0, whole.length - 200))
    const {verified: [result]} = await check('cut.sql')
    expect(result?.findings.map(({code}) => code)).to.deep.equal(['verify.end'])
    expect(result?.extent).to.include('read to its end').and.not.include('ends as')
  })

  it('reads only the first bytes when quick, and says so', async () => {
    await writeFile(join(directory, 'quick'), gzipSync(dumps.get('custom') ?? Buffer.alloc(0)).subarray(0, 5000))
    const {verified: [result]} = await check('quick', 'quick')
    expect(result).to.include({ok: true, bytes: 0, extent: 'by its first bytes a custom archive of pg_dump, gzip; nothing else was read'})
  })

  it('does not pass what is no dump', async () => {
    for (const bytes of ['hello world, this is no dump', '\u001F\u008B\u0008 broken']) {
      await writeFile(join(directory, 'other'), bytes, 'latin1')
      expect(errorsOf(await check('other'))).to.deep.equal(['verify.kind'])
    }
    expect(await drErrorOf(check('nothing'))).to.include({code: 'storage.not-found'})
  })

  it('reads lz4, outside and inside, and finds it cut off', async () => {
    const dump = (...args: string[]) => execFileSync(join(bin, 'pg_dump'), [...args, '-Z', 'lz4', url], {maxBuffer: 1e9, stdio: ['ignore', 'pipe', 'ignore']})
    const plain = dump('-Fp')
    await writeFile(join(directory, 'dump.lz4'), plain)
    const {verified: [result]} = await check('dump.lz4')
    expect(result?.findings).to.deep.equal([])
    expect(result?.extent).to.include('lz4 decompressed to its end')
    await writeFile(join(directory, 'dump.lz4'), plain.subarray(0, -5))
    expect(errorsOf(await check('dump.lz4'))).to.deep.equal(['verify.compression'])
    const folder = join(home, 'lz4')
    dump('-Fd', '-f', folder)
    expect(errorsOf(await check('lz4', 'full', new LocalStorage(home)))).to.deep.equal([])
    const data = (await readdir(folder)).find((name) => /^\d+\.dat\.lz4$/.test(name)) ?? ''
    const whole = await readFile(join(folder, data))
    await writeFile(join(folder, data), whole.subarray(0, whole.length >> 1))
    expect(errorsOf(await check('lz4', 'full', new LocalStorage(home)))).to.deep.equal([`${data} verify.compression`])
  })

  it('reads what was compressed twice over', async () => {
    await writeFile(join(directory, 'twice.sql.gz'), gzipSync(gzipSync(dumps.get('custom') ?? Buffer.alloc(0))))
    const {verified: [result]} = await check('twice.sql.gz')
    expect(result?.findings).to.deep.equal([])
    expect(result?.extent).to.include('gzip twice over decompressed to its end')
  })

  it('verifies a directory archive, and names what is missing, cut off or damaged', async () => {
    const storage = new LocalStorage(home)
    const good = await check('archive', 'full', storage)
    expect(good.verified[0]).to.include({ok: true, kind: 'foreign', label: 'archive'})
    expect(good.verified[0]?.extent).to.match(/read to its end.*no manifest/)
    expect(good.verified[0]?.findings).to.deep.equal([])
    for (const name of (await readdir(archive)).filter((one) => one !== 'toc.dat')) {
      const bare = name.replace(/\.gz$/, '')
      await rename(join(archive, name), join(home, 'aside'))
      expect(errorsOf(await check('archive', 'full', storage))).to.deep.equal([`${bare} verify.missing`])
      await rename(join(home, 'aside'), join(archive, name))
      const whole = await readFile(join(archive, name))
      if (!name.endsWith('.gz')) continue
      await writeFile(join(archive, name), whole.subarray(0, -1))
      expect(errorsOf(await check('archive', 'full', storage))).to.deep.equal([`${name} verify.compression`])
      await writeFile(join(archive, name), whole)
    }
    const data = (await readdir(archive)).find((name) => /^\d+\.dat\.gz$/.test(name)) ?? ''
    await writeFile(join(archive, data), gzipSync('1\ta\n'))
    expect(errorsOf(await check('archive', 'full', storage))).to.deep.equal([`${data} verify.copy-end`])
    await rm(join(archive, data))
    await writeFile(join(archive, 'toc.dat'), 'PGDMP')
    expect(errorsOf(await check('archive', 'full', storage))).to.deep.equal(['toc.dat verify.toc'])
  })

  it('passes dumps that pg_dump wrote as INSERT, says that their end cannot be told, and misses a file of them', async () => {
    const folder = join(home, 'inserts')
    for (const flags of [['--inserts'], ['--column-inserts'], ['--rows-per-insert=100']]) {
      const dump = (...args: string[]) => execFileSync(join(bin, 'pg_dump'), [...args, ...flags, url], {maxBuffer: 1e9, stdio: ['ignore', 'pipe', 'ignore']})
      dump('-Fd', '-Z', 'gzip:1', '-f', folder)
      await writeFile(join(directory, 'inserts.tar'), dump('-Ft'))
      for (const state of [await check('inserts', 'full', new LocalStorage(home)), await check('inserts.tar')]) {
        expect(errorsOf(state), flags[0]).to.deep.equal([])
        expect(state.verified[0]?.extent).to.include('written as INSERT')
      }
      const data = (await readdir(folder)).find((name) => /^\d+\.dat/.test(name)) ?? ''
      await rm(join(folder, data))
      const missing = await check('inserts', 'full', new LocalStorage(home))
      expect(errorsOf(missing)).to.deep.equal([`${data.replace('.gz', '')} verify.missing`])
      expect(missing.verified[0]?.extent).not.to.include('is there and')
      await rm(folder, {recursive: true})
    }
  })

  it('verifies a dump in a bucket, and leaves nothing of it on the disk', async () => {
    const s3 = await openS3()
    try {
      const storage = s3.storage({prefix: ''})
      await storage.put('backups/production_20250101.sql.gz', gzipSync(dumps.get('custom') ?? Buffer.alloc(0)))
      const {verified: [result]} = await check('backups/production_20250101.sql.gz', 'full', storage)
      expect(result).to.include({ok: true, kind: 'foreign', storage: 's3', location: 's3://backups/backups/production_20250101.sql.gz'})
      expect(result?.extent).to.match(/gzip decompressed to its end, every block of data read by pg_restore/)
      expect(await readdir(join(home, 'run'))).to.deep.equal([])
    } finally {
      await s3.close()
    }
  })

  it('says what is needed when there is no pg_restore', async () => {
    await writeFile(join(directory, 'custom'), dumps.get('custom') ?? '')
    const error = await drErrorOf(verify({wanted: {kind: 'place', storage: new LocalStorage(directory), key: 'custom'}, directory: home, tools: undefined}))
    expect(error).to.include({code: 'tools.missing', exitCode: 3})
  })
})
