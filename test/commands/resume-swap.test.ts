import {expect} from 'chai'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {connect, endQuietly, rowOf, withClient} from '../../src/lib/postgres/connection.ts'
import type {RestoreResult} from '../../src/commands/restore/index.ts'
import {Killing} from '../support/killing.ts'

const OLD = 'old'
const LIVE = 'resumed_swap'

describe('dr resume of a restore that swaps', function () {
  this.timeout(240_000)
  const dr = new Killing(LIVE)

  beforeEach(async () => {
    await dr.open()
    // The live database differs from its backup from here on.
    await withClient(dr.cluster.url(LIVE), {}, (client) => client.query(`CREATE TABLE ${OLD} (i int)`))
  })
  afterEach(async () => {
    await dr.clear()
    await dr.close()
  })

  const isOld = (name: string) => withClient(dr.cluster.url(name), {}, async (client) => (await rowOf<{old: boolean}>(client, `SELECT to_regclass('${OLD}') IS NOT NULL AS old`)).old)
  const oid = (name: string) => withClient(dr.cluster.adminUrl, {}, async (client) => (await rowOf<{oid: number}>(client, 'SELECT coalesce(max(oid::int8), 0)::int AS oid FROM pg_database WHERE datname = $1', [name])).oid)

  /** The swap waits for a lock that somebody else has, until its process is killed. */
  async function killedBefore(): Promise<string> {
    const holder = await connect(dr.cluster.adminUrl)
    await holder.query(`BEGIN; COMMENT ON DATABASE ${LIVE} IS 'held'`)
    const one = dr.start('restore', 'latest', '--swap', '--yes')
    await dr.hasBegun('swap.swap')
    one.child.kill('SIGKILL')
    await one.ended
    await holder.query('ROLLBACK')
    await endQuietly(holder)
    await dr.noSessions()
    return dr.lastRun()
  }

  /** What a process leaves that is killed when the server has committed, and its journal does not say so yet. */
  async function killedBehind(): Promise<string> {
    const {code, stderr} = await dr.run('restore', 'latest', '--swap', '--yes')
    expect(code, stderr).to.equal(0)
    const path = join(dr.home, 'data', 'journal', `${dr.lastRun()}.jsonl`)
    const lines = readFileSync(path, 'utf8').split('\n')
    writeFileSync(path, `${lines.slice(0, lines.findIndex((line) => line.includes('"event":"started","step":"swap.swap"')) + 1).join('\n')}\n`)
    return dr.lastRun()
  }

  it('asks again, and swaps then, when it was killed before', async () => {
    const name = await killedBefore()
    expect(await isOld(LIVE)).to.equal(true)
    expect((await dr.listed())[0]).to.include({run: name, status: 'stopped'})
    const refused = await dr.run('resume', name, '--json')
    expect(refused.code, refused.stdout).to.equal(2)
    expect(JSON.parse(refused.stdout)).to.have.nested.property('error.code', 'confirmation.missing')
    const {code, stdout, stderr} = await dr.run('resume', name, '--confirm', LIVE, '--json')
    expect(code, stderr + stdout).to.equal(0)
    const result = JSON.parse(stdout) as RestoreResult
    expect(result.database).to.equal(LIVE)
    expect({live: await isOld(LIVE), kept: await isOld(result.swap?.kept ?? '')}).to.deep.equal({live: false, kept: true})
    expect(dr.begun('restore.load')).to.equal(1)
    expect(await dr.others()).to.deep.equal([result.swap?.kept])
  })

  it('finds that it has happened, and does not swap twice, when it was killed behind it', async () => {
    const name = await killedBehind()
    const [before, left] = [await oid(LIVE), await dr.others()]
    expect(left).to.have.length(1)
    const {code, stdout, stderr} = await dr.run('resume', name, '--yes', '--json')
    expect(code, stderr + stdout).to.equal(0)
    expect((JSON.parse(stdout) as RestoreResult).swap?.kept).to.equal(left[0])
    expect(await oid(LIVE)).to.equal(before)
    expect({live: await isOld(LIVE), kept: await isOld(left[0] ?? '')}).to.deep.equal({live: false, kept: true})
  })

  it('undoes all of it when it was killed before the swap', async () => {
    const name = await killedBefore()
    expect((await dr.run('resume', name, '--undo')).code).to.equal(2)
    const {code, stderr} = await dr.run('resume', name, '--undo', '--confirm', LIVE)
    expect(code, stderr).to.equal(0)
    expect(await dr.others()).to.deep.equal([])
    expect(await isOld(LIVE)).to.equal(true)
    expect(await dr.listed()).to.deep.equal([])
  })

  it('brings the old database back when it was killed behind the swap, and keeps the new one', async () => {
    const name = await killedBehind()
    const {code, stderr} = await dr.run('resume', name, '--undo', '--confirm', LIVE)
    expect(code, stderr).to.equal(0)
    expect(await isOld(LIVE)).to.equal(true)
    const [kept, ...more] = await dr.others()
    expect({kept: kept?.startsWith(`${LIVE}_undone_`), more}).to.deep.equal({kept: true, more: []})
    expect(await isOld(kept ?? '')).to.equal(false)
  })
})
