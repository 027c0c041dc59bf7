import {expect} from 'chai'
import {connect, endQuietly, rowOf, type Client} from '../../src/lib/postgres/connection.ts'
import {createAwkwardDatabase} from './awkward.ts'
import {serverMajors, testCluster} from './cluster.ts'

/** What must be in the awkward database, each as a query for one boolean. */
const cases: Readonly<Record<string, string>> = {
  'a CHECK function that reads another table': "EXISTS (SELECT FROM pg_constraint WHERE conname = 'word_allowed' AND contype = 'c')",
  'a domain on a function': "EXISTS (SELECT FROM pg_constraint WHERE conname = 'must_be_even' AND contypid <> 0)",
  'identity columns of both kinds': "(SELECT count(DISTINCT attidentity) = 2 FROM pg_attribute WHERE attidentity <> '')",
  'stored generated columns': "(SELECT count(*) >= 2 FROM pg_attribute WHERE attgenerated = 's')",
  'enum and composite types': "EXISTS (SELECT FROM pg_enum) AND EXISTS (SELECT FROM pg_class WHERE relkind = 'c')",
  'a cycle of deferrable foreign keys': "(SELECT count(*) = 2 FROM pg_constraint WHERE contype = 'f' AND condeferrable AND conname IN ('chicken_egg_fkey', 'egg_chicken_id_fkey'))",
  'a parent column younger than the child\'s own': "(SELECT attnum = 4 FROM pg_attribute WHERE attrelid = 'odd.child'::regclass AND attname = 'added_later')",
  'a partition with another column order': "(SELECT attnum = 1 FROM pg_attribute WHERE attrelid = 'odd.measured_2025'::regclass AND attname = 'note')",
  'default partitions': "(SELECT count(*) >= 2 FROM pg_class WHERE pg_get_expr(relpartbound, oid) = 'DEFAULT' AND relkind = 'r')",
  'a foreign key to a partitioned table': "EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = 'odd.measured'::regclass)",
  'an exclusion constraint': "EXISTS (SELECT FROM pg_constraint WHERE contype = 'x')",
  'expression and gin indexes': "EXISTS (SELECT FROM pg_index WHERE indexprs IS NOT NULL) AND EXISTS (SELECT FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE amname = 'gin')",
  'a materialized view on another': "(SELECT relispopulated FROM pg_class WHERE oid = 'odd.a_on_z'::regclass)",
  'a materialized view without data': "(SELECT NOT relispopulated FROM pg_class WHERE oid = 'odd.unpopulated'::regclass)",
  'a large object with comment and privileges': "(SELECT lomacl IS NOT NULL AND obj_description(oid, 'pg_largeobject') IS NOT NULL FROM pg_largeobject_metadata WHERE oid = 424242)",
  'row security enabled, and forced': "(SELECT bool_or(relforcerowsecurity) AND bool_or(NOT relforcerowsecurity) FROM pg_class WHERE relrowsecurity)",
  'column privileges': "EXISTS (SELECT FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid = 'odd.indexed'::regclass)",
  'default privileges': 'EXISTS (SELECT FROM pg_default_acl)',
  'triggers in every state': "(SELECT count(DISTINCT tgenabled) = 4 FROM pg_trigger WHERE tgrelid = 'odd.triggered'::regclass)",
  'event triggers enabled and disabled': "(SELECT bool_or(evtenabled = 'O') AND bool_or(evtenabled = 'D') FROM pg_event_trigger)",
  publications: '(SELECT count(*) = 3 FROM pg_publication)',
  'statistics objects': '(SELECT count(*) = 2 FROM pg_statistic_ext)',
  rules: "(SELECT count(*) = 3 FROM pg_rewrite WHERE rulename <> '_RETURN' AND ev_class::regclass::text LIKE '%ruled%')",
  'a foreign table': 'EXISTS (SELECT FROM pg_foreign_table)',
  'a table without columns, with rows': '(SELECT count(*) = 7 FROM odd.zero_columns)',
  'a constraint that was never validated': "(SELECT NOT convalidated FROM pg_constraint WHERE conname = 'not_checked_yet')",
  'several owners': "(SELECT count(DISTINCT relowner) >= 3 FROM pg_class WHERE relnamespace = 'odd'::regnamespace AND relkind = 'r')",
  'a table whose owner may not insert': "NOT has_table_privilege('awkward_owner', 'odd.frozen', 'INSERT') AND (SELECT count(*) = 10 FROM odd.frozen)",
  'a table with a column of its own name': "(SELECT (t.t)::text = 'same' FROM odd.t LIMIT 1)",
  'at least 32 column types': "(SELECT count(DISTINCT atttypid) >= 32 FROM pg_attribute WHERE attrelid = 'odd.every_type'::regclass AND attnum > 0)",
  'an empty table': 'NOT EXISTS (SELECT FROM odd.empty_table)',
  'names with dots, quotes, semicolons and line breaks': `(SELECT count(*) = 9 FROM "Mixed.Schema; --"."Weird ""Tab;le"".name") AND EXISTS (SELECT FROM pg_class WHERE relname ~ E'\\n')`,
  'an index for clustering and one for replica identity': '(SELECT bool_or(indisclustered) AND bool_or(indisreplident) FROM pg_index)',
  'settings that change text': "(SELECT setconfig @> '{IntervalStyle=sql_standard,\"DateStyle=German, DMY\",bytea_output=escape}' FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE setrole = 0 AND datname = current_database())",
  'comment and limit of the database': "(SELECT datconnlimit = 60 AND shobj_description(oid, 'pg_database') IS NOT NULL FROM pg_database WHERE datname = current_database())",
}

for (const major of serverMajors) {
  describe(`awkward database on PostgreSQL ${major}`, () => {
    let client: Client
    before(async () => {
      const {url} = await createAwkwardDatabase(await testCluster({major}), 'awkward; "test"', {races: true})
      client = await connect(url)
    })
    after(() => endQuietly(client))

    for (const [name, condition] of Object.entries(cases)) {
      it(`holds ${name}`, async () => {
        expect((await rowOf<{holds: boolean}>(client, `SELECT ${condition} AS holds`)).holds).to.equal(true)
      })
    }
  })
}
