import {expect} from 'chai'
import {rm} from 'node:fs/promises'
import {join} from 'node:path'
import {rowOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {runTool} from '../../../../src/lib/system/tool.ts'
import {removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {privateCluster, type TestCluster} from '../../../support/cluster.ts'
import {runInvestigation} from '../../../support/investigate.ts'
import {runPartial} from '../../../support/partial-restore.ts'
import {openGates} from '../../../support/stage.ts'
import {until} from '../../../support/until.ts'

const NAME = 'dr_recovered'
const AFTER = 'UPDATE par SET v = $$rightful$$, "updatedAt" = now() WHERE id <= 5'

/** A snapshot of the volume is put back: the server has the identifier and the databases of the one that was backed up, and gives numbers of transactions anew that the backup has seen. */
describe('What was written since the backup, on a server that was recovered since', function () {
  this.timeout(300_000)
  let cluster: TestCluster
  let [url, directory, volume] = ['', '', '']
  const inIt = (sql: string) => withClient(url, {}, (client) => client.query(sql))
  const copy = async (from: string, to: string) => {
    await rm(to, {recursive: true, force: true})
    expect((await runTool(['cp', '-a', from, to])).code).to.equal(0)
  }
  const transactions = async (count: number) => { for (let index = 0; index < count; index++) await inIt('SELECT txid_current()') }

  before(async () => {
    cluster = await privateCluster(17)
    url = await cluster.createDatabase(NAME)
    directory = await temporaryFolder(NAME)
    volume = `${cluster.directory}-volume`
    await inIt('CREATE TABLE par (id int PRIMARY KEY, v text, "updatedAt" timestamptz); INSERT INTO par SELECT g, $$p$$, $$2026-01-01$$ FROM generate_series(1, 200) g')
    // The cluster of a test waits for no disk.
    await inIt('CHECKPOINT')
    await cluster.crash(() => copy(join(cluster.directory, 'data'), volume))
    await transactions(40)
    const {error} = await runBackup({url, directory, toolsMajor: 17})
    if (error) throw error
  })
  after(async () => {
    await cluster.stop()
    await rm(volume, {recursive: true, force: true})
    await removeFolder(directory)
  })

  async function told(): Promise<{since: (number | undefined)[]; gate: string; timeline: number | undefined}> {
    let gate = ''
    const {error, state} = await runPartial({url, directory, wish: {tables: ['par']}, way: 'changed', gatekeeper: {...openGates, pass: (asked, at) => {
      gate = (asked.details?.(at) ?? []).join('\n')
      return Promise.reject(new Error('only looked at'))
    }}})
    expect(error?.message).to.equal('only looked at')
    return {since: state.comparison?.tables.map(({changedSince}) => changedSince) ?? [], gate, timeline: state.source.snapshot?.timeline}
  }

  it('is known while it goes on', async () => {
    await inIt(AFTER)
    const {since, gate, timeline} = await told()
    expect([since, timeline]).to.deep.equal([[5], 1])
    expect(gate).to.contain('5 rows written since the backup will go back').and.not.contain('not known')
  })

  it('is not known while its transactions and its WAL are not as far as the backup', async () => {
    await cluster.crash(() => copy(volume, join(cluster.directory, 'data')))
    await inIt(AFTER)
    const {since, gate} = await told()
    expect(since).to.deep.equal([undefined])
    expect(gate).to.contain('How many of these were written since the backup, and go back, is not known: the server is at an earlier point than the backup').and.not.contain('written since the backup will go back')
  })

  it('is not known on another timeline, however far that is', async () => {
    await cluster.crash(async () => {
      await copy(volume, join(cluster.directory, 'data'))
      expect((await runTool(['sh', '-c', `cd '${join(cluster.directory, 'data')}' && echo "restore_command = 'false'" >> postgresql.auto.conf && cp -p PG_VERSION recovery.signal`])).code).to.equal(0)
    })
    await until(() => withClient(url, {}, async (client) => (await rowOf<{over: boolean}>(client, 'SELECT NOT pg_is_in_recovery() AS over')).over))
    await inIt(AFTER)
    await transactions(80)
    await inIt('SELECT pg_switch_wal()')
    const xid = await withClient(url, {}, async (client) => (await rowOf<{xid: string}>(client, 'WITH u AS (UPDATE par SET v = $$lost$$ RETURNING 1) SELECT txid_current()::text AS xid, count(*) FROM u')).xid)
    const {since, gate} = await told()
    expect(since).to.deep.equal([undefined])
    expect(gate).to.contain('is not known: the server was recovered or promoted: its timeline is 2, that of the backup 1')
    const {investigation} = await runInvestigation({url, directory, tables: ['par']})
    expect(investigation.backups.map(({comparable}) => comparable)).to.deep.equal([false])
    const [damage] = investigation.damages
    expect(damage).to.include({transaction: xid})
    expect(damage?.risk?.betweenUnknown).to.contain('its timeline is 2')
    expect(damage?.risk).to.not.have.property('between')
  })
})
