import type {DBInstance} from '@aws-sdk/client-rds'
import {expect} from 'chai'
import {DrError} from '../../../src/lib/errors.ts'
import {loadConfig} from '../../../src/lib/config/load.ts'
import {untilReady, type PollOptions} from '../../../src/lib/rds/poller.ts'
import {terminalStatuses} from '../../../src/lib/rds/status.ts'
import {drErrorOf} from '../../support/rejection.ts'

const instance = (DBInstanceStatus: string, more: Partial<DBInstance> = {}): DBInstance => ({DBInstanceIdentifier: 'copy', DBInstanceStatus, Endpoint: {Address: 'copy.rds', Port: 5432}, ...more})
const named = (name: string) => Object.assign(new Error(name), {name})

/** Looks at one thing after the other, the last one for ever, on a clock that only pauses move. */
function polling(answers: readonly (DBInstance | undefined | Error)[], options: Partial<PollOptions> = {}) {
  const pauses: number[] = []
  const changes: string[] = []
  let [at, looks] = [0, 0]
  const result = untilReady({
    look: () => {
      const answer = answers[Math.min(looks++, answers.length - 1)]
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
    },
    signal: new AbortController().signal, budgetMs: 3_600_000, onChange: (found) => { changes.push(found?.DBInstanceStatus ?? 'nothing') },
    clock: {now: () => at, random: () => 0.5, pause: (ms) => { pauses.push(ms); at += ms; return Promise.resolve() }}, ...options,
  })
  return {result, pauses, changes, get looks() { return looks }}
}

describe('waiting for an instance', () => {
  it('takes three looks in a row, and begins to count anew when it goes back', async () => {
    const poll = polling([instance('creating', {Endpoint: undefined}), instance('available'), instance('available'), instance('backing-up', {PendingModifiedValues: {MultiAZ: true}}), instance('available')])
    expect(await poll.result).to.include({DBInstanceStatus: 'available'})
    expect(poll.looks).to.equal(7)
    expect(poll.changes).to.deep.equal(['creating', 'available', 'backing-up', 'available'])
    expect(poll.pauses.every((ms) => ms >= 10_000 && ms <= 15_000)).to.equal(true)
  })

  it('pauses for 10 to 15 seconds where nobody sets another time, whatever the jitter', async () => {
    const {config: {rds: {pollSeconds}}} = await loadConfig({env: {}, cwd: '/tmp', configDir: '/tmp', dataDir: '/tmp', flags: {environment: 'staging'}})
    for (const random of [0, 0.5, 1]) {
      const pauses: number[] = []
      const clock = {now: () => 0, random: () => random, pause: (ms: number) => { pauses.push(ms); return Promise.resolve() }}
      await polling([instance('creating'), instance('available')], {everyMs: pollSeconds * 1000, clock}).result
      expect(pauses, `${random}`).to.have.length(3)
      for (const ms of pauses) expect(ms, `${random}`).to.be.within(10_000, 15_000)
    }
  })

  it('tells what keeps it from looking, and the status again when it can', async () => {
    const troubles: string[] = []
    const slow = polling([instance('creating'), named('Throttling'), instance('creating'), instance('available')], {onTrouble: ({name}) => { troubles.push(name) }})
    await slow.result
    expect(troubles).to.deep.equal(['Throttling'])
    expect(slow.changes).to.deep.equal(['creating', 'creating', 'available'])
  })

  it('counts an instance without an endpoint as not ready', async () => {
    expect((await drErrorOf(polling([instance('available', {Endpoint: undefined})], {budgetMs: 60_000}).result)).code).to.equal('pitr.budget')
  })

  it('ends at once with a status that is the end, and says what to do', async () => {
    for (const status of terminalStatuses) {
      const poll = polling([instance('creating'), instance(status)])
      const error = await drErrorOf(poll.result)
      expect(error).to.include({code: 'pitr.ended', exitCode: 1})
      expect(error.message).to.contain(status)
      expect(error.hints.join(' '), status).not.to.equal('')
      expect(poll.looks).to.equal(2)
    }
  })

  it('ends at once when the call is denied or the credentials have expired, and slows down when AWS asks for it', async () => {
    for (const name of ['AccessDenied', 'ExpiredToken', 'InvalidClientTokenId']) {
      const poll = polling([instance('creating'), named(name)])
      expect(await poll.result.catch((error: unknown) => (error as Error).name)).to.equal(name)
      expect(poll.looks).to.equal(2)
    }
    const slow = polling([named('Throttling'), named('Throttling'), instance('available')])
    await slow.result
    expect(slow.pauses.slice(0, 2)).to.deep.equal([60_000, 60_000])
  })

  it('waits on while the API cannot be reached for a moment, and ends after five minutes of that', async () => {
    const away = new DrError('rds.unreachable', 'no route', {exitCode: 5})
    expect(await polling([instance('creating'), away, away, away, instance('available')]).result).to.include({DBInstanceStatus: 'available'})
    const gone = polling([instance('creating'), away])
    expect(await drErrorOf(gone.result)).to.equal(away)
    expect(gone.looks).to.be.within(5, 8)
  })

  it('lets a new name be unknown for two minutes', async () => {
    const unknown = Array.from({length: 5}, () => undefined)
    expect(await polling([...unknown, instance('available')]).result).to.include({DBInstanceStatus: 'available'})
    const never = polling([undefined])
    expect((await drErrorOf(never.result)).message).to.contain('does not know its name')
    expect(never.looks).to.be.within(8, 14)
  })

  it('waits for a name to be gone where that is wanted', async () => {
    const poll = polling([instance('deleting'), instance('renaming'), undefined], {gone: true})
    expect(await poll.result).to.equal(undefined)
    expect(poll.looks).to.equal(5)
  })

  it('gives up when its time is up, and ends when it is told to', async () => {
    const error = await drErrorOf(polling([instance('creating')], {budgetMs: 1_800_000}).result)
    expect(error).to.include({code: 'pitr.budget', exitCode: 6})
    expect(error.message).to.contain('30 minutes')
    const controller = new AbortController()
    const poll = polling([instance('creating')], {signal: controller.signal, onChange: () => { controller.abort(new Error('enough')) }})
    expect(await poll.result.catch((one: unknown) => (one as Error).message)).to.equal('enough')
    expect(poll.looks).to.equal(1)
  })
})
