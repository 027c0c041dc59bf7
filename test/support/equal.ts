import {expect} from 'chai'
import {rowsOf, withClient} from '../../src/lib/postgres/connection.ts'
import type {TestCluster} from './cluster.ts'
import {firstDifference, schemaOf} from './schema.ts'

/** What pg_dump does not show, or not for every row, as one text each. */
const MORE: Record<string, string> = {
  sequences: "SELECT string_agg(format('%s.%s=%s,%s', schemaname, sequencename, last_value, start_value), E'\\n' ORDER BY schemaname, sequencename) FROM pg_sequences",
  'large objects': "SELECT string_agg(format('%s %s %s %s', m.oid, m.lomacl, encode(lo_get(m.oid), 'hex'), obj_description(m.oid, 'pg_largeobject')), E'\\n' ORDER BY m.oid) FROM pg_largeobject_metadata m",
  'trigger states': "SELECT string_agg(format('%s %s %s', tgrelid::regclass, tgname, tgenabled), E'\\n' ORDER BY tgrelid::regclass::text, tgname) FROM pg_trigger WHERE NOT tgisinternal",
  'event trigger states': "SELECT string_agg(format('%s %s', evtname, evtenabled), E'\\n' ORDER BY evtname) FROM pg_event_trigger",
  'populated views': "SELECT string_agg(format('%s %s', oid::regclass, relispopulated), E'\\n' ORDER BY oid::regclass::text) FROM pg_class WHERE relkind = 'm'",
  'clustered and replica identity': "SELECT string_agg(format('%s %s %s', indexrelid::regclass, indisclustered, indisreplident), E'\\n' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indisclustered OR indisreplident",
  'validated constraints': "SELECT string_agg(format('%s %s %s', conrelid::regclass, conname, convalidated), E'\\n' ORDER BY conrelid::regclass::text, conname) FROM pg_constraint",
  'table privileges': "SELECT string_agg(format('%s %s', oid::regclass, relacl), E'\\n' ORDER BY oid::regclass::text) FROM pg_class WHERE relnamespace::regnamespace::text !~ '^pg_|information_schema'",
}

/** Both databases hold the same schema, by pg_dump and by what it does not show. */
export async function expectEqual(cluster: Pick<TestCluster, 'major'>, source: string, target: string): Promise<void> {
  expect(firstDifference(await schemaOf(target, cluster.major), await schemaOf(source, cluster.major))).to.equal(undefined)
  for (const [name, query] of Object.entries(MORE)) {
    const read = (url: string) => withClient(url, {}, (client) => client.query('SET search_path = pg_catalog').then(() => rowsOf(client, query)))
    expect(await read(target), name).to.deep.equal(await read(source))
  }
}
