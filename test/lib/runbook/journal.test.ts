import {expect} from 'chai'
import {readdir, readFile, stat, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {createJournal, readJournal, reopenJournal, type Journal, type JournalEvent} from '../../../src/lib/runbook/journal.ts'
import {forgetSecrets, registerSecret} from '../../../src/lib/system/redact.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {temporaryFolder} from '../../support/temporary.ts'

const now = new Date('2026-11-22T02:00:00Z')

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
})
