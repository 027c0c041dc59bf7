import {expect} from 'chai'
import {execFileSync} from 'node:child_process'
import {mkdir, readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {gzipSync, zstdCompressSync} from 'node:zlib'
import {foreignDumps, HEAD_BYTES, readHead, sniff} from '../../../src/lib/repository/foreign.ts'
import {lz4Head} from '../../../src/lib/repository/lz4-head.ts'
import {LocalStorage} from '../../../src/lib/repository/storage/local.ts'
import {testCluster} from '../../support/cluster.ts'
import {temporaryFolder} from '../../support/temporary.ts'
import {clientTools} from '../../support/tools.ts'

/** Of one literal run and one match that repeats it: what a compressor makes of text that repeats. */
function lz4Frame(literals: Buffer, repeated: number, options: {raw?: boolean; contentSize?: boolean} = {}): Buffer {
  const header = Buffer.from([0x04, 0x22, 0x4d, 0x18, options.contentSize === true ? 0x68 : 0x60, 0x40, ...(options.contentSize === true ? [0, 0, 0, 0, 0, 0, 0, 0] : []), 0x82])
  const extra = (value: number) => [...Array.from({length: Math.floor(value / 255)}, () => 255), value % 255]
  const lengthOf = (value: number) => (value < 15 ? [] : extra(value - 15))
  const block = options.raw === true ? literals : Buffer.concat([
    Buffer.from([(Math.min(15, literals.length) << 4) | Math.min(15, repeated - 4), ...lengthOf(literals.length)]), literals,
    Buffer.from([literals.length & 255, literals.length >> 8, ...lengthOf(repeated - 4)]),
  ])
  const size = Buffer.alloc(4)
  size.writeUInt32LE(block.length + (options.raw === true ? 0x80000000 : 0))
  return Buffer.concat([header, size, block])
}

describe('foreign dumps', () => {
  const folder = temporaryFolder()
  const dumps: Record<string, Buffer> = {}

  before(async () => {
    const cluster = await testCluster({major: 18})
    const url = await cluster.createDatabase('foreign_test')
    const bin = await clientTools(18)
    const dump = (...args: string[]) => execFileSync(`${bin}/pg_dump`, ['-d', url, ...args], {maxBuffer: 1e8, env: {...process.env, LC_ALL: 'C'}})
    execFileSync(`${bin}/psql`, ['-X', '-q', '-d', url, '-c', 'CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 20000) i'])
    Object.assign(dumps, {custom: dump('-Fc'), tar: dump('-Ft'), plain: dump('-Fp'), plainLz4: dump('-Fp', '-Z', 'lz4'), cluster: execFileSync(`${bin}/pg_dumpall`, ['-d', url, '--globals-only'])})
  })

  const kinds = {custom: 'custom', tar: 'tar', plain: 'plain', cluster: 'cluster'} as const
  for (const [name, kind] of Object.entries(kinds)) {
    it(`${kind} is known raw, by gzip and by zstd, from the head alone`, async () => {
      const bytes = dumps[name] ?? Buffer.alloc(0)
      expect(await sniff(bytes.subarray(0, HEAD_BYTES))).to.deep.equal({compression: 'none', kind})
      expect(await sniff(gzipSync(bytes).subarray(0, HEAD_BYTES))).to.deep.equal({compression: 'gzip', kind})
      expect(await sniff(zstdCompressSync(bytes).subarray(0, HEAD_BYTES))).to.deep.equal({compression: 'zstd', kind})
    })
  }

  it('lz4 is looked into, as pg_dump writes it', async () => {
    expect(await sniff((dumps['plainLz4'] ?? Buffer.alloc(0)).subarray(0, HEAD_BYTES))).to.deep.equal({compression: 'lz4', kind: 'plain'})
  })

  it('lz4 with matches, raw blocks, a content size, and damage', async () => {
    const text = Buffer.from('-- PostgreSQL database dump\n')
    const long = Buffer.concat([text, Buffer.alloc(300, 'ab')])
    expect(lz4Head(lz4Frame(text, 40), 1000).toString()).to.equal(text.toString().repeat(3).slice(0, text.length + 40))
    expect(lz4Head(lz4Frame(long, 700), 100_000)).to.deep.equal(Buffer.concat([long, long, long, long]).subarray(0, long.length + 700))
    expect(lz4Head(lz4Frame(text, 0, {raw: true}), 5).toString()).to.equal('-- Po')
    expect(lz4Head(lz4Frame(text, 40, {contentSize: true}), 28)).to.deep.equal(text)
    expect(await sniff(lz4Frame(Buffer.concat([Buffer.from('PGDMP\u0001\u0010\u0000\u0004\u0008\u0001', 'latin1'), Buffer.alloc(20)]), 50))).to.deep.equal({compression: 'lz4', kind: 'custom'})
    expect(lz4Head(lz4Frame(text, 40).subarray(0, 9), 100).length).to.equal(0)
    const wrongOffset = lz4Frame(text, 40)
    wrongOffset.writeUInt16LE(60_000, wrongOffset.length - 3)
    expect(lz4Head(wrongOffset, 100)).to.deep.equal(text)
  })

  it('what is none of these is unknown', async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('x'), Buffer.from('<html>'), Buffer.from([0x1f, 0x8b, 8, 0]), Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0]), Buffer.alloc(600, 1)]) {
      expect((await sniff(bytes)).kind).to.equal('unknown')
    }
    const zip = Buffer.alloc(1024)
    zip.write('other.txt\0', 0, 'latin1')
    zip.write('ustar', 257, 'latin1')
    expect(await sniff(zip)).to.deep.include({compression: 'none', kind: 'unknown'}).and.have.nested.property('other.what', 'a tar, but not one of pg_dump')
  })

  it('hand-written SQL is plain', async () => {
    for (const sql of ['\uFEFF-- mine\nSELECT 1;', '\n\nBEGIN;\n', 'create table t (a int);', String.raw`\connect other`, '/* c */ SET x = 1;']) expect((await sniff(Buffer.from(sql))).kind, sql).to.equal('plain')
  })

  it('blows up no bomb', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(100_000_000))
    const before = process.memoryUsage().rss
    expect(await sniff(bomb.subarray(0, HEAD_BYTES))).to.deep.include({compression: 'zstd', kind: 'unknown'})
    expect(process.memoryUsage().rss - before).to.be.lessThan(50_000_000)
  })

  it('are listed with what they are, whatever their name; own backups and empty objects are not', async () => {
    const storage = new LocalStorage(folder.path)
    await storage.put('backups/crm-2026-01-01T02-00-00.sql.gz', gzipSync(dumps['custom'] ?? ''))
    await storage.put('backups/crm.dump', dumps['plain'] ?? '')
    await storage.put('backups/empty.sql', '')
    await storage.put('backups/directory/toc.dat', Buffer.from('PGDMP\u0001\u0010\u0000\u0004\u0008\u0005', 'latin1'))
    await storage.put('backups/directory/1.dat.gz', 'xyz')
    await storage.put('backups/production/20261122T020000Z-7f3a/toc.dat', 'PGDMP')
    await storage.put('elsewhere/crm.dump', 'x')
    const plain = await foreignDumps(storage, 'backups/')
    expect(plain.map(({key, bytes, found}) => [key, bytes > 0, found?.kind])).to.deep.equal([['backups/crm-2026-01-01T02-00-00.sql.gz', true, undefined], ['backups/crm.dump', true, undefined], ['backups/directory/', true, 'directory']])
    expect(plain[2]?.bytes).to.equal(14)
    const looked = await foreignDumps(storage, 'backups/', {look: true})
    expect(looked.map(({found}) => found)).to.deep.equal([{compression: 'gzip', kind: 'custom'}, {compression: 'none', kind: 'plain'}, {compression: 'none', kind: 'directory'}])
  })

  it('reads no more than the head of a large one', async () => {
    const storage = new LocalStorage(folder.path)
    await mkdir(join(folder.path, 'a'))
    await writeFile(join(folder.path, 'a/large'), Buffer.alloc(3_000_000, 'x'))
    expect((await readHead(storage, 'a/large')).length).to.equal(HEAD_BYTES)
    expect((await readFile(join(folder.path, 'a/large'))).length).to.equal(3_000_000)
  })
})
