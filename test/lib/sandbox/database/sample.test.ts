import {expect} from 'chai'
import {createDecipheriv, createHash} from 'node:crypto'
import {connect, endQuietly, rowOf, rowsOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import {createSampleDatabase, type SampleDatabase} from '../../../../src/lib/sandbox/database/create.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'

const passwords = {owner: "o'w@n/er", app: 'app', reader: 'reader'}
const encryptionKey = 'a key of the sandbox, long enough'
const size = {rows: 2000, tenants: 5, seed: 7}

describe('sample database', () => {
  let cluster: TestCluster
  let sample: SampleDatabase
  let owner: Client
  const number = async (query: string): Promise<number> => Number((await rowOf<{n: string}>(owner, `SELECT (${query}) AS n`)).n)

  before(async () => {
    cluster = await testCluster()
    await cluster.drop('sample', 'again', 'other', 'aborted')
    sample = await createSampleDatabase(cluster, {...size, name: 'sample', passwords, encryptionKey})
    owner = await connect(sample.urls.owner)
  })
  after(() => endQuietly(owner))

  it('spreads the rows over the heavy tables as in the application', async () => {
    const heavy = Object.fromEntries(['calls', 'audit_logs', 'leads', 'webhook_events', 'contacts'].map((name) => [name, sample.rows.get(name)]))
    expect(heavy).to.deep.equal({calls: 750, audit_logs: 500, leads: 375, webhook_events: 188, contacts: 188})
    for (const [name, rows] of sample.rows) expect(await number(`SELECT count(*) FROM "${name}"`), name).to.equal(name === 'integrations' ? size.tenants * 4 : rows)
  })

  it('has the tables, columns and indexes of the application', async () => {
    expect(await number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")).to.be.at.least(30)
    const indexes = (table: string) => number(`SELECT count(*) FROM pg_index WHERE indrelid = '${table}'::regclass AND NOT indisprimary`)
    expect([await indexes('calls'), await indexes('users'), await indexes('incomes')]).to.deep.equal([12, 17, 18])
    expect(await number('SELECT count(*) FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = \'public\'::regnamespace AND NOT indisprimary')).to.be.within(175, 195)
    const columns = await rowsOf<{name: string}>(owner, "SELECT attname AS name FROM pg_attribute WHERE attrelid = 'calls'::regclass AND attnum > 0 ORDER BY attnum")
    expect(columns.map(({name}) => name).join(' ')).to.equal('id tenantId callIdExternal from to direction duration status recordingUrl recordingId metadata leadId contactId startedAt endedAt createdAt provider')
  })

  it('has valid indexes and validated keys, with the actions of the application', async () => {
    expect(await number('SELECT count(*) FROM pg_index WHERE NOT indisvalid')).to.equal(0)
    expect(await number('SELECT count(*) FROM pg_constraint WHERE NOT convalidated')).to.equal(0)
    const action = (name: string) => rowOf<{action: string}>(owner, `SELECT confdeltype AS action FROM pg_constraint WHERE conname = '${name}'`).then((row) => row.action)
    expect(await action('calls_leadId_fkey')).to.equal('n')
    expect(await action('incomes_managerUserId_fkey')).to.equal('r')
    expect(await action('webhook_events_tenantId_fkey')).to.equal('n')
    expect(await action('contacts_tenantId_fkey')).to.equal('c')
  })

  it('points only at rows of the same tenant', async () => {
    expect(await number('SELECT count(*) FROM calls c JOIN leads l ON l.id = c."leadId" WHERE l."tenantId" <> c."tenantId"')).to.equal(0)
    expect(await number('SELECT count(*) FROM calls WHERE "leadId" IS NOT NULL')).to.be.greaterThan(300)
    expect(await number('SELECT count(*) FROM incomes i JOIN users u ON u.id = i."managerUserId" WHERE u."tenantId" <> i."tenantId"')).to.equal(0)
  })

  it('shows the application role one tenant at a time, by policies that are enabled and never forced', async () => {
    await withClient(sample.urls.app, {}, async (app) => {
      const count = async () => Number((await rowOf<{n: string}>(app, 'SELECT count(*) AS n FROM calls')).n)
      expect(await count()).to.equal(0)
      const {id} = await rowOf<{id: string}>(owner, 'SELECT id FROM tenants ORDER BY id LIMIT 1')
      await app.query('SELECT app.set_tenant_context($1)', [id])
      expect(await count()).to.equal(await number(`SELECT count(*) FROM calls WHERE "tenantId" = '${id}'`)).and.to.be.greaterThan(0)
      await app.query('SELECT app.clear_tenant_context()')
      expect(await count()).to.equal(0)
    })
    expect(await number('SELECT count(*) FROM pg_class WHERE relforcerowsecurity')).to.equal(0)
    expect(await number("SELECT count(*) FROM pg_policies WHERE policyname = tablename || '_isolation_policy'")).to.be.at.least(20)
    expect(await number("SELECT count(*) FROM pg_class WHERE relname IN ('sessions', 'api_keys', 'webhooks') AND relrowsecurity")).to.equal(0)
  })

  it('belongs to a role that is no superuser, may create databases, and lacks one privilege', async () => {
    expect(await rowOf(owner, 'SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user')).to.deep.equal({rolsuper: false, rolcreatedb: true})
    expect(await number("SELECT count(*) FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'app'::regnamespace) AND relowner <> current_user::regrole")).to.equal(0)
    const refused: unknown = await owner.query("INSERT INTO exchange_rates VALUES ('GBP', 1, now())").catch((error: unknown) => error)
    expect(refused).to.have.property('code', '42501')
    expect(await number('SELECT count(*) FROM exchange_rates')).to.equal(3)
  })

  it('encrypts integration tokens with the given key', async () => {
    const rows = await rowsOf<{token: string; status: string}>(owner, 'SELECT "tokensEncrypted" AS token, status FROM integrations WHERE "tokensEncrypted" IS NOT NULL')
    expect(rows.length).to.be.greaterThan(10)
    for (const {token} of rows) expect(decrypt(token, encryptionKey)).to.match(/^{"accessToken":"[\da-f]{64}"/)
    expect(() => decrypt(rows[0]?.token ?? '', 'another key')).to.throw(/authenticate/)
  })

  it('holds what backups get wrong', async () => {
    expect(await number('SELECT last_value FROM receipt_numbers_number_seq')).to.equal(125)
    expect(await number("SELECT count(*) FROM pg_attribute WHERE attidentity = 'a'")).to.equal(1)
    expect(await number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'event_log'::regclass")).to.equal(3)
    expect(await number('SELECT sum(calls) FROM tenant_daily_calls')).to.equal(750)
    expect(await number('SELECT count(*) FROM invoices WHERE total <> amount - discount')).to.equal(0)
    expect(await number('SELECT sum(length(lo_get(logo))) FROM tenant_logos')).to.equal(3 * 6400)
    expect(await number('SELECT count(*) FROM "Legacy Report.Item" WHERE "Some ""quoted"" Name" IS NOT NULL')).to.equal(50)
    expect(await number('SELECT count(*) FROM _prisma_migrations WHERE rolled_back_at IS NOT NULL AND finished_at IS NULL')).to.equal(1)
  })

  it('is the same for the same seed, and another for another', async () => {
    const digest = async (name: string, seed: number): Promise<unknown> => {
      const {urls} = await createSampleDatabase(cluster, {...size, seed, name, passwords, encryptionKey})
      return withClient(urls.owner, {}, (client) => rowOf(client, DIGEST))
    }
    const expected = await rowOf(owner, DIGEST)
    expect(await digest('again', 7)).to.deep.equal(expected)
    expect(await digest('other', 8)).not.to.deep.equal(expected)
  })

  it('lets a whole tenant be deleted, and leads drop out of calls', async () => {
    await owner.query('BEGIN')
    try {
      const linked = await number('SELECT count(*) FROM calls WHERE "leadId" IS NOT NULL')
      await owner.query('DELETE FROM leads WHERE "tenantId" = (SELECT min(id) FROM tenants)')
      expect(await number('SELECT count(*) FROM calls WHERE "leadId" IS NOT NULL')).to.be.lessThan(linked)
      expect((await owner.query('DELETE FROM tenants')).rowCount).to.equal(size.tenants)
      expect(await number('SELECT (SELECT count(*) FROM calls) + (SELECT count(*) FROM incomes) + (SELECT count(*) FROM users)')).to.equal(0)
      expect(await number('SELECT count(*) FROM webhook_events')).to.equal(188)
    } finally {
      await owner.query('ROLLBACK')
    }
  })

  it('stops at once when aborted, and leaves no connection', async () => {
    const controller = new AbortController()
    const seen: string[] = []
    const loading = createSampleDatabase(cluster, {
      ...size, rows: 100_000, name: 'aborted', passwords, encryptionKey, signal: controller.signal,
      progress: ({phase}) => { seen.push(phase); controller.abort(new Error('enough')) },
    })
    expect(await loading.catch((error: unknown) => error)).to.be.an('error')
    expect(new Set(seen)).to.deep.equal(new Set(['rows']))
    expect(await number("SELECT count(*) FROM pg_stat_activity WHERE datname = 'aborted'")).to.equal(0)
  })
})

const DIGEST = `SELECT ${['calls', 'leads', 'contacts', 'users', 'integrations', 'incomes', 'comments', 'webhook_events'].map((name) => `(SELECT sum(hashtextextended(x::text, 0)::numeric) FROM ${name} x) AS ${name}`).join(', ')}`

/** As the application reads a token. */
function decrypt(stored: string, key: string): string {
  const parts = JSON.parse(Buffer.from(stored, 'base64').toString()) as {iv: string; authTag: string; encrypted: string; algorithm: string}
  expect(parts).to.include({algorithm: 'aes-256-gcm'})
  const decipher = createDecipheriv('aes-256-gcm', createHash('sha256').update(key).digest(), Buffer.from(parts.iv, 'hex'))
  decipher.setAuthTag(Buffer.from(parts.authTag, 'hex'))
  return decipher.update(parts.encrypted, 'hex', 'utf8') + decipher.final('utf8')
}
