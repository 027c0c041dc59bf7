import {messageOf, verificationError} from '../../errors.ts'
import type {ArchiveEntry} from '../../postgres/archive.ts'
import type {Client} from '../../postgres/connection.ts'
import {statementError} from '../../postgres/errors.ts'
import type {ForeignKeyShape, TableName} from '../../postgres/partial/contract.ts'
import {beforeKey, inOneStep, notYetValid, validateKey} from '../../postgres/partial/keys-apart.ts'
import {identityOf, liveObjects} from '../../postgres/partial/live-objects.ts'
import {retried} from '../../postgres/partial/lock-retries.ts'
import {madeIn} from '../../postgres/partial/made.ts'
import {sameTable, shownName} from '../../postgres/partial/names.ts'
import {orphansOf} from '../../postgres/partial/orphans.ts'
import {qualified, quoteIdent} from '../../postgres/quote.ts'
import {entryName} from '../../postgres/restore-lists.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import type {Recreated, StageOptions, StageState} from './options.ts'
import {schemaArchive} from './recreate-archive.ts'
import {makeDefaults} from './recreate-defaults.ts'
import {MAKING, noted, refresh, restoreInto} from './recreate-into.ts'
import {undoSchemaOf} from './run-options.ts'
import {there, type StageWork} from './work.ts'

/** The parts of the rest, each in the archive's order and in transactions of its own. */
interface Parts {
  first: ArchiveEntry[]
  /** Foreign keys from or to tables that were live all the time, and such as rows stand in the way of. */
  keys: ArchiveEntry[]
  /** Comments on these. */
  companions: ArchiveEntry[]
  /** Data of materialized views: reading it may take long. */
  views: ArchiveEntry[]
}

/**
 * Makes what went with the lost tables, as far as it is not there: an earlier process of this run may have ended before it could note
 * it. Writers of live tables wait for no more than a moment: a foreign key of theirs is added NOT VALID, and then validated.
 */
export async function makeRest(options: StageOptions, work: StageWork, state: StageState, io: StepIo): Promise<void> {
  const recreated = there(state.recreated, 'The tables have not been made.')
  const source = work.schema ?? (await schemaArchive(options, work, io, state.server?.superuser ?? false))
  const wanted = new Map(recreated.after.map(({id, name}) => [id, name]))
  const rest = source.archive.entries.filter((entry) => wanted.get(entry.dumpId) === entryName(entry))
  if (rest.length < wanted.size) throw verificationError('partial.schema', `The schema of ${state.source.location} is not what it was when the lost tables were made anew.`, {hints: ['dr undo takes the rows back; then run the command again.']})
  const live = await work.live(io.signal, liveObjects)
  const entries = rest.filter((entry) => !live.has(identityOf(entry) ?? ''))
  const orphans = await orphansOfEach(work, recreated, io, entries)
  const {first, keys, companions, views} = partsOf(entries, new Set([...await keysApart(work, recreated, io), ...orphans.keys()]))
  const make = (name: string, some: readonly ArchiveEntry[]) => restoreInto(options, work, recreated, io, {source, name, entries: some, tables: recreated.tables})
  await make('recreate-rest', first)
  await makeDefaults(options, work, recreated, io)
  const told = new Set<string>()
  for (const entry of keys) {
    const rows = orphans.get(entryName(entry)) ?? 0
    if (rows > 0) told.add(entryName(entry))
    await (rows > 0 ? addOrphaned(rows, options, work, recreated, io, entry) : addKey(options, work, recreated, io, entry))
  }
  await validateAll(work, recreated, io, (key) => !told.has(nameOfEntry(key)))
  await make('recreate-comments', companions.filter(({dependencies}) => !keys.some((entry) => dependencies.includes(entry.dumpId) && recreated.leftOut.some(({what}) => what === entryName(entry)))))
  await make('recreate-views', views)
  recreated.made.push(...[...first, ...companions, ...views].map(entryName))
  await refresh(options, work, io)
}

const tagOf = ({table, name}: ForeignKeyShape): string => `${table.name} ${name}`
const nameOfEntry = (key: ForeignKeyShape): string => entryName({kind: 'FK CONSTRAINT', schema: key.table.schema, tag: tagOf(key)})
const isKey = (key: ForeignKeyShape, {schema, tag}: ArchiveEntry) => key.table.schema === schema && tag === tagOf(key)
const keyOf = ({foreignKeys}: Recreated, entry: ArchiveEntry): ForeignKeyShape | undefined => (entry.kind === 'FK CONSTRAINT' ? foreignKeys.find((key) => isKey(key, entry)) : undefined)
const known = (recreated: Recreated, entry: ArchiveEntry): ForeignKeyShape => there(keyOf(recreated, entry), `The foreign key ${entry.tag} is not known.`)

/** Foreign keys that are to be made, by the backup's catalog. */
export const keysOf = ({catalogs: {backup}}: StageWork, entries: readonly ArchiveEntry[]): ForeignKeyShape[] =>
  backup.foreignKeys.filter((key) => entries.some((entry) => entry.kind === 'FK CONSTRAINT' && isKey(key, entry)))

function partsOf(entries: readonly ArchiveEntry[], apart: ReadonlySet<string>): Parts {
  const keys = entries.filter((entry) => apart.has(entryName(entry)))
  const views = entries.filter(({kind}) => kind === 'MATERIALIZED VIEW DATA')
  const companions = entries.filter((entry) => identityOf(entry) === undefined && entry.dependencies.some((id) => keys.some(({dumpId}) => dumpId === id)))
  const later = new Set([...keys, ...views, ...companions])
  return {first: entries.filter((entry) => !later.has(entry)), keys, companions, views}
}

/** By the names of their entries. Where the server cannot do it in two steps it is done in one, as the archive has it. */
async function keysApart(work: StageWork, {tables, foreignKeys}: Recreated, io: StepIo): Promise<string[]> {
  const isMade = (table: TableName) => tables.some((one) => sameTable(one, table))
  const ofLive = foreignKeys.filter(({table, references}) => !isMade(table) || !isMade(references))
  const partitioned = await work.live(io.signal, (client) => inOneStep(client, ofLive.flatMap(({table, references}) => [table, references])))
  return ofLive.filter(({table, references}) => !partitioned.some((one) => sameTable(one, table) || sameTable(one, references))).map(nameOfEntry)
}

/** How many rows name rows that are not there, of each entry where some do. */
async function orphansOfEach(work: StageWork, recreated: Recreated, io: StepIo, entries: readonly ArchiveEntry[]): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>()
  for (const entry of entries) {
    const key = keyOf(recreated, entry)
    const orphans = key === undefined ? 0 : await work.live(io.signal, (client) => orphansOf(client, key))
    if (orphans > 0) found.set(entryName(entry), orphans)
  }
  return found
}

const notValid = ({definition}: ArchiveEntry): string => {
  const statement = definition.trim().replace(/;$/, '')
  return /NOT (?:VALID|ENFORCED)$/.test(statement) ? statement : `${statement} NOT VALID`
}

/** NOT VALID, so that nothing is read while its tables are locked. */
async function add({config}: StageOptions, work: StageWork, recreated: Recreated, io: StepIo, entry: ArchiveEntry): Promise<void> {
  const key = known(recreated, entry)
  io.progress(`foreign key ${key.name}`)
  const make = async (client: Client) => {
    await beforeKey(client, key, config.partial.lockTimeoutMs)
    await client.query(notValid(entry))
  }
  await work.live(io.signal, (client) => retried(() => noted(client, work, recreated, io, {tables: recreated.tables, make: () => make(client)}), {
    signal: io.signal, onWaiting: () => { io.progress(`others are writing into ${shownName(key.table)} or ${shownName(key.references)}`) },
  }))
  recreated.made.push(entryName(entry))
}

async function addKey(...[options, work, recreated, io, entry]: Parameters<typeof add>): Promise<void> {
  await add(options, work, recreated, io, entry).catch((error: unknown) => {
    io.signal.throwIfAborted()
    throw statementError(error, MAKING)
  })
}

/** It would be refused as it was. Not validated it holds for every new row, and leaves those that are there alone. */
async function addOrphaned(orphans: number, ...[options, work, recreated, io, entry]: Parameters<typeof add>): Promise<void> {
  try {
    await add(options, work, recreated, io, entry)
    tellNotValid(recreated, io, known(recreated, entry), orphans)
  } catch (error) {
    io.signal.throwIfAborted()
    recreated.leftOut.push({what: entryName(entry), why: orphanText(orphans)})
    io.notice(`Not made anew: ${entryName(entry)}: ${orphanText(orphans)} (${messageOf(error)}).`)
  }
}

/** Those that are validated in the backup, and were added by this process or an earlier one. */
async function validateAll(work: StageWork, recreated: Recreated, io: StepIo, isMeant: (key: ForeignKeyShape) => boolean): Promise<void> {
  const keys = await work.live(io.signal, async (client) => notYetValid(client, recreated.foreignKeys, await madeIn(client, undoSchemaOf(io.run))))
  for (const key of keys.filter(isMeant)) {
    io.progress(`rows of foreign key ${key.name}`)
    try {
      await validate(work, recreated, io, key)
    } catch (error) {
      io.signal.throwIfAborted()
      throw statementError(error, MAKING)
    }
  }
}

/** Rows may have come in its way after they were counted and before it was there. What else the server refuses is no finding: the run is undone. */
async function validate(work: StageWork, recreated: Recreated, io: StepIo, key: ForeignKeyShape): Promise<void> {
  const orphans = await work.live(io.signal, async (client) => {
    const refused = await retried(() => validateKey(client, key), {signal: io.signal})
    const rows = refused === undefined ? 0 : await orphansOf(client, key)
    if (refused && rows === 0) throw refused
    return rows
  })
  if (orphans > 0) tellNotValid(recreated, io, key, orphans)
  else recreated.notValidated = recreated.notValidated.filter(({name}) => name !== tagOf(key))
}

const orphanText = (orphans: number): string => `${orphans.toLocaleString('en-US')} ${orphans === 1 ? 'row names a row' : 'rows name rows'} that ${orphans === 1 ? 'is' : 'are'} not there`

function tellNotValid(recreated: Recreated, io: StepIo, key: ForeignKeyShape, orphans: number): void {
  const tag = tagOf(key)
  recreated.notValidated = [...recreated.notValidated.filter(({name}) => name !== tag), {name: tag, orphans}]
  io.notice(`${nameOfEntry(key)} is NOT VALID: ${orphanText(orphans)}. Once they are repaired: ALTER TABLE ${qualified(key.table)} VALIDATE CONSTRAINT ${quoteIdent(key.name)};`)
}
