import {join} from 'node:path'
import {readJournal} from '../../runbook/journal.ts'
import {knownRun, type KnownRun} from '../../runbook/runs.ts'

/** Undefined where another machine has it. */
export async function journalOf({journals}: {journals: string}, run: string): Promise<KnownRun | undefined> {
  const path = join(journals, `${run}.jsonl`)
  const entries = await readJournal(path).catch(() => [])
  return knownRun(path, entries)
}
