import {expect} from 'chai'
import {mkdir, readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import type {DiffResult} from '../../../../src/commands/diff.ts'
import {withClient} from '../../../../src/lib/postgres/connection.ts'
import {serializeManifest} from '../../../../src/lib/repository/manifest.ts'
import {removeFolder, temporaryFolder} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {sampleManifest} from '../../../support/manifest.ts'
import {finishDr} from '../../../support/process.ts'

const ROWS = 2_000_000
const PEAK = fileURLToPath(new URL('../../../support/peak-memory.js', import.meta.url))

describe('dr diff --deep of two million rows', function () {
  this.timeout(600_000)
  let cluster: TestCluster
  let home = ''

  before(async () => {
    cluster = await testCluster({major: 17})
    home = await temporaryFolder('diff-memory')
    const url = await cluster.createDatabase('two_million')
    await withClient(url, {}, async (client) => {
      await client.query(`CREATE TABLE calls AS SELECT md5(i::text)::uuid::text AS id, i % 12 AS "tenantId", repeat('x', 40) AS note FROM generate_series(1, ${ROWS}) i`)
      await client.query("SET maintenance_work_mem = '256MB'; ALTER TABLE calls ADD PRIMARY KEY (id)")
    })
    await cluster.drop('two_million_copy')
    await withClient(cluster.adminUrl, {}, (client) => client.query('CREATE DATABASE two_million_copy TEMPLATE two_million'))
    await withClient(url, {}, (client) => client.query(`
      DELETE FROM calls WHERE id IN (SELECT md5(i::text)::uuid::text FROM generate_series(1, 3000) i); UPDATE calls SET note = 'y' WHERE id IN (SELECT md5(i::text)::uuid::text FROM generate_series(5001, 9000) i);
      INSERT INTO calls SELECT md5('new' || i)::uuid::text, 1, 'z' FROM generate_series(1, 5000) i`))
    const label = '20261122T020000Z-7f3a'
    const folder = join(home, 'data/backups/development', label)
    await mkdir(folder, {recursive: true})
    await writeFile(join(folder, 'manifest.json'), serializeManifest(sampleManifest({label, environment: 'development', tables: [{schema: 'public', name: 'calls', kind: 'table', rows: ROWS, columns: ['id', 'tenantId', 'note'], bytes: 0}]})))
  })
  after(async () => {
    await cluster.drop('two_million', 'two_million_copy')
    await removeFolder(home)
  })

  it('finds each difference, and never holds 200 MB', async () => {
    const file = join(home, 'peak')
    const env = {DATABASE_URL: cluster.url('two_million'), NODE_OPTIONS: `--import=${PEAK}`, DR_TEST_PEAK_FILE: file}
    const {code, stdout, stderr} = await finishDr(['diff', '--deep', '--against', 'two_million_copy', '--sample', '5', '--json'], home, {env})
    expect(code, stdout + stderr).to.equal(0)
    const {rows} = JSON.parse(stdout) as DiffResult
    expect(rows?.total).to.deep.equal({live: ROWS + 2000, backup: ROWS, onlyLive: 5000, onlyBackup: 3000, changed: 4000})
    expect(rows?.tables[0]?.sample).to.have.length(5)
    const peak = Number(await readFile(file, 'utf8'))
    expect(peak).to.be.above(20e6).and.below(200e6)
  })
})
