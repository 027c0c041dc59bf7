import {expect} from 'chai'
import {execFileSync} from 'node:child_process'
import {createReadStream} from 'node:fs'
import {copyFile, cp, mkdir, readdir, readFile, rm, truncate, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {gzipSync, zstdCompressSync} from 'node:zlib'
import {removeFolder, temporaryFolder} from '../../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../../support/cluster.ts'
import {databasesOf, runForeign, type ForeignSetting} from '../../../../support/foreign.ts'
import {lz4Stored} from '../../../../support/lz4.ts'
import {openS3} from '../../../../support/s3-storage.ts'
import {clientTools} from '../../../../support/tools.ts'
import {seeded, smallDatabase} from '../../verify/verifying.ts'

const SEED = 11

/** A tar with one file in it. */
function tarOf(name: string): Buffer {
  const block = Buffer.alloc(512)
  block.write(`${name}\0`, 0, 'latin1')
  block.write('0000644\0', 100, 'latin1')
  block.write('00000000000\0', 124, 'latin1')
  block.write('ustar\u000000', 257, 'latin1')
  return Buffer.concat([block, Buffer.alloc(1024)])
}

describe('a dump that is none, or is not whole', function () {
  this.timeout(180_000)
  let cluster: TestCluster
  let url = ''
  let home = ''
  let bin = ''
  const dumps = new Map<string, Buffer>()

  before(async () => {
    cluster = await testCluster({major: 18})
    url = await smallDatabase('foreign_damage')
    home = await temporaryFolder('foreign-damage')
    bin = await clientTools(18)
    const dump = (...args: string[]) => execFileSync(join(bin, 'pg_dump'), [...args, url], {maxBuffer: 1e9, stdio: ['ignore', 'pipe', 'ignore']})
    for (const [name, ...flags] of [['custom', '-Fc'], ['custom uncompressed', '-Fc', '-Z0'], ['custom zstd', '-Fc', '-Zzstd'], ['custom lz4', '-Fc', '-Zlz4'], ['tar', '-Ft'], ['plain', '-Fp'], ['plain inserts', '-Fp', '--inserts']] as const) dumps.set(name, dump(...flags))
    dumps.set('cluster', execFileSync(join(bin, 'pg_dumpall'), ['--globals-only', '-d', url], {maxBuffer: 1e9, stdio: ['ignore', 'pipe', 'ignore']}))
    for (const packing of ['none', 'gzip', 'zstd', 'lz4']) dump('-Fd', '-Z', packing, '-f', join(home, `folder-${packing}`))
  })
  after(async () => {
    await cluster.drop('foreign_damage')
    await removeFolder(home)
  })

  const of = (name: string): Buffer => dumps.get(name) ?? Buffer.alloc(0)

  /** Refused with one of these codes and exit 4, and nothing is there that was not there before. */
  async function refused(setting: Pick<ForeignSetting, 'dump' | 's3' | 'stdin'>, code: RegExp, note: string): Promise<string> {
    const before = await databasesOf(cluster, '')
    const steps: string[] = []
    const {error} = await runForeign({url, directory: home, onStep: (id) => { steps.push(id) }, ...setting})
    expect(error?.code, `${note}: ${error?.message ?? 'not refused'}`).to.match(code)
    expect(error?.exitCode, note).to.equal(4)
    expect(steps, note).not.to.include('restore.create')
    expect(await databasesOf(cluster, ''), note).to.deep.equal(before)
    expect(await readdir(join(home, 'run')).catch(() => []), note).to.deep.equal([])
    expect(await readdir(join(home, 'staging')).catch(() => []), note).to.deep.equal([])
    return error?.message ?? ''
  }

  async function refusedBytes(bytes: Buffer, code: RegExp, note: string): Promise<string> {
    await writeFile(join(home, 'production.sql.gz'), bytes)
    return refused({dump: './production.sql.gz'}, code, note)
  }

  const others: [string, () => Buffer, RegExp][] = [
    ['nothing', () => Buffer.alloc(0), /it is (empty|damaged or empty)/],
    ['a web page', () => Buffer.from('<!DOCTYPE html>\n<html><head><title>403 Forbidden</title></head></html>'), /an HTML page/],
    ['an answer of S3', () => Buffer.from('<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code></Error>'), /an error answer of S3/],
    ['JSON', () => Buffer.from('{"message": "Internal server error"}'), /it is JSON/],
    ['a dump of MySQL', () => Buffer.from('-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)\n--\n-- Host: localhost    Database: crm\n-- ------\n/*!40101 SET NAMES utf8mb4 */;\nDROP TABLE IF EXISTS `leads`;\nCREATE TABLE `leads` (\n  `id` int NOT NULL\n) ENGINE=InnoDB;\n'), /MySQL or MariaDB/],
    ['a dump of MariaDB', () => Buffer.from('/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB\n'), /MySQL or MariaDB/],
    ['SQL of MySQL without a head', () => Buffer.from('CREATE TABLE `leads` (`id` int);\nINSERT INTO `leads` VALUES (1);\n'), /MySQL/],
    ['a file of SQLite', () => Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(4080)]), /SQLite/],
    ['a dump of SQLite', () => Buffer.from('PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a);\nCOMMIT;\n'), /SQLite/],
    ['a backup of SQL Server', () => Buffer.concat([Buffer.from('TAPE'), Buffer.alloc(508)]), /SQL Server/],
    ['a dump of Redis', () => Buffer.from('REDIS0011\u00fa\u0009redis-ver', 'latin1'), /Redis/],
    ['a copy of a server', () => tarOf('backup_label'), /pg_basebackup/],
    ['another tar', () => tarOf('notes.txt'), /a tar, but not one of pg_dump/],
    ['a tar with a folder', () => tarOf('dump/toc.dat'), /a tar with a folder in it/],
    ['a zip archive', () => Buffer.from('PK\u0003\u0004 and more', 'latin1'), /a zip archive/],
    ['an encrypted file', () => Buffer.from('age-encryption.org/v1\n-> X25519'), /encrypted with age/],
    ['zero bytes', () => Buffer.alloc(5000), /nothing but zero bytes/],
    ['anything else', () => Buffer.alloc(600, 7), /something that dr does not know/],
    ['a whole cluster', () => of('cluster'), /SQL of pg_dumpall/],
  ]
  for (const [what, bytes, says] of others) {
    it(`is refused: ${what}, bare and compressed`, async () => {
      const code = what === 'a whole cluster' ? /^restore\.cluster-dump$/ : /^restore\.not-a-dump$/
      expect(await refusedBytes(bytes(), code, 'bare')).to.match(says)
      expect(await refusedBytes(gzipSync(bytes()), code, 'gzip')).to.match(says)
      expect(await refusedBytes(gzipSync(zstdCompressSync(bytes())), code, 'gzip around zstd')).to.match(says)
    })
  }

  it('is refused from standard input and from a bucket, too', async () => {
    const s3 = await openS3()
    try {
      const storage = (prefix = '') => s3.storage({prefix})
      const bytes: [string, Buffer, RegExp][] = [['page', Buffer.from('<html></html>'), /not-a-dump/], ['cut', gzipSync(of('custom')).subarray(0, -100), /dump-damaged/], ['cut.sql', of('plain').subarray(0, -200), /dump-damaged/], ['empty', Buffer.alloc(0), /not-a-dump/]]
      for (const [name, content, code] of bytes) {
        await storage().put(`backups/${name}`, content)
        await refused({dump: `backups/${name}`, s3: {storage, bucket: 'backups'}}, code, name)
        await writeFile(join(home, 'piped'), content)
        await refused({dump: '-', stdin: createReadStream(join(home, 'piped'))}, code, name)
      }
    } finally {
      await s3.close()
    }
  })

  it('is refused when it is only the table of contents of a directory', async () => {
    await copyFile(join(home, 'folder-gzip', 'toc.dat'), join(home, 'lonely.dat'))
    await refused({dump: './lonely.dat'}, /not-a-dump/, 'toc.dat')
  })

  const packings: Record<string, (bytes: Buffer) => Buffer> = {none: (bytes) => bytes, gzip: (bytes) => gzipSync(bytes), zstd: (bytes) => zstdCompressSync(bytes), lz4: lz4Stored}
  for (const name of ['custom', 'custom uncompressed', 'custom zstd', 'custom lz4', 'tar', 'plain', 'plain inserts']) {
    it(`is refused when it is cut off, wherever that is: ${name}`, async () => {
      const random = seeded(SEED)
      for (const [packing, pack] of Object.entries(packings)) {
        const whole = pack(of(name))
        // Behind the last line of plain SQL only empty lines, or an \unrestrict, may be missing.
        const tail = packing === 'none' && name.startsWith('plain') ? 150 : 1
        const lengths = [11, 600, ...Array.from({length: 5}, () => Math.floor(random() * (whole.length - tail))), whole.length - tail]
        for (const length of lengths) await refusedBytes(whole.subarray(0, length), /^(restore\.(dump-damaged|not-a-dump))$/, `${packing}, ${length} of ${whole.length}, seed ${SEED}`)
      }
    })
  }

  it('is refused when a file of a directory is cut off, damaged or missing', async () => {
    for (const packing of ['none', 'gzip', 'zstd', 'lz4']) {
      const folder = join(home, 'damaged')
      for (const name of (await readdir(join(home, `folder-${packing}`))).filter((one) => one !== 'blobs.toc')) {
        await cp(join(home, `folder-${packing}`), folder, {recursive: true})
        const {length} = await readFile(join(folder, name))
        await truncate(join(folder, name), Math.max(0, length - 3))
        // Of a large object that is not compressed the length is written nowhere.
        if (!(packing === 'none' && name.startsWith('blob_'))) await refused({dump: folder}, /^restore\.dump-damaged$/, `${packing} ${name} cut off`)
        await rm(join(folder, name))
        await refused({dump: folder}, /^restore\.(dump-damaged|no-backup)$/, `${packing} ${name} missing`).catch((error: unknown) => {
          // Without its toc.dat it is no archive at all, and is told so before any step.
          if (name !== 'toc.dat') throw error
        })
        await rm(folder, {recursive: true})
      }
    }
  })

  it('is refused when a bit is flipped, wherever there is a checksum over it', async () => {
    const random = seeded(SEED)
    const cases: [string, Buffer, number, number][] = ['custom', 'tar', 'plain'].flatMap((name): [string, Buffer, number, number][] => {
      const [packed, framed] = [gzipSync(of(name)), lz4Stored(of(name))]
      return [[`${name} in gzip`, packed, 10, packed.length], [`${name} in lz4`, framed, 4, framed.length]]
    })
    const custom = of('custom')
    const data = custom.indexOf(Buffer.from([0x78]), custom.indexOf('leads_pkey'))
    cases.push(['rows of a custom archive', custom, data + 200, data + 5000])
    for (const [name, whole, from, to] of cases) {
      for (let round = 0; round < 6; round += 1) {
        const damaged = Buffer.from(whole)
        const at = from + Math.floor(random() * (to - from))
        damaged[at] = (damaged[at] ?? 0) ^ (1 << Math.floor(random() * 8))
        await refusedBytes(damaged, /^restore\.(dump-damaged|not-a-dump)$/, `${name}, byte ${at} of ${whole.length}, seed ${SEED}`)
      }
    }
  })

  it('says where there is none that a changed byte would not show', async () => {
    await mkdir(join(home, 'in'), {recursive: true})
    for (const [name, says] of [['custom', false], ['custom zstd', true], ['tar', true]] as const) {
      await writeFile(join(home, 'in', 'dump'), of(name))
      const {state, error} = await runForeign({url, directory: home, dump: './in/dump'})
      if (error) throw error
      await cluster.drop(state.database)
      expect(/no checksum/.test(state.dump.extent), name).to.equal(says)
    }
  })

  it('is refused when the file changes between its proof and its use', async () => {
    await writeFile(join(home, 'changing.sql'), of('plain'))
    const before = await databasesOf(cluster, '')
    const {error} = await runForeign({url, directory: home, dump: './changing.sql', onStep: (id) => { if (id === 'restore.create') execFileSync('sh', ['-c', `echo 'DROP TABLE leads;' >> ${join(home, 'changing.sql')}`]) }})
    expect(error).to.include({code: 'restore.dump-changed', exitCode: 4})
    expect(await databasesOf(cluster, '')).to.deep.equal(before)
  })
})
