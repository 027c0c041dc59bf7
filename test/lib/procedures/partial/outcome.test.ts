import {expect} from 'chai'
import {connect, endQuietly, rowOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import {runPartial, runRevert, type PartialSetting} from '../../../support/partial-restore.ts'
import {until} from '../../../support/until.ts'
import {sampleFixture} from './sample.ts'

const SECRET = 'd41d8cd98f00b204e980'
const MORE = `
  CREATE TABLE accounts (id int PRIMARY KEY, email text UNIQUE, "passwordHash" text);
  INSERT INTO accounts SELECT g, 'person' || g || '@example.org', '${SECRET}' || g FROM generate_series(1, 5) g;
  CREATE TABLE aliases (id int PRIMARY KEY, email text); CREATE UNIQUE INDEX aliases_email ON aliases (lower(email)); INSERT INTO aliases SELECT id, email FROM accounts;
  CREATE TABLE lists (id int PRIMARY KEY, email text, EXCLUDE USING hash (email WITH =)); INSERT INTO lists SELECT id, email FROM accounts;
  CREATE MATERIALIZED VIEW lead_count AS SELECT count(*)::int AS n FROM leads;`

describe('The outcome of a partial restore', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_outcome', {rows: 600, tenants: 4, more: MORE})
  const run = (more: Partial<PartialSetting> & Pick<PartialSetting, 'wish'>) => runPartial({url: sample.url, directory: sample.directory, ...more})
  const live = (sql: string) => sample.live((client) => client.query(`SET search_path = public; ${sql}`))
  const one = async <R extends object>(sql: string) => sample.live((client) => rowOf<R>(client, sql))
  const views = () => one<{n: number}>('SELECT n FROM lead_count')
  const loseLeads = () => live('DELETE FROM leads WHERE id IN (SELECT id FROM leads ORDER BY id LIMIT 20); REFRESH MATERIALIZED VIEW lead_count')

  beforeEach(() => sample.anew())

  it('goes with the materialized views when it is taken back', async () => {
    await loseLeads()
    const before = await views()
    const {error} = await run({wish: {tables: ['leads']}, way: 'missing'})
    if (error) throw error
    expect(await views()).to.deep.equal({n: before.n + 20})
    const {error: failed, state} = await runRevert({url: sample.url, directory: sample.directory})
    if (failed) throw failed
    expect(await views()).to.deep.equal(before)
    expect(state.findings).to.deep.include({code: 'partial.view', severity: 'ok', subject: 'public.lead_count', message: 'refreshed'})
  })

  it('leaves links alone that were taken away on purpose, of rows that were never lost, and counts them', async () => {
    const unlinked = () => one<{n: number}>('SELECT count(*)::int AS n FROM calls WHERE "leadId" IS NULL')
    await live('UPDATE calls SET "leadId" = NULL WHERE id IN (SELECT id FROM calls WHERE "leadId" IS NOT NULL ORDER BY id LIMIT 9)')
    const before = await unlinked()
    await live('DELETE FROM leads WHERE id = (SELECT l.id FROM leads l WHERE NOT EXISTS (SELECT FROM calls c WHERE c."leadId" = l.id) ORDER BY 1 DESC LIMIT 1)')
    const {error, state} = await run({wish: {tables: ['leads'], relink: true}, way: 'missing'})
    if (error) throw error
    expect(await unlinked()).to.deep.equal(before)
    expect(state.comparison?.closure.filter(({kind}) => kind === 'unlinked').map(({table, rows}) => [table.name, rows])).to.deep.equal([['calls', 9]])
  })

  it('goes with them when a later step fails and undoes it', async () => {
    await loseLeads()
    const before = await views()
    const {error} = await run({wish: {tables: ['leads']}, way: 'missing', onStep: (id) => { if (id === 'partial.probe') throw new Error('the probe fails') }})
    expect(error?.message).to.contain('the probe fails')
    expect(await views()).to.deep.equal(before)
  })

  it('is not taken back because others keep its proof waiting for longer than the lock_timeout of the role', async () => {
    await loseLeads()
    const all = await one<{n: number}>('SELECT count(*)::int + 20 AS n FROM leads')
    await withClient(sample.cluster.adminUrl, {}, (client) => client.query("ALTER ROLE dashboarduz SET lock_timeout = '100ms'"))
    const holder = await connect(sample.cluster.url('dr_outcome_live'))
    let release: Promise<unknown> = Promise.resolve()
    try {
      const {error, state} = await run({wish: {tables: ['leads']}, way: 'missing', onStep: async (id) => {
        if (id !== 'partial.prove') return
        await holder.query('BEGIN; LOCK TABLE public.calls IN ACCESS EXCLUSIVE MODE')
        release = sample.live((client) => until(async () => (await rowOf<{n: number}>(client, "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > interval '300ms'")).n > 0, 60_000)).finally(() => holder.query('ROLLBACK'))
      }})
      await release
      if (error) throw error
      expect(await one('SELECT count(*)::int AS n FROM leads')).to.deep.equal(all)
      expect(state.findings.filter(({severity}) => severity === 'warning' || severity === 'error')).to.deep.equal([])
    } finally {
      await endQuietly(holder)
      await withClient(sample.cluster.adminUrl, {}, (client) => client.query('ALTER ROLE dashboarduz RESET lock_timeout'))
    }
  })

  it('is not taken back because a proof could not be made: what was not shown is said', async () => {
    await loseLeads()
    const all = await one<{n: number}>('SELECT count(*)::int + 20 AS n FROM leads')
    const {error, state} = await run({wish: {tables: ['leads']}, way: 'missing', onStep: async (id) => {
      if (id === 'partial.prove') await live('ALTER TABLE leads RENAME TO leads_renamed')
      if (id === 'partial.probe') await live('ALTER TABLE leads_renamed RENAME TO leads')
    }})
    if (error) throw error
    expect(await one('SELECT count(*)::int AS n FROM leads')).to.deep.equal(all)
    const untold = state.findings.filter(({severity}) => severity === 'warning').map(({code, message}) => `${code}: ${message}`)
    expect(untold.some((one) => one.startsWith('partial.rows: that every row is still as it was put back was not shown: ')), untold.join('\n')).to.equal(true)
    expect(untold.some((one) => one.startsWith('partial.links: whether the foreign keys hold was not shown: ')), untold.join('\n')).to.equal(true)
  })

  it('waits for no reader of a materialized view, nor lets others wait behind it for long', async () => {
    await loseLeads()
    const reader = await connect(sample.cluster.url('dr_outcome_live'))
    const late = await connect(sample.cluster.url('dr_outcome_live'))
    try {
      await reader.query('BEGIN; SELECT FROM public.lead_count')
      const {error, state} = await run({wish: {tables: ['leads']}, way: 'missing', config: (config) => ({...config, partial: {lockTimeoutMs: 150}}), onStep: (id) => { if (id === 'partial.prove') void readOften(late) }})
      if (error) throw error
      expect(state.findings).to.deep.include({code: 'partial.view', severity: 'warning', subject: 'public.lead_count', message: 'not refreshed: others keep it in use'})
      expect(waits.length).to.be.greaterThan(0)
      // Behind one of the tries, never behind all of them.
      expect(Math.max(...waits)).to.be.lessThan(state.timings.find(({phase}) => phase === 'prove')?.ms ?? 0)
    } finally {
      reading = false
      await endQuietly(reader)
      await endQuietly(late)
    }
  })

  let reading = true
  const waits: number[] = []
  async function readOften(client: Client): Promise<void> {
    while (reading) {
      const from = performance.now()
      await client.query('SELECT FROM public.lead_count').catch(() => { reading = false })
      waits.push(performance.now() - from)
    }
  }

  it('keeps what stood in rows out of the journal, and shows of secrets only that they differ', async () => {
    await live(`UPDATE accounts SET "passwordHash" = 'another', email = 'changed' || id || '@example.org' WHERE id < 4`)
    const {error, state, entries} = await run({wish: {tables: ['accounts']}, way: 'changed', sample: 5})
    if (error) throw error
    const [account] = state.comparison?.tables ?? []
    expect(account?.sample).to.have.lengthOf(3)
    expect(account?.sample[0]?.columns).to.have.deep.members([{name: 'email', live: 'changed1@example.org', backup: 'person1@example.org'}, {name: 'passwordHash', live: null, backup: null, hidden: true}])
    const journal = JSON.stringify(entries)
    expect(journal).to.contain('"changed":3')
    expect(journal).to.not.contain('example.org').and.to.not.contain(SECRET)
    expect(JSON.stringify(state)).to.not.contain(SECRET)
  })

  it('keeps the keys of rows that conflict out of the journal, too', async () => {
    await live("DELETE FROM accounts WHERE id = 1; UPDATE accounts SET email = 'person1@example.org' WHERE id = 2")
    const {error, state, entries} = await run({wish: {tables: ['accounts']}, way: 'missing'})
    expect(error).to.include({code: 'partial.conflict'})
    expect(state.comparison?.tables[0]?.conflicts).to.deep.equal([{key: {id: '1'}, index: 'accounts_email_key', holder: {id: '2'}}])
    const states = entries.flatMap((entry) => ('state' in entry ? [JSON.stringify(entry.state)] : []))
    expect(states.at(-1)).to.contain('"conflicts":[{"key":{},"index":"accounts_email_key","holder":{}}]')
  })

  for (const stage of ['schema', 'database'] as const) {
    it(`is a conflict, row by row, where an index of an expression holds a value, which stays out of the journal: --stage ${stage}`, async () => {
      await live("DELETE FROM aliases WHERE id = 3; INSERT INTO aliases VALUES (33, 'PERSON3@example.org')")
      const {error, entries} = await run({wish: {tables: ['aliases']}, way: 'missing', stage})
      expect(error).to.include({code: 'partial.conflict', exitCode: 3})
      expect(error?.message).to.match(/3.*aliases_email.*held by.*33/s)
      // Of the functions that an index may call the database beside has none.
      expect(entries.some((entry) => entry.event === 'started' && entry.step === 'partial.merge')).to.equal(stage === 'database')
      expect(JSON.stringify(entries)).to.not.match(/example.org/i)
    })
  }

  it('names no value to the journal when only the server finds the row that is in the way', async () => {
    await live("DELETE FROM lists WHERE id = 3; INSERT INTO lists VALUES (33, 'person3@example.org')")
    const {error, entries} = await run({wish: {tables: ['lists']}, way: 'missing'})
    expect(error).to.include({code: 'partial.conflict', exitCode: 3})
    expect(error?.message).to.include('lists_email_excl')
    expect(JSON.stringify([entries, error?.message, error?.hints])).to.not.include('example.org')
    expect((error as {details?: string[]} | undefined)?.details?.join(' ')).to.include('person3@example.org')
  })

  it('is never that nothing is lost when a condition holds for no row', async () => {
    const {error} = await run({wish: {tables: ['leads'], where: "status = 'lsot'"}, way: 'changed'})
    expect(error).to.include({code: 'partial.where', exitCode: 2})
    const {error: foreign} = await run({wish: {tables: ['leads'], tenant: (await one<{id: string}>('SELECT min(id) AS id FROM tenants')).id, where: "status = 'lsot'"}, way: 'changed'})
    expect(foreign).to.include({code: 'partial.where', exitCode: 2})
  })

  it('is never that nothing is lost when no column is named', async () => {
    const {error} = await run({wish: {tables: ['leads'], columns: []}, way: 'changed'}).catch((thrown: unknown) => ({error: thrown}))
    expect(error).to.include({code: 'partial.columns', exitCode: 2})
  })

  it('knows a tenant whose rows another one has by now, and names what brings them back', async () => {
    const {from, to} = await one<{from: string; to: string}>('SELECT min(id) AS from, max(id) AS to FROM tenants')
    const {n} = await one<{n: number}>(`SELECT count(*)::int AS n FROM tags WHERE "tenantId" = '${from}'`)
    await live(`UPDATE tags SET "tenantId" = '${to}', name = name || ' of ' || '${from}' WHERE "tenantId" = '${from}'`)
    const {error} = await run({wish: {tables: ['tags'], tenant: from}, way: 'changed'})
    expect(error).to.include({code: 'partial.conflict', exitCode: 3})
    const condition = `"tenantId" = '${from}'`
    expect(error?.hints?.join('\n')).to.contain(`dr partial --table tags --where '"tenantId" = '\\''${from}'\\''' --merge changed`)
    const repaired = await run({wish: {tables: ['tags'], where: condition}, way: 'changed'})
    if (repaired.error) throw repaired.error
    expect(await one(`SELECT count(*)::int AS n FROM tags WHERE "tenantId" = '${from}'`)).to.deep.equal({n})
  })

  it('says that autovacuum of what it has repaired is off', async () => {
    await loseLeads()
    await live('ALTER TABLE leads SET (autovacuum_enabled = off, toast.autovacuum_enabled = off)')
    const {error, state} = await run({wish: {tables: ['leads']}, way: 'missing'})
    if (error) throw error
    expect(state.findings.find(({code}) => code === 'partial.autovacuum')).to.include({severity: 'info', subject: 'leads'}).and.have.property('message').that.contains('dr investigate --release')
  })
})
