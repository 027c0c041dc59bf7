import type {Client} from '../../src/lib/postgres/connection.ts'
import type {Random} from './random.ts'
import type {State} from './partial.ts'

const UPDATES: readonly ((id: string, n: number) => string)[] = [
  (id, n) => `UPDATE leads SET status = 'lost' WHERE "tenantId" = '${id}' AND substr(id, 4)::int % ${2 + (n % 3)} = 0`,
  (id, n) => `UPDATE leads SET amount = amount + 0.00, title = title || '${n}' WHERE "tenantId" = '${id}' AND id LIKE '%${n % 9}'`,
  (id) => `UPDATE leads SET metadata = metadata || '{"n": 1.0}' WHERE "tenantId" = '${id}' AND id LIKE '%d1'`,
  (id, n) => `UPDATE leads SET "contactId" = NULL WHERE "tenantId" = '${id}' AND id LIKE '%${n % 9}'`,
  (id, n) => `UPDATE users SET email = 'new${n}' || id, mood = 'sad' WHERE "tenantId" = '${id}' AND id LIKE '%${1 + (n % 3)}'`,
  (id, n) => `UPDATE calls SET "leadId" = NULL, tags = '{}' WHERE "tenantId" = '${id}' AND id % 3 = ${n % 3}`,
  (id, n) => `UPDATE calls SET recording = decode('00ff', 'hex'), raw = '{"i":  1}' WHERE "tenantId" = '${id}' AND id % 4 = ${n % 4}`,
  (id) => `UPDATE incomes SET related = NULL, amount = '-0' WHERE "tenantId" = '${id}'`,
  (id) => `UPDATE webhook_events SET payload = '[]' WHERE "tenantId" = '${id}'`,
  (id) => `UPDATE "Team Members" SET board = 3 - board WHERE "tenantId" = '${id}'`,
  (id) => `UPDATE "Team Boards" SET title = upper(title) WHERE "tenantId" = '${id}'`,
  (id, n) => `UPDATE events SET body = 'changed' WHERE "tenantId" = '${id}' AND id % 2 = ${n % 2}`,
  (id, n) => `UPDATE notes SET n = 7 WHERE ctid = (SELECT ctid FROM notes WHERE "tenantId" = '${id}' LIMIT 1 OFFSET ${n % 5})`,
  (id) => `UPDATE tenants SET name = name || '!', settings = NULL WHERE id = '${id}'`,
  (id) => `UPDATE contacts SET position = point(9, 9) WHERE "tenantId" = '${id}'`,
  (id, n) => `UPDATE contacts SET place = place + 1000 WHERE "tenantId" = '${id}'; UPDATE contacts SET place = 1 + (place + ${n}) % 3 WHERE "tenantId" = '${id}'`,
  (id, n) => `UPDATE webhook_events SET turn = turn + 1000 WHERE "tenantId" = '${id}' AND turn < 1000; UPDATE webhook_events SET turn = 4 * ${id.slice(1)} + 1 + (turn + ${n}) % 4 WHERE "tenantId" = '${id}' AND turn < 2000`,
]
const DELETES: readonly ((id: string, n: number) => string)[] = [
  (id) => `DELETE FROM incomes WHERE "tenantId" = '${id}'; DELETE FROM tenants WHERE id = '${id}'`,
  (id, n) => `DELETE FROM leads WHERE "tenantId" = '${id}' AND substr(id, 4)::int % ${1 + (n % 4)} = 0`,
  (id, n) => `DELETE FROM contacts WHERE "tenantId" = '${id}' AND id LIKE '%${1 + (n % 3)}'`,
  (id, n) => `DELETE FROM incomes WHERE "tenantId" = '${id}' AND id % 3 = ${n % 3}`,
  (id, n) => `DELETE FROM incomes WHERE "tenantId" = '${id}'; DELETE FROM users WHERE "tenantId" = '${id}' AND id LIKE '%${1 + (n % 3)}'`,
  (id, n) => `DELETE FROM calls WHERE "tenantId" = '${id}' AND id % 3 = ${n % 3}`,
  (id, n) => `DELETE FROM events WHERE "tenantId" = '${id}' AND id > ${n % 6}`,
  (id, n) => `DELETE FROM notes WHERE "tenantId" = '${id}' AND n = ${n % 2}`,
  (id) => `DELETE FROM user_auth_links WHERE "userId" LIKE '${id}%'`,
  (id) => `WITH m AS (DELETE FROM "Team Members" WHERE "tenantId" = '${id}') DELETE FROM "Team Boards" WHERE "tenantId" = '${id}'`,
]
const INSERTS: readonly ((id: string, n: number) => string)[] = [
  (id, n) => `INSERT INTO leads (id, "tenantId", title, "contactId") SELECT '${id}x' || i, '${id}', 'new', (SELECT id FROM contacts WHERE "tenantId" = '${id}' LIMIT 1) FROM generate_series(${n}, ${n} + 2) i`,
  (id, n) => `INSERT INTO leads (id, "tenantId", title) VALUES ('${id}y${n}', '${id}', 'new'); UPDATE calls SET "leadId" = '${id}y${n}' WHERE id IN (SELECT id FROM calls WHERE "tenantId" = '${id}' ORDER BY id LIMIT 2); INSERT INTO calls ("tenantId", "leadId") VALUES ('${id}', '${id}y${n}')`,
  (id, n) => `INSERT INTO contacts (id, "tenantId", name) VALUES ('${id}z${n}', '${id}', 'new'); UPDATE leads SET "contactId" = '${id}z${n}' WHERE id = '${id}d1'`,
  (id, n) => `INSERT INTO users VALUES ('${id}v${n}', '${id}', 'user1@${id}'), ('${id}v${n}b', '${id}', NULL)`,
  (id, n) => `INSERT INTO users VALUES ('${id}q${n}', '${id}', 'q${n}'); INSERT INTO user_auth_links VALUES ('${id}q${n}', '${id}q${n}', 'new'); INSERT INTO incomes ("tenantId", "managerId") VALUES ('${id}', '${id}q${n}')`,
  (id) => `INSERT INTO notes SELECT '${id}', 'note', i FROM generate_series(0, 2) i`,
  (id, n) => `INSERT INTO events VALUES (${50 + n}, '${id}', '2026-03-01', 'new'), (${50 + n}, '${id}', '2025-03-01', 'new')`,
  (id, n) => `INSERT INTO webhook_events VALUES ('${id}e${n}', '${id}', '{}')`,
  (id, n) => `WITH b AS (INSERT INTO "Team Boards" VALUES ('${id}', ${10 + n}, 'n${n}', 'new')) INSERT INTO "Team Members" VALUES ('${id}', 'n${n}', ${10 + n})`,
]

/** A few random accidents, as an application could have them: each in a transaction of its own; those that the schema refuses did not happen. */
export async function damage(client: Client, random: Random, tenants: readonly string[]): Promise<void> {
  for (let left = 1 + random.below(5); left > 0; left--) {
    const kind = random.pick([UPDATES, UPDATES, DELETES, DELETES, INSERTS])
    const statements = random.pick(kind)(random.pick(tenants), random.below(20))
    await client.query(`BEGIN; ${statements}; COMMIT`).catch(() => client.query('ROLLBACK'))
  }
}

interface Link {
  child: string
  columns: string[]
  parent: string
  targets: string[]
  rule: 'cascade' | 'null' | 'refuse'
}

const link = (child: string, column: string, parent: string, rule: Link['rule']): Link => ({child, columns: [column], parent, targets: ['id'], rule})
const TENANT_TABLES = ['users', 'contacts', 'leads', 'calls', 'incomes', 'Team Boards', 'events', 'notes']
const LINKS: readonly Link[] = [
  ...TENANT_TABLES.map((name) => link(name, 'tenantId', 'tenants', 'cascade')), link('webhook_events', 'tenantId', 'tenants', 'null'), link('user_auth_links', 'userId', 'users', 'cascade'),
  link('leads', 'contactId', 'contacts', 'null'), link('calls', 'leadId', 'leads', 'null'), link('calls', 'contactId', 'contacts', 'null'), link('incomes', 'managerId', 'users', 'refuse'), link('incomes', 'related', 'incomes', 'null'),
  {child: 'Team Members', columns: ['tenantId', 'board'], parent: 'Team Boards', targets: ['tenantId', 'No'], rule: 'cascade'},
  {child: 'Team Boards', columns: ['tenantId', 'Lead'], parent: 'Team Members', targets: ['tenantId', 'code'], rule: 'refuse'},
]

type Row = Record<string, string>
const valueOf = (row: Row, columns: readonly string[]): string | undefined => (columns.some((name) => (row[name] ?? null) === null) ? undefined : JSON.stringify(columns.map((name) => row[name])))

/** What the deletion of rows does to the others: the state afterwards. */
export function cascaded(state: State, removed: Record<string, Row[]>): State {
  const after: State = structuredClone(state)
  let gone = Object.entries(removed).flatMap(([name, rows]) => rows.map((row) => ({name, row})))
  while (gone.length > 0) {
    const next: typeof gone = []
    for (const {child, columns, parent, targets, rule} of LINKS) {
      const lost = new Set(gone.filter(({name}) => name === parent).map(({row}) => valueOf(row, targets)))
      const hit = (after[child] ?? []).filter((row) => { const value = valueOf(row, columns); return value !== undefined && lost.has(value) })
      if (rule === 'cascade') {
        after[child] = (after[child] ?? []).filter((row) => !hit.includes(row))
        next.push(...hit.map((row) => ({name: child, row})))
      }
      if (rule === 'null') for (const row of hit) for (const name of columns) row[name] = null as unknown as string
    }
    gone = next
  }
  return after
}

const UNIQUE: Readonly<Record<string, readonly string[]>> = {users: ['tenantId', 'email'], contacts: ['tenantId', 'place'], webhook_events: ['turn']}

/** Whether all foreign keys and the other unique keys hold. */
export function isSound(state: State): boolean {
  const isUnique = ([name, columns]: [string, readonly string[]]) => {
    const values = (state[name] ?? []).flatMap((row) => valueOf(row, columns) ?? [])
    return new Set(values).size === values.length
  }
  return Object.entries(UNIQUE).every(isUnique) && LINKS.every(({child, columns, parent, targets}) => {
    const known = new Set((state[parent] ?? []).map((row) => valueOf(row, targets)))
    return (state[child] ?? []).every((row) => { const value = valueOf(row, columns); return value === undefined || known.has(value) })
  })
}
