import {expect} from 'chai'
import {rowOf} from '../../../../src/lib/postgres/connection.ts'
import {runPartial, type PartialSetting} from '../../../support/partial-restore.ts'
import {sampleFixture} from './sample.ts'

const MORE = `
  CREATE TABLE numbered (id int PRIMARY KEY, no bigint GENERATED ALWAYS AS IDENTITY, name text); INSERT INTO numbered (id, name) SELECT g, 'n' || g FROM generate_series(1, 5) g;
  CREATE TABLE only_numbered (id int PRIMARY KEY, no bigint GENERATED ALWAYS AS IDENTITY); INSERT INTO only_numbered (id) SELECT g FROM generate_series(1, 5) g`

describe('a partial restore of numbers that are GENERATED ALWAYS, and no key', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_identity', {rows: 300, tenants: 2, more: MORE})
  const run = (more: Partial<PartialSetting> & Pick<PartialSetting, 'wish'>) => runPartial({url: sample.url, directory: sample.directory, ...more})
  const live = (sql: string) => sample.live((client) => client.query(`SET search_path = public; ${sql}`))
  const one = async <R extends object>(sql: string) => sample.live((client) => rowOf<R>(client, sql))

  beforeEach(async () => {
    await sample.anew()
    await live(`UPDATE numbered SET name = 'x' WHERE id = 1; DELETE FROM numbered WHERE id IN (2, 3); INSERT INTO numbered (id, name) VALUES (2, 'again');
      DELETE FROM only_numbered WHERE id IN (2, 3); INSERT INTO only_numbered (id) VALUES (2)`)
  })

  for (const stage of ['schema', 'database'] as const) {
    it(`puts the other columns back, and lost rows with their numbers (staged in a ${stage})`, async () => {
      const {error, state} = await run({wish: {tables: ['numbered']}, way: 'changed', stage})
      if (error) throw error
      expect(state.comparison?.tables[0]).to.include({missing: 1, changed: 2, identical: 2})
      expect(state.notes.join('\n')).to.include('numbered has numbers that are GENERATED ALWAYS')
      expect(await one("SELECT string_agg(concat(name, ':', no), ',' ORDER BY id) AS rows FROM numbered")).to.deep.equal({rows: 'n1:1,n2:6,n3:3,n4:4,n5:5'})
      expect(state.findings.filter(({severity}) => severity !== 'ok')).to.deep.equal([])
    })
  }

  it('leaves a row alone that differs in nothing else', async () => {
    const {error, state} = await run({wish: {tables: ['only_numbered']}, way: 'exact'})
    if (error) throw error
    expect(state.comparison?.tables[0]).to.include({missing: 1, changed: 0, extra: 0, identical: 4})
    expect(await one("SELECT string_agg(no::text, ',' ORDER BY id) AS numbers FROM only_numbered")).to.deep.equal({numbers: '1,6,3,4,5'})
  })

  it('refuses them in --columns', async () => {
    const {error} = await run({wish: {tables: ['numbered'], columns: ['no']}, way: 'changed'})
    expect(error).to.include({code: 'partial.columns', exitCode: 2})
  })
})
