import {expect} from 'chai'
import {connect, endQuietly, type Client} from '../../../src/lib/postgres/connection.ts'
import {readServer, tablesFilteredByRls, unreadableTables} from '../../../src/lib/postgres/server.ts'
import {listTables} from '../../../src/lib/postgres/tables.ts'
import {testCluster} from '../../support/cluster.ts'

const everything = {excludeSchemas: []}

describe('what a role may read', () => {
  let owner: Client
  let reader: Client
  before(async () => {
    const cluster = await testCluster()
    owner = await connect(await cluster.createDatabase('server_rights'))
    await owner.query("DROP ROLE IF EXISTS server_reader; CREATE ROLE server_reader LOGIN PASSWORD 'reads-only'")
    await owner.query('CREATE TABLE t (id serial); CREATE SEQUENCE "Own seq"; GRANT SELECT ON t TO server_reader')
    reader = await connect(cluster.url('server_rights', {name: 'server_reader', password: 'reads-only'}))
  })
  after(async () => {
    await endQuietly(reader)
    await owner.query('DROP OWNED BY server_reader; DROP ROLE server_reader')
    await endQuietly(owner)
  })

  it('holds sequences too', async () => {
    expect(await unreadableTables(reader, everything)).to.deep.equal(['public."Own seq"', 'public.t_id_seq'])
    await owner.query('GRANT SELECT ON SEQUENCE t_id_seq, "Own seq" TO server_reader')
    expect(await unreadableTables(reader, everything)).to.deep.equal([])
  })

  it('is not answered by a table of the database that has the name of a catalog', async () => {
    await owner.query(`CREATE SCHEMA shadow; GRANT USAGE ON SCHEMA shadow TO server_reader; ALTER TABLE t ENABLE ROW LEVEL SECURITY;
      CREATE VIEW shadow.pg_roles AS SELECT rolname, true AS rolsuper, true AS rolbypassrls FROM pg_catalog.pg_roles; GRANT SELECT ON shadow.pg_roles TO server_reader`)
    await reader.query('SET search_path = shadow, pg_catalog')
    expect(await readServer(reader)).to.include({superuser: false})
    expect((await tablesFilteredByRls(reader, everything)).map(({name}) => name)).to.deep.equal(['t'])
  })

  it('leaves out schemas by a pattern in which only * and ? mean more than themselves', async () => {
    await owner.query('CREATE SCHEMA "A.b1"; CREATE TABLE "A.b1".x (); CREATE SCHEMA "Axb1"; CREATE TABLE "Axb1".x (); CREATE SCHEMA "a.b1"; CREATE TABLE "a.b1".x ()')
    const schemas = (await listTables(owner, {excludeSchemas: ['A.b?']}, {sizes: false})).map(({schema}) => schema)
    expect(schemas).to.have.members(['public', 'Axb1', 'a.b1'])
  })
})
