import {expect} from 'chai'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {connect, endQuietly, rowOf, type Client} from '../../src/lib/postgres/connection.ts'
import {holdRunLock} from '../../src/lib/postgres/create-database.ts'
import {Killing} from '../support/killing.ts'

describe('dr resume beside others', function () {
  this.timeout(240_000)
  const dr = new Killing('resumed_beside')
  let client: Client | undefined

  before(() => dr.open())
  after(() => dr.close())
  afterEach(async () => {
    if (client) await endQuietly(client)
    client = undefined
    await dr.clear()
  })

  const path = (name: string) => join(dr.home, 'data', 'journal', `${name}.jsonl`)

  /** A session that a process of the run would have left on the server. */
  async function leftSession(name: string): Promise<Client> {
    const {state: {runId}} = JSON.parse(readFileSync(path(name), 'utf8').split('\n')[0] ?? '') as {state: {runId: string}}
    client = await connect(dr.cluster.adminUrl, {applicationName: `dr restore ${runId} maintenance`})
    await holdRunLock(client, runId)
    return client
  }

  it('ends the sessions that its dead process has left, to get the lock of the run', async () => {
    const name = await dr.killed('schema', 'latest', '--into', 'resumed_beside_into')
    await leftSession(name)
    const {code, stderr} = await dr.run('resume', name)
    expect(code, stderr).to.equal(0)
    expect(await dr.others()).to.deep.equal(['resumed_beside_into'])
  })

  it('ends them for the undo, too', async () => {
    const name = await dr.killed('schema', 'latest', '--into', 'resumed_beside_into')
    await leftSession(name)
    const {code, stderr} = await dr.run('resume', name, '--undo')
    expect(code, stderr).to.equal(0)
    expect(await dr.others()).to.deep.equal([])
  })

  it('leaves the sessions alone of a process that may live, on another machine', async () => {
    const name = await dr.killed('schema', 'latest', '--into', 'resumed_beside_into')
    writeFileSync(path(name), readFileSync(path(name), 'utf8').replaceAll(/"process":\{[^}]*\}/g, '"process":{"pid":4711,"host":"elsewhere","ticks":"1","boot":"b","pidNamespace":"pid:[1]"}'))
    const session = await leftSession(name)
    for (const args of [[], ['--undo']]) {
      const {code, stdout} = await dr.run('resume', name, ...args, '--json')
      expect(code).to.equal(6)
      expect(JSON.parse(stdout)).to.have.nested.property('error.code', 'restore.running')
    }
    expect(await rowOf(session, 'SELECT 1 AS one')).to.deep.equal({one: 1})
    expect((await dr.listed())[0]).to.include({run: name, status: 'stopped'})
    await endQuietly(session)
    const {code, stderr} = await dr.run('resume', name)
    expect(code, stderr).to.equal(0)
  })

  it('is not swept by another restore while it goes on', async () => {
    const name = await dr.killed('integrity', 'latest', '--into', 'resumed_beside_restore_1')
    const one = dr.start('resume', name)
    const holder = await dr.heldComment()
    await dr.hasBegun('restore.integrity', 2)
    const other = await dr.run('restore', 'latest', '--into', 'resumed_beside_other')
    expect(other.code, other.stderr).to.equal(0)
    expect(other.stderr).not.to.include('Dropped')
    await holder.query('ROLLBACK')
    await endQuietly(holder)
    expect((await one.ended).code, one.stderr).to.equal(0)
    expect(await dr.others()).to.deep.equal(['resumed_beside_other', 'resumed_beside_restore_1'])
  })

  it('is gone on with by one of two that come at once', async () => {
    const name = await dr.killed('load', 'latest', '--into', 'resumed_beside_into')
    const codes = await Promise.all([dr.run('resume', name), dr.run('resume', name)]).then((both) => both.map(({code}) => code ?? -1).toSorted((a, b) => a - b))
    // Whoever comes last finds it at work, or finished.
    expect(codes[0]).to.equal(0)
    expect(codes[1]).to.be.oneOf([2, 6])
    expect(dr.begun('restore.load')).to.equal(2)
    expect(await dr.others()).to.deep.equal(['resumed_beside_into'])
  })

  it('goes on after a second kill, as often as it takes', async () => {
    const name = await dr.killed('load', 'latest', '--into', 'resumed_beside_into')
    const again = dr.start('resume', name)
    await dr.hasBegun('restore.load', 2)
    again.child.kill('SIGKILL')
    await again.ended
    await dr.noSessions()
    const [known] = await dr.listed()
    expect(known).to.deep.include({run: name, status: 'stopped'}).and.have.nested.property('stopped.step', 'restore.load')
    const {code, stderr} = await dr.run('resume', name)
    expect(code, stderr).to.equal(0)
    expect(await dr.others()).to.deep.equal(['resumed_beside_into'])
    expect(dr.journals()).to.deep.equal([`${name}.jsonl`])
  })
})
