import {expect} from 'chai'
import {appendFile, chmod, readdir, readFile, stat, truncate, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {ExitCode} from '../../../src/lib/errors.ts'
import {createJournal, readJournal, reopenJournal, type Journal, type JournalEvent} from '../../../src/lib/runbook/journal.ts'
import {resumption} from '../../../src/lib/runbook/resume.ts'
import {ownIdentity} from '../../../src/lib/system/process-identity.ts'
import {forgetSecrets, registerSecret} from '../../../src/lib/system/redact.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {temporaryFolder} from '../../support/temporary.ts'

const now = new Date('2026-11-22T02:00:00Z')
const gone = {...ownIdentity(), ticks: '1', host: 'elsewhere'}
const begun: JournalEvent = {event: 'begun', state: {n: 0}, process: gone}

describe('journal', () => {
  const folder = temporaryFolder()
  const note = (journal: Journal, ...events: JournalEvent[]) => Promise.all(events.map((event) => journal.write({at: now.toISOString(), procedure: 'restore', ...event})))

  async function written(...events: JournalEvent[]): Promise<string> {
    const journal = await createJournal(folder.path, 'restore', now)
    await note(journal, ...events)
    await journal.close()
    return journal.path
  }

  it('is a file of its own for this user only, named by time and procedure', async () => {
    const deep = join(folder.path, 'x', 'journal')
    const journals = await Promise.all(Array.from({length: 20}, () => createJournal(deep, 'restore', now)))
    await Promise.all(journals.map((journal) => journal.close()))
    expect(await readdir(deep)).to.have.length(20)
    const [first] = journals
    expect(first?.run).to.match(/^20261122T020000Z-restore-[\da-f]{4}$/)
    expect((await stat(first?.path ?? '')).mode & 0o777).to.equal(0o600)
  })

  it('keeps the order of the calls and the state of their moment', async () => {
    const journal = await createJournal(folder.path, 'restore', now)
    const state = {n: 1}
    const writes = [note(journal, {event: 'done', step: 'a', ms: 1, state})]
    state.n = 2
    writes.push(note(journal, {event: 'done', step: 'b', ms: 1, state}))
    await Promise.all(writes)
    await journal.close()
    expect((await readJournal(journal.path)).map((entry) => 'state' in entry && entry.state)).to.deep.equal([{n: 1}, {n: 2}])
  })

  it('holds no secret', async () => {
    registerSecret('hunter"22')
    try {
      const path = await written({event: 'failed', step: 'a', detail: 'no hunter"22 at postgres://a:other@h/d'})
      expect(await readFile(path, 'utf8')).not.to.match(/hunter|other/)
    } finally {
      forgetSecrets()
    }
  })

  it('says in words that it cannot be written', async () => {
    await writeFile(join(folder.path, 'file'), '')
    expect(await drErrorOf(createJournal(join(folder.path, 'file', 'journal'), 'restore', now))).to.include({code: 'journal.unwritable'})
    expect(await drErrorOf(reopenJournal(join(folder.path, 'none.jsonl')))).to.include({code: 'journal.unwritable'})
  })

  describe('resumption', () => {
    const resume = (name: string) => resumption(name, folder.path, 'restore')

    it('is where the run stopped, after its last step', async () => {
      const path = await written(begun, {event: 'started', step: 'a'}, {event: 'done', step: 'a', ms: 7, state: {n: 1}}, {event: 'confirmed', phase: 'P', answer: 'x'}, {event: 'started', step: 'b'})
      expect(await resume(path)).to.deep.equal({path, state: {n: 1}, done: new Map([['a', 7]]), begun: ['a', 'b'], confirmed: new Set(['P'])})
    })

    it('forgets what was undone, and what an undo has touched is not done', async () => {
      const path = await written(
        begun,
        {event: 'started', step: 'a'}, {event: 'done', step: 'a', ms: 7, state: {n: 1}},
        {event: 'started', step: 'b'}, {event: 'done', step: 'b', ms: 7, state: {n: 2}},
        {event: 'confirmed', phase: 'P', answer: 'x'},
        {event: 'undo-started', step: 'b'}, {event: 'undone', step: 'b', state: {n: 3}},
        {event: 'undo-started', step: 'a'}, {event: 'undo-failed', step: 'a', detail: 'stuck'},
        {event: 'interrupted'},
      )
      expect(await resume(path)).to.deep.equal({path, state: {n: 3}, done: new Map(), begun: ['a'], confirmed: new Set()})
    })

    it('skips a last line that a crash has cut, and goes on after it on a line of its own', async () => {
      const path = await written(begun, {event: 'started', step: 'a'}, {event: 'done', step: 'a', ms: 7, state: {n: 1}})
      await truncate(path, (await stat(path)).size - 5)
      expect((await resume(path)).done).to.deep.equal(new Map())
      const journal = await reopenJournal(path)
      await note(journal, {event: 'done', step: 'a', ms: 8, state: {n: 5}})
      await journal.close()
      expect(await resume(path)).to.deep.include({state: {n: 5}, done: new Map([['a', 8]])})
    })

    it('finds a run by its name, by its path, and the latest of its procedure', async () => {
      for (const name of ['20261121T000000Z-restore-0000', '20261122T000000Z-restore-0000', '20261123T000000Z-restore-test-0000', '20261124T000000Z-backup-0000']) {
        await writeFile(join(folder.path, `${name}.jsonl`), `${JSON.stringify({procedure: 'restore', at: '', ...begun})}\n`)
      }
      expect((await resume('latest')).path).to.equal(join(folder.path, '20261122T000000Z-restore-0000.jsonl'))
      expect((await resume('20261121T000000Z-restore-0000')).path).to.equal(join(folder.path, '20261121T000000Z-restore-0000.jsonl'))
    })

    const refused = (name: string) => drErrorOf(resume(name))

    it('refuses what it cannot go on with, each in words', async () => {
      expect(await refused('latest')).to.include({code: 'run.unknown', exitCode: ExitCode.usage})
      expect(await refused('20261121T000000Z-restore-0000')).to.include({code: 'run.unknown'})
      expect(await refused(await written({event: 'interrupted'}))).to.include({code: 'run.empty'})
      expect(await refused(await written(begun, {event: 'finished', state: {}, timings: {totalMs: 1, gatesMs: 0, phases: []}}))).to.include({code: 'run.finished'})
      const other = await createJournal(folder.path, 'backup', now)
      await other.write({at: '', procedure: 'backup', ...begun})
      await other.close()
      expect(await refused(other.path)).to.include({code: 'run.procedure'})
    })

    it('refuses a run that is still at work, until it says that it ended', async () => {
      const path = await written({event: 'begun', state: {}, process: ownIdentity()})
      expect(await refused(path)).to.include({code: 'run.active', exitCode: ExitCode.locked})
      await appendFile(path, `${JSON.stringify({at: '', procedure: 'restore', event: 'interrupted'})}\n`)
      expect((await resume(path)).begun).to.deep.equal([])
    })

    it('does not change a journal that it only reads', async () => {
      const path = await written(begun)
      await chmod(path, 0o400)
      const before = await readFile(path, 'utf8')
      await resume(path)
      expect(await readFile(path, 'utf8')).to.equal(before)
    })
  })
})
