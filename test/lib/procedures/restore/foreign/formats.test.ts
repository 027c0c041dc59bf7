import {expect} from 'chai'
import {execFileSync} from 'node:child_process'
import {createReadStream} from 'node:fs'
import {readdir, readFile, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {gzipSync, zstdCompressSync} from 'node:zlib'
import {createAwkwardDatabase} from '../../../../support/awkward.ts'
import {removeFolder, temporaryFolder} from '../../../../support/backup.ts'
import {testCluster, type ServerMajor, type TestCluster} from '../../../../support/cluster.ts'
import {expectEqual} from '../../../../support/equal.ts'
import {databasesOf, digestsOf, runForeign, type ForeignSetting} from '../../../../support/foreign.ts'
import {lz4Stored} from '../../../../support/lz4.ts'
import {wrongFindings} from '../../../../support/restore.ts'
import {openS3} from '../../../../support/s3-storage.ts'
import {clientTools} from '../../../../support/tools.ts'

const pack = {none: (bytes: Buffer) => bytes, gzip: (bytes: Buffer) => gzipSync(bytes), zstd: (bytes: Buffer) => zstdCompressSync(bytes), lz4: lz4Stored}
type Packing = keyof typeof pack
const packings = Object.keys(pack) as Packing[]

for (const major of [15, 18] as const satisfies ServerMajor[]) {
  describe(`a dump that dr did not make, on PostgreSQL ${major}`, function () {
    this.timeout(180_000)
    let cluster: TestCluster
    let home = ''
    let source = ''
    let bin = ''
    let digests: string[] = []

    before(async () => {
      cluster = await testCluster({major})
      source = (await createAwkwardDatabase(cluster, 'foreign_awkward')).url
      home = await temporaryFolder('foreign-formats')
      bin = await clientTools(major === 18 ? 18 : 17)
      digests = await digestsOf(source)
    })
    after(async () => {
      await cluster.drop('foreign_awkward')
      await removeFolder(home)
    })

    const dump = (...args: string[]) => execFileSync(join(bin, 'pg_dump'), [...args, source], {maxBuffer: 1e9, stdio: ['ignore', 'pipe', 'ignore']})

    /** Restores, compares everything with the source, and drops what was made. */
    async function restores(setting: Pick<ForeignSetting, 'dump' | 's3' | 'stdin'>, says: RegExp): Promise<void> {
      const {state, error, seen} = await runForeign({url: source, directory: home, ...setting})
      if (error) throw error
      try {
        expect(wrongFindings(state.findings)).to.deep.equal([])
        expect(state.dump.extent).to.match(says)
        const restored = cluster.url(state.database)
        expect(await digestsOf(restored)).to.deep.equal(digests)
        await expectEqual(cluster, source, restored)
        expect(state.findings.map(({message}) => message).join('\n')).to.contain('no manifest to compare with').and.contain('as in the live database')
        expect(seen.join('\n')).not.to.match(/not in one transaction(?!.*line \d+ has transactions of its own)/)
      } finally {
        await cluster.drop(state.database)
      }
      expect(await databasesOf(cluster, 'foreign_awkward_restore_')).to.deep.equal([])
      expect(await readdir(join(home, 'staging')).catch(() => [])).to.deep.equal([])
      expect(await readdir(join(home, 'run'))).to.deep.equal([])
    }

    for (const packing of packings) {
      it(`restores custom archives, ${packing} inside`, async () => {
        await writeFile(join(home, 'any.name'), dump('-Fc', '-Z', packing))
        await restores({dump: './any.name'}, /^custom archive of pg_dump: every block of data read by pg_restore 1[78]/)
      })

      it(`restores custom archives, ${packing} outside`, async () => {
        await writeFile(join(home, 'any.name'), pack[packing](dump('-Fc')))
        await restores({dump: './any.name'}, packing === 'none' ? /^custom archive of pg_dump:/ : new RegExp(`^custom archive of pg_dump, ${packing}: `))
      })

      it(`restores tar archives, ${packing}`, async () => {
        await writeFile(join(home, 'any.name'), pack[packing](dump('-Ft')))
        await restores({dump: './any.name'}, /^tar archive of pg_dump.*the data of every table has its end/)
      })

      it(`restores directory archives, ${packing}`, async () => {
        const folder = join(home, `folder-${packing}`)
        dump('-Fd', '-Z', packing, '-f', folder)
        await restores({dump: folder}, /^directory archive of pg_dump: every file that toc.dat names is there and was read to its end/)
        await rm(folder, {recursive: true})
      })

      it(`restores plain SQL, ${packing}`, async () => {
        await writeFile(join(home, 'any.name'), packing === 'none' ? dump('-Fp') : dump('-Fp', '-Z', packing))
        await restores({dump: './any.name'}, /^plain SQL.*lines read to their end, and it ends as pg_dump ends one/)
      })
    }

    it('restores what the old scripts made: a custom archive called .sql, compressed with gzip, and compressed again', async () => {
      const name = `foreign_awkward-${new Date().toISOString().replaceAll(/[:.]/g, '-')}.sql`
      execFileSync(join(bin, 'pg_dump'), ['-F', 'c', '-f', join(home, name), source], {stdio: 'ignore'})
      execFileSync('gzip', [join(home, name)])
      await restores({dump: `./${name}.gz`}, /^custom archive of pg_dump, gzip: /)
      await writeFile(join(home, 'twice.sql.gz'), gzipSync(await readFile(join(home, `${name}.gz`))))
      await restores({dump: './twice.sql.gz'}, /^custom archive of pg_dump, gzip twice over: /)
    })

    it('restores from a bucket: an archive, an archive in gzip, SQL, and a folder', async () => {
      const s3 = await openS3()
      try {
        const storage = (prefix = '') => s3.storage({prefix})
        const bucket = {storage, bucket: 'backups'}
        const put = storage()
        await put.put('backups/old.sql.gz', gzipSync(dump('-Fc')))
        await put.put('backups/old.dump', dump('-Fc'))
        await put.put('backups/old.sql', gzipSync(dump('-Fp')))
        const folder = join(home, 'for-the-bucket')
        dump('-Fd', '-f', folder)
        for (const file of await readdir(folder)) await put.put(`backups/folder/${file}`, await readFile(join(folder, file)))
        await restores({dump: 'backups/old.sql.gz', s3: bucket}, /^custom archive of pg_dump, gzip: /)
        await restores({dump: 's3://backups/backups/old.dump', s3: bucket}, /^custom archive of pg_dump: /)
        await restores({dump: 'backups/old.sql', s3: bucket}, /^plain SQL, gzip: /)
        await restores({dump: 'backups/folder', s3: bucket}, /^directory archive of pg_dump: /)
      } finally {
        await s3.close()
      }
    })

    it('restores from standard input', async () => {
      for (const [bytes, says] of [[gzipSync(dump('-Fc')), /^custom archive of pg_dump, gzip: /], [dump('-Ft'), /^tar archive/], [zstdCompressSync(dump('-Fp')), /^plain SQL, zstd: /]] as const) {
        await writeFile(join(home, 'piped'), bytes)
        await restores({dump: '-', stdin: createReadStream(join(home, 'piped'))}, says)
      }
    })
  })
}
