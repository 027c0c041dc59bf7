import {expect} from 'chai'
import {rowsOf, type Client} from '../../../../src/lib/postgres/connection.ts'
import type {PartialOptions} from '../../../../src/lib/procedures/partial/run-options.ts'
import type {Way} from '../../../../src/lib/report/partial-lines.ts'
import {runPartial, runRevert} from '../../../support/partial-restore.ts'
import {Random} from '../../../support/random.ts'
import {contentsOf, differences, sampleFixture, type Contents} from './sample.ts'

const CASES = 22

/** One accident, and the repair that fits. */
interface Damage {
  what: string
  /** Statements that break. */
  sql: string[]
  wish: Partial<PartialOptions['wish']>
  way: Way
  /** What has to be as in the backup afterwards; all other rows have to be as before the repair. */
  repaired: (table: string, tenant: string) => boolean
}

const inTables = (...tables: string[]) => (table: string) => tables.includes(table)
const some = (random: Random) => `hashtextextended(id, ${random.below(1000)}) % ${2 + random.below(4)} = 0`

const DAMAGES: readonly ((random: Random, tenant: string) => Damage)[] = [
  (_random, tenant) => ({what: 'a tenant is deleted', sql: [`DELETE FROM incomes WHERE "tenantId" = '${tenant}'`, `DELETE FROM tenants WHERE id = '${tenant}'`], wish: {tenant}, way: 'missing', repaired: () => true}),
  (random, tenant) => ({what: 'leads are deleted, calls lose their link', sql: [`DELETE FROM leads WHERE "tenantId" = '${tenant}' AND ${some(random)}`], wish: {tables: ['leads'], relink: true}, way: 'missing', repaired: inTables('leads', 'calls')}),
  (random, tenant) => ({what: 'contacts are deleted', sql: [`DELETE FROM contacts WHERE "tenantId" = '${tenant}' AND ${some(random)}`], wish: {tables: ['public.contacts'], relink: true, where: `"tenantId" = '${tenant}'`}, way: 'missing', repaired: inTables('contacts', 'leads', 'calls', 'telegram_chats')}),
  (random, tenant) => ({what: 'a column is overwritten', sql: [`UPDATE leads SET status = 'lost', "updatedAt" = "updatedAt" + interval '1s' WHERE ${some(random)}`], wish: {tables: ['leads'], tenant, columns: ['status', 'updatedAt']}, way: 'changed', repaired: (table, row) => table === 'leads' && row === tenant}),
  (random) => ({what: 'a column is overwritten, found by a condition', sql: [`UPDATE leads SET status = 'lost by accident' WHERE ${some(random)}`], wish: {tables: ['leads'], where: "status = 'lost by accident'"}, way: 'changed', repaired: inTables('leads')}),
  (random) => ({what: 'customers go, and incomes with them', sql: [`DELETE FROM customers WHERE ${some(random)}`], wish: {tables: ['customers', 'incomes', 'invoices', 'payments'], relink: true}, way: 'missing', repaired: inTables('customers', 'incomes', 'invoices', 'payments')}),
  (random, tenant) => ({what: 'all that a tenant has is muddled', sql: [`UPDATE contacts SET name = 'x' WHERE "tenantId" = '${tenant}' AND ${some(random)}`, `DELETE FROM calls WHERE "tenantId" = '${tenant}' AND ${some(random)}`, `DELETE FROM users WHERE "tenantId" = '${tenant}' AND ${some(random)} AND NOT EXISTS (SELECT FROM incomes WHERE "managerUserId" = users.id)`], wish: {tenant}, way: 'exact', repaired: (_table, row) => row === tenant || row === ''}),
  (random, tenant) => ({what: 'rows that nobody wanted came in', sql: [`INSERT INTO leads (id, "tenantId", title, "createdAt", "updatedAt") SELECT 'extra-' || i, '${tenant}', 'x', now(), now() FROM generate_series(1, ${1 + random.below(20)}) i`], wish: {tables: ['leads'], tenant}, way: 'exact', repaired: (table, row) => table === 'leads' && row === tenant}),
  () => ({what: 'a table is emptied', sql: ['TRUNCATE notifications'], wish: {tables: ['notifications']}, way: 'missing', repaired: inTables('notifications')}),
  () => ({what: 'a table is emptied, and others with it', sql: ['TRUNCATE customers CASCADE'], wish: {tables: ['customers', 'incomes']}, way: 'exact', repaired: inTables('customers', 'incomes')}),
  (random) => ({what: 'parents and children go, the child is asked for', sql: [`DELETE FROM courses WHERE ${some(random)} AND EXISTS (SELECT FROM tariffs WHERE "courseId" = courses.id)`], wish: {tables: ['tariffs'], withParents: true}, way: 'missing', repaired: (table) => table === 'tariffs' || table === 'courses'}),
]

/** What goes on rightfully meanwhile: none of it may be touched. */
async function lifeGoesOn(client: Client, random: Random, damaged: string, tenants: readonly string[]): Promise<void> {
  const other = random.pick(tenants.filter((one) => one !== damaged))
  await client.query(`UPDATE audit_logs SET action = 'edited' WHERE "tenantId" = '${other}' AND ${some(random)}`)
  await client.query(`INSERT INTO webhook_events (id, "tenantId", provider, "eventType", "rawPayload", "idempotencyKey") SELECT 'later-' || i, '${other}', 'p', 'e', '{}', 'later-' || i FROM generate_series(1, 5) i`)
}

const key = (contents: Contents, keep: (table: string, tenant: string) => boolean): Contents => new Map([...contents].map(([table, rows]) => [table, new Map([...rows].filter(([, tenant]) => keep(table, tenant)))]))

describe('random accidents, repaired from a backup', function () {
  this.timeout(600_000)
  const sample = sampleFixture('dr_repairs', {rows: 900, tenants: 4})
  let before: Contents
  let tenants: string[] | undefined

  beforeEach(async () => {
    await sample.anew()
    if (tenants === undefined) await sample.pristine(async (client) => {
      before = await contentsOf(client)
      tenants = (await rowsOf<{id: string}>(client, 'SELECT id FROM public.tenants ORDER BY id')).map(({id}) => id)
    })
  })

  for (let seed = 1; seed <= CASES; seed++) {
    const random = new Random(seed)
    const damageOf = DAMAGES[(seed - 1) % DAMAGES.length]
    it(`equal the backup in what is selected, and what they were elsewhere (seed ${seed})`, async () => {
      if (damageOf === undefined || tenants === undefined) throw new Error('no damage')
      const [all, tenant] = [tenants, random.pick(tenants)]
      const {what, sql, wish, way, repaired} = damageOf(random, tenant)
      await sample.live(async (client) => {
        await client.query('SET search_path = public')
        await lifeGoesOn(client, random, tenant, all)
      })
      const rightful = await sample.live(contentsOf)
      await sample.live((client) => client.query(`SET search_path = public; ${sql.join('; ')}`))
      const damaged = await sample.live(contentsOf)
      expect(differences(rightful, damaged), what).not.to.deep.equal({})

      const outcome = await runPartial({url: sample.url, directory: sample.directory, wish, way})
      if (outcome.error) throw outcome.error
      const after = await sample.live(contentsOf)
      expect(outcome.state.findings.filter(({severity}) => severity !== 'ok'), what).to.deep.equal([])
      // What nobody had changed rightfully equals the backup; what was, is left alone by every way but exact.
      expect(differences(key(rightful, repaired), key(after, repaired)), `${what}: the selection`).to.deep.equal({})
      expect(differences(damaged, after, (table, row) => !repaired(table, row)), `${what}: the rest`).to.deep.equal({})
      if (seed % 2 === 0) {
        const {error} = await runRevert(sample)
        if (error) throw error
        expect(differences(damaged, await sample.live(contentsOf)), `${what}: taken back`).to.deep.equal({})
      }
    })
  }

  it('were of every kind, with every way', () => {
    expect(before.size).to.be.above(30)
    expect(new Set(DAMAGES.map((damage) => damage(new Random(1), 't').way))).to.deep.equal(new Set(['missing', 'changed', 'exact']))
  })
})
