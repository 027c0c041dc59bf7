import {expect} from 'chai'
import {readdir, readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {DeclinedError} from '../../../../src/lib/errors.ts'
import {connect, endQuietly, rowsOf, type Client} from '../../../../src/lib/postgres/connection.ts'
import {unfinishedRuns} from '../../../../src/lib/procedures/unfinished.ts'
import type {Gatekeeper} from '../../../../src/lib/runbook/stage.ts'
import {compactUtc} from '../../../../src/lib/system/clock.ts'
import {removeFolder, temporaryFolder} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {runInvestigation, runRelease, type InvestigateSetting} from '../../../support/investigate.ts'
import {drErrorOf} from '../../../support/rejection.ts'
import {until} from '../../../support/until.ts'

const LEADS = `CREATE TABLE leads (id int PRIMARY KEY, "tenantId" text, status text); INSERT INTO leads SELECT i, 't' || i % 2, 's' FROM generate_series(1, 200) i`

describe('tables that are preserved', function () {
  this.timeout(120_000)
  let cluster: TestCluster
  let directory = ''
  let url = ''
  let client: Client

  before(async () => { cluster = await testCluster() })
  beforeEach(async () => {
    url = await cluster.createDatabase('preserved')
    directory = await temporaryFolder('preserved')
    client = await connect(url)
  })
  afterEach(async () => {
    await endQuietly(client)
    await cluster.drop('preserved')
    await removeFolder(directory)
  })

  const look = (more: Partial<InvestigateSetting> = {}) => runInvestigation({url, directory, ...more})
  const options = async () => (await rowsOf<{name: string; options: string[] | null; toast: string[] | null}>(client, 'SELECT c.relname AS name, c.reloptions AS options, t.reloptions AS toast FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.relname IN (\'leads\', \'tuned\', \'bare\') ORDER BY 1'))
  const TABLES = `${LEADS}; CREATE TABLE tuned (id int PRIMARY KEY, "tenantId" text) WITH (autovacuum_enabled = true, fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, toast.autovacuum_vacuum_threshold = 7); CREATE TABLE bare (id int)`

  it('have autovacuum off until they are released, and then what they had before', async () => {
    await client.query(TABLES)
    const before = await options()
    const {state, notices} = await runInvestigation({url, directory, tables: ['leads', 'tuned', 'bare'], preserve: true})
    expect(state.former?.map(({name}) => name)).to.deep.equal(['bare', 'leads', 'tuned'])
    expect(await options()).to.deep.equal([
      {name: 'bare', options: ['autovacuum_enabled=off'], toast: null}, {name: 'leads', options: ['autovacuum_enabled=off'], toast: ['autovacuum_enabled=off']},
      {name: 'tuned', options: ['fillfactor=70', 'autovacuum_vacuum_scale_factor=0.01', 'autovacuum_enabled=off'], toast: ['autovacuum_vacuum_threshold=7', 'autovacuum_enabled=off']},
    ])
    expect(notices.join(' ')).to.include('dr investigate --release')
    // A second look has nothing to switch off, and does not take what the first has done for what was before.
    expect((await runInvestigation({url, directory, tables: ['leads'], preserve: true})).state.former).to.deep.equal([])
    expect((await runRelease({url, directory})).released?.map(({name, outcome}) => [name, outcome])).to.deep.equal([['bare', 'released'], ['leads', 'released'], ['tuned', 'released']])
    expect(await options()).to.deep.equal(before)
    expect(await drErrorOf(runRelease({url, directory}))).to.include({code: 'investigate.not-preserved', exitCode: 2})
  })

  it('keep what others have changed meanwhile, and one that is gone stops nothing', async () => {
    await client.query(TABLES)
    await runInvestigation({url, directory, tables: ['leads', 'tuned', 'bare'], preserve: true})
    await client.query('DROP TABLE bare; ALTER TABLE tuned SET (fillfactor = 80); ALTER TABLE leads RESET (autovacuum_enabled, toast.autovacuum_enabled)')
    expect((await runRelease({url, directory, tables: ['tuned']})).released?.map(({name, outcome}) => [name, outcome])).to.deep.equal([['tuned', 'released']])
    expect((await runRelease({url, directory})).released?.map(({name, outcome}) => [name, outcome])).to.deep.equal([['bare', 'gone'], ['leads', 'changed']])
    expect((await options()).map(({name, options: now}) => [name, now])).to.deep.equal([['leads', null], ['tuned', ['autovacuum_vacuum_scale_factor=0.01', 'fillfactor=80', 'autovacuum_enabled=true']]])
  })

  it('are as before when the look fails', async () => {
    await client.query(TABLES)
    const before = await options()
    expect(await drErrorOf(runInvestigation({url, directory, tenant: 'nobody', preserve: true}))).to.include({code: 'investigate.tenant-unknown'})
    expect(await options()).to.deep.equal(before)
    expect(await drErrorOf(runRelease({url, directory}))).to.include({code: 'investigate.not-preserved'})
  })

  it('of a protected environment are switched off only when that is confirmed', async () => {
    await client.query(TABLES)
    const before = await options()
    const asked: string[] = []
    const gatekeeper: Gatekeeper = {
      check() {},
      pass(gate, state) {
        asked.push(gate.mustType(state), ...(gate.details?.(state) ?? []))
        return Promise.reject(new DeclinedError())
      },
    }
    const one = {tables: ['leads'], preserve: true, gatekeeper}
    expect(await drErrorOf(look({...one, settings: {environment: 'production'}}))).to.include({code: 'declined', exitCode: 8})
    expect([asked[0], asked[1]]).to.deep.equal(['preserved', 'Tables      leads'])
    expect(await options()).to.deep.equal(before)
    await look({...one, settings: {environment: 'staging'}})
    expect((await options()).find(({name}) => name === 'leads')?.options).to.deep.equal(['autovacuum_enabled=off'])
  })

  it('are told of by dr resume when the run was killed, and are released all the same', async () => {
    await client.query(TABLES)
    const before = await options()
    await runInvestigation({url, directory, tables: ['leads'], preserve: true})
    const folder = join(directory, 'journal')
    const [file = ''] = await readdir(folder)
    const lines = (await readFile(join(folder, file), 'utf8')).split('\n')
    const killed = lines.findIndex((line) => line.includes('"started"') && line.includes('investigate.preserve'))
    await writeFile(join(folder, file), `${lines.slice(0, killed + 1).join('\n').replace(/"pid":\d+/, '"pid":999999999')}\n`)
    const [left] = await unfinishedRuns(folder)
    expect(left?.left).to.deep.equal(['autovacuum is off for public.leads: dr investigate --release'])
    // Runs of one second have no order.
    await until(() => compactUtc(new Date()) > file.slice(0, 16))
    expect((await runRelease({url, directory})).released?.map(({name, outcome}) => [name, outcome])).to.deep.equal([['leads', 'released']])
    expect(await options()).to.deep.equal(before)
    expect(await unfinishedRuns(folder)).to.deep.equal([])
  })

  it('must be the role’s own', async () => {
    await client.query(`${TABLES}; DROP ROLE IF EXISTS looker; CREATE ROLE looker LOGIN PASSWORD 'l'; GRANT SELECT ON leads TO looker`)
    try {
      const error = await drErrorOf(runInvestigation({url: cluster.url('preserved', {name: 'looker', password: 'l'}), directory, tables: ['leads'], preserve: true}))
      expect(error).to.include({code: 'investigate.not-owner', exitCode: 3})
    } finally {
      await client.query('DROP OWNED BY looker; DROP ROLE looker')
    }
  })
})
