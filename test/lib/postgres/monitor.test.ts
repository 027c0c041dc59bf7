import {expect} from 'chai'
import {connect, endQuietly, rowsOf, type Client} from '../../../src/lib/postgres/connection.ts'
import {startMonitor, type BlockedSession} from '../../../src/lib/postgres/monitor.ts'
import {parseTarget} from '../../../src/lib/postgres/target.ts'
import {privateCluster, testCluster} from '../../support/cluster.ts'
import {until} from '../../support/until.ts'

describe('the monitor', () => {
  let url = ''
  let clients: Client[] = []
  const open = async (applicationName: string) => {
    const client = await connect(url, {applicationName})
    clients.push(client)
    return client
  }
  /** Somebody waits for a lock of ours until the connections end. */
  const block = async () => {
    const ours = await open('dr watched')
    await ours.query('BEGIN; LOCK TABLE t IN ACCESS SHARE MODE')
    const other = await open('application')
    other.query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE').catch(() => {})
  }
  before(async () => {
    url = await (await testCluster()).createDatabase('monitor')
    const admin = await open('admin')
    await admin.query('CREATE TABLE t ()')
  })
  afterEach(async () => {
    await Promise.all(clients.map(endQuietly))
    clients = []
  })

  it('sees whom we block while a question about progress fails', async () => {
    const blocked: BlockedSession[] = []
    const monitor = await startMonitor(parseTarget(url), {
      applicationName: 'dr watched', blockedLimitMs: 700, onBlocked: (session) => { blocked.push(session) },
      onCopies: () => { throw new Error('the view fails') },
    })
    await block()
    await until(() => blocked.length > 0)
    expect(blocked[0]).to.include({application: 'application'})
    await monitor.stop()
  })

  it('goes on over a new connection', async () => {
    const blocked: BlockedSession[] = []
    const lost: unknown[] = []
    const monitor = await startMonitor(parseTarget(url), {
      applicationName: 'dr watched', blockedLimitMs: 100, onBlocked: (session) => { blocked.push(session) }, onLost: (error) => { lost.push(error) },
    })
    const admin = await open('admin')
    const ended = await rowsOf<{pid: number}>(admin, "SELECT pid, pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'dr watched monitor'")
    expect(ended).to.have.length(1)
    await block()
    await until(() => blocked.length > 0)
    expect(lost).to.deep.equal([])
    await monitor.stop()
  })

  it('says so when there is no new connection, and stops at once', async () => {
    const cluster = await privateCluster(18)
    try {
      const lost: unknown[] = []
      const monitor = await startMonitor(parseTarget(cluster.adminUrl), {applicationName: 'dr watched', blockedLimitMs: 100, onBlocked: () => {}, onLost: (error) => { lost.push(error) }})
      await cluster.stop()
      await until(() => lost.length > 0)
      expect(lost).to.have.length(1)
      expect(lost[0]).to.have.property('code', 'postgres.unreachable')
      await monitor.stop()
    } finally {
      await cluster.stop()
    }
  })
})
