import {expect} from 'chai'
import {connect, endQuietly, rowOf, rowsOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import {createMarkedDatabase, scratchName} from '../../../../src/lib/postgres/create-database.ts'
import {stageSchemas} from '../../../../src/lib/postgres/partial/stage-schema.ts'
import {qualified} from '../../../../src/lib/postgres/quote.ts'
import type {TableName} from '../../../../src/lib/postgres/partial/contract.ts'
import type {StageState} from '../../../../src/lib/procedures/partial/options.ts'
import {recreateAfterStep, recreateBeforeStep} from '../../../../src/lib/procedures/partial/recreate.ts'
import type {Step} from '../../../../src/lib/runbook/procedure.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {startProvider, type Provider} from '../../../support/provider.ts'
import {firstDifference, schemaOf} from '../../../support/schema.ts'
import {errorOf} from '../../../support/stage.ts'
import {whole, withStaging, type StagingSetting} from '../../../support/staging.ts'

describe('staging on a server as providers rent it out', function () {
  this.timeout(180_000)
  let provider: Provider
  let directory = ''
  let client: Client

  before(async () => {
    provider = await startProvider(17)
    directory = await temporaryFolder('staging-provider')
    const {error} = await runBackup({url: provider.masterUrl(), directory, toolsMajor: 17})
    if (error) throw error
    client = await connect(provider.masterUrl())
  })
  after(async () => {
    await endQuietly(client)
    await provider.stop()
    await removeFolder(directory)
  })
  const stage = (setting: Partial<StagingSetting>, look: Parameters<typeof withStaging>[1]) => withStaging({url: provider.masterUrl(), directory, wish: whole('leads', 'calls'), ...setting}, look)

  it('works as the master, who is no superuser, and shuts out the application', async () => {
    await client.query('ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO crm_app; ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO crm_app, PUBLIC')
    await stage({}, async ({state, error}) => {
      if (error) throw error
      expect(state.staged?.map(({table: {name}, rows, key}) => ({name, rows, key}))).to.deep.equal([{name: 'leads', rows: 400, key: ['id']}, {name: 'calls', rows: 400, key: ['id']}])
      for (const role of ['crm_app', 'crm_report'] as const) expect(await errorOf(withClient(provider.url(role), {}, (app) => rowsOf(app, `SELECT FROM ${state.stageSchema ?? ''}.leads`)))).to.include({code: '42501'})
    })
    await client.query('ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM crm_app; ALTER DEFAULT PRIVILEGES REVOKE USAGE ON SCHEMAS FROM crm_app, PUBLIC')
    expect(await stageSchemas(client)).to.deep.equal([])
  })

  it('makes a lost table anew, with its owner', async () => {
    const original = await schemaOf(provider.masterUrl(), 17)
    await client.query('SET ROLE crm_owner; DROP TABLE leads CASCADE; RESET ROLE')
    const lost: TableName[] = [{schema: 'public', name: 'leads'}]
    const rows: Step<StageState> = {
      id: 'rows', title: 'Rows', effect: 'write', byHand: () => [],
      async run({staged = []}) { for (const {table, stage: from} of staged) await client.query(`INSERT INTO ${qualified(table)} SELECT * FROM ${qualified(from)}`) },
    }
    await stage({wish: whole('leads'), more: (options, work) => [recreateBeforeStep(options, work, () => lost), rows, recreateAfterStep(options, work, () => lost)]}, async ({error}) => { if (error) throw error })
    expect(firstDifference(await schemaOf(provider.masterUrl(), 17), original)).to.equal(undefined)
    expect(await rowOf(client, "SELECT pg_get_userbyid(relowner)::text AS owner, (SELECT count(*)::int FROM leads) AS rows FROM pg_class WHERE relname = 'leads'")).to.deep.equal({owner: 'crm_owner', rows: 400})
  })

  it('drops the scratch database that a killed run has left', async () => {
    const name = scratchName('20200101T000000Z-dead02')
    await withClient(provider.masterUrl('postgres'), {}, (maintenance) => createMarkedDatabase(maintenance, {name, encoding: 'UTF8', collation: {provider: 'libc', collate: 'C', ctype: 'C'}}, {run: '20200101T000000Z-dead02', label: 'x'}, 17))
    await stage({wish: whole('tenants')}, async ({seen}) => { expect(seen.join('\n')).to.include(`Dropped ${name}, which a killed run had left.`) })
    expect(await rowsOf(client, 'SELECT FROM pg_database WHERE datname = $1', [name])).to.deep.equal([])
  })

  it('says which right is missing', async () => {
    await provider.support('ALTER ROLE crm_master NOCREATEDB')
    await stage({}, async ({error}) => {
      expect(error).to.include({code: 'restore.createdb', exitCode: 3})
      expect(error?.hints?.[0]).to.include('ALTER ROLE "crm_master" CREATEDB')
    })
    await provider.support('ALTER ROLE crm_master CREATEDB; REVOKE CREATE ON DATABASE crm FROM crm_master; REVOKE crm_owner FROM crm_master CASCADE')
    await stage({}, async ({error}) => {
      expect(error).to.include({code: 'partial.stage-right', exitCode: 3})
      expect(error?.hints?.[0]).to.equal('The owner of the database can do this: GRANT CREATE ON DATABASE "crm" TO "crm_master"')
    })
  })
})
