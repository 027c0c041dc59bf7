import {expect} from 'chai'
import {rowsOf} from '../../../../src/lib/postgres/connection.ts'
import {runPartial} from '../../../support/partial-restore.ts'
import {firstDifference, schemaOf} from '../../../support/schema.ts'
import {sampleFixture} from './sample.ts'

/** Some have no rights but their owner's, some more, some fewer; default privileges say otherwise. */
const MORE = `
  SET search_path = public;
  CREATE TABLE secret_keys (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, k text); REVOKE ALL ON secret_keys FROM dashboarduz_app; REVOKE ALL ON SEQUENCE secret_keys_id_seq, secret_keys_n_seq FROM dashboarduz_app; INSERT INTO secret_keys (k) VALUES ('k');
  CREATE VIEW secret_names AS SELECT k FROM secret_keys; REVOKE ALL ON secret_names FROM dashboarduz_app;
  CREATE MATERIALIZED VIEW secret_count AS SELECT count(*) FROM secret_keys; REVOKE ALL ON secret_count FROM dashboarduz_app; GRANT SELECT ON secret_count TO dashboarduz_readonly WITH GRANT OPTION;
  CREATE FUNCTION key_of(s secret_keys) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT s.k'; REVOKE EXECUTE ON FUNCTION key_of(secret_keys) FROM PUBLIC; CREATE FUNCTION id_of(s secret_keys) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT s.id'; GRANT EXECUTE ON FUNCTION id_of(secret_keys) TO PUBLIC;
  CREATE TABLE read_keys (id int PRIMARY KEY); REVOKE ALL ON read_keys FROM dashboarduz_app; REVOKE TRUNCATE, TRIGGER ON read_keys FROM dashboarduz; GRANT SELECT ON read_keys TO dashboarduz_app;
  ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO PUBLIC; ALTER DEFAULT PRIVILEGES GRANT SELECT ON SEQUENCES TO dashboarduz_app WITH GRANT OPTION; ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC`

const RIGHTS = `
  SELECT what || ' ' || name || ': ' || string_agg(coalesce(nullif(a.grantee, 0)::regrole::text, 'PUBLIC') || '=' || a.privilege_type || a.is_grantable, ' ' ORDER BY a.grantee::regrole::text, a.privilege_type, a.is_grantable) AS rights FROM (
    SELECT 'relation' AS what, c.relname AS name, coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner)) AS acl FROM pg_class c WHERE c.relname ~ '^(secret|read)_' AND c.relkind IN ('r', 'v', 'm', 'S')
    UNION ALL SELECT 'function', p.proname, coalesce(p.proacl, acldefault('f', p.proowner)) FROM pg_proc p WHERE p.proname IN ('key_of', 'id_of')) o, aclexplode(o.acl) a
  GROUP BY what, name ORDER BY 1`

describe('rights on what is made anew', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_dropped_rights', {rows: 300, tenants: 2, more: MORE})
  const url = () => sample.cluster.url('dr_dropped_rights_live')
  const rights = () => sample.live(async (client) => (await rowsOf<{rights: string}>(client, RIGHTS)).map((one) => one.rights))

  for (const as of ['the owner', 'a superuser']) {
    it(`are those of the backup, whatever default privileges say, as ${as}`, async () => {
      await sample.anew()
      const [was, whole] = [await rights(), await schemaOf(url(), 17)]
      expect(was.some((one) => one.startsWith('relation secret_keys:') && one.includes('app'))).to.equal(false)
      await sample.live((client) => client.query('DROP TABLE public.secret_keys, public.read_keys CASCADE'))
      const {error} = await runPartial({url: as === 'the owner' ? sample.url : url(), directory: sample.directory, wish: {tables: ['secret_keys', 'read_keys']}, way: 'missing'})
      if (error) throw error
      expect(await rights()).to.deep.equal(was)
      expect(firstDifference(await schemaOf(url(), 17), whole)).to.equal(undefined)
    })
  }
})
