import {expect} from 'chai'
import {rowsOf, type Client} from '../../../../src/lib/postgres/connection.ts'
import type {PartialOptions} from '../../../../src/lib/procedures/partial/run-options.ts'
import type {Way} from '../../../../src/lib/report/partial-lines.ts'
import {runPartial, runRevert} from '../../../support/partial-restore.ts'
import {Random} from '../../../support/random.ts'
import {contentsOf, differences, sampleFixture, type Contents} from './sample.ts'

const CASES = 22
/** Beside them, each from a seed of its own. */
const DROPS = 12

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

type Kind = (random: Random, tenant: string) => Damage

const DAMAGES: readonly Kind[] = [
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

/** Partitions of partitions, and a table that borrows numbers and a function of others. */
const MORE = `
  SET search_path = public;
  CREATE TABLE visits (id int, region text, day int, PRIMARY KEY (id, region, day)) PARTITION BY LIST (region); CREATE TABLE visits_north PARTITION OF visits FOR VALUES IN ('north') PARTITION BY RANGE (day); CREATE TABLE visits_rest PARTITION OF visits DEFAULT;
  CREATE TABLE visits_north_1 PARTITION OF visits_north FOR VALUES FROM (0) TO (10); CREATE TABLE visits_north_2 PARTITION OF visits_north FOR VALUES FROM (10) TO (20); INSERT INTO visits SELECT i, CASE WHEN i % 3 = 0 THEN 'south' ELSE 'north' END, i % 20 FROM generate_series(1, 60) i;
  CREATE FUNCTION title_of(l leads) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT l.title'; CREATE TABLE borrowers (id bigint DEFAULT nextval('receipt_numbers_number_seq'), title text DEFAULT title_of(NULL)); INSERT INTO borrowers VALUES (1, 'x')`
const PARTS: Readonly<Record<string, readonly string[]>> = {
  event_log: ['event_log_2026_01', 'event_log_2026_02', 'event_log_rest'], visits: ['visits_north_1', 'visits_north_2', 'visits_rest'], visits_north: ['visits_north_1', 'visits_north_2'],
}
/** Nothing leans on them, so that they go without CASCADE. */
const LONE = ['notifications', 'lead_tags', 'payments', 'attachments', 'tasks', 'sessions', 'telegram_messages', 'user_auth_links', 'event_log', 'event_log_2026_01', 'import_batches', 'Legacy Report.Item', 'tenant_logos', 'visits', 'visits_north', 'visits_north_2']
const LEANT_ON = ['leads', 'contacts', 'customers', 'users', 'calls', 'comments', 'courses', 'incomes', 'tags', 'tenants', 'pipelines', 'invoices', 'teams', 'receipt_numbers']

/** One table or some, and rows elsewhere that nobody asks for. */
function dropped(random: Random): Damage {
  const cascade = random.chance(0.6)
  const names = [...(cascade ? random.shuffled(LEANT_ON).slice(0, 1 + random.below(2)) : []), ...random.shuffled(LONE).slice(0, random.below(3) + (cascade ? 0 : 1))]
  const meant = names.flatMap((name) => [name, ...PARTS[name] ?? []])
  return {
    what: `dropped${cascade ? ' with CASCADE' : ''}: ${names.join(', ')}`,
    sql: [`DROP TABLE ${names.map((name) => `"${name}"`).join(', ')}${cascade ? ' CASCADE' : ''}`, `DELETE FROM audit_logs WHERE ${some(random)}`, `UPDATE webhook_events SET provider = 'damaged' WHERE ${some(random)}`],
    wish: {tables: names}, way: random.pick(['missing', 'changed', 'exact']), repaired: inTables(...meant),
  }
}

/** Foreign keys with what they say, and other constraints and defaults: what goes with a table that is dropped, and has to hold again. */
const linksOf = async (client: Client): Promise<string[]> => (await rowsOf<{text: string}>(client, `
  SELECT concat_ws(' ', conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid)) AS text FROM pg_constraint WHERE connamespace = 'public'::regnamespace
  UNION ALL SELECT concat_ws(' ', adrelid::regclass, adnum, pg_get_expr(adbin, adrelid)) FROM pg_attrdef ORDER BY 1`)).map(({text}) => text)

/** What goes on rightfully meanwhile: none of it may be touched. */
async function lifeGoesOn(client: Client, random: Random, damaged: string, tenants: readonly string[]): Promise<void> {
  const other = random.pick(tenants.filter((one) => one !== damaged))
  await client.query(`UPDATE audit_logs SET action = 'edited' WHERE "tenantId" = '${other}' AND ${some(random)}`)
  await client.query(`INSERT INTO webhook_events (id, "tenantId", provider, "eventType", "rawPayload", "idempotencyKey") SELECT 'later-' || i, '${other}', 'p', 'e', '{}', 'later-' || i FROM generate_series(1, 5) i`)
}

const key = (contents: Contents, keep: (table: string, tenant: string) => boolean): Contents => new Map([...contents].map(([table, rows]) => [table, new Map([...rows].filter(([, tenant]) => keep(table, tenant)))]))

describe('random accidents, repaired from a backup', function () {
  this.timeout(600_000)
  const sample = sampleFixture('dr_repairs', {rows: 900, tenants: 4, more: MORE})
  let before: Contents
  let tenants: string[] | undefined

  beforeEach(async () => {
    await sample.anew()
    if (tenants === undefined) await sample.pristine(async (client) => {
      before = await contentsOf(client)
      tenants = (await rowsOf<{id: string}>(client, 'SELECT id FROM public.tenants ORDER BY id')).map(({id}) => id)
    })
  })

  const repair = async (seed: number, random: Random, damageOf: Kind) => {
    if (tenants === undefined) throw new Error('no tenants')
    const [all, tenant] = [tenants, random.pick(tenants)]
    const {what, sql, wish, way, repaired} = damageOf(random, tenant)
    await sample.live(async (client) => {
      await client.query('SET search_path = public')
      await lifeGoesOn(client, random, tenant, all)
    })
    const [rightful, links] = [await sample.live(contentsOf), await sample.live(linksOf)]
    await sample.live((client) => client.query(`SET search_path = public; ${sql.join('; ')}`))
    const [damaged, left] = [await sample.live(contentsOf), await sample.live(linksOf)]
    expect(differences(rightful, damaged), what).not.to.deep.equal({})

    const outcome = await runPartial({url: sample.url, directory: sample.directory, wish, way})
    if (outcome.error) throw new Error(`${what}: ${outcome.error.message}`, {cause: outcome.error})
    const after = await sample.live(contentsOf)
    expect(outcome.state.findings.filter(({severity}) => severity !== 'ok'), what).to.deep.equal([])
    // What nobody had changed rightfully equals the backup; what was, is left alone by every way but exact.
    expect(differences(key(rightful, repaired), key(after, repaired)), `${what}: the selection`).to.deep.equal({})
    expect(differences(damaged, after, (table, row) => !repaired(table, row)), `${what}: the rest`).to.deep.equal({})
    expect(await sample.live(linksOf), `${what}: keys`).to.deep.equal(links)
    if (seed % 2 === 0) {
      const {error} = await runRevert(sample)
      if (error) throw error
      expect(differences(damaged, await sample.live(contentsOf)), `${what}: taken back`).to.deep.equal({})
      expect(await sample.live(linksOf), `${what}: keys, taken back`).to.deep.equal(left)
    }
  }

  for (let seed = 1; seed <= CASES; seed++) {
    const [random, damageOf] = [new Random(seed), DAMAGES[(seed - 1) % DAMAGES.length]]
    it(`equal the backup in what is selected, and what they were elsewhere (seed ${seed})`, async () => {
      if (damageOf === undefined) throw new Error('no damage')
      await repair(seed, random, damageOf)
    })
  }

  for (let seed = 101; seed <= 100 + DROPS; seed++) {
    it(`that drop tables equal the backup in what is selected, and what they were elsewhere (seed ${seed})`, () => repair(seed, new Random(seed), dropped))
  }

  it('were of every kind, with every way', () => {
    expect(before.size).to.be.above(30)
    expect(new Set(DAMAGES.map((damage) => damage(new Random(1), 't').way))).to.deep.equal(new Set(['missing', 'changed', 'exact']))
    const drops = Array.from({length: DROPS}, (_, at) => {
      const random = new Random(101 + at)
      random.pick(tenants ?? [])
      return dropped(random)
    })
    expect(new Set(drops.map(({way}) => way)).size).to.equal(3)
    expect(new Set(drops.map(({what, wish}) => `${what.includes('CASCADE')} ${(wish.tables ?? []).length > 1}`)).size).to.equal(4)
  })
})
