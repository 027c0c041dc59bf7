import {expect} from 'chai'
import {readFile, rm} from 'node:fs/promises'
import {cutoverProcedure, cutoverState} from '../../../../src/lib/procedures/pitr/cutover.ts'
import type {CutoverMode, CutoverOptions} from '../../../../src/lib/procedures/pitr/cutover-options.ts'
import type {JournalEntry} from '../../../../src/lib/runbook/journal.ts'
import {proxyAddress} from '../../../../src/lib/sandbox/rds/saved-region.ts'
import {COPY, CutoverFixture, dyingAt, dyingBehind, NAME, refusedAt} from '../../../support/cutover.ts'
import {testStage} from '../../../support/stage.ts'
import {until} from '../../../support/until.ts'

interface Way {
  mode: CutoverMode
  /** What a whole cut-over asks for that changes something. */
  calls: readonly string[]
  /** Steps behind which it is killed, without `cutover.`. */
  steps: readonly string[]
}

const MARKED = ['addTags', 'addTags', 'snapshot']
const AFTERWARDS = ['addTags', 'modify', 'removeTags']
const WAYS: readonly Way[] = [
  {mode: 'rename', calls: [...MARKED, 'modify', 'modify', ...AFTERWARDS], steps: ['mark', 'freeze', 'snapshot', 'rename-old', 'rename-new', 'prove', 'protect', 'unfreeze']},
  {mode: 'url', calls: [...MARKED, ...AFTERWARDS], steps: ['url']},
  {mode: 'proxy', calls: [...MARKED, 'removeProxyTarget', 'addProxyTarget', ...AFTERWARDS], steps: ['proxy']},
]
/** What a rollback of a whole one asks for. */
const BACK: Readonly<Record<CutoverMode, readonly string[]>> = {
  rename: ['addTags', 'modify', 'modify', 'removeTags', 'removeTags', 'removeTags'], url: ['addTags', 'removeTags', 'removeTags', 'removeTags'],
  proxy: ['addTags', 'removeProxyTarget', 'addProxyTarget', 'removeTags', 'removeTags', 'removeTags'],
}

describe('a cut-over whose process is killed', function () {
  this.timeout(300_000)
  const crm = new CutoverFixture()
  let digest = ''

  before(async () => {
    await crm.open({millisecondsPerSecond: 0.1, watched: true})
    crm.copy.settings = {...crm.copy.settings, DeletionProtection: false}
    crm.keepSettings()
    await crm.reset()
    digest = await crm.digest(crm.old)
    await crm.aws.server.region.createProxy('crm-proxy')
    await aimProxy()
  })
  after(() => crm.close())
  afterEach(async () => {
    expect(crm.harm(), 'deleted, unprotected both, or not ours').to.deep.equal([])
    await crm.reset()
    await aimProxy()
    await rm(log(), {force: true})
  })

  const log = () => `${crm.home}/switched`
  const proxyOf = () => {
    const proxy = crm.aws.server.region.proxies.get('crm-proxy')
    if (!proxy) throw new Error('no proxy')
    return proxy
  }
  const aimProxy = () => crm.aws.server.region.aim(proxyOf(), crm.old)

  function optionsOf(mode: CutoverMode): Partial<CutoverOptions> {
    const {config, target} = crm.options()
    if (mode === 'url') return {mode, config: {...config, rds: {...config.rds, switchCommand: ['/bin/sh', '-c', `echo "$0" >> '${log()}'`, '{instance}']}}}
    if (mode === 'proxy') return {mode, config: {...config, rds: {...config.rds, proxy: 'crm-proxy'}}, target: {...target, port: crm.aws.server.region.endpoints.portOf(proxyAddress('crm-proxy')) ?? 0}}
    return {mode}
  }

  /** Whom clients reach. */
  async function live(mode: CutoverMode): Promise<string | undefined> {
    const last = (await readFile(log(), 'utf8').catch(() => NAME)).trim().split('\n').at(-1)
    return mode === 'url' ? {[NAME]: 'old', [COPY]: 'copy'}[last ?? ''] : mode === 'rename' ? crm.names()[NAME] : proxyOf().target?.resourceId === crm.old.resourceId ? 'old' : proxyOf().target && 'copy'
  }

  /** What the journal holds of a run that was killed there. */
  async function killedAtCall(mode: CutoverMode, number: number): Promise<JournalEntry[]> {
    const {api, reached} = dyingAt(crm.api, number, 'after')
    const {stage, entries} = testStage()
    const options = crm.options({...optionsOf(mode), api})
    void crm.run(cutoverProcedure(options), cutoverState(options, new Date()), stage)
    await reached
    return entries
  }

  async function killedBehind(mode: CutoverMode, step: string): Promise<JournalEntry[]> {
    const {stage, entries, reached} = dyingBehind(`cutover.${step}`)
    void crm.cutover(optionsOf(mode), stage)
    await reached
    return entries
  }

  async function assertCutOver(mode: CutoverMode, entries: readonly JournalEntry[]): Promise<void> {
    const {error, state} = await crm.resumed(entries, optionsOf(mode))
    if (error) throw error
    expect(await live(mode)).to.equal('copy')
    expect(crm.names()).to.deep.equal(mode === 'rename' ? {[NAME]: 'copy', [state.oldName]: 'old'} : {[NAME]: 'old', [COPY]: 'copy'})
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(crm.tags(crm.old)).to.include({'dr:replaced': NAME}).and.not.to.have.property('dr:frozen')
    expect([crm.old.settings.DeletionProtection, crm.copy.settings.DeletionProtection]).to.deep.equal([true, true])
    expect([...crm.aws.server.region.snapshots.keys()]).to.deep.equal([state.snapshot])
    expect(await crm.digest(crm.old)).to.equal(digest)
  }

  async function assertBack(mode: CutoverMode): Promise<void> {
    expect(await live(mode)).to.equal('old')
    expect(crm.names()).to.have.property(NAME, 'old')
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(Object.keys(crm.tags(crm.old))).to.deep.equal(['team'])
    expect(Object.keys(crm.tags(crm.copy)).filter((key) => ['dr:replaces', 'dr:cutover'].includes(key))).to.deep.equal([])
    expect(await crm.digest(crm.old)).to.equal(digest)
  }

  /** From another machine: there is no journal. */
  async function assertRolledBack(mode: CutoverMode): Promise<void> {
    const {error} = await crm.rollback(optionsOf(mode))
    if (error && error.code !== 'pitr.nothing-to-roll-back') throw error
    await assertBack(mode)
  }

  async function cutOver(mode: CutoverMode): Promise<void> {
    const {error} = await crm.cutover({...optionsOf(mode), keepFrozen: true})
    if (error) throw error
    expect(await live(mode)).to.equal('copy')
  }

  it('is watched by something that sees harm', async () => {
    const {region} = crm.aws.server
    const {bystander} = crm.watched
    const signal = AbortSignal.timeout(10_000)
    await crm.api.modify({DBInstanceIdentifier: NAME, DeletionProtection: false}, signal)
    await until(() => crm.old.timeline.isQuiet, 60_000)
    await crm.api.addTags(region.arnOf(bystander.id), [{Key: 'dr:replaced', Value: NAME}], signal)
    const harm = crm.harm()
    bystander.settings = {...bystander.settings, TagList: []}
    await crm.reset()
    expect(harm).to.deep.equal([`neither is protected: ${NAME}, ${COPY}`, `ModifyDBInstance takes the protection of ${NAME} away`, `AddTagsToResource of ${bystander.id}`, `${bystander.id} is not what it was`])
  })

  for (const {mode, calls, steps} of WAYS) {
    describe(`by ${mode}`, () => {
      it('asks for no more than is known here', async () => {
        const watched = dyingAt(crm.api, -1, 'before')
        const {error} = await crm.cutover({...optionsOf(mode), api: watched.api})
        if (error) throw error
        expect(watched.calls).to.deep.equal(calls)
      })

      for (const [number, call] of calls.entries()) {
        it(`is ended by resume when it was killed behind ${call} (${number + 1})`, async () => { await assertCutOver(mode, await killedAtCall(mode, number)) })
        it(`is rolled back without its journal when it was killed behind ${call} (${number + 1})`, async () => {
          await killedAtCall(mode, number)
          await assertRolledBack(mode)
        })
      }

      for (const step of steps) {
        it(`is ended by resume when it was killed behind the step ${step}`, async () => { await assertCutOver(mode, await killedBehind(mode, step)) })
        it(`is rolled back without its journal when it was killed behind the step ${step}`, async () => {
          await killedBehind(mode, step)
          await assertRolledBack(mode)
        })
      }

      it('is rolled back although the rollback is killed behind each of its calls', async () => {
        await cutOver(mode)
        for (let number = 0; ; number++) {
          const {api, reached} = dyingAt(crm.api, Math.min(number, 1), 'after')
          const ended = await Promise.race([crm.rollback({...optionsOf(mode), api}), reached])
          if (ended !== undefined) break
          if (number > 10) throw new Error('It comes to no end')
        }
        await assertBack(mode)
      })

      // A rename is asked for again where it is not known whether AWS has heard.
      for (const [code, expected] of [['AccessDenied', 'rds.denied'], ...(mode === 'rename' ? [['InternalFailure', 'rds.unreachable'] as const] : [])] as const) {
        it(`is rolled back although each call of the rollback is answered with ${code} once`, async () => {
          await cutOver(mode)
          const refused: string[] = []
          // Each run sets its own mark first; then it does what the one before could not, and fails at the next call.
          for (let number = 0; ; number++) {
            const {api, met} = refusedAt(crm, Math.min(number, 2), code)
            const {error} = await crm.rollback({...optionsOf(mode), api})
            if (met() === undefined) {
              if (error) throw error
              break
            }
            refused.push(met() ?? '')
            crm.aws.server.faults.clear()
            expect(error, met()).to.include({code: expected, exitCode: 5})
            expect(error?.hints?.join('\n')).to.contain('Run dr pitr rollback again')
            if (number > 10) throw new Error('It comes to no end')
          }
          expect(refused).to.deep.equal(BACK[mode])
          await assertBack(mode)
        })
      }
    })
  }

  it('by url is rolled back when the command fails at first', async () => {
    await cutOver('url')
    const {config} = crm.options()
    const failing = await crm.rollback({config: {...config, rds: {...config.rds, switchCommand: ['/bin/false', '{instance}']}}})
    expect(failing.error).to.include({code: 'pitr.switch-failed', exitCode: 1})
    expect(failing.error?.hints?.join('\n')).to.contain('Run dr pitr rollback again')
    await assertRolledBack('url')
  })

  it('by url, while its command was at work, is rolled back elsewhere by whoever points the application at the old one by hand', async () => {
    await killedBehind('url', 'url')
    const refused = await crm.rollback()
    expect(refused.error).to.include({code: 'config.switch-command', exitCode: 3})
    expect(await crm.frozen(crm.old)).to.deep.equal(['crm'])
    const {error, state} = await crm.rollback({byHand: true})
    if (error) throw error
    expect(state.byHand, 'so that it is said').to.equal(true)
    expect(await crm.frozen(crm.old)).to.deep.equal([])
  })
})
