import {expect} from 'chai'
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {fileURLToPath} from 'node:url'
import {connect, endQuietly, rowOf, rowsOf, withClient, type Client} from '../../../src/lib/postgres/connection.ts'
import {keptName, markedComment, markedDatabases} from '../../../src/lib/postgres/database-marks.ts'
import {holdersOf, swapDatabases, swapStatements, type DatabaseSwap, type StatementHook, type SwapRun} from '../../../src/lib/postgres/swap.ts'
import {privateCluster, type TestCluster} from '../../support/cluster.ts'
import {underLoad} from '../../support/load.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {until} from '../../support/until.ts'

const ROWS = 500

describe('swapDatabases', function () {
  this.timeout(300_000)
  let cluster: TestCluster
  let admin: Client
  /** The owner of both databases: no superuser. */
  const owner = {name: 'swap_owner', password: 'o'}

  before(async () => {
    cluster = await privateCluster(17)
    admin = await connect(cluster.adminUrl)
    // A commit that was answered must outlive a crash.
    await admin.query("ALTER SYSTEM SET synchronous_commit = 'on'")
    await admin.query("SELECT pg_reload_conf(); CREATE ROLE swap_owner LOGIN CREATEDB PASSWORD 'o'; CREATE ROLE swap_app LOGIN PASSWORD 'a'; GRANT swap_app TO swap_owner")
  })
  after(async () => {
    await endQuietly(admin)
    await cluster.stop()
  })

  const app = (database = 'live') => cluster.url(database, {name: 'swap_app', password: 'a'})
  const held: Client[] = []
  const hold = async (database = 'live', url = app(database)) => {
    const client = await connect(url)
    held.push(client)
    return client
  }
  afterEach(async () => { for (const client of held.splice(0)) await endQuietly(client) })

  /** Fresh databases, each of which says which one it is. */
  async function databases(): Promise<DatabaseSwap> {
    for (const {name} of await rowsOf<{name: string}>(admin, "SELECT datname AS name FROM pg_database WHERE datname LIKE 'live%' OR datname LIKE 'side%'")) await admin.query(`DROP DATABASE "${name}" WITH (FORCE)`)
    for (const [name, who] of [['live', 'old'], ['side', 'new']] as const) {
      await admin.query(`CREATE DATABASE ${name} OWNER swap_owner TEMPLATE template0`)
      await withClient(cluster.url(name, owner), {}, (client) => client.query(`CREATE TABLE who (id int PRIMARY KEY, who text); INSERT INTO who SELECT i, '${who}' FROM generate_series(1, ${ROWS}) i; GRANT ALL ON who TO swap_app`))
    }
    await admin.query("COMMENT ON DATABASE live IS 'ours'")
    const oids = await holdersOf(admin, ['live', 'side'])
    const at = new Date()
    const kept = keptName('live', 'kept', at)
    return {live: 'live', side: 'side', sideOid: oids.get('side') ?? 0, liveComment: 'ours', holder: {oid: oids.get('live') ?? 0, kept, comment: markedComment({kind: 'kept', live: 'live', name: kept, at: at.toISOString(), run: 'r', comment: 'ours'})}}
  }

  const running = (more: Partial<SwapRun> = {}): SwapRun => ({connect: () => connect(cluster.url('postgres', owner), {applicationName: 'swap test'}), signal: new AbortController().signal, ...more})

  /** Which database answers to the name, for the application and for a superuser; it must be whole, and open. */
  async function answers(name = 'live'): Promise<string> {
    const seen = []
    for (const url of [app(name), cluster.url(name)]) {
      const {rows, who, fewest} = await withClient(url, {}, (client) => rowOf<{rows: number; who: string; fewest: string}>(client, 'SELECT count(*)::int AS rows, max(who) AS who, min(who) AS fewest FROM who'))
      expect({rows, fewest}).to.deep.equal({rows: ROWS, fewest: who})
      seen.push(who)
    }
    expect(seen[0]).to.equal(seen[1])
    return seen[0] ?? ''
  }

  /** The name resolves to one whole database, the other one is there under another name, and there is no third. */
  async function assertWhole(swap: DatabaseSwap): Promise<string> {
    const who = await answers()
    const names = (await rowsOf<{name: string}>(admin, "SELECT datname AS name FROM pg_database WHERE datname LIKE 'live%' OR datname LIKE 'side%' ORDER BY 1")).map(({name}) => name)
    expect(names).to.deep.equal(who === 'old' ? ['live', 'side'] : ['live', swap.holder?.kept])
    expect(await answers(names[1])).to.equal(who === 'old' ? 'new' : 'old')
    expect(await rowsOf(admin, 'SELECT FROM pg_database WHERE NOT datallowconn AND NOT datistemplate')).to.deep.equal([])
    expect((await markedDatabases(admin)).map(({database, kind, proven}) => ({database, kind, proven}))).to.deep.equal(who === 'old' ? [] : [{database: swap.holder?.kept, kind: 'kept', proven: true}])
    return who
  }

  it('gives the name to the other database, and keeps the old one with a mark and its comment', async () => {
    const swap = await databases()
    const {outageMs, attempts} = await swapDatabases(swap, running())
    expect(outageMs).to.be.within(0, 5000)
    expect(attempts).to.equal(1)
    expect(await assertWhole(swap)).to.equal('new')
    const comments = await rowsOf<{name: string; comment: string}>(admin, "SELECT datname AS name, shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname LIKE 'live%' ORDER BY 1")
    expect(comments.map(({comment}) => comment.split('\n').at(-1))).to.deep.equal(['ours', 'ours'])
  })

  it('finds out that it was done already', async () => {
    const swap = await databases()
    await swapDatabases(swap, running())
    expect(await swapDatabases(swap, running())).to.deep.equal({outageMs: undefined, attempts: 0, ended: 0})
  })

  it('gives a name that nobody has', async () => {
    const swap = await databases()
    await admin.query('ALTER DATABASE live RENAME TO live_gone')
    await swapDatabases({live: swap.live, side: swap.side, sideOid: swap.sideOid}, running())
    expect(await answers()).to.equal('new')
  })

  it('refuses when one of the two is another one than was looked at', async () => {
    const swap = await databases()
    const other = {...swap, holder: {...(swap.holder ?? {kept: '', comment: ''}), oid: 1}}
    expect(await drErrorOf(swapDatabases(other, running()))).to.include({code: 'swap.live-changed', exitCode: 3})
    expect(await drErrorOf(swapDatabases({...swap, sideOid: 1}, running()))).to.include({code: 'swap.side-gone', exitCode: 3})
    expect(await assertWhole(swap)).to.equal('old')
  })

  describe('with clients in the database', () => {
    it('ends held sessions, one that idles in a transaction, and one in the other database', async () => {
      const swap = await databases()
      const idle = await hold()
      await idle.query('BEGIN; SELECT * FROM who FOR UPDATE')
      await hold()
      await hold('side')
      const {ended} = await swapDatabases(swap, running())
      expect(ended).to.equal(3)
      expect(await assertWhole(swap)).to.equal('new')
    })

    it('is felt for a moment only by ten clients that read, write and reconnect', async () => {
      const swap = await databases()
      const {result: {outageMs, ended}, reports, changeMs} = await underLoad({url: app(), clients: 10, statements: ['SELECT count(*) FROM who', 'UPDATE who SET who = who WHERE id = 7'], reconnectEvery: 7}, () => swapDatabases(swap, running()))
      expect(ended).to.be.above(0)
      expect(reports.every((one) => one.changeMs !== undefined), 'all of them reached the new one').to.equal(true)
      // Ended, refused while the name is being given away, or cut off while connecting: nothing else.
      const codes = new Set(reports.flatMap(({errors}) => Object.keys(errors)))
      expect([...codes].filter((code) => !/^(57P01|3D000|ECONNRESET|EPIPE)$|terminated|closed|connection error/.test(code))).to.deep.equal([])
      expect(changeMs).to.be.below(5000)
      expect(outageMs).to.be.below(5000)
      expect(await assertWhole(swap)).to.equal('new')
    })

    it('waits for a superuser’s session that it may not end, and says so', async () => {
      const swap = await databases()
      const master = await hold('live', cluster.url('live'))
      const waits: string[] = []
      const outcome = swapDatabases(swap, running({onWaiting: (why) => { waits.push(why) }}))
      await until(() => waits.length > 0)
      expect(await answers(), 'nobody is kept out meanwhile').to.equal('old')
      await endQuietly(master)
      await outcome
      expect(waits.join()).to.match(/postgres \(dr\), process \d+: in live, and only a superuser/)
      expect(await assertWhole(swap)).to.equal('new')
    })

    it('gives up when that one does not leave, having kept nobody out and changed nothing', async () => {
      const swap = await databases()
      await hold('live', cluster.url('live'))
      const other = await hold()
      const error = await drErrorOf(swapDatabases(swap, running({patienceMs: 300})))
      expect(error).to.include({code: 'swap.busy', exitCode: 6})
      expect(error.message).to.match(/postgres \(dr\), process \d+/)
      await other.query('SELECT 1')
      for (const client of held.splice(0)) await endQuietly(client)
      expect(await assertWhole(swap)).to.equal('old')
    })

    it('tries again when somebody that it may not end comes in the middle', async () => {
      const swap = await databases()
      let master: Client | undefined
      const hook: StatementHook = async (moment, statement) => {
        if (moment === 'before' && statement.includes('RENAME TO') && master === undefined) master = await hold('live', cluster.url('live'))
      }
      const waits: string[] = []
      const outcome = swapDatabases(swap, running({hook, onWaiting: (why) => { waits.push(why) }}))
      await until(() => waits.some((why) => why.includes('try 2')))
      await endQuietly(master as unknown as Client)
      expect((await outcome).attempts).to.be.above(1)
      expect(await assertWhole(swap)).to.equal('new')
    })
  })

  it('is not stopped in the middle by an abort', async () => {
    const swap = await databases()
    const controller = new AbortController()
    await swapDatabases(swap, running({signal: controller.signal, hook: async (moment, statement) => { if (moment === 'after' && statement.includes('RENAME TO "live_before')) controller.abort() }}))
    expect(await assertWhole(swap)).to.equal('new')
  })

  /** Every moment at which a swap with a held session can be met. */
  async function moments(): Promise<string[]> {
    const swap = await databases()
    await hold()
    const seen: string[] = []
    await swapDatabases(swap, running({hook: async (moment, statement) => { seen.push(`${moment} ${statement}`) }}))
    for (const statement of swapStatements(swap)) expect(seen).to.include(`before ${statement}`).and.include(`after ${statement}`)
    expect(seen).to.include('after pg_terminate_backend')
    return seen
  }

  it('leaves the old or the new one, whole and open, when its process is killed around any statement', async () => {
    const script = fileURLToPath(new URL('../../support/swap-child.ts', import.meta.url))
    const seen = await moments()
    const outcomes: string[] = []
    for (const [stopAt, moment] of seen.entries()) {
      const swap = await databases()
      await hold()
      const child = spawn(process.execPath, [script, JSON.stringify({url: cluster.url('postgres', owner), swap, stopAt})], {stdio: ['ignore', 'pipe', 'inherit']})
      const [line] = await once(child.stdout.setEncoding('utf8'), 'data') as [string]
      expect(line).to.match(/^stands /)
      child.kill('SIGKILL')
      await once(child, 'exit')
      await until(async () => (await rowsOf(admin, "SELECT FROM pg_stat_activity WHERE application_name = 'swap child'")).length === 0)
      const who = await assertWhole(swap)
      expect(who, moment).to.equal(moment === 'after COMMIT' ? 'new' : 'old')
      outcomes.push(who)
    }
    expect(outcomes.at(-1)).to.equal('new')
    expect(outcomes.length).to.be.at.least(17)
  })

  it('leaves the old or the new one, whole and open, when the server crashes around any statement', async () => {
    const seen = await moments()
    for (const [stopAt, moment] of seen.entries()) {
      const swap = await databases()
      await hold()
      let at = 0
      const hook: StatementHook = async () => {
        if (at++ === stopAt) await cluster.crash()
      }
      const outcome = await swapDatabases(swap, running({hook})).then(() => 'done', (error: unknown) => (error as {code?: string}).code)
      await endQuietly(admin)
      admin = await connect(cluster.adminUrl)
      const who = await assertWhole(swap)
      expect({who, outcome}, moment).to.deep.equal(moment === 'after COMMIT' ? {who: 'new', outcome: 'done'} : {who: 'old', outcome: 'swap.connection-lost'})
    }
  })

  it('looks up what became of it when the answer to COMMIT is lost', async () => {
    const swap = await databases()
    const hook: StatementHook = async (moment, statement) => {
      // Behind the server's back COMMIT has happened, and the connection is gone before its answer.
      if (moment === 'after' && statement === 'COMMIT') throw Object.assign(new Error('Connection terminated unexpectedly'), {code: 'ECONNRESET'})
    }
    expect(await swapDatabases(swap, running({hook}))).to.include({outageMs: undefined})
    expect(await assertWhole(swap)).to.equal('new')
  })
})
