import {expect} from 'chai'
import {cutoverResult} from '../../../../src/lib/cli/pitr-cutover.ts'
import {fullXid, isTold, shortXid} from '../../../../src/lib/postgres/instance-marker.ts'
import {connect, endQuietly, withClient} from '../../../../src/lib/postgres/connection.ts'
import {withLacking} from '../../../../src/lib/procedures/pitr/cutover-facts.ts'
import type {CutoverState} from '../../../../src/lib/procedures/pitr/cutover-options.ts'
import {ownSince, partingOf} from '../../../../src/lib/procedures/pitr/fork.ts'
import {writtenWords} from '../../../../src/lib/report/written.ts'
import type {Instance} from '../../../../src/lib/sandbox/rds/instance.ts'
import {COPY, CutoverFixture} from '../../../support/cutover.ts'
import {until} from '../../../support/until.ts'

describe('what a cut-over says would be lost', function () {
  this.timeout(180_000)
  const crm = new CutoverFixture()

  before(() => crm.open({millisecondsPerSecond: 0.1}))
  after(() => crm.close())
  afterEach(() => crm.reset())

  const inserted = (instance: Instance, title: string, rows: number) => withClient(crm.aws.url(instance, 'crm'), {}, async (client) => {
    for (let row = 0; row < rows; row++) await client.query('INSERT INTO deals (title) VALUES ($1)', [title])
  })
  const written = (instance: Instance) => withClient(crm.aws.url(instance, 'crm'), {}, async (client) => Number((await client.query<{rows: string}>("SELECT sum(n_tup_ins) AS rows FROM pg_stat_user_tables")).rows[0]?.rows))

  /** The look alone: the gate is not answered. */
  async function looked(copy = COPY): Promise<{state: CutoverState; lost: string}> {
    let lost = ''
    const {state, error} = await crm.cutover({copy}, {gatekeeper: {check() {}, pass(gate, shown) {
      lost = gate.details?.(shown).find((line) => line.startsWith('Lost')) ?? ''
      throw new Error('not answered')
    }}})
    expect(error?.message).to.equal('not answered')
    return {state, lost}
  }
  const result = (state: CutoverState) => {
    const {rows, uncounted, atLeast, unknown} = cutoverResult({state, run: 'run-1', journal: ''} as Parameters<typeof cutoverResult>[0], {plan: false}).lost
    return {rows, uncounted, atLeast, unknown}
  }

  it('is counted as before when a copy that was written to is cut over again', async () => {
    const first = await looked()
    expect(first.lost).to.contain('47 rows that were inserted or changed since')
    const {error} = await crm.cutover()
    if (error) throw error
    const fork = crm.tags(crm.copy)['dr:fork-xid']
    expect(fork).to.match(/^\d+$/)
    await inserted(crm.copy, 'on the new one', 60)
    const back = await crm.rollback()
    if (back.error) throw back.error
    await inserted(crm.old, 'on the old one', 20)
    const {state, lost} = await looked(back.state.backName)
    expect(lost).to.equal('Lost        67 rows that were inserted or changed since; they stay in the old instance')
    expect(state.loss?.map(({table, written: rows}) => [table, rows])).to.deep.equal([['public.calls', 47], ['public.deals', 20]])
    expect(result(state)).to.deep.equal({rows: 67, uncounted: 0, atLeast: false, unknown: null})
    expect(crm.tags(crm.copy)).to.have.property('dr:fork-xid', fork)
  })

  it('is not known of a copy that somebody has written to before dr has noted where it parted, and stays so', async () => {
    await inserted(crm.copy, 'by hand', 1)
    await until(async () => await written(crm.copy) > 0, 20_000)
    const {state, lost} = await looked()
    expect(lost).to.match(/^Lost {8}not known: crm-prod-pitr has been written to since it was restored; whatever was written since stays in the old instance$/)
    expect(state.loss?.filter((one) => 'written' in one)).to.deep.equal([])
    expect(result(state)).to.deep.equal({rows: null, uncounted: 2, atLeast: false, unknown: 'crm-prod-pitr has been written to since it was restored'})
    const {error} = await crm.cutover()
    if (error) throw error
    expect(crm.tags(crm.copy)).to.have.property('dr:fork-xid', 'unknown')
    const back = await crm.rollback()
    if (back.error) throw back.error
    await withClient(crm.aws.url(crm.copy, 'crm'), {}, (client) => client.query('SELECT pg_stat_reset()'))
    expect((await looked(back.state.backName)).lost).to.contain('not known: when crm-prod-pitr-back-').and.not.to.contain(' 0 ')
  })

  it('is not known of a copy in which a table was rewritten: all its rows are of that transaction', async () => {
    await withClient(crm.aws.url(crm.copy, 'crm'), {}, async (client) => {
      await client.query('SELECT pg_stat_reset()')
      await client.query('ALTER TABLE deals ADD COLUMN mark text DEFAULT gen_random_uuid()::text')
      await until(async () => (await client.query<{rows: string}>("SELECT pg_stat_get_tuples_updated('pg_class'::regclass) AS rows")).rows[0]?.rows !== '0', 20_000)
    })
    expect((await looked()).lost).to.contain('not known: crm-prod-pitr has been written to since it was restored')
    await withClient(crm.aws.url(crm.copy, 'crm'), {}, (client) => client.query('ALTER TABLE deals DROP COLUMN mark'))
  })

  it('is not known of a copy whose newest row is after the instant that it was restored to', async () => {
    crm.copy.settings = {...crm.copy.settings, TagList: crm.copy.settings.TagList.map((tag) => (tag.Key === 'dr:restored-to' ? {...tag, Value: '2026-01-01T00:00:00.000Z'} : tag))}
    await withClient(crm.aws.url(crm.copy, 'crm'), {}, (client) => client.query('SELECT pg_stat_reset()'))
    expect((await looked()).lost).to.match(/not known: crm-prod-pitr holds a row of \S+: it has been written to since/)
  })

  it('holds what was open at the instant and has committed since, savepoints too, also when the copy has been written to', async () => {
    const open = await connect(crm.aws.url(crm.old, 'crm'))
    try {
      await open.query(`BEGIN; INSERT INTO deals (title) SELECT 'open' FROM generate_series(1, 500); SAVEPOINT one; INSERT INTO calls (note) SELECT 'open' FROM generate_series(1, 30); RELEASE one; SAVEPOINT two; INSERT INTO calls (note) VALUES ('never'); ROLLBACK TO two`)
      await withClient(crm.aws.url(crm.old, 'crm'), {}, (client) => client.query("BEGIN; INSERT INTO deals (title) VALUES ('never'); ROLLBACK"))
      await inserted(crm.old, 'before', 1)
      const copy = await crm.restored('crm-prod-open')
      await open.query('COMMIT')
      const {state, lost} = await looked('crm-prod-open')
      expect(lost).to.equal('Lost        530 rows that were inserted or changed since; they stay in the old instance')
      expect(state.loss?.map(({table, written: rows}) => [table, rows])).to.deep.equal([['public.calls', 30], ['public.deals', 500]])
      copy.settings = {...copy.settings, TagList: [...copy.settings.TagList, {Key: 'dr:fork-xid', Value: state.fork && 'xid' in state.fork ? state.fork.xid : ''}]}
      await inserted(copy, 'on the copy', 600)
      await inserted(crm.old, 'after', 2)
      const again = await looked('crm-prod-open')
      expect(result(again.state)).to.deep.equal({rows: 532, uncounted: 0, atLeast: false, unknown: null})
    } finally {
      await endQuietly(open)
    }
  })

  it('is taken for more than was told where the copy lacks more, or the transactions could not be asked for', () => {
    const of = (rows: number, more = {}) => ({tables: [{schema: 'public', name: 'calls', rows, estimated: false, ...more}], tenants: undefined, newest: undefined, troubles: []})
    const loss = [{table: 'public.calls', live: 526, estimated: false, coming: 26, written: 3}]
    expect(writtenWords(withLacking(loss, of(26), {complete: true}))).to.equal('at least 500 rows that were inserted or changed since')
    expect(withLacking(loss, of(26, {estimated: true}), {complete: true})).to.deep.equal(loss)
    expect(withLacking([{...loss[0], coming: 523}] as typeof loss, of(523), {complete: true})).to.deep.equal([{...loss[0], coming: 523}])
    expect(writtenWords(withLacking([{...loss[0], coming: 523}] as typeof loss, of(523), {complete: false}))).to.equal('at least 3 rows that were inserted or changed since')
  })

  it('counts at a rollback what was open on the new one when it was looked at', async () => {
    const open = await connect(crm.aws.url(crm.copy, 'crm'))
    try {
      const {rows: [fork]} = await open.query<{xid: string}>('SELECT pg_current_xact_id()::text AS xid')
      crm.copy.settings = {...crm.copy.settings, TagList: [...crm.copy.settings.TagList, {Key: 'dr:fork-xid', Value: fork?.xid ?? ''}]}
      await open.query("BEGIN; INSERT INTO deals (title) SELECT 'open on the new one' FROM generate_series(1, 40)")
      await inserted(crm.copy, 'committed meanwhile', 1)
      const {error} = await crm.cutover({copy: COPY}, {gatekeeper: {check() {}, async pass() { await open.query('COMMIT'); return 'yes' }}})
      if (error) throw error
      const back = await crm.rollback()
      if (back.error) throw back.error
      expect(back.state.loss?.find(({table}) => table === 'public.deals')?.written).to.equal(41)
    } finally {
      await endQuietly(open)
    }
  })

  it('does not take for the copy’s own what is prepared in it since before', () => {
    const marker = {timeline: 2, openXid: '90', nextXid: '120'}
    expect([ownSince(marker, {xid: '100'}), ownSince({...marker, openXid: '110'}, {xid: '100'}), ownSince(marker, {unknown: 'why'}), ownSince(marker, undefined)]).to.deep.equal(['100', '110', '120', '120'])
  })

  it('goes by the instance that a copy was made of: where that is another one, both part where the first was made', () => {
    const instance = (id: string, tags: Record<string, string>) => ({DBInstanceIdentifier: id, DbiResourceId: `db-${id}`, TagList: Object.entries({'dr:run-id': 'run', 'dr:purpose': 'primary', ...tags}).map(([Key, Value]) => ({Key, Value}))})
    const copy = instance('copy', {'dr:source-id': 'db-first'})
    const xid = (old: object, own = '500') => partingOf(copy, old, {xid: own})
    expect(xid({DBInstanceIdentifier: 'first', DbiResourceId: 'db-first'})).to.deep.equal({xid: '500'})
    expect(xid(instance('earlier', {'dr:source-id': 'db-first', 'dr:fork-xid': '400'}))).to.deep.equal({xid: '400'})
    expect(xid(instance('later', {'dr:source-id': 'db-first', 'dr:fork-xid': '10000000000'}))).to.deep.equal({xid: '500'})
    for (const other of [instance('other', {'dr:source-id': 'db-second', 'dr:fork-xid': '400'}), instance('unproven', {'dr:source-id': 'db-first'}), {DBInstanceIdentifier: 'foreign', DbiResourceId: 'db-foreign'}]) {
      expect(xid(other)).to.deep.equal({unknown: `copy was made of db-first, and ${other.DBInstanceIdentifier} is ${other.DbiResourceId}`})
    }
  })

  it('tells transactions beyond 32 bits apart, and those that rows no longer can', () => {
    const next = 2n ** 33n + 10n
    for (const xid of [next, next - 5n, next - 20n, 2n ** 33n - 2n ** 31n]) expect(fullXid(shortXid(String(xid)), String(next))).to.equal(String(xid))
    expect([0n, 2n ** 31n - 1n, 2n ** 31n, -1n].map((age) => isTold(String(next - age), String(next)))).to.deep.equal([true, true, false, false])
  })

  it('says which part of it was counted', () => {
    const loss = [{table: 'a', live: 9, estimated: false, coming: 9, written: 3}, {table: 'b', live: 1_000_000, estimated: true, coming: 9}, {table: 'only in the copy', live: null, estimated: false, coming: 4}]
    expect(writtenWords(loss)).to.equal('at least 3 rows that were inserted or changed since; 1 table could not be counted')
    expect(writtenWords(loss.slice(1))).to.equal(undefined)
    expect(writtenWords(loss.slice(0, 1), 'were written')).to.equal('3 rows were written')
  })
})
