import {expect} from 'chai'
import {rowsOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {createAwkwardDatabase} from '../../../support/awkward.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {testCluster, type TestCluster} from '../../../support/cluster.ts'
import {runRestore} from '../../../support/restore.ts'

const SKIPS = ['event-triggers', 'publications', 'foreign-data', 'extension:postgres_fdw']

describe('--skip', function () {
  this.timeout(120_000)
  let cluster: TestCluster
  let directory = ''
  let url = ''
  before(async () => {
    cluster = await testCluster({major: 17})
    ;({url} = await createAwkwardDatabase(cluster, 'skipped'))
    await withClient(url, {}, (client) => client.query(`CREATE EXTENSION citext; CREATE TABLE books (id citext PRIMARY KEY); INSERT INTO books VALUES ('a');
      CREATE VIEW odd.far_words AS SELECT word FROM odd.foreign_rows; GRANT SELECT ON odd.far_words TO awkward_reader; COMMENT ON VIEW odd.far_words IS 'goes with the table that it reads'`))
    directory = await temporaryFolder('skip')
    const {error} = await runBackup({url, directory, toolsMajor: 17})
    if (error) throw error
  })
  afterEach(() => cluster.drop('skip_target'))
  after(async () => {
    await cluster.drop('skipped')
    await removeFolder(directory)
  })
  const restore = (...skip: string[]) => runRestore({url, directory, into: 'skip_target', skip})

  it('leaves objects out with what depends on them, says so of each, and counts none of them as lost', async () => {
    const {error, state} = await restore(...SKIPS)
    if (error) throw error
    expect(state.findings.filter(({severity}) => severity === 'error')).to.deep.equal([])
    expect(state.outcome).to.equal('clean')
    const left = state.findings.filter(({code}) => code === 'restore.skipped').map(({subject}) => subject)
    expect(left).to.include.members(['EVENT TRIGGER ddl_always', 'PUBLICATION everything', 'PUBLICATION TABLE odd.some_rows indexed', 'SERVER far_away', 'FOREIGN TABLE odd.foreign_rows', 'VIEW odd.far_words', 'EXTENSION postgres_fdw'])
    const there = await withClient(cluster.url('skip_target'), {}, (client) => rowsOf(client, "SELECT evtname AS name FROM pg_event_trigger UNION ALL SELECT pubname FROM pg_publication UNION ALL SELECT srvname FROM pg_foreign_server UNION ALL SELECT extname FROM pg_extension WHERE extname = 'postgres_fdw'"))
    expect(there).to.deep.equal([])
  })

  it('never leaves out a table with rows', async () => {
    const {error} = await restore('extension:citext')
    expect(error).to.include({code: 'restore.skip', exitCode: 3}).and.property('message').contains('odd.books')
  })

  it('refuses what it does not know, and what the backup does not hold', async () => {
    expect((await restore('indexes')).error).to.include({code: 'restore.skip', exitCode: 2})
    expect((await restore('extension:hstore')).error).to.include({code: 'restore.skip', exitCode: 3})
    expect((await restore('subscriptions')).error).to.include({code: 'restore.skip', exitCode: 3})
  })
})
