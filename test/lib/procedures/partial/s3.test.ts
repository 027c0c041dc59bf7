import {expect} from 'chai'
import {withClient, rowsOf} from '../../../../src/lib/postgres/connection.ts'
import {parseManifest, type Manifest} from '../../../../src/lib/repository/manifest.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {runPartial, type PartialSetting} from '../../../support/partial-restore.ts'
import {openS3} from '../../../support/s3-storage.ts'

/** More than the server's replies have. */
const HEADERS_BYTES = 2000

describe('a partial restore from S3 of a small table', function () {
  this.timeout(180_000)
  let cluster: TestCluster
  let s3: Awaited<ReturnType<typeof openS3>>
  let [directory, url, label] = ['', '', '']
  let manifest: Manifest
  const storage = (prefix = 'dr') => Promise.resolve(s3.storage({prefix}))

  before(async () => {
    cluster = await testCluster({major: 17})
    s3 = await openS3()
    url = await cluster.createDatabase('partial_s3')
    await withClient(url, {}, (client) => client.query(`
      CREATE EXTENSION pgcrypto;
      CREATE TABLE shelves (id int PRIMARY KEY, name text NOT NULL); INSERT INTO shelves SELECT i, 'shelf ' || i FROM generate_series(1, 100) i;
      CREATE TABLE boxes (id int PRIMARY KEY, shelf int REFERENCES shelves ON DELETE SET NULL); INSERT INTO boxes SELECT i, i % 100 + 1 FROM generate_series(1, 500) i;
      CREATE TABLE films (id int PRIMARY KEY, shelf int REFERENCES shelves ON DELETE SET NULL, content bytea); INSERT INTO films SELECT i, i % 100 + 1, gen_random_bytes(1024) FROM generate_series(1, 9000) i;
      CREATE TABLE apart (id int PRIMARY KEY, content bytea); INSERT INTO apart SELECT i, gen_random_bytes(1024) FROM generate_series(1, 500) i`))
    directory = await temporaryFolder('partial-s3')
    const {error, state} = await runBackup({url, directory, storages: [s3.storage({prefix: 'dr'})], toolsMajor: 17})
    if (error) throw error
    label = state.label ?? ''
    const place = await storage()
    const chunks: Buffer[] = []
    for await (const chunk of await place.read(`development/${label}/manifest.json`)) chunks.push(chunk as Buffer)
    manifest = parseManifest(Buffer.concat(chunks).toString())
  })
  after(async () => {
    await s3.close()
    await cluster.drop('partial_s3')
    await removeFolder(directory)
  })

  const memberOf = (table: string): string => {
    const id = manifest.tables.find(({name}) => name === table)?.dumpId
    return manifest.members.find(({name}) => name.startsWith(`${id ?? 'none'}.dat`))?.name ?? `no member of ${table}`
  }
  const bytesOf = (...names: string[]) => names.reduce((sum, wanted) => sum + (manifest.members.find(({name}) => name === wanted)?.bytes ?? NaN), 0)
  /** What the server was asked for meanwhile, and what it sent. */
  async function restored(wish: PartialSetting['wish'], way: NonNullable<PartialSetting['way']>) {
    const before = s3.server.requests.length
    const {state, error} = await runPartial({url, directory, wish, way, backup: label, s3: {storage, bucket: 'backups'}})
    if (error) throw error
    const records = s3.server.requests.slice(before)
    const read = records.filter(({method, path}) => method === 'GET' && !path.includes('list-type')).map(({path}) => decodeURIComponent(path.replace(/\?.*$/, '')).replace(/^.*\//, ''))
    return {state, read, requests: records.length, sentBytes: records.reduce((sum, {bytes}) => sum + bytes, 0)}
  }

  it('is sent the table of contents, the members of that table and of small ones that refer to it, and no byte of others', async () => {
    await withClient(url, {}, (client) => client.query('DELETE FROM shelves WHERE id % 10 = 0'))
    const {state, read, requests, sentBytes} = await restored({tables: ['shelves']}, 'missing')
    const members = ['toc.dat', memberOf('shelves'), memberOf('boxes')]
    expect(read.filter((name) => name !== 'manifest.json').toSorted()).to.deep.equal(members.toSorted())
    expect(state.fetched).to.deep.equal({bytes: bytesOf(...members), archiveBytes: manifest.sizes.archiveBytes, members: 3})
    const manifests = read.length - members.length
    expect(sentBytes).to.be.above(bytesOf(...members))
    expect(sentBytes).to.be.below(bytesOf(...members) + manifests * 2 * JSON.stringify(manifest, undefined, 2).length + requests * HEADERS_BYTES)
    expect(sentBytes).to.be.below(bytesOf(memberOf('apart')))
    expect(bytesOf(memberOf('films'))).to.be.above(8_000_000)
    expect(state.notes.join()).to.match(/^Not looked at.*films/).and.not.include('boxes')
    expect(state.comparison?.closure.map(({kind, table, rows}) => [kind, table.name, rows])).to.deep.equal([['detached', 'boxes', 50]])
    expect(await withClient(url, {}, (client) => rowsOf(client, "SELECT count(*)::int AS rows FROM shelves WHERE name = 'shelf ' || id"))).to.deep.equal([{rows: 100}])
  })

  it('is sent that table’s member alone when columns are put back', async () => {
    await withClient(url, {}, (client) => client.query("UPDATE shelves SET name = 'lost'"))
    const {state, read} = await restored({tables: ['shelves'], columns: ['name']}, 'changed')
    expect(read.filter((name) => name !== 'manifest.json').toSorted()).to.deep.equal(['toc.dat', memberOf('shelves')].toSorted())
    expect(state.merged?.tables).to.deep.equal([{schema: 'public', name: 'shelves', inserted: 0, updated: 100, deleted: 0}])
  })
})
