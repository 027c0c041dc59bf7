import {DrError, preflightError} from '../../errors.ts'
import {targetUrl, type Target} from '../../postgres/target.ts'
import {readHeat, warmDatabase, type UnreadPart} from '../../postgres/warm.ts'
import type {DBInstance} from '../../rds/api.ts'
import {kindOf} from '../../rds/status.ts'
import {marksOf, TAG} from '../../rds/tags.ts'
import type {Procedure, Step, StepIo} from '../../runbook/procedure.ts'
import {Pace} from '../pace.ts'
import {findCopy} from './adopt.ts'
import type {RdsOptions} from './options.ts'
import {targetAt} from './target.ts'

const APPLICATION = 'dr pitr warm'

export interface WarmOptions extends RdsOptions {
  /** The database that the application uses; the copy has the same. */
  database: Target
  /** A copy that dr made, or the production instance; else the only copy. */
  instance: string | undefined
  /** Only so many tables; else all. */
  top: number | undefined
  /** Connections. */
  jobs: number
}

/** Plain data: it stands in the journal and in --json. */
export interface WarmState {
  environment: string
  instance?: string
  host?: string
  port?: number
  /** Tables, TOAST tables and indexes that were read to the end. */
  relations: number
  bytes: number
  ms: number
  skipped: UnreadPart[]
  failed: UnreadPart[]
  /** How far AWS has filled the volume, per cent; null: it does not say, as of one that is whole. */
  initialized: {before: number | null; after: number | null}
  /** When the whole of it had been read; ISO. */
  hydrated?: string
}

/** Reads a restored instance once, so that its volume, which AWS fills from S3 block by block when it is read, is whole before clients come. */
export function warmProcedure(options: WarmOptions): Procedure<WarmState> {
  return {
    id: 'pitr-warm',
    title: `Read ${options.instance ?? 'the restored copy'} once, so that it is fast`,
    once: 'it changes nothing in the instance; dr pitr warm begins anew',
    phases: [{title: 'Look', steps: [findStep(options)]}, {title: 'Read', steps: [readStep(options), markStep(options)]}],
  }
}

export const warmState = ({config}: Pick<WarmOptions, 'config'>): WarmState => ({environment: config.environment, relations: 0, bytes: 0, ms: 0, skipped: [], failed: [], initialized: {before: null, after: null}})

const percentOf = ({StorageOperationPercentProgress: percent}: DBInstance): number | null => percent ?? null

function findStep(options: WarmOptions): Step<WarmState> {
  return {
    id: 'warm.find',
    title: 'Look for the instance',
    effect: 'read',
    byHand: () => [{argv: ['aws', 'rds', 'describe-db-instances', '--query', 'DBInstances[].[DBInstanceIdentifier,DBInstanceStatus,Endpoint.Address,StorageOperationPercentProgress]']}],
    async run(state, io) {
      const found = await meant(options, io)
      const {DBInstanceIdentifier: instance = '', DBInstanceStatus: status = '', Endpoint} = found
      // While AWS changes or backs up an instance it can be read.
      if (kindOf(status) === 'terminal' || Endpoint?.Address === undefined || Endpoint.Port === undefined) throw preflightError('rds.state', `${instance} is ${status}, not available.`, {hints: [`dr pitr resume ${instance} waits until it is.`]})
      Object.assign(state, {instance, host: Endpoint.Address, port: Endpoint.Port} satisfies Partial<WarmState>)
      state.initialized.before = percentOf(found)
    },
  }
}

/** The production instance needs no mark: after a cut-over it is the copy. */
async function meant(options: WarmOptions, {signal}: Pick<StepIo, 'signal'>): Promise<DBInstance> {
  const {api, config, instance} = options
  const live = instance !== undefined && instance === config.rds.instance?.toLowerCase() ? await api.instance(instance, signal) : undefined
  return live ?? (await findCopy(options, instance, signal, APPLICATION)).instance
}

function readStep(options: WarmOptions): Step<WarmState> {
  const {database, jobs, top, api} = options
  return {
    id: 'warm.read',
    title: top === undefined ? 'Read every table and index' : `Read ${top} tables and their indexes`,
    effect: 'read',
    byHand: (state) => [{argv: ['psql', targetUrl(targetAt(database, state, options)), '-c', "SELECT pg_prewarm(oid, 'read') FROM pg_class WHERE relkind IN ('r', 'm', 't', 'i')"], note: 'where the extension pg_prewarm is installed; else SELECT count(*) of each table'}],
    async run(state, io) {
      const {instance = ''} = state
      const [begun, pace] = [performance.now(), new Pace()]
      const {relations, bytes, skipped, failed} = await warmDatabase(targetAt(database, state, options), {
        ...(top !== undefined && {top}), heat: await heatOf(options, io), connections: jobs, applicationName: APPLICATION, namedBy: instance, signal: io.signal,
        onRead: (done, total, parts) => { io.progress({unit: 'bytes', done, total, ...pace.at(done, total), note: `${parts.done} of ${parts.total} tables and indexes`}) },
      })
      Object.assign(state, {relations, bytes, skipped, failed, ms: Math.round(performance.now() - begun)} satisfies Partial<WarmState>)
      const after = await api.instance(instance, io.signal)
      state.initialized.after = after === undefined ? null : percentOf(after)
    },
  }
}

/** For `dr pitr list`, and whoever cuts over: only of a copy, and only when nothing of it was left out. */
function markStep({api, top}: WarmOptions): Step<WarmState> {
  return {
    id: 'warm.mark',
    title: 'Note at AWS that it was read',
    effect: 'write',
    skip: ({failed, skipped}) => (top !== undefined || failed.length + skipped.length > 0 ? 'not all of it was read' : undefined),
    byHand: () => [],
    async run(state, io) {
      const {instance = ''} = state
      const at = new Date().toISOString()
      state.hydrated = at
      const found = await api.instance(instance, io.signal)
      const marks = found && marksOf(found)
      if (found?.DBInstanceArn === undefined || !marks) return
      try {
        // The policies of docs/iam let nothing be marked but under its run.
        await api.addTags(found.DBInstanceArn, [{Key: TAG.run, Value: marks.run}, {Key: TAG.hydrated, Value: at}], io.signal)
      } catch (error) {
        io.signal.throwIfAborted()
        if (!(error instanceof DrError)) throw error
        io.notice(`${instance} could not be marked as read, so that dr pitr list does not show it: ${error.message}`)
      }
    },
  }
}

/** Of the database that clients use: what is scanned most there is asked for first here. Without it only the order is another. */
async function heatOf({database}: WarmOptions, io: StepIo): Promise<Map<string, number>> {
  try {
    return await readHeat(database, {applicationName: APPLICATION})
  } catch (error) {
    io.signal.throwIfAborted()
    if (!(error instanceof DrError)) throw error
    io.notice(`DATABASE_URL cannot be asked which tables are scanned most, so the largest come first: ${error.message}`)
    return new Map()
  }
}
