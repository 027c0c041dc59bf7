import {expect} from 'chai'
import {connect, endQuietly, rowsOf, withClient, type Client} from '../../../src/lib/postgres/connection.ts'
import {abandonedDatabases, commentSql, createDatabaseSql, createMarkedDatabase, databaseNameTrouble, dropDatabaseSql, dropMarkedDatabase, holdRunLock, knowsCollation, markText, restoreName, restoreNamePrefix, runKey, type NewDatabase} from '../../../src/lib/postgres/create-database.ts'
import {readServer} from '../../../src/lib/postgres/server.ts'
import {parseTarget} from '../../../src/lib/postgres/target.ts'
import {serverMajors, testCluster} from '../../support/cluster.ts'
import {drErrorOf} from '../../support/rejection.ts'

const plain: Omit<NewDatabase, 'name'> = {encoding: 'UTF8', collation: {provider: 'libc', collate: 'C', ctype: 'C'}}

describe('the name of a new database', () => {
  const at = new Date('2026-11-22T02:00:09.500Z')

  it('is the live one\'s with the time', () => {
    expect(restoreName('crm', at)).to.equal('crm_restore_20261122020009')
  })

  for (const live of ['x'.repeat(63), 'ö'.repeat(31), `${'x'.repeat(39)}😀`]) {
    it(`stays within 63 bytes for ${live}, and begins with its prefix`, () => {
      const name = restoreName(live, at)
      expect(Buffer.byteLength(name)).to.be.at.most(63)
      expect(name.endsWith('_restore_20261122020009')).to.equal(true)
      expect(name.startsWith(restoreNamePrefix(live))).to.equal(true)
      expect(Buffer.from(name).toString()).to.equal(name)
    })
  }

  it('may be anything that PostgreSQL keeps whole', () => {
    expect(databaseNameTrouble('odd; "name"')).to.equal(undefined)
    expect(databaseNameTrouble('')).to.contain('empty')
    expect(databaseNameTrouble('ö'.repeat(32))).to.contain('63 bytes')
    expect(databaseNameTrouble('a\nb')).to.contain('control')
  })
})

describe('a marked database', () => {
  let owner: Client
  let other: Client
  let adminUrl = ''
  const made: string[] = []
  const isOurs = (name: string) => name.startsWith('marked_restore_')
  const mark = {run: 'run-a', label: 'label-a'}

  const create = async (client: Client, name: string, run = mark) => {
    made.push(name)
    await createMarkedDatabase(client, {...plain, name}, run, (await testCluster()).major)
  }

  before(async () => {
    ({adminUrl} = await testCluster())
  })
  beforeEach(async () => {
    owner = await connect(adminUrl)
    other = await connect(adminUrl)
  })
  afterEach(async () => {
    await endQuietly(owner)
    for (const name of made.splice(0)) await other.query(dropDatabaseSql(name))
    await endQuietly(other)
  })

  it('is not abandoned while its run holds the lock, and is when the run is gone', async () => {
    await holdRunLock(owner, mark.run)
    await create(owner, 'marked_restore_1')
    expect(await abandonedDatabases(other, isOurs)).to.deep.equal([])
    await endQuietly(owner)
    while ((await rowsOf(other, `SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = ${runKey(mark.run)}`)).length > 0) await other.query('SELECT pg_sleep(0.01)')
    expect(await abandonedDatabases(other, isOurs)).to.deep.equal([{name: 'marked_restore_1', label: 'label-a', run: 'run-a'}])
  })

  it('is seen as alive over a lock that is held in another database', async () => {
    await withClient(parseTarget(adminUrl), {database: 'template1'}, async (elsewhere) => {
      await holdRunLock(elsewhere, mark.run)
      await create(owner, 'marked_restore_1')
      expect(await abandonedDatabases(other, isOurs)).to.deep.equal([])
    })
  })

  it('is not abandoned while someone is in it, or another session of its run is there', async () => {
    await create(owner, 'marked_restore_1')
    expect(await abandonedDatabases(other, isOurs)).to.have.length(1)
    await withClient(parseTarget(adminUrl), {database: 'marked_restore_1'}, async () => {
      expect(await abandonedDatabases(other, isOurs)).to.deep.equal([])
    })
    await withClient(parseTarget(adminUrl), {applicationName: `dr restore ${mark.run} monitor`}, async () => {
      expect(await abandonedDatabases(other, isOurs)).to.deep.equal([])
    })
  })

  it('is left alone with another comment, without one, and under a name that is not ours', async () => {
    await create(owner, 'marked_restore_1')
    await create(owner, 'marked_restore_2', {run: 'run-b', label: 'label-b'})
    await create(owner, 'somebody_elses', {run: 'run-c', label: 'label-c'})
    await owner.query(commentSql('marked_restore_1', undefined))
    await owner.query(commentSql('marked_restore_2', `${markText(mark)}?`))
    expect(await abandonedDatabases(other, isOurs)).to.deep.equal([])
  })

  it('is known by its provisional name when the run died before it was marked', async () => {
    const name = `dr_unfinished_${runKey('run-d')}`
    made.push(name)
    await owner.query(createDatabaseSql({...plain, name}, 0))
    expect(await abandonedDatabases(other, isOurs)).to.deep.equal([{name, label: undefined, run: undefined}])
    await holdRunLock(owner, 'run-d')
    expect(await abandonedDatabases(other, isOurs)).to.deep.equal([])
  })

  it('leaves nothing when its name is taken', async () => {
    await create(owner, 'marked_restore_1')
    const error: unknown = await createMarkedDatabase(owner, {...plain, name: 'marked_restore_1'}, {run: 'run-e', label: 'e'}, 0).catch((caught: unknown) => caught)
    expect(error).to.have.property('code', '42P04')
    expect(await rowsOf(other, "SELECT FROM pg_database WHERE starts_with(datname, 'dr_unfinished_')")).to.have.length(0)
  })

  it('is dropped by its own run only, whoever is connected', async () => {
    await create(owner, 'marked_restore_1')
    const guest = await connect(adminUrl, {database: 'marked_restore_1'})
    expect(await dropMarkedDatabase(owner, 'marked_restore_1', {run: 'run-f', label: 'label-a'})).to.equal(false)
    expect(await dropMarkedDatabase(owner, 'marked_restore_1', mark)).to.equal(true)
    expect(await dropMarkedDatabase(owner, 'marked_restore_1', mark)).to.equal(false)
    await endQuietly(guest)
  })

  it('lets a run begin only once', async () => {
    await holdRunLock(owner, 'run-g')
    expect(await drErrorOf(holdRunLock(other, 'run-g'))).to.include({code: 'restore.running', exitCode: 6})
  })
})

const collations: Record<string, {from: number; collation: NewDatabase['collation']}> = {
  'libc C': {from: 15, collation: {provider: 'libc', collate: 'C', ctype: 'C'}},
  'libc C.UTF-8': {from: 15, collation: {provider: 'libc', collate: 'C.UTF-8', ctype: 'C.UTF-8'}},
  icu: {from: 15, collation: {provider: 'icu', collate: 'C', ctype: 'C', locale: 'und'}},
  builtin: {from: 17, collation: {provider: 'builtin', collate: 'C', ctype: 'C', locale: 'C.UTF-8'}},
}

for (const major of serverMajors) {
  describe(`collations on PostgreSQL ${major}`, () => {
    let client: Client
    before(async () => { client = await connect((await testCluster({major})).adminUrl) })
    after(() => endQuietly(client))

    for (const [name, {from, collation}] of Object.entries(collations)) {
      it(`${major >= from ? 'makes' : 'refuses'} a database with ${name}`, async () => {
        expect(await knowsCollation(client, collation, major)).to.equal(major >= from)
        if (major < from) return
        await client.query(dropDatabaseSql('collated'))
        await client.query(createDatabaseSql({name: 'collated', encoding: 'UTF8', collation}, major))
        const facts = await withClient(parseTarget((await testCluster({major})).adminUrl), {database: 'collated'}, readServer)
        expect(facts.collation).to.deep.include(collation)
        expect(facts.encoding).to.equal('UTF8')
        await client.query(dropDatabaseSql('collated'))
      })
    }

    it('does not know a locale that is not there', async () => {
      expect(await knowsCollation(client, {provider: 'libc', collate: 'xx_YY.UTF-8', ctype: 'xx_YY.UTF-8'}, major)).to.equal(false)
    })
  })
}
