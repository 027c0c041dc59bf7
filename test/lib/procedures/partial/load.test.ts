import {expect} from 'chai'
import {rowOf, rowsOf} from '../../../../src/lib/postgres/connection.ts'
import {startLoad} from '../../../support/load.ts'
import {runPartial, runRevert} from '../../../support/partial-restore.ts'
import {openGates} from '../../../support/stage.ts'
import {until} from '../../../support/until.ts'
import {sampleFixture} from './sample.ts'

const MORE = `CREATE TABLE feed (id int PRIMARY KEY, note text NOT NULL); INSERT INTO feed SELECT g, 'as it was' FROM generate_series(1, 200) g;
  CREATE TABLE ticks (note text NOT NULL); INSERT INTO ticks SELECT 'tick ' || g % 50 FROM generate_series(1, 200) g; CREATE SEQUENCE fresh START 1000`

/** 20 missing, 10 changed, 5 too many of the one; 8 missing and 3 too many of the other, which has no key. */
const DAMAGE = `DELETE FROM feed WHERE id <= 20; UPDATE feed SET note = 'wrong' WHERE id BETWEEN 21 AND 30; INSERT INTO feed SELECT 500 + g, 'wrong' FROM generate_series(1, 5) g;
  DELETE FROM ticks WHERE note IN ('tick 1', 'tick 2'); INSERT INTO ticks SELECT 'wrong' FROM generate_series(1, 3)`

describe('a partial restore of whole tables that clients insert into and read', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_load', {rows: 300, tenants: 2, more: MORE})
  const one = <T extends object>(sql: string) => sample.live((client) => rowOf<T>(client, sql))
  /** What is not of the clients. */
  const others = () => sample.live(async (client) => {
    const rows = await rowsOf<{id: number; note: string}>(client, "SELECT id, note FROM public.feed WHERE note <> 'new' UNION ALL SELECT 0, note FROM public.ticks WHERE note <> 'new'")
    return rows.map(({id, note}) => `${id} ${note}`).toSorted()
  })
  const isChanged = (row: string) => /^(2[1-9]|30) /.test(row)

  let right: string[] = []
  let damaged: string[] = []
  beforeEach(async () => {
    await sample.anew()
    right = await others()
    await sample.live((client) => client.query(`SET search_path = public; ${DAMAGE}`))
    damaged = await others()
  })

  const load = () => startLoad({url: sample.url, clients: 3, statements: [
    "INSERT INTO public.feed VALUES (nextval('public.fresh'), 'new')", 'SELECT count(*), min(note) FROM public.feed', "BEGIN; INSERT INTO public.ticks VALUES ('new'); INSERT INTO public.feed VALUES (nextval('public.fresh'), 'new'); COMMIT",
  ]})

  for (const [way, stage] of [['missing', 'schema'], ['changed', 'schema'], ['exact', 'schema'], ['exact', 'database']] as const) {
    it(`is right at the first try, and disturbs none of them: ${way}, --stage ${stage}`, async () => {
      const clients = load()
      const onwards = async () => {
        const from = clients.rounds
        await until(() => clients.rounds > from + 10, 60_000)
      }
      await onwards()
      // They go on while it is compared, asked, merged and proven.
      const {error, state} = await runPartial({url: sample.url, directory: sample.directory, stage, wish: {tables: ['feed', 'ticks']}, way, onStep: (id) => (id === 'partial.prove' ? onwards() : undefined), gatekeeper: {...openGates, pass: async () => {
        await onwards()
        return 'yes'
      }}}).finally(() => onwards())
      const reports = await clients.stop()
      if (error) throw error
      expect(reports.map(({errors}) => errors)).to.deep.equal([{}, {}, {}])
      const rounds = reports.reduce((sum, {answers}) => sum + answers, 0)

      const deleted = (name: string) => state.merged?.tables.find((table) => table.name === name)?.deleted ?? 0
      const news = await one<{feed: number; ticks: number}>("SELECT (SELECT count(*)::int FROM public.feed WHERE note = 'new') AS feed, (SELECT count(*)::int FROM public.ticks WHERE note = 'new') AS ticks")
      // Of theirs exact deletes what was there when it was compared, as the gate has said, and none that came later.
      const agreed = (name: string, own: number) => (way === 'exact' ? (state.comparison?.tables.find((table) => table.name === name)?.extra ?? 0) - own : 0)
      expect(news).to.deep.equal({feed: 2 * rounds - agreed('feed', 5), ticks: rounds - agreed('ticks', 3)})
      expect([deleted('feed'), deleted('ticks')]).to.deep.equal(way === 'exact' ? [agreed('feed', 5) + 5, agreed('ticks', 3) + 3] : [0, 0])
      const wrong = damaged.filter((row) => row.endsWith('wrong'))
      const expected = {exact: right, changed: [...right, ...wrong.filter((row) => !isChanged(row))], missing: [...right.filter((row) => !isChanged(row)), ...wrong]}
      expect(await others()).to.deep.equal(expected[way].toSorted())

      expect(state.findings.filter(({severity}) => severity === 'warning' || severity === 'error')).to.deep.equal([])
      expect(state.findings.filter(({code}) => code === 'partial.late').map(({subject}) => subject)).to.deep.equal(way === 'exact' ? ['feed', 'ticks'] : [])
      const undone = await runRevert(sample)
      if (undone.error) throw undone.error
      expect(await others()).to.deep.equal(damaged)
    })
  }
})
