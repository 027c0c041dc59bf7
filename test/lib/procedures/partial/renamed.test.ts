import {expect} from 'chai'
import {runPartial, type PartialSetting} from '../../../support/partial-restore.ts'
import {openGates} from '../../../support/stage.ts'
import {contentsOf, differences, sampleFixture} from './sample.ts'

describe('a partial restore of a table that was renamed', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_renamed', {rows: 300, tenants: 2, more: 'CREATE TABLE keyless (no int GENERATED ALWAYS AS IDENTITY, name text); INSERT INTO keyless (name) VALUES (1)'})
  const live = (sql: string) => sample.live((client) => client.query(`SET search_path = public; ${sql}`))
  const run = async (more: Partial<PartialSetting> & Pick<PartialSetting, 'wish'>) => {
    const asked: string[] = []
    const outcome = await runPartial({url: sample.url, directory: sample.directory, ...more, gatekeeper: {...openGates, pass: () => { asked.push('gate'); return Promise.resolve('yes') }}})
    return {...outcome, asked}
  }

  beforeEach(() => sample.anew())

  for (const [table, kind, name] of [['tags', 'index', 'tags_pkey'], ['keyless', 'sequence', 'keyless_no_seq']] as const) {
    it(`is refused before the gate, and says whose its ${kind} is`, async () => {
      await live(`ALTER TABLE ${table} RENAME TO old_${table}`)
      const before = await sample.live(contentsOf)
      const {error, asked} = await run({wish: {tables: [table]}, way: 'missing'})
      expect(error).to.include({code: 'partial.renamed', exitCode: 3, message: `${table} cannot be made anew: its ${kind} ${name} is by now of old_${table}. Was the table renamed?`})
      expect(error?.hints?.join('\n')).to.include(`ALTER TABLE "public"."old_${table}" RENAME TO "${table}"`)
      expect(asked).to.deep.equal([])
      expect(differences(before, await sample.live(contentsOf))).to.deep.equal({})
    })
  }

  it('is made anew once the names are free', async () => {
    await live('ALTER TABLE keyless RENAME TO old_keyless; ALTER SEQUENCE keyless_no_seq RENAME TO old_keyless_no_seq')
    const {error, asked} = await run({wish: {tables: ['keyless']}, way: 'missing'})
    expect(error).to.equal(undefined)
    expect(asked).to.deep.equal(['gate'])
  })
})
