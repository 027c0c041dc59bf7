import {expect} from 'chai'
import {cp, readFile, rm, stat, truncate, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {rowsOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {MANIFEST, parseManifest, serializeManifest, type Manifest} from '../../../../src/lib/repository/manifest.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {runRestore, wrongFindings} from '../../../support/restore.ts'

/** Largest first: that of the table, and a small one. */
const dataMembers = (manifest: Manifest) => manifest.members.filter(({name}) => /^\d+\.dat/.test(name)).toSorted((a, b) => b.bytes - a.bytes)

describe('a restore of a damaged backup', function () {
  this.timeout(60_000)
  let cluster: TestCluster
  let directory = ''
  let url = ''
  /** A copy of the backup for each test. */
  let copy = ''
  let manifest: Manifest

  before(async () => {
    cluster = await testCluster({major: 17})
    url = await cluster.createDatabase('damaged')
    await withClient(url, {}, (client) => client.query(`
      CREATE TABLE large (id int PRIMARY KEY, "tenantId" text, note text); INSERT INTO large SELECT i, 't' || i % 3, md5(i::text) FROM generate_series(1, 5000) i;
      CREATE TABLE small AS SELECT i FROM generate_series(1, 5) i; SELECT lo_create(77), lo_put(77, 0, 'large object')`))
    directory = await temporaryFolder('restore')
    const {error} = await runBackup({url, directory, toolsMajor: 17})
    if (error) throw error
  })
  beforeEach(async () => {
    copy = await temporaryFolder('restore')
    await cp(join(directory, 'backups', 'development'), copy, {recursive: true})
    const [label = ''] = await import('node:fs/promises').then(({readdir}) => readdir(copy))
    copy = join(copy, label)
    manifest = parseManifest(await readFile(join(copy, MANIFEST), 'utf8'))
  })
  afterEach(() => removeFolder(join(copy, '..')))
  after(async () => {
    await withClient(cluster.adminUrl, {}, (client) => client.query('DROP DATABASE damaged WITH (FORCE)'))
    await removeFolder(directory)
  })

  const change = async (name: string, edit: (bytes: Buffer) => void) => {
    const bytes = await readFile(join(copy, name))
    edit(bytes)
    await writeFile(join(copy, name), bytes)
  }
  const flip = (name: string) => change(name, (bytes) => { bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1 })
  const refuse = async (says: RegExp, steps: string[] = []) => {
    const {error, state} = await runRestore({url, directory, backup: copy, onStep: (id) => { steps.push(id) }})
    expect(error, String(error)).to.include({exitCode: 4})
    expect(error?.message).to.match(says)
    expect(error?.hints).not.to.be.empty
    expect(await withClient(cluster.adminUrl, {}, (client) => rowsOf(client, "SELECT datname FROM pg_database WHERE datname LIKE 'damaged_restore%' OR datname LIKE 'dr_unfinished%'"))).to.deep.equal([])
    expect(state.finished).not.to.equal(true)
    return steps
  }

  it('is refused at a flipped bit of a table, which is not loaded', async () => {
    const {name} = dataMembers(manifest)[0] ?? expect.fail('no member')
    await flip(name)
    await refuse(new RegExp(`^${name} .*SHA-256`))
  })

  it('is refused at a flipped bit of a small table in a batch', async () => {
    const {name} = dataMembers(manifest).at(-1) ?? expect.fail('no member')
    await flip(name)
    await refuse(new RegExp(`^${name} `))
  })

  it('is refused at a flipped bit of a large object', async () => {
    await flip('blob_77.dat.zst')
    await refuse(/^blob_77\.dat\.zst /)
  })

  for (const [what, damage] of [
    ['cut', async (name: string) => truncate(join(copy, name), (await stat(join(copy, name))).size - 1)],
    ['missing', (name: string) => rm(join(copy, name))],
  ] as const) {
    it(`is refused before anything is made when a member is ${what}`, async () => {
      const {name} = dataMembers(manifest).at(-1) ?? expect.fail('no member')
      await damage(name)
      expect(await refuse(new RegExp(`^${name} .*(bytes instead of|missing)`))).to.deep.equal(['restore.backup'])
    })
  }

  it('is refused at a flipped bit of the table of contents', async () => {
    await flip('toc.dat')
    expect(await refuse(/^toc\.dat /)).to.deep.equal(['restore.backup'])
  })

  it('is kept, with exit 4 in its findings, when the rows are not those of the manifest', async () => {
    const lied: Manifest = {...manifest, tables: manifest.tables.map((table) => ({...table, rows: (table.rows ?? 0) + 1}))}
    await writeFile(join(copy, MANIFEST), serializeManifest(lied))
    const {error, state, notices} = await runRestore({url, directory, backup: copy})
    expect(error).to.equal(undefined)
    expect(wrongFindings(state.findings).filter((text) => text.startsWith('integrity.rows'))).to.have.length(2)
    expect(notices.join()).to.contain(state.database)
    expect(await withClient(cluster.url(state.database), {}, (client) => rowsOf(client, 'SELECT FROM small'))).to.have.length(5)
    await withClient(cluster.adminUrl, {}, (client) => client.query(`DROP DATABASE ${client.escapeIdentifier(state.database)}`))
  })

  it('is not begun when the server refuses an object, and its name is told', async () => {
    // A foreign key that the data does not meet: the archive is whole, the server says no.
    await withClient(url, {}, (client) => client.query(`CREATE TABLE parent (id int PRIMARY KEY); ALTER TABLE small ADD CONSTRAINT small_fk FOREIGN KEY (i) REFERENCES parent NOT VALID;
      UPDATE pg_constraint SET convalidated = true WHERE conname = 'small_fk'`))
    const other = await temporaryFolder('restore')
    try {
      const backup = await runBackup({url, directory: other, toolsMajor: 17})
      if (backup.error) throw backup.error
      const {error} = await runRestore({url, directory: other})
      expect(error).to.include({exitCode: 1, code: 'restore.failed'}).and.property('message').matches(/small small_fk.*violates foreign key constraint/)
      expect(await withClient(cluster.adminUrl, {}, (client) => rowsOf(client, "SELECT datname FROM pg_database WHERE datname LIKE 'damaged_restore%'"))).to.deep.equal([])
    } finally {
      await withClient(url, {}, (client) => client.query('ALTER TABLE small DROP CONSTRAINT small_fk'))
      await removeFolder(other)
    }
  })
})
