import {expect} from 'chai'
import {rowOf, rowsOf} from '../../../../src/lib/postgres/connection.ts'
import {runPartial} from '../../../support/partial-restore.ts'
import {openGates} from '../../../support/stage.ts'
import {sampleFixture} from './sample.ts'

const MORE = 'CREATE TABLE measures (id int PRIMARY KEY, v float8); INSERT INTO measures SELECT g, g / 3.0::float8 FROM generate_series(1, 10) g'

describe('staged rows that are gone by the merge', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_stage_gone', {rows: 300, tenants: 2, more: MORE})
  const live = (sql: string) => sample.live((client) => client.query(`SET search_path = public; ${sql}`))
  const count = () => sample.live((client) => rowOf<{n: number}>(client, 'SELECT count(*)::int AS n FROM public.measures'))
  const staged = () => sample.live((client) => rowsOf<{name: string; kind: string}>(client, String.raw`SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relpersistence::text AS kind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname LIKE 'dr\_stage\_%' AND c.relkind = 'r'`))
  /** As a crash of the server does with what is UNLOGGED. */
  const empty = async () => { for (const {name} of await staged()) await live(`TRUNCATE ${name}`) }
  const emptied = {...openGates, pass: async () => {
    await empty()
    return 'yes'
  }}
  const run = (more: Partial<Parameters<typeof runPartial>[0]>) => runPartial({url: sample.url, directory: sample.directory, wish: {tables: ['measures']}, ...more})

  beforeEach(() => sample.anew())

  it('let exact delete nothing', async () => {
    await live('DELETE FROM measures; INSERT INTO measures VALUES (101, 1), (102, 2)')
    const {error} = await run({way: 'exact', gatekeeper: emptied})
    expect(error).to.include({code: 'partial.stage-gone', exitCode: 3})
    expect(await count()).to.deep.equal({n: 2})
  })

  it('are not taken for nothing to be put back', async () => {
    await live('DELETE FROM measures WHERE id < 5')
    const {error, state} = await run({way: 'missing', gatekeeper: emptied})
    expect(state.nothing).to.equal(undefined)
    expect(error).to.include({code: 'partial.stage-gone'})
  })

  it('do not take a merge back that is committed: it is said that they cannot be compared again', async () => {
    await live('DELETE FROM measures WHERE id < 5')
    const {error, state} = await run({way: 'exact', onStep: async (id) => { if (id === 'partial.prove') await empty() }})
    if (error) throw error
    expect(state.findings.filter(({severity}) => severity !== 'ok').map(({code, message}) => `${code}: ${message}`).join('\n')).to.match(/^partial\.rows: the staged rows are gone/)
    expect(await count()).to.deep.equal({n: 10})
  })

  it('stay after a crash where they are kept for hand work', async () => {
    await live('DELETE FROM measures WHERE id < 5')
    const {error, state} = await run({way: 'side'})
    if (error) throw error
    expect((await staged()).map(({kind}) => kind)).to.deep.equal(['p'])
    expect(state.notes.join('\n')).not.to.include('UNLOGGED')
  })

  it('are told to be such that a crash empties, where all tables are published', async () => {
    await live('DELETE FROM measures WHERE id < 5; CREATE PUBLICATION everything FOR ALL TABLES')
    const {error, state, seen} = await run({way: 'side'})
    if (error) throw error
    expect((await staged()).map(({kind}) => kind)).to.deep.equal(['u'])
    for (const told of [seen.join('\n'), state.notes.join('\n')]) expect(told).to.match(/The tables of dr_stage_\S+ stay UNLOGGED, so that no subscriber of everything stops over them: a crash of the server, or its failover, empties them\./)
  })
})
