import {expect} from 'chai'
import {rowOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {runPartial, type PartialSetting} from '../../../support/partial-restore.ts'

const [LIVE, COPY] = ['dr_lost_status', 'dr_lost_status_copy']

describe('UPDATE leads SET status without WHERE', function () {
  this.timeout(180_000)
  let cluster: TestCluster
  let [url, directory, transaction] = ['', '', '']

  before(async () => { cluster = await testCluster({major: 17}) })
  after(() => cluster.drop(LIVE, COPY))
  beforeEach(async () => {
    url = await cluster.createDatabase(LIVE)
    const run = (sql: string) => withClient(url, {}, (client) => client.query(sql))
    await run(`CREATE TABLE leads (id int PRIMARY KEY, title text NOT NULL, status text NOT NULL, "updatedAt" timestamp(3) NOT NULL);
      INSERT INTO leads SELECT i, 'lead ' || i, 'new', '2026-11-01' FROM generate_series(1, 3000) i`)
    directory = await temporaryFolder('lost-status')
    const {error} = await runBackup({url, directory, toolsMajor: 17})
    if (error) throw error
    await run(`UPDATE leads SET status = 'won', "updatedAt" = '2026-11-27 03:00' WHERE id <= 500`)
    await cluster.drop(COPY)
    await withClient(cluster.adminUrl, {}, (client) => client.query(`CREATE DATABASE ${COPY} TEMPLATE ${LIVE}`))
    transaction = (await withClient(url, {}, async (client) => {
      await client.query("BEGIN; UPDATE leads SET status = 'lost'")
      const found = await rowOf<{xid: string}>(client, 'SELECT txid_current()::text AS xid')
      await client.query('COMMIT')
      return found
    })).xid
    await run(`UPDATE leads SET status = 'talking', "updatedAt" = '2026-11-27 05:00' WHERE id > 2400; INSERT INTO leads SELECT i, 'later', 'fresh', '2026-11-27 05:00' FROM generate_series(3001, 3300) i`)
  })
  afterEach(() => removeFolder(directory))

  const repair = (more: Partial<PartialSetting>) => runPartial({url, directory, wish: {tables: ['leads'], columns: ['status'], transaction}, way: 'changed', ...more})
  const statuses = () => withClient(url, {}, (client) => rowOf(client, `
    SELECT count(*) FILTER (WHERE id <= 500 AND status = 'won')::int AS won, count(*) FILTER (WHERE id <= 2400 AND status = 'new')::int AS new, count(*) FILTER (WHERE status = 'talking')::int AS talking,
      count(*) FILTER (WHERE status = 'fresh')::int AS fresh, count(*) FILTER (WHERE status = 'lost')::int AS lost FROM leads`))

  it('is repaired from the backup in every row but those that were written since; edits before it go back, and are counted before it is asked', async () => {
    let details: readonly string[] = []
    const {state, since, entries, error} = await repair({gatekeeper: {check() {}, pass: (gate, at) => {
      details = gate.details?.(at) ?? []
      return Promise.resolve('yes')
    }}})
    if (error) throw error
    expect(await statuses()).to.deep.equal({won: 0, new: 2400, talking: 600, fresh: 300, lost: 0})
    expect(state.merged?.tables).to.deep.equal([{schema: 'public', name: 'leads', inserted: 0, updated: 2400, deleted: 0}])
    expect(state.editedSince).to.equal(500)
    expect(details.join('\n')).to.contain('500 rows of these were edited since the backup').and.to.contain('--merge side --json lists their keys')
    const [leads, ...rest] = since ?? []
    expect(rest).to.deep.equal([])
    expect(leads).to.deep.include({name: 'leads', timeColumn: 'updatedAt', total: 500, listed: 500})
    expect(leads?.rows.map(({key}) => Number(key.id))).to.deep.equal(Array.from({length: 500}, (_, at) => at + 1))
    expect(leads?.rows[7]).to.deep.equal({key: {id: '8'}, written: false, edited: true, live: '2026-11-27 03:00:00', backup: '2026-11-01 00:00:00'})
    expect(JSON.stringify(entries), 'how many stands in the journal').to.contain('"editedSince":500')
    expect(JSON.stringify(entries), 'and not which').not.to.contain('"timeColumn"')
  })

  it('is repaired from a copy of the moment before with nothing lost at all', async () => {
    const {state, error} = await repair({from: {kind: 'database', target: parseTarget(cluster.url(COPY))}})
    if (error) throw error
    expect(await statuses()).to.deep.equal({won: 500, new: 1900, talking: 600, fresh: 300, lost: 0})
    expect(state.editedSince).to.equal(0)
  })
})
