import {messageOf, preflightError} from '../../errors.ts'
import type {Config} from '../../config/config.ts'

import {wasLive, type MarkedDatabase} from '../../postgres/database-marks.ts'
import {dropIfStill, holdsRows, sessionsIn} from '../../postgres/drop-marked.ts'
import {quoteIdent} from '../../postgres/quote.ts'
import {connectOutside} from '../../postgres/swap-needs.ts'
import {targetUrl, type Target} from '../../postgres/target.ts'
import {endQuietly} from '../../postgres/connection.ts'
import {dropAbandonedStage, type AbandonedStage} from '../../postgres/stage-database.ts'
import {beganAt, dropSchemas, type LeftSchema} from './schemas.ts'
import {size} from '../../report/swap-lines.ts'
import type {Gate, Procedure, Step} from '../../runbook/procedure.ts'

export interface CleanUpOptions {
  config: Config
  target: Target
  olderThanMs: number
  /** Also those with sessions in them. */
  force: boolean
  now: Date
}

/** A database that swaps and restores have left. */
export interface LeftDatabase extends MarkedDatabase {
  ageSeconds: number
  /** A killed run has left it, with rows that were staged. */
  abandoned?: true
  /** Why it stays; undefined when it goes. */
  stays?: string
}

/** Plain data: it stands in the journal and in --json. */
export interface CleanUpState {
  environment: string
  live: string
  databases: LeftDatabase[]
  /** Of the live database. */
  schemas: LeftSchema[]
  dropped: string[]
  droppedSchemas: string[]
  /** Those that were to go and did not, and why. */
  failed: {database: string; why: string}[]
  failedSchemas: {schema: string; why: string}[]
}

const MEANING = {kept: 'was live before a restore', undone: 'was live before an undo', ready: 'restored, never swapped in', stage: 'rows of a backup'} as const
export const meaningOf = ({kind}: Pick<MarkedDatabase, 'kind'>): string => MEANING[kind]

const APPLICATION = 'dr restore clean-up'

/** Drops databases that swaps have kept, by their age: only those that dr's own mark and their name prove, and never the only copy. */
export function cleanUpProcedure(options: CleanUpOptions): Procedure<CleanUpState> {
  return {
    id: 'clean-up',
    once: 'run dr restore clean-up again',
    title: `Drop what swaps and partial restores of ${options.target.database} have left`,
    phases: [
      {title: 'Check', steps: [liveStep(options)]},
      {title: 'Drop', gate: dropGate(options), steps: [dropStep(options), schemasStep(options)]},
    ],
  }
}

export function cleanUpState(options: CleanUpOptions, marked: readonly MarkedDatabase[], schemas: LeftSchema[] = [], abandoned: readonly AbandonedStage[] = []): CleanUpState {
  const live = options.target.database
  const databases = [...marked.filter((one) => one.live === live && one.database !== live).map((one) => judged(one, options)), ...abandoned.map((one) => leftover(one, options))]
  return {environment: options.config.environment, live, databases, schemas, dropped: [], droppedSchemas: [], failed: [], failedSchemas: []}
}

function judged(one: MarkedDatabase, {olderThanMs, force, now}: CleanUpOptions): LeftDatabase {
  const ageMs = now.getTime() - Date.parse(one.at)
  const stays = !one.proven ? `renamed since: it was ${one.name}` : Number.isNaN(ageMs) || ageMs < olderThanMs ? 'younger than the limit' : one.sessions > 0 && !force ? sessionsIn(one.sessions) : undefined
  return {...one, ageSeconds: Math.floor(ageMs / 1000), ...(stays !== undefined && {stays})}
}

/** Nobody wanted to keep it: it goes whatever its age. */
function leftover({run, database, oid, bytes}: AbandonedStage, {target, now}: CleanUpOptions): LeftDatabase {
  const at = beganAt(run)
  return {kind: 'stage', live: target.database, name: database, database, at, run, oid, bytes, sessions: 0, proven: true, abandoned: true, ageSeconds: Math.floor((now.getTime() - Date.parse(at)) / 1000)}
}

const goingSchemas = ({schemas}: CleanUpState) => schemas.filter(({stays}) => stays === undefined)
const going = ({databases}: CleanUpState) => databases.filter(({stays}) => stays === undefined)

function dropGate({target}: CleanUpOptions): Gate<CleanUpState> {
  return {
    skip: (state) => (going(state).length + goingSchemas(state).length === 0 ? 'nothing is to be dropped' : undefined),
    question: (state) => `Drop ${whatGoes(state)} at ${target.host}:${target.port} for good?`,
    mustType: ({live}) => live,
    details: (state) => [...goingSchemas(state).map(schemaText), ...going(state).map((one) => `DROP ${one.database}: ${meaningOf(one)} (run ${one.run}), ${wasLive(one) ? 'until' : 'of'} ${one.at.slice(0, 19).replace('T', ' ')} UTC${one.bytes === undefined ? '' : `, ${size(one.bytes)}`}${one.sessions > 0 ? `, ${sessionsIn(one.sessions)}` : ''}`)],
    declined: () => ['Nothing was changed.'],
  }
}

const schemaText = ({schema, kind, at}: LeftSchema) => `DROP SCHEMA ${schema}: ${kind === 'undo' ? 'dr undo cannot take that partial restore back any more' : 'rows of a backup'}, of ${at.slice(0, 19).replace('T', ' ')} UTC`

function whatGoes(state: CleanUpState): string {
  const [databases, schemas] = [going(state).length, goingSchemas(state).length]
  if (databases + schemas === 1) return databases === 1 ? 'this database' : 'this schema'
  return `these ${[...(databases > 0 ? [`${databases} ${databases === 1 ? 'database' : 'databases'}`] : []), ...(schemas > 0 ? [`${schemas} ${schemas === 1 ? 'schema' : 'schemas'}`] : [])].join(' and ')}`
}

/** While the live database is gone, or holds nothing, what was kept may be all there is. */
function liveStep({target, config}: CleanUpOptions): Step<CleanUpState> {
  return {
    id: 'clean-up.live',
    title: `The live database ${target.database} is there and holds rows`,
    effect: 'read',
    skip: (state) => (going(state).length === 0 ? 'nothing is to be dropped' : undefined),
    byHand: ({live}) => [{argv: ['psql', targetUrl(target, live), '-c', 'SELECT relname, n_live_tup FROM pg_stat_user_tables ORDER BY 2 DESC LIMIT 5']}],
    async run({live}) {
      const holds = await holdsRows(target, live, APPLICATION, config.database).catch((error: unknown) => { throw onlyCopy(live, `cannot be read: ${messageOf(error)}`, error) })
      if (!holds) throw onlyCopy(live, 'holds no rows')
    },
  }
}

const onlyCopy = (live: string, why: string, cause?: unknown) =>
  preflightError('clean-up.only-copy', `${live} ${why.replace(/\.$/, '')}: what was kept may be the only copy, so nothing is dropped.`, {cause, hints: ['dr undo brings the old database back; dr restore latest --swap restores one.']})

function dropStep(options: CleanUpOptions): Step<CleanUpState> {
  const {target, config, force} = options
  return {
    id: 'clean-up.drop',
    title: 'Drop them',
    effect: 'destroy',
    skip: (state) => (going(state).length === 0 ? 'there is none that may go' : undefined),
    byHand: (state) => going(state).map(({database}) => ({argv: ['psql', targetUrl(target, config.database.maintenanceDatabase), '-c', `DROP DATABASE ${quoteIdent(database)}${force ? ' WITH (FORCE)' : ''}`]})),
    async run(state, io) {
      const client = await connectOutside(target, [state.live, ...state.databases.map(({database}) => database)], config.database.maintenanceDatabase, APPLICATION)
      try {
        for (const one of going(state)) {
          io.signal.throwIfAborted()
          io.progress(one.database)
          const why = one.abandoned ? await dropAbandonedStage(client, one, state.live) : await dropIfStill(client, one, state.live, force)
          if (why === undefined) state.dropped.push(one.database)
          else state.failed.push({database: one.database, why})
        }
      } finally {
        await endQuietly(client)
      }
    },
  }
}

function schemasStep({target}: CleanUpOptions): Step<CleanUpState> {
  return {
    id: 'clean-up.schemas',
    title: `Drop what partial restores have left in ${target.database}`,
    effect: 'destroy',
    skip: (state) => (goingSchemas(state).length === 0 ? 'there is none that may go' : undefined),
    byHand: (state) => goingSchemas(state).map(({schema}) => ({argv: ['psql', targetUrl(target), '-c', `DROP SCHEMA ${quoteIdent(schema)} CASCADE`]})),
    async run(state, io) {
      const {dropped, failed} = await dropSchemas(target, goingSchemas(state), io.signal, (schema) => { io.progress(schema) })
      state.droppedSchemas.push(...dropped)
      state.failedSchemas.push(...failed)
    },
  }
}
