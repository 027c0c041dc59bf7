import {expect} from 'chai'
import {rowOf} from '../../../../src/lib/postgres/connection.ts'
import type {Instance} from '../../../../src/lib/sandbox/rds/instance.ts'
import {RecoveryFixture} from '../../../support/recovery.ts'
import {until} from '../../../support/until.ts'

const ROUNDS = 10

describe('recovery to an instant', function () {
  this.timeout(240_000)
  const rds = new RecoveryFixture()

  before(() => rds.open())
  after(() => rds.close())

  const digest = (instance: Instance) => rds.sql((client) => rowOf<{rows: number; digest: string | null}>(client, "SELECT count(*)::int AS rows, md5(string_agg(l::text, ',' ORDER BY id)) AS digest FROM leads l"), instance)

  it('brings exactly the rows of ten instants, each just before something was destroyed, with what was written later on the source', async () => {
    await rds.sql((client) => client.query(`CREATE TABLE leads (id serial PRIMARY KEY, "tenantId" text, title text, "createdAt" timestamptz DEFAULT clock_timestamp())`))
    const destroyed = ['DELETE FROM leads WHERE id % 3 = 0', "UPDATE leads SET title = 'x'", 'TRUNCATE leads']
    const seen: {at: Date; digest: Awaited<ReturnType<typeof digest>>}[] = []
    for (let round = 0; round < ROUNDS; round++) {
      await rds.sql((client) => client.query(`INSERT INTO leads ("tenantId", title) SELECT 't' || i % 4, md5(random()::text) FROM generate_series(1, ${20 + Math.floor(Math.random() * 200)}) i`))
      const [found, at] = [await digest(rds.source), new Date()]
      seen.push({at, digest: found})
      await until(() => Date.now() > at.getTime() + 1, 1000)
      await rds.sql((client) => client.query(destroyed[round % destroyed.length] ?? ''))
      await rds.sql((client) => client.query(`INSERT INTO leads ("tenantId", title) VALUES ('late', 'late')`))
    }
    const last = await digest(rds.source)
    await rds.archived()
    for (const {at, digest: expected} of seen) {
      const {state, error} = await rds.recover({wish: {to: at.toISOString()}})
      if (error) throw error
      expect(state.target).to.match(/^crm-pitr-\d{14}$/)
      expect(await digest(rds.instance(state.target ?? '')), at.toISOString()).to.deep.equal(expected)
      expect(state.findings.filter(({severity}) => severity === 'error')).to.deep.equal([])
      await rds.remove(state.target ?? '')
    }
    expect(await digest(rds.source)).to.deep.equal(last)
  })
})
