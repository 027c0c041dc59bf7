import {expect} from 'chai'
import {connect, endQuietly, rowOf, rowsOf, withClient, type Client} from '../../../../src/lib/postgres/connection.ts'
import type {RestoreState} from '../../../../src/lib/procedures/restore/options.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {runRestore, wrongFindings, type RestoreOutcome} from '../../../support/restore.ts'

const succeeded = ({error, state}: RestoreOutcome): RestoreState => {
  if (error) throw error
  expect(wrongFindings(state.findings)).to.deep.equal([])
  return state
}

describe('a restore that is complete', function () {
  this.timeout(60_000)
  let cluster: TestCluster
  let directory = ''
  let url = ''
  let admin: Client
  const drop = (name: string) => admin.query(`DROP DATABASE IF EXISTS ${admin.escapeIdentifier(name)} WITH (FORCE)`)

  before(async () => {
    cluster = await testCluster({major: 17})
    url = await cluster.createDatabase('kept')
    await withClient(url, {}, (client) => client.query('CREATE TABLE leads AS SELECT i FROM generate_series(1, 5000) i'))
    admin = await connect(cluster.adminUrl)
    directory = await temporaryFolder('restore')
    const {error} = await runBackup({url, directory, toolsMajor: 17})
    if (error) throw error
  })
  after(async () => {
    await drop('kept')
    await endQuietly(admin)
    await removeFolder(directory)
  })

  it('is not lost with the maintenance connection', async () => {
    const cut = (): void => { void admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'dr restore % maintenance'") }
    const state = succeeded(await runRestore({url, directory, onStep: (id) => { if (id === 'restore.load') cut() }}))
    expect(await rowOf(admin, "SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1", [state.database])).to.deep.equal({comment: null})
    await drop(state.database)
  })

  it('takes a sequence that belongs to a column without a largest value', async () => {
    const other = await temporaryFolder('restore')
    const odd = await cluster.createDatabase('kept_odd')
    await withClient(odd, {}, (client) => client.query("CREATE TABLE docs (body jsonb); INSERT INTO docs VALUES ('{}'); CREATE SEQUENCE numbers OWNED BY docs.body"))
    try {
      const {error} = await runBackup({url: odd, directory: other, toolsMajor: 17})
      if (error) throw error
      await drop(succeeded(await runRestore({url: odd, directory: other})).database)
    } finally {
      await drop('kept_odd')
      await removeFolder(other)
    }
  })

  it('is kept, with a finding, when it cannot be looked at', async () => {
    const cut = (): void => { void admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'kept_restore_%'") }
    let timer: NodeJS.Timeout | undefined
    const {state, error} = await runRestore({url, directory, onStep: (id) => {
      if (id === 'restore.integrity') timer = setInterval(cut, 2)
      if (id === 'restore.finish') clearInterval(timer)
    }})
    clearInterval(timer)
    expect(error).to.equal(undefined)
    expect(state.findings.filter(({severity}) => severity === 'error').map(({code}) => code)).to.include('restore.integrity')
    expect(await rowsOf(admin, 'SELECT FROM pg_database WHERE datname = $1', [state.database])).to.have.length(1)
    await drop(state.database)
  })
})
