import {expect} from 'chai'
import {loadConfig} from '../../../../src/lib/config/load.ts'
import {connect, endQuietly, withClient} from '../../../../src/lib/postgres/connection.ts'
import {markedComment, markedDatabases} from '../../../../src/lib/postgres/database-marks.ts'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import {cleanUpProcedure, cleanUpState, type CleanUpOptions, type CleanUpState} from '../../../../src/lib/procedures/clean-up/index.ts'
import {perform} from '../../../../src/lib/runbook/perform.ts'
import {gatekeeper} from '../../../../src/lib/ui/prompter.ts'
import {crmFixture, succeeded} from '../../../support/crm.ts'
import {testStage} from '../../../support/stage.ts'
import {runUndo} from '../../../support/swap.ts'

const DAY = 24 * 3600_000

describe('dr restore clean-up', function () {
  this.timeout(240_000)
  const crm = crmFixture()

  async function cleanUp(more: Partial<CleanUpOptions> = {}, confirm = 'crm', meanwhile?: () => Promise<unknown>): Promise<{state: CleanUpState; error?: {code?: string; exitCode?: number; message: string}}> {
    const {config} = await loadConfig({env: {}, cwd: crm.directory, configDir: crm.directory, dataDir: crm.directory, flags: {}})
    const options: CleanUpOptions = {config, target: parseTarget(crm.cluster.url('crm')), olderThanMs: 0, force: false, now: new Date(Date.now() + 1000), ...more}
    const state = cleanUpState(options, await markedDatabases(crm.admin))
    await meanwhile?.()
    const {stage} = testStage({gatekeeper: gatekeeper({confirm, yes: false, protected: true, interactive: false})})
    try {
      await perform(cleanUpProcedure(options), state, stage)
      return {state}
    } catch (error) {
      return {state, error: error as Error}
    }
  }

  /** `crm` and the old one that a swap has kept. */
  const swapped = async () => succeeded(await crm.restore()).state.swap?.kept ?? ''

  it('drops what is old enough, after the name was given, and lists the rest', async () => {
    const kept = await swapped()
    const young = await cleanUp({olderThanMs: 7 * DAY})
    expect(young.state.dropped).to.deep.equal([])
    expect(young.state.databases.map(({database, stays, kind}) => ({database, stays, kind}))).to.deep.equal([{database: kept, stays: 'younger than the limit', kind: 'kept'}])
    expect((await cleanUp({}, 'other')).error).to.include({code: 'confirmation.mismatch'})
    expect(await crm.all()).to.deep.equal(['crm', kept])
    const {state} = await cleanUp({olderThanMs: 7 * DAY, now: new Date(Date.now() + 8 * DAY)})
    expect(state.dropped).to.deep.equal([kept])
    expect(await crm.all()).to.deep.equal(['crm'])
  })

  it('knows what an undo and a swap that did not come about have left', async () => {
    await swapped()
    const {swap} = succeeded(await runUndo(crm.standing())).state
    const master = await connect(crm.cluster.url('crm'))
    const {state: {database}} = await crm.restore({url: crm.cluster.url('crm', {name: 'crm_master', password: 'm'}), swap: {patienceMs: 100}})
    await endQuietly(master)
    const {state} = await cleanUp()
    expect(state.databases.map(({kind}) => kind)).to.have.members(['undone', 'ready'])
    expect(state.dropped).to.have.members([swap.kept, database])
    expect(await crm.all()).to.deep.equal(['crm'])
  })

  it('never drops one that somebody works in, unless it is told to', async () => {
    const kept = await swapped()
    const client = await connect(crm.cluster.url(kept))
    expect((await cleanUp()).state).to.deep.include({dropped: []}).and.have.nested.property('databases[0].stays', '1 session is in it')
    await client.query('SELECT 1')
    expect((await cleanUp({force: true})).state.dropped).to.deep.equal([kept])
    await endQuietly(client)
  })

  it('never drops one that came into use after it was looked at', async () => {
    const kept = await swapped()
    let client
    const {state} = await cleanUp({}, 'crm', async () => { client = await connect(crm.cluster.url(kept)) })
    expect(state).to.deep.include({dropped: [], failed: [{database: kept, why: '1 session is in it'}]})
    await endQuietly(client as unknown as Awaited<ReturnType<typeof connect>>)
  })

  it('never drops the live one, whatever its comment says', async () => {
    const kept = await swapped()
    const lie = markedComment({kind: 'ready', live: 'crm', name: 'crm', at: '2020-01-01T00:00:00.000Z', run: 'r'})
    await crm.admin.query(`COMMENT ON DATABASE crm IS ${crm.admin.escapeLiteral(lie)}`)
    expect((await cleanUp()).state.dropped).to.deep.equal([kept])
    // Brought back behind its back, the old one is the live one.
    const again = await swapped()
    const {state} = await cleanUp({}, 'crm', async () => { await crm.cluster.drop('crm'); await crm.admin.query(`ALTER DATABASE ${again} RENAME TO crm`) })
    expect(state.dropped).to.deep.equal([])
    expect(await crm.all()).to.deep.equal(['crm'])
  })

  it('never drops one that was renamed, or that has only a similar name or comment', async () => {
    const kept = await swapped()
    await crm.admin.query(`ALTER DATABASE ${kept} RENAME TO crm_precious`)
    await crm.admin.query(`CREATE DATABASE crm_before_20200101000000; `)
    await crm.admin.query("COMMENT ON DATABASE crm_before_20200101000000 IS 'dr kept it'")
    const {state} = await cleanUp()
    expect(state.databases.map(({database, stays}) => ({database, stays}))).to.deep.equal([{database: 'crm_precious', stays: `renamed since: it was ${kept}`}])
    expect(await crm.all()).to.deep.equal(['crm', 'crm_before_20200101000000', 'crm_precious'])
  })

  for (const [how, spoil] of [
    ['is gone', () => crm.cluster.drop('crm')],
    ['holds no rows', () => withClient(crm.cluster.url('crm'), {}, (client) => client.query('TRUNCATE public.leads, public.calls'))],
    ['cannot be read', () => crm.admin.query('ALTER DATABASE crm ALLOW_CONNECTIONS false')],
  ] as const) {
    it(`never drops what may be the only copy: the live one ${how}`, async () => {
      const kept = await swapped()
      await spoil()
      expect((await cleanUp()).error).to.include({code: 'clean-up.only-copy', exitCode: 3})
      expect(await crm.all()).to.include(kept)
    })
  }
})
