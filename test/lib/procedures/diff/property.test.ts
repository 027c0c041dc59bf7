import {expect} from 'chai'
import {rowOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import {CANONICAL_SETTINGS} from '../../../../src/lib/postgres/snapshot.ts'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import {compareRows} from '../../../../src/lib/procedures/diff/compare.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {Random} from '../../../support/random.ts'

const TABLES = 40

/** Literals of each type, few enough to meet again; `key`: where PostgreSQL calls two equal, they have one text or one that dr makes the same. */
const TYPES: Record<string, {values: string[]; key: boolean}> = {
  int: {key: true, values: ['0', '1', '-1', '2147483647', '-2147483648', '10', '9', '100']},
  bigint: {key: true, values: ['0', '-1', '9223372036854775807', '-9223372036854775808', '4294967296', '4294967295', '2147483648', '-4294967297']},
  smallint: {key: true, values: ['0', '1', '-1', '32767', '-32768']},
  text: {key: true, values: ["''", "'a'", "'A'", "'b'", "'ä'", "'a b'", "'a-b'", "'ab'", String.raw`E'a\tb\nc\\d'`, "'😀'", "'\uFFFD'", "'\uE000'", "'中文'", "'\\N'", "'it''s'", "'~'", "'Z'"]},
  'varchar(12)': {key: true, values: ["'x'", "'X'", "'x '", "'é'", "'e'", "'f'"]},
  'char(4)': {key: true, values: ["'q'", "'q  '", "'Q'", "'r'"]},
  uuid: {key: true, values: ["'00000000-0000-4000-8000-000000000001'", "'ffffffff-ffff-4fff-bfff-ffffffffffff'", "'80000000-0000-4000-8000-000000000000'", "'7fffffff-0000-4000-8000-00000000000a'"]},
  numeric: {key: true, values: ['0', '1', '1.0', '1.00', '-1.5', '100', '99.99', "'NaN'", '1e20', '-1e-20', "'10'"]},
  'double precision': {key: true, values: ['0', "'-0'", '0.1', "'Infinity'", "'-Infinity'", "'NaN'", '1e300', '-2.5']},
  timestamp: {key: true, values: ["'2026-01-01'", "'2026-01-01 00:00:00.001'", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'12026-01-01'", "'1999-12-31 23:59:59.999999'"]},
  timestamptz: {key: true, values: ["'2026-01-01 00:00+00'", "'2026-01-01 05:00+05'", "'infinity'", "'2026-06-01 12:00+00'"]},
  date: {key: true, values: ["'2026-01-01'", "'infinity'", "'0001-01-01 BC'", "'2026-12-31'"]},
  bytea: {key: true, values: [String.raw`'\x'`, String.raw`'\x00'`, String.raw`'\x00ff'`, String.raw`'\xff'`, String.raw`'\x7f80'`]},
  boolean: {key: true, values: ['true', 'false']},
  'text[]': {key: true, values: ["'{}'", "'{a}'", "'{a,NULL}'", `'{"a,b"}'`]},
  mood: {key: true, values: ["'sad'", "'ok'", "'happy'"]},
  interval: {key: false, values: ["'1 day'", "'24:00:00'", "'-1 mon'"]},
  jsonb: {key: false, values: [`'{"a": 1}'`, `'{"a": 1.0}'`, `'null'`, `'[1, 2]'`]},
}

interface Case {
  name: string
  columns: {name: string; type: string}[]
  key: string[]
  kind: 'primary' | 'unique' | 'none'
}

function randomCase(random: Random, index: number): Case {
  const columns = Array.from({length: 1 + random.below(5)}, (_, place) => ({name: random.chance(0.2) ? `Odd "${place}"; ` : `c${place}`, type: random.pick(Object.keys(TYPES))}))
  const possible = random.shuffled(columns.filter(({type}) => TYPES[type]?.key))
  const kind = possible.length === 0 ? 'none' : random.pick(['primary', 'primary', 'unique', 'none'] as const)
  return {name: random.chance(0.1) ? `t;"${index}` : `t${index}`, columns, kind, key: kind === 'none' ? [] : possible.slice(0, 1 + random.below(3)).map(({name}) => name)}
}

const q = (name: string) => `"${name.replaceAll('"', '""')}"`
const value = (random: Random, {key, kind}: Case, column: Case['columns'][number]) =>
  random.chance(kind === 'primary' && key.includes(column.name) ? 0 : 0.2) ? 'NULL' : `CAST(${random.pick(TYPES[column.type]?.values ?? [])} AS ${column.type === 'mood' ? 'public.mood' : column.type})`
const randomRow = (random: Random, one: Case) => one.columns.map((column) => value(random, one, column))

/** Some rows go, some change, some come; rows may be there twice. */
function mutated(random: Random, one: Case, rows: readonly string[][]): string[][] {
  const share = random.pick([0, 0.05, 0.3, 1])
  const kept = rows.filter(() => !random.chance(share / 3)).map((row) => (random.chance(share / 3) ? row.map((old, place) => (random.chance(0.5) ? old : value(random, one, one.columns[place] ?? {name: '', type: 'int'}))) : row))
  return random.shuffled([...kept, ...Array.from({length: Math.floor(share * random.below(20))}, () => randomRow(random, one))])
}

const ddl = (schema: string, {name, columns, key, kind}: Case) => `CREATE TABLE ${schema}.${q(name)} (${[
  ...columns.map((column) => `${q(column.name)} ${column.type === 'mood' ? 'public.mood' : column.type}`),
  ...(kind === 'none' ? [] : [`${kind === 'primary' ? 'PRIMARY KEY' : 'UNIQUE'} (${key.map(q).join(', ')})`]),
].join(', ')})`
const insert = (schema: string, {name}: Case, rows: readonly string[][]) => (rows.length === 0 ? '' : `INSERT INTO ${schema}.${q(name)} VALUES ${rows.map((row) => `(${row.join(', ')})`).join(', ')} ON CONFLICT DO NOTHING`)

/** Rows with a whole key by FULL JOIN, the others as wholes by EXCEPT ALL. */
async function bruteForce(client: Client, {name, columns, key}: Case): Promise<{onlyLive: number; onlyBackup: number; changed: number}> {
  const whole = `ROW(${columns.map((column) => q(column.name)).join(', ')})::text`
  const keyed = key.length === 0 ? 'false' : key.map((column) => `${q(column)} IS NOT NULL`).join(' AND ')
  const rows = (schema: string, condition: string) => `(SELECT ${whole} AS whole, 1 AS there${key.map((column, index) => `, ${q(column)} AS k${index}`).join('')} FROM ${schema}.${q(name)} WHERE ${condition})`
  const wholes = (one: string, other: string) => `(SELECT count(*) FROM (SELECT whole FROM ${rows(one, `NOT (${keyed})`)} x EXCEPT ALL SELECT whole FROM ${rows(other, `NOT (${keyed})`)} y) z)`
  const on = key.length === 0 ? 'a.whole = b.whole' : key.map((_, index) => `a.k${index} = b.k${index}`).join(' AND ')
  return rowOf(client, `
    SELECT (count(*) FILTER (WHERE b.there IS NULL) + ${wholes('live', 'backup')})::int AS "onlyLive", (count(*) FILTER (WHERE a.there IS NULL) + ${wholes('backup', 'live')})::int AS "onlyBackup",
      (count(*) FILTER (WHERE a.there = 1 AND b.there = 1 AND a.whole <> b.whole))::int AS changed
    FROM ${rows('live', keyed)} a FULL JOIN ${rows('backup', keyed)} b ON ${on}`)
}

for (const major of [15, 18] as const) {
  describe(`rows compared one by one, against SQL, on PostgreSQL ${major}`, function () {
    this.timeout(300_000)
    const names = ['property_live', 'property_backup', 'property_both']
    let cluster: TestCluster

    before(async () => { cluster = await testCluster({major}) })
    after(() => cluster.drop(...names))

    /** Another collation on each side: in none of them are texts sorted by their bytes. */
    const create = async (locale: string, name: string): Promise<string> => {
      await cluster.drop(name)
      await withClient(cluster.adminUrl, {}, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' ${locale}`))
      await withClient(cluster.url(name), {}, (client) => client.query("CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'happy'); CREATE SCHEMA live; CREATE SCHEMA backup"))
      return cluster.url(name)
    }

    for (const seed of [1, 2, 3, 4]) {
      it(`find the same differences in ${TABLES} random tables (seed ${seed})`, async () => {
        const random = new Random(seed * 1000 + major)
        const [live, backup, both] = [await create("LOCALE_PROVIDER icu ICU_LOCALE 'en-US'", 'property_live'), await create(seed % 2 === 0 ? '' : "LOCALE_PROVIDER icu ICU_LOCALE 'sv'", 'property_backup'), await create('', 'property_both')]
        const cases = Array.from({length: TABLES}, (_, index) => randomCase(random, index))
        const sql = {live: [] as string[], backup: [] as string[], both: [] as string[]}
        for (const one of cases) {
          const base = Array.from({length: random.below(40)}, () => randomRow(random, one))
          const [now, then] = [mutated(random, one, base), random.chance(0.5) ? base : mutated(random, one, base)]
          sql.live.push(ddl('public', one), insert('public', one, now))
          sql.backup.push(ddl('public', one), insert('public', one, then))
          sql.both.push(ddl('live', one), insert('live', one, now), ddl('backup', one), insert('backup', one, then))
        }
        const run = (url: string, statements: readonly string[]) => withClient(url, {}, (client) => client.query(statements.filter((one) => one !== '').join(';\n')))
        await Promise.all([run(live, sql.live), run(backup, sql.backup), run(both, sql.both)])
        const found = await compareRows({target: parseTarget(live), against: 'property_backup', excludeSchemas: [], tenantColumn: 'tenantId', applicationName: 'dr diff test', lanes: 2, sample: 3, signal: new AbortController().signal})
        expect(found.troubles).to.deep.equal([])
        const expected = await withClient(both, {}, async (client) => {
          for (const setting of CANONICAL_SETTINGS) await client.query(setting)
          const results: Record<string, object> = {}
          for (const one of cases) results[one.name] = await bruteForce(client, one)
          return results
        })
        const got = Object.fromEntries(found.tables.map(({name, onlyLive, onlyBackup, changed}) => [name, {onlyLive, onlyBackup, changed}]))
        for (const one of cases) expect(got[one.name], `${ddl('public', one)} of seed ${seed}`).to.deep.equal(expected[one.name])
        // The cases are worth something: some differ in each way, some do not.
        for (const what of ['onlyLive', 'onlyBackup', 'changed'] as const) expect(found.tables.filter((table) => table[what] > 0).length, what).to.be.above(3)
        expect(found.tables.filter(({onlyLive, onlyBackup, changed}) => onlyLive + onlyBackup + changed === 0).length).to.be.above(1)
      })
    }
  })
}
