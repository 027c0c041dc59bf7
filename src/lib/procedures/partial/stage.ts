import {join} from 'node:path'
import {messageOf, preflightError, verificationError} from '../../errors.ts'
import type {ArchiveEntry} from '../../postgres/archive.ts'
import type {Client} from '../../postgres/connection.ts'
import {codeOf, statementError} from '../../postgres/errors.ts'
import {copyColumns} from '../../postgres/partial/copy-columns.ts'
import type {StagedTable, TableName} from '../../postgres/partial/contract.ts'
import {leavesOf, loosen} from '../../postgres/partial/scratch.ts'
import {stageColumns} from '../../postgres/partial/stage-columns.ts'
import {finishStage, narrowStage, needsOthers, rowsQuery, stagedCondition, stageQuery, stageText} from '../../postgres/partial/stage-rows.ts'
import {sideTypes} from '../../postgres/partial/side-types.ts'
import {createStage, dropStage, stageSchemaName} from '../../postgres/partial/stage-schema.ts'
import {quoteIdent} from '../../postgres/quote.ts'
import {targetUrl} from '../../postgres/target.ts'
import type {ManifestMember} from '../../repository/manifest.ts'
import type {Step, StepIo} from '../../runbook/procedure.ts'
import {stopwatch} from '../../system/stopwatch.ts'
import {bytesOf} from '../restore/foreign/receive.ts'
import {memberOf} from '../restore/units.ts'
import {StreamTrouble, unpacked} from '../verify/decompress.ts'
import {compressionOf} from '../verify/member.ts'
import {createBeside} from './beside.ts'
import {dropStaged} from './drop-stage.ts'
import {ofLiveKeys, stagingCondition} from './live-keys.ts'
import type {StageOptions, StageState, StageWish} from './options.ts'
import {stagePlan, type PlannedTable} from './plan.ts'
import {restoreList} from './scratch.ts'
import {there, type Side, type StageWork} from './work.ts'

/**
 * Puts the rows of the backup beside the live tables: in a schema of the live database that nobody else can look into, or in a database
 * of its own. `wish` is asked when both catalogs are known. Undone by dropping it.
 */
export function stageStep<S extends StageState>(options: StageOptions, work: StageWork, wish: (state: S) => StageWish): Step<S> {
  const {target, config} = options
  const place = () => targetUrl(target, work.isBeside ? work.stageDatabase : target.database)
  return {
    id: 'partial.stage',
    title: work.isBeside ? 'Stage the rows of the backup in a database beside the live one' : 'Stage the rows of the backup beside the live tables',
    effect: 'write',
    byHand: () => [
      ...(work.isBeside ? [{argv: ['psql', targetUrl(target, config.database.maintenanceDatabase), '-c', `CREATE DATABASE ${quoteIdent(work.stageDatabase)} TEMPLATE template0`, '-c', `REVOKE ALL ON DATABASE ${quoteIdent(work.stageDatabase)} FROM PUBLIC`]}] : []),
      {argv: ['psql', place(), '-c', `CREATE SCHEMA ${stageSchemaName(work.run)}; CREATE UNLOGGED TABLE ${stageSchemaName(work.run)}."TABLE" (…)`], note: 'the columns as in the backup, no constraints; default privileges must be revoked before any row arrives'},
      {argv: ['psql', place(), '-c', String.raw`\copy …"TABLE" (…) FROM PROGRAM 'zstd -dc BACKUP/NNNN.dat.zst'`], note: 'NNNN: the number of the TABLE DATA in pg_restore --list'},
    ],
    run: (state, io) => stopwatch(state.timings).time('stage', () => stageAll(options, work, state, io, wish(state))),
    async undo(state) {
      await dropStaged(options, work, state)
    },
  }
}

async function stageAll(options: StageOptions, work: StageWork, state: StageState, io: StepIo, wish: StageWish): Promise<void> {
  const plan = stagePlan(wish, work.catalogs)
  const tables = await work.live(io.signal, (client) => create(client, work, state, io, {plan, wish}))
  if (work.side?.kind === 'backup') await fromMembers(work, state, io, tables)
  else await fromDatabase(options, work, io, tables)
  state.fetched ??= fetchedWhole(work)
  state.staged = await work.beside(io.signal, (client) => finish(client, tables, io)).catch((error: unknown) => { throw statementError(error, 'Staging the rows') })
}

/** A planned table and where its rows go. */
interface Target extends PlannedTable {
  stage: TableName
  columns: string[]
  /** A condition on more rows. */
  more?: string
}

async function create(client: Client, work: StageWork, state: StageState, io: StepIo, {plan, wish}: {plan: readonly PlannedTable[]; wish: StageWish}): Promise<Target[]> {
  const schema = stageSchemaName(work.run)
  try {
    // What an earlier process of this run has made of it is begun anew.
    await dropStage(client, {schema, run: work.run})
    if (work.isBeside) await createBeside(work, state)
    const beside = work.isBeside ? await sideTypes(client, plan.flatMap(({table}) => table.columns.map(({type}) => type))) : undefined
    work.stagedAsText = []
    const targets: (Target & {typed: {name: string; type: string}[]})[] = []
    for (const planned of plan) {
      const {columns, asText, notices} = await stageColumns(client, planned.table, planned.live)
      for (const notice of notices) io.notice(notice)
      const stage = {schema, name: planned.name}
      if (!work.isBeside) work.stagedAsText.push(...asText.map((column) => ({stage, ...column})))
      const more = wish.liveKeys === true ? await ofLiveKeys(client, work.catalogs.live, planned) : undefined
      targets.push({...planned, stage, columns: columns.map(({name}) => name), typed: columns.map((one) => ({...one, type: beside?.get(one.type) ?? one.type})), ...(more !== undefined && {more})})
    }
    if (!work.isBeside) state.stageSchema = schema
    await work.beside(io.signal, (to) => createStage(to, work.run, targets.map(({stage, typed}) => ({...stage, columns: typed}))))
    return targets
  } catch (error) {
    throw statementError(error, work.isBeside ? `Making the database ${work.stageDatabase}` : `Making the staging schema ${schema}`)
  }
}

/** A member, and the table that its rows go to. */
interface Part {
  target: Target
  entry: ArchiveEntry
  member: ManifestMember
}

/** Member by member, the largest last: each is fetched and proven while the one before is streamed into its table; then its file goes. */
async function fromMembers(work: StageWork, state: StageState, io: StepIo, targets: readonly Target[]): Promise<void> {
  const {members, options: {backup: {manifest, location}}} = work.side as Extract<Side, {kind: 'backup'}>
  const known = new Map(manifest.members.map((member) => [member.name, member]))
  const found: Part[] = []
  for (const target of targets) for (const entry of await dataOf(work, target, io, location)) found.push({target, entry, member: memberOf(entry, known, manifest.label)})
  const parts = found.toSorted((a, b) => a.member.bytes - b.member.bytes || (a.member.name < b.member.name ? -1 : 1))
  // One for a partition and for its root stands side by side.
  const isSame = (one: Part | undefined, other: Part | undefined) => one?.member === other?.member
  const total = parts.reduce((sum, {member}) => sum + member.bytes, 0)
  const over = new AbortController()
  const prove = (part: Part | undefined) => (part ? members.prove(part.member, AbortSignal.any([io.signal, over.signal])) : Promise.resolve())
  let ahead = prove(parts[0])
  let done = 0
  try {
    for (const [at, part] of parts.entries()) {
      await ahead
      const next = parts[at + 1]
      ahead = isSame(part, next) ? Promise.resolve() : prove(next)
      ahead.catch(() => {})
      const before = done
      await stageMember(work, part, io, (bytes) => { io.progress({unit: 'bytes', done: before + bytes, total, note: `${part.target.table.schema}.${part.target.table.name}`}) })
      done += part.member.bytes
      if (!isSame(part, next)) await members.discard(part.member)
    }
  } finally {
    over.abort()
    await ahead.catch(() => {})
  }
  const read = [known.get('toc.dat'), ...new Set(parts.map(({member}) => member))]
  state.fetched = {bytes: members.remote ? members.downloadedBytes : read.reduce((sum, member) => sum + (member?.bytes ?? 0), 0), archiveBytes: manifest.sizes.archiveBytes, members: read.length}
}

async function stageMember(work: StageWork, {target, entry, member}: Part, io: StepIo, onBytes: (bytes: number) => void): Promise<void> {
  const {members, options: {backup: {manifest}}} = work.side as Extract<Side, {kind: 'backup'}>
  const counted = async function* () {
    let done = 0
    for await (const chunk of bytesOf(join(members.directory, member.name), io.signal)) {
      done += chunk.length
      onBytes(done)
      yield chunk
    }
  }
  const rows = await textInto(work, target, entry, member, counted(), io)
  const expected = manifest.tables.find(({dumpId}) => dumpId === entry.dumpId)?.rows ?? null
  if (rows.all && expected !== null && rows.count !== expected) throw verificationError('partial.rows', `${member.name} holds ${rows.count} rows of ${entry.schema ?? ''}.${entry.tag}, the manifest says ${expected}.`, {hints: ['dr verify --level full looks at every byte of the backup.']})
}

async function textInto(work: StageWork, target: Target, entry: ArchiveEntry, member: ManifestMember, bytes: AsyncIterable<Buffer>, io: StepIo): Promise<{count: number; all: boolean}> {
  const columns = there(copyColumns(entry.copyStatement), `The entry of ${entry.tag} has no COPY.`)
  const where = stagingCondition(target)
  const compression = compressionOf(member.name)
  const encoding = /'(.*)'/.exec(work.archive?.entries.find(({kind}) => kind === 'ENCODING')?.definition ?? '')?.[1] ?? 'UTF8'
  try {
    const text = unpacked(bytes, compression === 'none' ? [] : [compression])
    const count = await work.beside(io.signal, (client) => stageText(client, {stage: target.stage, columns, where}, text, {encoding, signal: io.signal}))
    return {count, all: where === undefined}
  } catch (error) {
    io.signal.throwIfAborted()
    if (error instanceof StreamTrouble) throw verificationError('restore.member-damaged', `${member.name} ${error.message}.`, {hints: ['dr verify --level full', 'Restore another one: dr list']})
    throw rowError(error, target.table)
  }
}

/** A value that its type does not take now (an enum without that label, a domain with another check) was one when the backup was made. */
export function rowError(error: unknown, {schema, name}: TableName): unknown {
  if (!/^2[23]...$/.test(codeOf(error) ?? '')) return statementError(error, `Staging ${schema}.${name}`)
  return preflightError('partial.value', `A row of ${schema}.${name} in the backup does not fit the types as they are live: ${messageOf(error)}.`, {
    cause: error, hints: ['Make the type again as it was (ALTER TYPE … ADD VALUE), or restore the backup into a database of its own: dr restore'],
  })
}

/** The entries that hold the rows of a table: of a partitioned one those of its leaves. */
async function dataOf(work: StageWork, {table}: Target, io: StepIo, location: string): Promise<ArchiveEntry[]> {
  const {entries} = there(work.archive, 'The archive has not been read.')
  const leaves = await work.source(io.signal, (client) => leavesOf(client, table))
  return leaves.map(({schema, name}) => {
    const entry = entries.find((one) => one.kind === 'TABLE DATA' && one.schema === schema && one.tag === name)
    if (entry === undefined) throw verificationError('partial.no-rows', `${location} has no rows of ${schema}.${name}: they were left out when it was made.`, {hints: ['--from names another backup: dr list']})
    return entry
  })
}

/** From the scratch database, or the one that is the source. */
async function fromDatabase(options: StageOptions, work: StageWork, io: StepIo, targets: readonly Target[]): Promise<void> {
  if (work.side?.kind === 'dump') await fillScratch(options, work, work.side, io, targets)
  await work.source(io.signal, async (source) => {
    for (const [at, target] of targets.entries()) {
      io.progress({unit: 'items', done: at, total: targets.length, note: `${target.table.schema}.${target.table.name}`})
      const query = rowsQuery(target.table, target.columns, stagingCondition(target))
      await work.beside(io.signal, (client) => stageQuery(client, {stage: target.stage, columns: target.columns}, {client: source, query}, io.signal)).catch((error: unknown) => {
        io.signal.throwIfAborted()
        throw rowError(error, target.table)
      })
    }
  })
}

/** Of an archive only the rows that are wanted; a script has brought all of them. */
async function fillScratch(options: StageOptions, work: StageWork, side: Extract<Side, {kind: 'dump'}>, io: StepIo, targets: readonly Target[]): Promise<void> {
  await work.source(io.signal, (client) => loosen(client, work.catalogs.backup)).catch((error: unknown) => { throw statementError(error, `Preparing ${work.scratch}`) })
  if (!side.work.hasArchive) return
  const wanted = new Set<ArchiveEntry>()
  for (const target of targets) for (const entry of await dataOf(work, target, io, side.options.dump.location)) wanted.add(entry)
  if (wanted.size === 0) return
  // A tar is read from its beginning to its end.
  const entries = side.work.archive.entries.filter((entry) => wanted.has(entry))
  const jobs = side.work.proven.ready.kind === 'tar' ? 1 : options.jobs
  const {error} = await restoreList(work, side, io, {name: 'rows', entries, jobs})
  if (error) throw error
}

function fetchedWhole({side}: StageWork): NonNullable<StageState['fetched']> {
  const bytes = side?.kind === 'dump' ? side.work.proven.ready.bytes : 0
  return {bytes, archiveBytes: bytes, members: side?.kind === 'dump' ? 1 : 0}
}

/** What other tables decide is left out now that all are there; then each gets its index. */
async function finish(client: Client, targets: readonly Target[], io: StepIo): Promise<StagedTable[]> {
  const stageOf = ({schema, name}: TableName) => targets.find(({table}) => table.schema === schema && table.name === name)?.stage
  const staged: StagedTable[] = []
  for (const {stage, key} of targets) if (key && key.length > 0) await client.query(`ANALYZE ${quoteIdent(stage.schema)}.${quoteIdent(stage.name)}`)
  for (const {table: {schema, name}, stage, where, columns, key, more} of targets) {
    io.progress(`index of ${schema}.${name}`)
    if (needsOthers(where)) await narrowStage(client, stage, [stagedCondition(where, 's', stageOf), ...(more === undefined ? [] : [more])].join(' OR '))
    staged.push({table: {schema, name}, stage, columns, ...(key && {key}), rows: await finishStage(client, stage, key)})
  }
  return staged
}
