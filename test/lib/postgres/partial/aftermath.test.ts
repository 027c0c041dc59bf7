import {expect} from 'chai'
import {connect, endQuietly, rowOf} from '../../../../src/lib/postgres/connection.ts'
import {analyzeTables, proveLinks, refreshViews} from '../../../../src/lib/postgres/partial/aftermath.ts'
import {partialFixture, selecting} from '../../../support/partial-fixture.ts'
import {table, tableSelection} from '../../../support/partial.ts'

describe('a merge', function () {
  this.timeout(300_000)
  const fixture = partialFixture('partial_aftermath')

  it('is followed by proofs of links, refreshed views in order, and statistics', async () => {
    await fixture.client.query(`CREATE MATERIALIZED VIEW a_late AS SELECT 1 AS one WITH NO DATA; CREATE MATERIALIZED VIEW z_first AS SELECT "tenantId", count(*) FROM leads GROUP BY 1; CREATE UNIQUE INDEX ON z_first ("tenantId");
      CREATE VIEW between_them AS SELECT * FROM z_first; CREATE MATERIALIZED VIEW a_second AS SELECT sum(count) AS all FROM between_them; CREATE MATERIALIZED VIEW other AS SELECT count(*) FROM notes;
      CREATE MATERIALIZED VIEW empty AS SELECT * FROM leads WITH NO DATA`)
    try {
      await fixture.client.query(`DELETE FROM leads WHERE "tenantId" = 't1'; REFRESH MATERIALIZED VIEW z_first; REFRESH MATERIALIZED VIEW a_second`)
      await fixture.merge(selecting(tableSelection('leads')), 'missing')
      expect(await refreshViews(fixture.client, [table('leads')], {lockTimeoutMs: 500})).to.deep.equal([{schema: 'public', name: 'empty', skipped: 'it holds nothing yet'}, {schema: 'public', name: 'z_first'}, {schema: 'public', name: 'a_second'}])
      expect(await rowOf(fixture.client, 'SELECT "all"::int FROM a_second')).to.deep.equal({all: 32})
      expect(await analyzeTables(fixture.client, [table('leads')])).to.deep.equal([table('leads')])
      expect((await proveLinks(fixture.client, fixture.live, [table('leads')])).map(({foreignKey, orphans}) => ({foreignKey, orphans}))).to.have.deep.members(['leads_tenantId_fkey', 'leads_contactId_fkey', 'calls_leadId_fkey'].map((foreignKey) => ({foreignKey, orphans: 0})))
      await fixture.client.query(`SET session_replication_role = replica; DELETE FROM leads WHERE id = 't2d1'; RESET session_replication_role`)
      expect((await proveLinks(fixture.client, fixture.live, [table('leads')])).find(({foreignKey}) => foreignKey === 'calls_leadId_fkey')?.orphans).to.equal(2)
    } finally {
      await fixture.client.query('DROP MATERIALIZED VIEW a_late, z_first, other, empty CASCADE')
    }
  })

  it('is not taken for wrong where its links could not be looked at in the time that there was', async () => {
    const other = await connect(fixture.url)
    try {
      await other.query('BEGIN; LOCK TABLE contacts IN ACCESS EXCLUSIVE MODE')
      await fixture.client.query("SET statement_timeout = '100ms'")
      const proofs = await proveLinks(fixture.client, fixture.live, [table('leads')])
      const untold = proofs.filter(({trouble}) => trouble !== undefined)
      expect(untold.map(({foreignKey, orphans, trouble}) => ({foreignKey, orphans, trouble}))).to.deep.equal([{foreignKey: 'leads_contactId_fkey', orphans: 0, trouble: 'canceling statement due to statement timeout'}])
      expect(proofs.length).to.be.greaterThan(1)
      await fixture.client.query("RESET statement_timeout; SET lock_timeout = '100ms'")
      expect((await proveLinks(fixture.client, fixture.live, [table('leads')])).flatMap(({foreignKey, trouble}) => (trouble === undefined ? [] : [[foreignKey, trouble]]))).to.deep.equal([['leads_contactId_fkey', 'canceling statement due to lock timeout']])
    } finally {
      await fixture.client.query('RESET statement_timeout; RESET lock_timeout')
      await endQuietly(other)
    }
  })
})
