import {expect} from 'chai'
import {connect, endQuietly, rowsOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import {holdRunLock} from '../../../../src/lib/postgres/create-database.ts'
import {abandonedStages, createStage, dropStage, keepStage, proveClosed, stageSchemaName, stageSchemas} from '../../../../src/lib/postgres/partial/stage-schema.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {errorOf} from '../../../support/stage.ts'

const RUN = '20261122T020000Z-7f3a1b'
const SCHEMA = 'dr_stage_20261122t020000z_7f3a1b'
const table = {schema: SCHEMA, name: 'Leads "of" all', columns: [{name: 'id', type: 'integer'}, {name: 'Secret', type: 'text'}]}

describe('the staging schema', function () {
  this.timeout(120_000)
  let cluster: TestCluster
  let client: Client
  const roles = ['stage_app', 'stage_owner', 'stage_member', 'stage_reader', 'stage_bypass']

  before(async () => {
    cluster = await testCluster()
    client = await connect(await cluster.createDatabase('staging schema'))
    await client.query(`
      CREATE ROLE stage_owner LOGIN PASSWORD 'p'; CREATE ROLE stage_app LOGIN PASSWORD 'p'; CREATE ROLE stage_member LOGIN PASSWORD 'p' IN ROLE stage_owner; CREATE ROLE stage_reader LOGIN PASSWORD 'p' IN ROLE pg_read_all_data;
      GRANT CREATE ON DATABASE "staging schema" TO stage_owner`)
    for (const owner of ['stage_owner', 'postgres']) {
      await client.query(`
        ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} GRANT ALL ON TABLES TO stage_app, PUBLIC; ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} GRANT ALL ON SCHEMAS TO stage_app, PUBLIC`)
    }
  })
  afterEach(async () => {
    await client.query(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`)
  })
  after(async () => {
    for (const owner of ['stage_owner', 'postgres']) await client.query(`ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} REVOKE ALL ON TABLES FROM stage_app, PUBLIC; ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} REVOKE ALL ON SCHEMAS FROM stage_app, PUBLIC`)
    await endQuietly(client)
    await cluster.drop('staging schema')
    await withClient(cluster.adminUrl, {}, async (admin) => { for (const role of roles) await admin.query(`DROP ROLE IF EXISTS ${role}`) })
  })

  const as = (name: string) => cluster.url('staging schema', {name, password: 'p'})
  const read = (role: string) => withClient(as(role), {}, (own) => rowsOf<{id: number}>(own, `SELECT id FROM ${SCHEMA}."Leads ""of"" all"`))

  it('has a name that fits, however long the run is called', () => {
    expect(stageSchemaName(RUN)).to.equal(SCHEMA)
    expect(stageSchemaName('x'.repeat(200))).to.have.lengthOf(63)
  })

  it('is shut to everybody but its owner, whatever default privileges say', async () => {
    await withClient(as('stage_owner'), {}, (own) => createStage(own, RUN, [table]))
    await withClient(as('stage_owner'), {}, (own) => own.query(`INSERT INTO ${SCHEMA}."Leads ""of"" all" VALUES (1, 'x')`))
    expect(await errorOf(read('stage_app'))).to.include({code: '42501'})
    expect(await read('stage_owner')).to.deep.equal([{id: 1}])
    expect(await read('stage_member')).to.deep.equal([{id: 1}])
  })

  it('keeps its rows from whoever may read everything, under row security', async () => {
    await withClient(as('stage_owner'), {}, (own) => createStage(own, RUN, [table]))
    await withClient(as('stage_owner'), {}, (own) => own.query(`INSERT INTO ${SCHEMA}."Leads ""of"" all" VALUES (1, 'x')`))
    expect(await read('stage_reader')).to.deep.equal([])
  })

  it('notices what is open', async () => {
    await createStage(client, RUN, [table])
    await proveClosed(client, SCHEMA)
    for (const [open, shut] of [['GRANT USAGE ON SCHEMA', 'REVOKE USAGE ON SCHEMA'], ['GRANT SELECT (id) ON', 'REVOKE SELECT (id) ON'], ['GRANT DELETE ON', 'REVOKE DELETE ON']] as const) {
      const object = open.endsWith('SCHEMA') ? SCHEMA : `${SCHEMA}."Leads ""of"" all"`
      await client.query(`${open} ${object} TO stage_app`)
      const error = await errorOf(proveClosed(client, SCHEMA))
      expect(error, open).to.include({code: 'partial.stage-open', exitCode: 3})
      expect(error.message).to.include('stage_app')
      await client.query(`${shut} ${object} FROM stage_app`)
    }
    await client.query(`ALTER TABLE ${SCHEMA}."Leads ""of"" all" DISABLE ROW LEVEL SECURITY`)
    expect((await errorOf(proveClosed(client, SCHEMA))).message).to.include('stage_reader')
  })

  it('makes nothing when the role may not', async () => {
    const error = await errorOf(withClient(as('stage_app'), {}, (own) => createStage(own, RUN, [table])))
    expect(error).to.include({code: 'partial.stage-right', exitCode: 3})
    expect(await stageSchemas(client)).to.deep.equal([])
  })

  it('is dropped by its own run alone, and never with what leans on it', async () => {
    await createStage(client, RUN, [table])
    expect(await dropStage(client, {schema: SCHEMA, run: 'another'})).to.equal(false)
    await client.query(`CREATE VIEW public.leaning AS SELECT id FROM ${SCHEMA}."Leads ""of"" all"`)
    expect(await errorOf(dropStage(client, {schema: SCHEMA, run: RUN}))).to.include({code: '2BP01'})
    await client.query('DROP VIEW public.leaning')
    expect(await dropStage(client, {schema: SCHEMA, run: RUN})).to.equal(true)
    expect(await stageSchemas(client)).to.deep.equal([])
  })

  it('is not ours without the mark', async () => {
    await client.query(`CREATE SCHEMA ${SCHEMA}`)
    expect(await stageSchemas(client)).to.deep.equal([])
    expect(await dropStage(client, {schema: SCHEMA, run: RUN})).to.equal(false)
    await client.query(`COMMENT ON SCHEMA ${SCHEMA} IS 'dr partial some-other-run, staging'`)
    expect(await stageSchemas(client)).to.deep.equal([])
    await client.query(`DROP SCHEMA ${SCHEMA}`)
  })

  it('is not ours when a role made it that nobody trusts, whatever its mark', async () => {
    await withClient(as('stage_owner'), {}, async (own) => {
      await createStage(own, RUN, [table])
      expect((await stageSchemas(own)).map(({schema}) => schema)).to.deep.equal([SCHEMA])
    })
    expect(await stageSchemas(client)).to.deep.equal([])
    expect(await dropStage(client, {schema: SCHEMA, run: RUN})).to.equal(false)
    await client.query(`DROP SCHEMA ${SCHEMA} CASCADE`)
  })

  it('is abandoned when the lock of its run is free and no session of it is there, unless it is kept', async () => {
    await createStage(client, RUN, [table])
    const owner = await connect(cluster.adminUrl)
    await holdRunLock(owner, RUN)
    expect(await abandonedStages(client)).to.deep.equal([])
    await endQuietly(owner)
    const session = await connect(cluster.url('staging schema'), {applicationName: `dr restore ${RUN}`})
    expect(await abandonedStages(client)).to.deep.equal([])
    await endQuietly(session)
    expect((await abandonedStages(client)).map(({schema}) => schema)).to.deep.equal([SCHEMA])
    await keepStage(client, {schema: SCHEMA, run: RUN})
    expect(await abandonedStages(client)).to.deep.equal([])
    expect(await stageSchemas(client)).to.deep.equal([{schema: SCHEMA, run: RUN, kept: true}])
  })
})
