import {messageOf} from '../../errors.ts'
import {withClient, type Client} from '../../postgres/connection.ts'
import {runIsAtWork, runKey} from '../../postgres/create-database.ts'
import {dropMadeNote, madeAlone, madeSchemas} from '../../postgres/partial/made.ts'
import {abandonedStages, dropStage, stageSchemas} from '../../postgres/partial/stage-schema.ts'
import {dropUndo, undoSchemas} from '../../postgres/partial/undo-schema.ts'
import type {Target} from '../../postgres/target.ts'

/** A schema of the live database that a partial restore has left. */
export interface LeftSchema {
  schema: string
  /** `stage`: rows of a backup, for hand work or of a killed run. `undo`: rows as they were before, or what was made anew; dr undo needs it. */
  kind: 'stage' | 'undo'
  run: string
  /** ISO, UTC. */
  at: string
  ageSeconds: number
  /** Why it stays; undefined when it goes. */
  stays?: string
}

const APPLICATION = 'dr restore clean-up'

export interface SchemaLimits {
  olderThanMs: number
  now: Date
}

/** Those that bear dr's own mark and name; of a run that is at work none goes. */
export function leftSchemas(target: Target, {olderThanMs, now}: SchemaLimits): Promise<LeftSchema[]> {
  return withClient(target, {applicationName: APPLICATION}, async (client) => {
    const abandoned = new Set((await abandonedStages(client)).map(({schema}) => schema))
    const judged = (one: Omit<LeftSchema, 'ageSeconds' | 'stays'>, stays?: string): LeftSchema => {
      const ageMs = now.getTime() - Date.parse(one.at)
      const why = stays ?? (abandoned.has(one.schema) || ageMs >= olderThanMs ? undefined : 'younger than the limit')
      return {...one, ageSeconds: Math.floor(ageMs / 1000), ...(why !== undefined && {stays: why})}
    }
    const stages = (await stageSchemas(client)).map(({schema, run, kept}) => judged({schema, kind: 'stage', run, at: beganAt(run)}, kept || abandoned.has(schema) ? undefined : 'its run is at work'))
    const made: LeftSchema[] = []
    for (const {schema, made: {run, at}} of await madeSchemas(client)) made.push(judged({schema, kind: 'undo', run, at}, await runIsAtWork(client, runKey(run)) ? 'its run is at work' : undefined))
    return [...stages, ...made, ...(await undoSchemas(client)).map(({schema, run, at}) => judged({schema, kind: 'undo', run, at}))]
  })
}

/** A run is named after its beginning: `20261122T020000Z-7f3a1b`. */
export function beganAt(run: string): string {
  const [, date = '', time = ''] = /^(\d{8})t(\d{6})z/i.exec(run) ?? []
  return `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6, 8)}T${time.slice(0, 2)}:${time.slice(2, 4)}:${time.slice(4, 6)}Z`
}

/** Drops those that go; resolves to what did not, and why. */
export function dropSchemas(target: Target, going: readonly LeftSchema[], signal: AbortSignal, onDrop: (schema: string) => void): Promise<{dropped: string[]; failed: {schema: string; why: string}[]}> {
  return withClient(target, {applicationName: APPLICATION}, async (client) => {
    const [dropped, failed]: [string[], {schema: string; why: string}[]] = [[], []]
    for (const one of going) {
      signal.throwIfAborted()
      onDrop(one.schema)
      await drop(client, one).then(() => { dropped.push(one.schema) }, (error: unknown) => { failed.push({schema: one.schema, why: messageOf(error)}) })
    }
    return {dropped, failed}
  })
}

async function drop(client: Client, {kind, schema, run}: LeftSchema): Promise<void> {
  if (kind === 'undo' && await madeAlone(client, schema)) {
    await dropMadeNote(client, schema)
    return
  }
  if (kind === 'undo') return dropUndo(client, schema)
  if (!(await dropStage(client, {schema, run}))) throw new Error('it does not bear the mark of its run any more')
}
