import {expect} from 'chai'
import {appendFile, chmod, readdir, readFile, stat, truncate, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {ExitCode} from '../../../src/lib/errors.ts'
import {claimRun} from '../../../src/lib/runbook/claim.ts'
import {createJournal, reopenJournal, type Journal, type JournalEvent} from '../../../src/lib/runbook/journal.ts'
import {findRun, resumption} from '../../../src/lib/runbook/resume.ts'
import {finishedLater, knownRuns} from '../../../src/lib/runbook/runs.ts'
import {ownIdentity} from '../../../src/lib/system/process-identity.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {temporaryFolder} from '../../support/temporary.ts'

const now = new Date('2026-11-22T02:00:00Z')
const gone = {...ownIdentity(), ticks: '1', host: 'elsewhere'}
const begun: JournalEvent = {event: 'begun', state: {n: 0}, process: gone, title: 'Restore', steps: [{id: 'a', title: 'Step a', effect: 'write'}, {id: 'b', title: 'Step b', effect: 'write'}]}
const started = (step: string): JournalEvent => ({event: 'started', step})
const done = (step: string, n: number): JournalEvent => ({event: 'done', step, ms: 7, state: {n}})
const undone = (step: string, n: number): JournalEvent[] => [{event: 'undo-started', step}, {event: 'undone', step, state: {n}}]
const stuck = (step: string): JournalEvent[] => [{event: 'undo-started', step}, {event: 'undo-failed', step, detail: 'stuck'}]
const finished: JournalEvent = {event: 'finished', state: {}, timings: {totalMs: 1, gatesMs: 0, phases: []}}

describe('an earlier run', () => {
  const folder = temporaryFolder()
  const note = (journal: Journal, ...events: JournalEvent[]) => Promise.all(events.map((event) => journal.write({at: now.toISOString(), procedure: 'restore', ...event})))

  async function written(...events: JournalEvent[]): Promise<string> {
    const journal = await createJournal(folder.path, 'restore', now)
    await note(journal, ...events)
    await journal.close()
    return journal.path
  }

  /** A journal of this name; the process of the first event is gone. */
  async function named(name: string, ...events: JournalEvent[]): Promise<void> {
    const [, year, month, day, hour, minute, second, procedure = ''] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-(.+)-/.exec(name) ?? []
    const at = `${year}-${month}-${day}T${hour}:${minute}:${second}Z`
    await writeFile(join(folder.path, `${name}.jsonl`), events.map((event) => `${JSON.stringify({at, procedure, ...event})}\n`).join(''))
  }

  describe('as it is read back', () => {
    it('is where it stopped, after its last step', async () => {
      const path = await written(begun, started('a'), done('a', 1), {event: 'confirmed', phase: 'P', answer: 'x'}, started('b'))
      expect(await resumption(path)).to.deep.include({
        path, procedure: 'restore', state: {n: 1}, done: new Map([['a', 7]]), begun: ['a', 'b'], confirmed: new Set(['P']), before: new Map([['a', {n: 0}], ['b', {n: 1}]]), owners: [gone],
      })
    })

    it('forgets what was undone, and what an undo has touched is not done', async () => {
      const path = await written(begun, started('a'), done('a', 1), started('b'), done('b', 2), {event: 'confirmed', phase: 'P', answer: 'x'}, ...undone('b', 3), ...stuck('a'), {event: 'interrupted'})
      expect(await resumption(path)).to.deep.include({state: {n: 3}, done: new Map(), begun: ['a'], confirmed: new Set()})
    })

    it('begins anew when all of it was undone, also what has no undo of its own', async () => {
      const resumed = await resumption(await written(begun, started('a'), done('a', 1), started('b'), done('b', 2), ...undone('a', 3), {event: 'ended', detail: 'no'}))
      expect(resumed).to.deep.include({done: new Map(), begun: []}).and.property('anew').contains('undone')
    })

    it('has the new state, and nothing that is done, since it was begun anew; what was begun may have to be undone', async () => {
      const path = await written(begun, started('a'), done('a', 1), started('b'), {event: 'resumed', process: gone, anew: 'gone', state: {n: 9}})
      expect(await resumption(path)).to.deep.include({state: {n: 9}, done: new Map(), begun: ['a', 'b']})
    })

    it('lacks a last line that a crash has cut, and goes on after it on a line of its own', async () => {
      const path = await written(begun, started('a'), done('a', 1))
      await truncate(path, (await stat(path)).size - 5)
      expect((await resumption(path)).done).to.deep.equal(new Map())
      const journal = await reopenJournal(path)
      await note(journal, done('a', 5))
      await journal.close()
      expect(await resumption(path)).to.deep.include({state: {n: 5}, done: new Map([['a', 7]])})
    })

    it('survives what a power cut leaves at the end of a file', async () => {
      const path = await written(begun, started('a'), done('a', 1))
      await appendFile(path, Buffer.alloc(300))
      expect((await resumption(path)).done).to.deep.equal(new Map([['a', 7]]))
      const journal = await reopenJournal(path)
      await note(journal, started('b'))
      await journal.close()
      expect((await resumption(path)).begun).to.deep.equal(['a', 'b'])
    })

    it('is refused in words when there is nothing to go on with', async () => {
      const refused = async (...events: JournalEvent[]) => drErrorOf(resumption(await written(...events)))
      expect(await refused({event: 'interrupted'})).to.include({code: 'run.empty', exitCode: ExitCode.usage})
      expect(await refused()).to.include({code: 'run.empty'})
      expect(await refused(begun, finished)).to.include({code: 'run.finished'})
      expect(await refused({...begun, process: ownIdentity()})).to.include({code: 'run.active', exitCode: ExitCode.locked})
    })

    it('does not change its journal', async () => {
      const path = await written(begun)
      await chmod(path, 0o400)
      const before = await readFile(path, 'utf8')
      await resumption(path)
      expect(await readFile(path, 'utf8')).to.equal(before)
    })
  })

  describe('is found', () => {
    it('by its name, by its path, and as the latest that is not over', async () => {
      await named('20261121T000000Z-restore-0000', begun)
      await named('20261122T000000Z-restore-0000', begun)
      await named('20261123T000000Z-restore-0000', begun, finished)
      await named('20261124T000000Z-backup-0000', begun, {event: 'interrupted'})
      const at = (name: string) => join(folder.path, `${name}.jsonl`)
      expect(await findRun('latest', folder.path)).to.equal(at('20261122T000000Z-restore-0000'))
      for (const name of ['20261121T000000Z-restore-0000', at('20261121T000000Z-restore-0000')]) expect(await findRun(name, folder.path)).to.equal(at('20261121T000000Z-restore-0000'))
    })

    it('or not', async () => {
      for (const name of ['latest', '20261121T000000Z-restore-0000', '/nowhere/x.jsonl']) expect(await drErrorOf(findRun(name, folder.path)), name).to.include({code: 'run.unknown', exitCode: ExitCode.usage})
      expect(await drErrorOf(findRun('latest', join(folder.path, 'none')))).to.include({code: 'run.unknown'})
    })
  })

  describe('in the list', () => {
    const statusOf = async (...events: JournalEvent[]) => {
      await named('20261122T000000Z-restore-0000', ...events)
      return (await knownRuns(folder.path, {all: true}))[0]
    }

    it('says whether it is over, and where it stopped', async () => {
      expect(await statusOf(begun)).to.include({status: 'stopped', at: undefined})
      expect(await statusOf({...begun, process: ownIdentity()})).to.include({status: 'running'})
      expect(await statusOf(begun, started('a'))).to.deep.include({status: 'stopped', at: {step: 'a', title: 'Step a', doing: 'run'}})
      expect(await statusOf(begun, started('a'), done('a', 1))).to.deep.include({status: 'stopped', at: {step: 'a', title: 'Step a', doing: 'done'}})
      expect(await statusOf(begun, started('a'), {event: 'undo-started', step: 'a'})).to.deep.include({status: 'stopped', at: {step: 'a', title: 'Step a', doing: 'undo'}})
      expect(await statusOf(begun, started('a'), ...stuck('a'), {event: 'ended', detail: 'no'})).to.deep.include({status: 'not-undone', stuck: ['a'], at: {step: 'a', title: 'Step a', doing: 'undo'}})
      expect(await statusOf(begun, started('a'), ...undone('a', 1), {event: 'interrupted'})).to.include({status: 'undone'})
      expect(await statusOf(begun, started('a'), done('a', 1), {event: 'declined', phase: 'P'})).to.include({status: 'declined'})
      expect(await statusOf(begun, started('a'), done('a', 1), finished)).to.include({status: 'finished'})
    })

    it('is where it was after a process that gave up before it had changed anything', async () => {
      const left: JournalEvent[] = [{event: 'resumed', process: ownIdentity()}, started('check'), {event: 'left', detail: 'no'}]
      expect(await statusOf(begun, started('check'), done('check', 1), started('a'), ...left)).to.deep.include({status: 'stopped', at: {step: 'a', title: 'Step a', doing: 'run'}})
      expect(await statusOf(begun, started('a'), ...stuck('a'), {event: 'ended', detail: 'no'}, ...left)).to.include({status: 'not-undone'})
    })

    it('says whether its process has ended by itself', async () => {
      for (const end of [{event: 'declined', phase: 'P'}, {event: 'left', detail: 'busy'}] as const) expect(await statusOf(begun, started('a'), end), end.event).to.include({told: true})
      expect(await statusOf(begun, started('a'))).to.include({told: false})
      expect(await statusOf(begun, started('a'), {event: 'left', detail: 'busy'}, {event: 'resumed', process: gone})).to.include({told: false})
    })

    it('runs again when another process goes on with it', async () => {
      expect(await statusOf(begun, started('a'), done('a', 1), {event: 'declined', phase: 'P'}, {event: 'resumed', process: ownIdentity()})).to.include({status: 'running'})
    })

    it('stands newest first; finished ones only when all are asked for; what is no journal is left out', async () => {
      await named('20261121T000000Z-restore-0000', begun)
      await named('20261122T000000Z-backup-0000', begun)
      await named('20261123T000000Z-restore-0000', begun, finished)
      await named('20261124T000000Z-restore-0000')
      await writeFile(join(folder.path, '20261125T000000Z-restore-0000.jsonl'), 'nonsense\n')
      await writeFile(join(folder.path, 'notes.txt'), 'x')
      const names = async (all: boolean) => (await knownRuns(folder.path, {all})).map(({run}) => run)
      expect(await names(false)).to.deep.equal(['20261122T000000Z-backup-0000', '20261121T000000Z-restore-0000'])
      expect(await names(true)).to.deep.equal(['20261123T000000Z-restore-0000', '20261122T000000Z-backup-0000', '20261121T000000Z-restore-0000'])
      expect(await knownRuns(join(folder.path, 'none'))).to.deep.equal([])
    })

    it('knows whether a later run of its procedure is finished', async () => {
      await named('20261121T000000Z-restore-0000', begun)
      await named('20261122T000000Z-backup-0000', begun, finished)
      const later = (like: (state: object, target: string | undefined) => boolean = () => true) => finishedLater(folder.path, {run: '20261121T000000Z-restore-0000', procedure: 'restore', begunAt: '2026-11-21T00:00:00Z'}, like)
      expect(await later()).to.equal(false)
      await named('20261120T000000Z-restore-0000', begun, finished)
      await named('20261123T000000Z-restore-0000', begun)
      expect(await later()).to.equal(false)
      await named('20261124T000000Z-restore-0000', begun, finished)
      expect(await later()).to.equal(true)
      expect(await later(() => false)).to.equal(false)
      // Two of one second are told apart by what their journals say, not by the end of their names.
      const first = {...begun, at: '2026-11-26T00:00:00.100Z'}
      await named('20261126T000000Z-restore-aaaa', first)
      await named('20261126T000000Z-restore-0000', {...first, at: '2026-11-26T00:00:00.900Z'} as JournalEvent, finished)
      expect(await finishedLater(folder.path, {run: '20261126T000000Z-restore-aaaa', procedure: 'restore', begunAt: first.at}, () => true)).to.equal(true)
      expect(await finishedLater(folder.path, {run: '20261126T000000Z-restore-0000', procedure: 'restore', begunAt: '2026-11-26T00:00:00.900Z'}, () => true)).to.equal(false)
      await named('20261125T000000Z-restore-0000', {...begun, target: 'db:5432/crm'}, finished)
      expect(await later((_, target) => target === 'db:5432/crm')).to.equal(true)
    })
  })

  describe('is gone on with by one process alone', () => {
    const path = () => join(folder.path, '20261122T000000Z-restore-0000.jsonl')
    const claims = async () => (await readdir(folder.path)).filter((name) => !name.endsWith('.jsonl')).toSorted()

    it('of many that come at once', async () => {
      const outcomes = await Promise.allSettled(Array.from({length: 20}, () => claimRun(path())))
      expect(outcomes.filter(({status}) => status === 'fulfilled')).to.have.length(1)
      for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).to.include({code: 'run.active', exitCode: ExitCode.locked})
    })

    it('until that one gives it back, and leaves nothing behind', async () => {
      const release = await claimRun(path())
      expect(await drErrorOf(claimRun(path()))).to.include({code: 'run.active'})
      await release()
      expect(await claims()).to.deep.equal([])
      await (await claimRun(path()))()
    })

    it('or is dead, with a claim that is whole or not', async () => {
      for (const content of [JSON.stringify(gone), '', JSON.stringify({...ownIdentity(), ticks: '1'})]) {
        await writeFile(join(folder.path, '20261122T000000Z-restore-0000.claim-3'), content)
        const release = await claimRun(path())
        expect(await claims()).to.deep.equal(['20261122T000000Z-restore-0000.claim-3', '20261122T000000Z-restore-0000.claim-4'])
        await release()
        expect(await claims()).to.deep.equal([])
      }
    })
  })
})
