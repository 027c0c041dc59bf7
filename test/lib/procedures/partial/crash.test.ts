import {expect} from 'chai'
import {rowsOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {runPartial} from '../../../support/partial-restore.ts'
import {openGates} from '../../../support/stage.ts'
import {sampleFixture} from './sample.ts'

describe('a crash of the server while a partial restore waits for its answer', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_crash', {rows: 300, tenants: 2, alone: true})
  const left = async () => [
    ...await sample.live((client) => rowsOf(client, "SELECT nspname AS name FROM pg_namespace WHERE starts_with(nspname, 'dr_')")),
    ...await withClient(sample.cluster.adminUrl, {}, (client) => rowsOf(client, "SELECT datname AS name FROM pg_database WHERE datname ~ '_stage_|_scratch$|^dr_unfinished'")),
  ]

  beforeEach(() => sample.anew())

  for (const stage of ['schema', 'database'] as const) {
    it(`leaves nothing of what was staged (--stage ${stage}), and changes nothing`, async () => {
      const leads = () => sample.live((client) => rowsOf(client, 'SELECT count(*)::int AS n, min(id) AS first FROM public.leads'))
      await sample.live((client) => client.query('DELETE FROM public.leads WHERE id IN (SELECT id FROM public.leads ORDER BY id LIMIT 5)'))
      const before = await leads()
      const {error} = await runPartial({url: sample.url, directory: sample.directory, stage, wish: {tables: ['leads']}, way: 'missing', gatekeeper: {...openGates, pass: async () => {
        await sample.cluster.crash()
        return 'yes'
      }}})
      expect(error).to.include({code: 'partial.stage-gone'})
      expect(error?.message).to.not.contain('Not undone')
      expect(await left()).to.deep.equal([])
      expect(await leads()).to.deep.equal(before)
    })
  }
})
