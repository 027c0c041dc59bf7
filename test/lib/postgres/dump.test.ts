import {expect} from 'chai'
import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {withClient} from '../../../src/lib/postgres/connection.ts'
import {chooseCompression, dumpArguments, dumpError, dumpJobs, finishedItem, startDump, type FinishedItem} from '../../../src/lib/postgres/dump.ts'
import {archiveMajor, chooseForDump, chooseForRestore, findTools, knowsZstd, type ClientTools} from '../../../src/lib/postgres/tools.ts'
import {Repository} from '../../../src/lib/repository/repository.ts'
import {localRepository, removeFolder, runBackup, temporaryFolder} from '../../support/backup.ts'
import {testCluster} from '../../support/cluster.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {clientTools} from '../../support/tools.ts'

const tools = (version: string): ClientTools => ({directory: `/x/${version}`, version, major: Number.parseInt(version, 10), pgDump: '/x/pg_dump', pgRestore: '/x/pg_restore'})
const caught = (work: () => unknown): unknown => {
  try {
    return work()
  } catch (error) {
    return error
  }
}

describe('what pg_dump says', () => {
  it('finds finished items', () => {
    expect(finishedItem('pg_dump: finished item 3611 TABLE DATA gen')).to.deep.equal({dumpId: 3611, kind: 'TABLE DATA'})
    expect(finishedItem('pg_dump:pg_dump:  finished item 3642 BLOBS 4243')).to.deep.equal({dumpId: 3642, kind: 'BLOBS'})
    expect(finishedItem('pg_dump: reading schemas')).to.equal(undefined)
  })

  it('does not take the name of a table for a message', () => {
    expect(finishedItem('pg_dump: dumping contents of table "public.finished item 3294 TABLE DATA x"')).to.equal(undefined)
    expect(finishedItem('pg_dump: finished item 3290 TABLE DATA finished item 3294 TABLE DATA x')).to.deep.equal({dumpId: 3290, kind: 'TABLE DATA'})
  })

  it('fails when an item is finished twice, as a name with a line break makes it look', async () => {
    const heard: FinishedItem[] = []
    const said = [String.raw`dumping contents of table "public.a`, 'finished item 7 TABLE DATA x"', 'pg_dump: finished item 6 TABLE DATA b', 'pg_dump: finished item 7 TABLE DATA x']
    const access = {env: {}, url: () => '', close: () => Promise.resolve()}
    const running = startDump(['/bin/sh', '-c', String.raw`printf '%s\n' "$@" >&2`, 'sh', ...said], access, (item) => { heard.push(item) })
    expect(await drErrorOf(running.done)).to.include({code: 'backup.finished-twice', exitCode: 3})
    expect(heard.map(({dumpId}) => dumpId)).to.deep.equal([7, 6])
  })

  it('is told apart by what is to be done', () => {
    const start = 'pg_dump: error: connection to server at "h", port 5432 failed: FATAL:  '
    expect(dumpError(1, [`${start}password authentication failed for user "u"`])).to.include({code: 'postgres.denied', exitCode: 5})
    expect(dumpError(1, [`${start}sorry, too many clients already`]).hints.join()).to.contain('--jobs')
    expect(dumpError(1, [`${start}the database system is shutting down`]).code).to.equal('backup.connection-lost')
  })
})

describe('the client tools', () => {
  it('are the own major from 16 on, else the newest', () => {
    const found = [tools('18.1'), tools('17.5'), tools('16.2'), tools('15.9')]
    expect(chooseForDump(found, 17).major).to.equal(17)
    expect(chooseForDump(found, 15).major).to.equal(18)
    expect(chooseForDump([tools('15.9')], 15).major).to.equal(15)
    expect(chooseForDump([tools('18.1')], 16).major).to.equal(18)
  })

  it('refuse a server newer than each of them, in words', () => {
    const error = caught(() => chooseForDump([tools('15.9')], 18))
    expect(error).to.have.property('exitCode', 3)
    expect((error as Error).message).to.contain('PostgreSQL 18').and.to.contain('15.9')
  })

  it('restore with the target\'s major when that reads the archive', () => {
    const found = [tools('18.1'), tools('17.5'), tools('15.9')]
    expect(chooseForRestore(found, 12, 15).major).to.equal(15)
    expect(chooseForRestore(found, 17, 15).major).to.equal(17)
    expect(chooseForRestore(found, 12, 16).major).to.equal(17)
    expect(caught(() => chooseForRestore([tools('15.9')], 17, 15))).to.have.property('exitCode', 3)
    // 17 could read the format of 18, and does not know everything that stands in it.
    expect(archiveMajor({pgDump: '18.4', pgRestoreMajor: 17})).to.equal(18)
    expect(archiveMajor({pgDump: '15.18', pgRestoreMajor: 12})).to.equal(15)
    expect(caught(() => chooseForRestore([tools('17.9')], 18, 15))).to.have.property('message').that.contains('18').and.contains('17.9')
  })

  it('are found, versioned and asked for zstd', async () => {
    const [found] = await findTools(await clientTools(18))
    expect(found).to.include({major: 18})
    expect(await knowsZstd(found ?? tools('0'))).to.equal(true)
    const error: unknown = await findTools('/nonexistent').catch((thrown: unknown) => thrown)
    expect(error).to.have.property('code', 'tools.missing')
  })
})

describe('the arguments of pg_dump', () => {
  const options = {directory: 'd', snapshot: 's', jobs: 2, compression: 'zstd:1', excludeSchemas: ['dr_stage_*'], lockTimeoutMs: 2000}
  it('speak to each major in its own words', () => {
    const access = {url: () => 'postgresql://u@h:5432/d'}
    expect(dumpArguments(tools('17.5'), access, options)).to.include('--compress=zstd:1')
    expect(dumpArguments(tools('15.9'), access, {...options, compression: 'gzip:1'})).to.include('--compress=1')
    expect(dumpArguments(tools('15.9'), access, {...options, compression: 'none'})).to.include('--compress=0')
  })

  it('never ask for one job', () => {
    expect([dumpJobs(1, 8), dumpJobs(undefined, 1), dumpJobs(undefined, 6), dumpJobs(3, 1), dumpJobs(undefined, 64), dumpJobs(16, 4)]).to.deep.equal([2, 2, 6, 3, 8, 16])
  })

  it('quote the text of an exclusion pattern', () => {
    const argv = dumpArguments(tools('17.5'), {url: () => ''}, {...options, excludeSchemas: ['dr_stage_*', 'A.b?"c$']})
    expect(argv.filter((argument) => argument.startsWith('--exclude-schema'))).to.deep.equal(['--exclude-schema="dr_stage_"*', '--exclude-schema="A.b"?"""c$"'])
  })

  it('choose a compression that the client can write', () => {
    expect(chooseCompression(undefined, tools('17.5'), true)).to.equal('zstd:1')
    expect(chooseCompression(undefined, tools('15.9'), false)).to.equal('gzip:1')
    expect(chooseCompression('none', tools('15.9'), false)).to.equal('none')
    expect(chooseCompression('zstd:3', tools('17.5'), true)).to.equal('zstd:3')
    expect(caught(() => chooseCompression('zstd', tools('15.9'), false))).to.have.property('exitCode', 3)
    expect(caught(() => chooseCompression('brotli', tools('17.5'), true))).to.have.property('exitCode', 3)
  })
})

describe('a backup of odd names', () => {
  let url = ''
  let directory = ''
  before(async () => { url = await (await testCluster({major: 18})).createDatabase('dump_names') })
  beforeEach(async () => { directory = await temporaryFolder('dump-names') })
  afterEach(() => removeFolder(directory))
  const change = (sql: string) => withClient(url, {}, (client) => client.query(sql))

  it('holds every table that speaks like pg_dump, whole', async () => {
    await change(`CREATE TABLE "finished item 3294 TABLE DATA x" AS SELECT i FROM generate_series(1, 1000) i; CREATE TABLE "pg_dump: finished item 1 BLOBS y" AS SELECT 1 AS i`)
    const {error, state} = await runBackup({url, directory})
    expect(error).to.equal(undefined)
    expect(state.label).to.be.a('string')
  })

  it('leaves out what the pattern names, as the list of tables does', async () => {
    await change('CREATE SCHEMA "A.b1"; CREATE TABLE "A.b1".x AS SELECT 1 AS i; CREATE SCHEMA "a.b1"; CREATE TABLE "a.b1".y AS SELECT 1 AS i; CREATE SCHEMA "Axb1"; CREATE TABLE "Axb1".z AS SELECT 1 AS i')
    await writeFile(join(directory, 'dr.config.yaml'), "database: {excludeSchemas: ['A.b?']}\n")
    const {error, state} = await runBackup({url, directory})
    expect(error).to.equal(undefined)
    const {manifest} = await new Repository(localRepository(directory), state.environment).open(state.label ?? '')
    expect(manifest.tables.map(({schema}) => schema)).to.include.members(['a.b1', 'Axb1']).and.not.include('A.b1')
  })
})
