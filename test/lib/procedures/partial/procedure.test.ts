import {expect} from 'chai'
import {DeclinedError} from '../../../../src/lib/errors.ts'
import {rowOf, rowsOf} from '../../../../src/lib/postgres/connection.ts'
import {runPartial, type PartialSetting} from '../../../support/partial-restore.ts'
import {until} from '../../../support/until.ts'
import {openGates} from '../../../support/stage.ts'
import type {Gate} from '../../../../src/lib/runbook/procedure.ts'
import {contentsOf, differences, sampleFixture} from './sample.ts'

describe('a partial restore', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_partial', {rows: 900, tenants: 4})
  const run = (more: Partial<PartialSetting> & Pick<PartialSetting, 'wish'>) => runPartial({url: sample.url, directory: sample.directory, ...more})
  const schemas = () => sample.live(async (client) => (await rowsOf<{name: string}>(client, "SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE 'dr\\_%' ORDER BY 1")).map(({name}) => name))
  const databases = () => sample.live(async (client) => (await rowsOf<{name: string}>(client, "SELECT datname AS name FROM pg_database WHERE datname ~ '_scratch$' ORDER BY 1")).map(({name}) => name))

  beforeEach(() => sample.anew())

  const damage = (sql: string) => sample.live((client) => client.query(`SET search_path = public; ${sql}`))

  it('asks how, when it was not said, after the comparison; and shows what it found', async () => {
    await damage("DELETE FROM leads WHERE hashtextextended(id, 1) % 2 = 0; UPDATE leads SET title = 'x' WHERE hashtextextended(id, 1) % 3 = 0")
    const asked: string[] = []
    const {state, error} = await run({wish: {tables: ['leads']}, gatekeeper: {
      ...openGates, checkChoice() {},
      choose(choice, current) {
        asked.push(choice.question(current), ...choice.choices(current).map(({value}) => value), ...choice.details?.(current) ?? [])
        return Promise.resolve('missing')
      },
    }})
    if (error) throw error
    expect(asked.slice(0, 6)).to.deep.equal(['How are the rows put back?', 'missing', 'changed', 'exact', 'side', 'none'])
    expect(asked.join('\n')).to.match(/TABLE +MISSING +CHANGED +EXTRA +SAME\nleads +\d+ +\d+ +- +\d+/).and.to.contain('title: x → ')
    expect(asked.join('\n')).to.match(/rows of calls lost their link to leads \(leadId\): --relink/)
    expect(asked.every((line) => line.length <= 100)).to.equal(true)
    expect(state.way).to.equal('missing')
    expect(state.merged?.tables.map(({name, updated, deleted}) => ({name, updated, deleted}))).to.deep.equal([{name: 'leads', updated: 0, deleted: 0}])
  })

  it('stops before anything is done when nobody can be asked how', async () => {
    const {error, entries} = await run({wish: {tables: ['leads']}, gatekeeper: {...openGates, checkChoice: (choice, state) => { throw choice.unasked(state) }}})
    expect(error).to.include({code: 'partial.merge', exitCode: 2})
    expect(error?.hints?.join()).to.contain('--merge missing|changed|exact|side')
    expect(entries).to.deep.equal([])
  })

  it('stops in the middle of a comparison, ends it on the server too, and leaves nothing', async () => {
    await damage("DELETE FROM leads WHERE hashtextextended(id, 1) % 2 = 0")
    const stop = new AbortController()
    const atWork = () => sample.live((client) => rowsOf(client, "SELECT FROM pg_stat_activity WHERE application_name LIKE 'dr partial %' AND state = 'active' AND query LIKE '%pg_sleep(300)%'"))
    const ended = run({wish: {tables: ['leads'], where: 'title IS NULL OR pg_sleep(300) IS NULL'}, way: 'missing', signal: stop.signal})
    await until(async () => (await atWork()).length > 0, 60_000)
    stop.abort(new Error('enough'))
    expect((await ended).error?.message).to.equal('enough')
    await until(async () => (await atWork()).length === 0, 30_000)
    expect(await schemas()).to.deep.equal([])
    expect(await databases()).to.deep.equal([])
  })

  it('changes nothing when none is chosen, and leaves nothing', async () => {
    await damage("DELETE FROM leads WHERE hashtextextended(id, 1) % 2 = 0")
    const before = await sample.live(contentsOf)
    const {error, state} = await run({wish: {tables: ['leads']}, gatekeeper: {...openGates, checkChoice() {}, choose: () => Promise.resolve('none')}})
    if (error) throw error
    expect(state).to.include({nothing: 'the operator chose so', declined: true})
    expect(differences(before, await sample.live(contentsOf))).to.deep.equal({})
    expect(await schemas()).to.deep.equal([])
    expect(await databases()).to.deep.equal([])
  })

  it('asks whoever it concerns, with the target, the source and what becomes of the rows', async () => {
    await damage("UPDATE leads SET status = 'lost' WHERE hashtextextended(id, 1) % 2 = 0")
    const seen: {question: string; mustType: string; details: readonly string[]; strict: boolean}[] = []
    const pass = <S>(gate: Gate<S>, state: S) => {
      seen.push({question: gate.question(state), mustType: gate.mustType(state), details: gate.details?.(state) ?? [], strict: typeof gate.strict === 'function' ? gate.strict(state) : gate.strict === true})
      return Promise.resolve('yes')
    }
    for (const way of ['changed', 'exact'] as const) {
      const {error} = await run({wish: {tables: ['leads']}, way, gatekeeper: {check() {}, pass}})
      if (error) throw error
      await damage("UPDATE leads SET status = 'lost' WHERE hashtextextended(id, 1) % 2 = 0; INSERT INTO leads SELECT * FROM jsonb_populate_record((SELECT l FROM leads l LIMIT 1), '{\"id\": \"extra\", \"amocrmId\": null}')")
    }
    const [changed, exact] = seen
    expect(changed?.question).to.equal(`Change rows of dr_partial_live (development) at 127.0.0.1:${sample.cluster.port}?`)
    expect(changed).to.include({mustType: 'dr_partial_live', strict: false})
    expect(changed?.details.join('\n')).to.contain(`Server      127.0.0.1:${sample.cluster.port}, PostgreSQL 17`).and.to.contain(`Comes in    backup ${sample.label}`).and.to.contain('dr undo takes it back').and.to.match(/UPDATE {2}\d+ rows that differ/)
    expect(exact?.strict).to.equal(true)
    expect(exact?.details.join('\n')).to.contain('DELETE  1 row that the backup has not')
  })

  it('asks nobody when what differs is for another way', async () => {
    await damage(`INSERT INTO leads SELECT * FROM jsonb_populate_record((SELECT l FROM leads l LIMIT 1), '{"id": "extra", "amocrmId": null}')`)
    const {error, state} = await run({wish: {tables: ['leads']}, way: 'missing', gatekeeper: {...openGates, pass: () => Promise.reject(new Error('It was asked.'))}})
    if (error) throw error
    expect(state).to.include({nothing: '--merge missing would touch no row (extra: 1)'})
    expect(await schemas()).to.deep.equal([])
  })

  it('says when it is declined what stays, and how to go on or to drop it', async () => {
    await damage('DELETE FROM leads WHERE hashtextextended(id, 1) % 2 = 0')
    const {error, state, run: name} = await run({wish: {tables: ['leads']}, way: 'missing', gatekeeper: {...openGates, pass: () => Promise.reject(new DeclinedError('The operator did not confirm.', []))}})
    const [schema] = await schemas()
    expect(error).to.include({exitCode: 8})
    expect(schema).to.equal(state.stageSchema)
    expect(error?.hints?.[0]).to.match(new RegExp(`^Nothing live was changed\\. [\\d,]+ rows of the backup stay staged in ${schema ?? ''} of dr_partial_live\\.$`))
    expect(error?.hints?.slice(1)).to.deep.equal([`Go on, and be asked again: dr resume ${name}`, `Or drop what was staged: dr resume ${name} --undo`])
  })

  it('refuses columns that are called as its own, before it asks', async () => {
    for (const [column, stage] of [['dr:tid', 'schema'], ['dr:in', 'schema'], ['dr:xmin', 'database']] as const) {
      await damage(`ALTER TABLE leads ADD COLUMN "${column}" int; DELETE FROM leads WHERE hashtextextended(id, 1) % 2 = 0`)
      const {error} = await run({wish: {tables: ['leads']}, way: 'missing', stage, gatekeeper: {...openGates, pass: () => Promise.reject(new Error('It was asked.'))}})
      expect(error, column).to.include({code: 'partial.column-name', exitCode: 3})
      await damage(`ALTER TABLE leads DROP COLUMN "${column}"`)
    }
  })

  it('leaves live as it was when it is declined, interrupted or fails', async () => {
    await damage("DELETE FROM calls WHERE hashtextextended(id, 1) % 2 = 0")
    const before = await sample.live(contentsOf)
    for (const at of ['partial.stage', 'partial.compare', 'partial.merge', 'partial.prove', 'partial.probe']) {
      const controller = new AbortController()
      const {error} = await run({wish: {tables: ['calls']}, way: 'missing', signal: controller.signal, onStep(step) { if (step === at) controller.abort(new Error(`stopped at ${at}`)) }})
      expect(error?.message, at).to.equal(`stopped at ${at}`)
      expect(differences(before, await sample.live(contentsOf)), at).to.deep.equal({})
      expect(await schemas(), at).to.deep.equal([])
    }
  })

  it('leaves the rows of the backup beside with side, for nobody else to see', async () => {
    await damage('DELETE FROM leads WHERE hashtextextended(id, 1) % 2 = 0')
    const before = await sample.live(contentsOf)
    const {state, error} = await run({wish: {tables: ['leads']}, way: 'side'})
    if (error) throw error
    expect(differences(before, await sample.live(contentsOf))).to.deep.equal({})
    const table = state.staged?.find(({table: {name}}) => name === 'leads')
    expect(await schemas()).to.deep.equal([table?.stage.schema])
    const counted = await sample.live((client) => rowOf(client, `SELECT (SELECT count(*) FROM ${table?.stage.schema ?? ''}.leads)::int AS staged, has_table_privilege('dashboarduz_app', '${table?.stage.schema ?? ''}.leads', 'SELECT') AS seen`))
    expect(counted).to.deep.equal({staged: table?.rows, seen: false})
  })

  it('says that there is nothing to do, and does nothing', async () => {
    const {state, error} = await run({wish: {tables: ['leads', 'calls']}, way: 'exact'})
    if (error) throw error
    expect(state.nothing).to.contain('nothing to put back')
    expect(await schemas()).to.deep.equal([])
  })

  it('repairs one column of what one transaction wrote, and leaves later edits alone', async () => {
    await damage(`UPDATE leads SET title = title || ' early' WHERE hashtextextended(id, 5) % 7 = 0`)
    const early = await sample.live(contentsOf)
    const xid = await sample.live(async (client) => {
      await client.query('BEGIN')
      const {xid: number} = await rowOf<{xid: string}>(client, 'SELECT txid_current()::text AS xid')
      await client.query("UPDATE public.leads SET status = 'lost at once'")
      await client.query('COMMIT')
      return number
    })
    await damage(`UPDATE leads SET status = 'won back', title = title || ' late' WHERE hashtextextended(id, 5) % 5 = 0; INSERT INTO leads SELECT * FROM jsonb_populate_record((SELECT l FROM leads l LIMIT 1), '{"id": "later", "amocrmId": null, "status": "new"}')`)
    const others = await run({wish: {tables: ['calls'], columns: ['status'], transaction: xid}, way: 'changed'})
    expect(others.error).to.include({code: 'partial.transaction', exitCode: 2, message: `No row of calls was last written by transaction ${xid}.`})
    expect((await run({wish: {tables: ['leads'], transaction: (BigInt(xid) + 1_000_000n).toString()}, way: 'changed'})).error).to.include({code: 'partial.transaction', exitCode: 2})
    expect(await schemas()).to.deep.equal([])
    const {state, error} = await run({wish: {tables: ['leads'], columns: ['status'], transaction: xid}, way: 'changed'})
    if (error) throw error
    expect(state.findings.find(({code}) => code === 'partial.rows')).to.include({severity: 'ok', message: `${(state.merged?.tables[0]?.updated ?? 0).toLocaleString('en-US')} rows that were put back are there as they were put back, each read anew`})
    const {wrong, late} = await sample.live((client) => rowOf<{wrong: number; late: number}>(client, "SELECT (count(*) FILTER (WHERE status = 'lost at once' AND title NOT LIKE '% late'))::int AS wrong, (count(*) FILTER (WHERE status = 'won back'))::int AS late FROM public.leads"))
    expect({wrong, late: late > 0}).to.deep.equal({wrong: 0, late: true})
    // What had been written rightfully before stays too: only the one column went back.
    const now = await sample.live(contentsOf)
    expect(Object.keys(differences(early, now))).to.deep.equal(['leads'])
    expect(await sample.live((client) => rowOf(client, "SELECT count(*)::int AS early FROM public.leads WHERE title LIKE '% early%'"))).not.to.deep.equal({early: 0})
    expect(state.merged?.tables).to.have.length(1)
  })

  it('runs the configured checks, and says which failed', async () => {
    await damage("DELETE FROM leads WHERE hashtextextended(id, 1) % 2 = 0")
    const features = [{name: 'leads have titles', sql: "SELECT id FROM public.leads WHERE title = ''", tables: ['leads']}, {name: 'no lead at all', sql: 'SELECT id FROM public.leads ORDER BY id'}, {name: 'calls', sql: 'SELECT 1', tables: ['calls']}]
    const {state, error} = await run({wish: {tables: ['leads']}, way: 'missing', config: (config) => ({...config, checks: {features}})})
    if (error) throw error
    expect(state.features.map(({name, outcome}) => ({name, outcome}))).to.deep.equal([{name: 'leads have titles', outcome: 'good'}, {name: 'no lead at all', outcome: 'bad'}])
    expect(state.findings.filter(({severity}) => severity === 'error').map(({subject}) => subject)).to.deep.equal(['no lead at all'])
  })

  it('names rows whose parents are missing, before it asks; and takes them, too, when told', async () => {
    await damage("DELETE FROM courses")
    const {error} = await run({wish: {tables: ['tariffs']}, way: 'missing'})
    expect(error).to.include({code: 'partial.parent-missing', exitCode: 3})
    expect(error?.hints?.join()).to.contain('--with-parents')
    expect(await schemas()).to.deep.equal([])
  })

  it('says which of the rows that a condition selected were written again before they were looked up', async () => {
    await damage("UPDATE leads SET status = 'lost by accident' WHERE hashtextextended(id, 1) % 2 = 0")
    const {state, error} = await run({wish: {tables: ['leads'], where: "status = 'lost by accident'"}, way: 'changed', onStep: async (id) => {
      if (id === 'partial.prove') await damage("UPDATE leads SET status = 'again' WHERE id = (SELECT min(id) FROM leads WHERE hashtextextended(id, 1) % 2 = 0)")
    }})
    if (error) throw error
    const updated = state.merged?.tables[0]?.updated ?? 0
    expect(updated).to.be.above(1)
    expect(state.findings.filter(({code}) => code === 'partial.rows')).to.deep.equal([{code: 'partial.rows', severity: 'warning', subject: 'leads', message: `1 of the ${updated} rows that were put back are by now different: somebody wrote meanwhile`}])
  })

  it('makes a lost table anew and changes rows of another one, as was shown of each', async () => {
    const before = await sample.live(contentsOf)
    await damage("UPDATE tariffs SET name = 'x'; DROP TABLE courses CASCADE")
    const {state, error} = await run({wish: {tables: ['courses', 'tariffs']}, way: 'changed'})
    if (error) throw error
    expect(state.comparison?.tables.map(({name, missing, changed}) => [name, missing > 0, changed > 0])).to.deep.equal([['courses', true, false], ['tariffs', false, true]])
    expect(differences(before, await sample.live(contentsOf))).to.deep.equal({})
  })

  it('names them of a table that was dropped, too, before it makes it anew', async () => {
    await damage('DROP TABLE tariffs CASCADE; DELETE FROM courses')
    const refused = await run({wish: {tables: ['tariffs']}, way: 'missing'})
    expect(refused.error).to.include({code: 'partial.parent-missing', exitCode: 3})
    expect(refused.error?.message).to.contain('courses')
    expect(refused.error?.hints?.join()).to.contain('--with-parents')
    expect(await sample.live((client) => rowOf<{there: boolean}>(client, "SELECT to_regclass('public.tariffs') IS NOT NULL AS there"))).to.deep.equal({there: false})
    const {error, state} = await run({wish: {tables: ['tariffs'], withParents: true}, way: 'missing'})
    if (error) throw error
    expect(state.recreated).to.deep.include({notValidated: [], leftOut: []})
  })

  it('says that a condition looks into other tables as they are live', async () => {
    await damage('DELETE FROM notifications')
    for (const [where, notes] of [[`"userId" IN (SELECT id FROM users WHERE id <> '')`, ['--where looks into users, as it is live: for the rows of the backup, too.']], [`"userId" <> ''`, []]] as const) {
      const {error, state} = await run({wish: {tables: ['notifications'], where}, way: 'side'})
      if (error) throw error
      expect(state.notes.filter((note) => note.startsWith('--where'))).to.deep.equal(notes)
    }
  })

  for (const [what, wish, code] of [
    ['a condition that is none', {tables: ['leads'], where: 'nonsense ='}, 'partial.where'],
    ['a condition that is a statement', {tables: ['leads'], where: 'true); DROP TABLE leads; --'}, 'partial.where'],
    ['a tenant that is none', {tenant: 'nobody'}, 'partial.tenant-unknown'],
    ['a table that is none', {tables: ['laeds']}, 'partial.table-unknown'],
  ] as const) {
    it(`refuses ${what}, and leaves nothing`, async () => {
      const {error} = await run({wish: {...wish, ...('tables' in wish && {tables: [...wish.tables]})}, way: 'missing'})
      expect(error).to.include({code, exitCode: 2})
      expect(await schemas()).to.deep.equal([])
      expect(await databases()).to.deep.equal([])
    })
  }
})
