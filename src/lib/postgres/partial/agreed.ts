import {preflightError, type DrError} from '../../errors.ts'
import type {Client} from '../connection.ts'
import type {Comparison} from './contract.ts'
import type {Entry, Planned} from './plan.ts'
import {sameTable, shownName} from './names.ts'
import type {Tally} from './tally.ts'
import {cascadesDigest, entryDigest, touchedDigest, type TouchedDigest} from './touched-digest.ts'

const again = (message: string): DrError => preflightError('partial.moved-on', message, {hints: ['Run dr partial again, and look at the new comparison.', 'Where others keep changing the same rows, --where leaves these out; --merge missing changes none that is there.']})
const moved = (table: string, count: number, what: string, shown: number): DrError => again(`By now ${count} ${count === 1 ? 'row' : 'rows'} of ${table} would be ${what}; it was agreed to ${shown}.`)
const others = (table: string, what: string): DrError => again(`The rows of ${table} that would be ${what} are by now not those, or not as, it was agreed to.`)

/** Throws `partial.moved-on` (exit 3) unless what is changed and deleted are the very rows that were shown, as they were then, and no more is inserted. */
export async function assertAgreed(client: Client, planned: Planned, counts: Tally, expected: Comparison): Promise<void> {
  const digest = await touchedDigest(client, planned)
  for (const entry of planned.entries) assertEntry(entry, counts, digest, expected.tables[entry.index])
  for (const {table, deleted, updated} of counts.cascades) {
    const shown = expected.cascades.find((one) => sameTable(one.table, table)) ?? {deleted: 0, updated: 0}
    if (deleted > shown.deleted) throw moved(shownName(table), deleted, 'deleted by cascade', shown.deleted)
    if (updated > shown.updated) throw moved(shownName(table), updated, 'changed by cascade', shown.updated)
  }
  const [cascaded] = counts.cascades
  if (cascaded && expected.cascadesDigest !== undefined && expected.cascadesDigest !== cascadesDigest(digest, planned)) throw others(shownName(cascaded.table), 'deleted or changed by cascade')
}

function assertEntry(entry: Entry, counts: Tally, digest: TouchedDigest, found: Comparison['tables'][number] | undefined): void {
  const {plan, index, selected: {table, role}} = entry
  if (found === undefined || !sameTable(found, table) || found.role !== role) throw new Error(`The comparison is of another selection: ${shownName(table)} is not its ${index + 1}. table.`)
  const [insertion, update, removal] = [counts.of(plan, ['insert'], index), counts.of(plan, ['update', 'link'], index), counts.of(plan, ['delete'], index)]
  if (insertion > found.missing) throw moved(shownName(table), insertion, 'inserted', found.missing)
  if (update > found.changed) throw moved(shownName(table), update, 'changed', found.changed)
  if (removal > found.extra) throw moved(shownName(table), removal, 'deleted', found.extra)
  const now = entryDigest(digest, entry)
  if (update > 0 && found.digest !== undefined && found.digest.changed !== now.changed) throw others(shownName(table), 'changed')
  // A row that was to be deleted, and was changed since, counts as come in since.
  if ((removal > 0 || counts.of(plan, ['late'], index) > 0) && found.digest !== undefined && found.digest.extra !== now.extra) throw others(shownName(table), 'deleted')
}
