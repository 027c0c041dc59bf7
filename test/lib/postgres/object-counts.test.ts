import {expect} from 'chai'
import {connect, endQuietly, type Client} from '../../../src/lib/postgres/connection.ts'
import {readObjectCounts} from '../../../src/lib/postgres/object-counts.ts'
import {serverMajors, testCluster} from '../../support/cluster.ts'

/** One more of the kind, and of nothing else. */
const made: Record<string, string> = {
  schemas: 'CREATE SCHEMA s', views: 'CREATE VIEW v AS SELECT 1 AS a', 'materialized views': 'CREATE MATERIALIZED VIEW m AS SELECT 1 AS a', sequences: 'CREATE SEQUENCE q',
  functions: "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'", procedures: "CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'", types: "CREATE TYPE e AS ENUM ('a')", domains: 'CREATE DOMAIN d AS int NOT NULL',
  triggers: 'CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf()', rules: 'CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING', policies: 'CREATE POLICY y ON t',
  'column defaults': 'ALTER TABLE t ALTER a SET DEFAULT 1', 'extended statistics': 'CREATE STATISTICS st ON a, b FROM t', 'check constraints': 'ALTER TABLE t ADD CHECK (a > 0)', 'unique constraints': 'ALTER TABLE t ADD UNIQUE (a)',
  publications: 'CREATE PUBLICATION pub FOR TABLE t', 'event triggers': 'CREATE EVENT TRIGGER ev ON ddl_command_end EXECUTE FUNCTION ef()', comments: "COMMENT ON COLUMN t.a IS 'x'",
}

for (const major of serverMajors) {
  describe(`objects by kind on PostgreSQL ${major}`, () => {
    let client: Client
    before(async () => {
      client = await connect(await (await testCluster({major})).createDatabase('counted'))
      await client.query(`CREATE TABLE t (a int, b int NOT NULL); CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'; CREATE FUNCTION ef() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'`)
    })
    after(async () => {
      await endQuietly(client)
      const admin = await connect((await testCluster({major})).adminUrl)
      await admin.query('DROP DATABASE counted')
      await endQuietly(admin)
    })

    for (const [kind, sql] of Object.entries(made)) {
      it(`show one more of the ${kind}`, async () => {
        const before = await readObjectCounts(client, [])
        await client.query('BEGIN')
        await client.query(sql)
        const after = await readObjectCounts(client, [])
        await client.query('ROLLBACK')
        expect(after).to.deep.equal({...before, [kind]: (before[kind] ?? Number.NaN) + 1})
      })
    }
  })
}
