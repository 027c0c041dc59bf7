import type {Finding} from '../checks/finding.ts'
import type {CutoverMode, CutoverOptions, CutoverState} from '../procedures/pitr/cutover-options.ts'
import type {RollbackOptions, RollbackState} from '../procedures/pitr/rollback-options.ts'
import type {Procedure, StepIo} from '../runbook/procedure.ts'
import type {Loss} from '../report/swap-lines.ts'
import {writtenIn} from '../report/written.ts'
import type {Context} from './context.ts'
import {instanceOf, openRds} from './rds.ts'
import {targetOf} from './target.ts'
import type {RunResult} from './run-procedure.ts'

export interface CutoverFlags {
  mode?: CutoverMode | undefined
  source?: string | undefined
  freeze?: boolean | undefined
  snapshot?: boolean | undefined
  accept?: boolean | undefined
  'accept-pending'?: boolean | undefined
  'keep-frozen'?: boolean | undefined
  plan: boolean
}

export interface ComposedCutover<S> {
  procedure: Procedure<S>
  state: S
  close: () => void
}

/** AWS is asked only where a plan is to be shown: it holds what is known now. */
export async function composeCutover(context: Context, copy: string | undefined, flags: CutoverFlags): Promise<ComposedCutover<CutoverState>> {
  const {cutoverProcedure, cutoverState} = await import('../procedures/pitr/cutover.ts')
  const {config, api, close} = await openRds(context)
  try {
    const mode = flags.mode ?? 'rename'
    const options: CutoverOptions = {
      config, api, target: await targetOf(config), name: instanceOf(config, flags.source).toLowerCase(), mode, copy, freeze: flags.freeze ?? true, snapshot: flags.snapshot ?? true, accept: flags.accept ?? false,
      // Nobody knows its new name; another address clients may know still.
      acceptPending: flags['accept-pending'] ?? false, keepFrozen: flags['keep-frozen'] ?? mode !== 'rename',
    }
    return {...await planned(context, cutoverProcedure(options), cutoverState(options, new Date()), flags), close}
  } catch (error) {
    close()
    throw error
  }
}

export async function composeRollback(context: Context, run: string | undefined, flags: {source?: string | undefined; 'by-hand'?: boolean | undefined; plan: boolean}): Promise<ComposedCutover<RollbackState>> {
  const {rollbackProcedure, rollbackState} = await import('../procedures/pitr/rollback.ts')
  const {config, api, close} = await openRds(context)
  try {
    const options: RollbackOptions = {config, api, target: await targetOf(config), name: instanceOf(config, flags.source).toLowerCase(), run, byHand: flags['by-hand'], journals: context.journalDirectory}
    return {...await planned(context, rollbackProcedure(options), rollbackState(options, new Date()), flags), close}
  } catch (error) {
    close()
    throw error
  }
}

/** A plan shows what the first phase finds: it only reads. */
async function planned<S>(context: Context, procedure: Procedure<S>, state: S, {plan}: {plan: boolean}): Promise<{procedure: Procedure<S>; state: S}> {
  const io: StepIo = {progress() {}, notice() {}, run: 'RUN', signal: await context.signal()}
  for (const step of plan ? (procedure.phases[0]?.steps ?? []) : []) await step.run(state, io)
  return {procedure, state}
}

/** What `dr pitr cutover --json` prints. */
export interface CutoverResult {
  /** The production instance. */
  instance: string
  mode: CutoverMode
  /** What is in its place now. */
  live: {instance: string; resourceId: string; host: string; port: number}
  /** Whether clients reach that; false: there is no rds.switchCommand, and somebody must point the application at it. */
  switched: boolean
  /** What they reached before. */
  replaced: {instance: string; resourceId: string; frozen: boolean}
  snapshot: string | null
  /** Rows of each table of the old instance and of the copy, and those that were written since. */
  loss: Loss[]
  /**
   * Rows of the old instance, in the database of DATABASE_URL, that were inserted or changed since; null: not known, and why.
   * `uncounted`: tables that are not in it; `atLeast`: there may be more; `uncountedDatabases`: others of the instance, which are not in it.
   */
  lost: {rows: number | null; uncounted: number; atLeast: boolean; unknown: string | null; uncountedDatabases: string[]}
  /** Milliseconds in which the name was nobody's; null where it is not by rename. */
  outageMs: number | null
  findings: Finding[]
  run: string
  journal: string
}

export function cutoverResult({state, run, journal}: RunResult<CutoverState>, {snapshot = true, freeze = true, 'keep-frozen': keep}: CutoverFlags): CutoverResult {
  const {name, mode, oldName, old, copy, loss = [], lossUnknown, uncountedDatabases = [], outageMs = null, findings, byHand = false} = state
  const {rows, uncounted, atLeast} = writtenIn(loss) ?? {rows: null, uncounted: loss.length, atLeast: false}
  const renamed = mode === 'rename'
  return {
    instance: name, mode, live: {instance: renamed ? name : (copy?.id ?? ''), resourceId: copy?.resourceId ?? '', host: (renamed ? old : copy)?.host ?? '', port: (renamed ? old : copy)?.port ?? 0}, switched: !byHand,
    replaced: {instance: renamed ? oldName : name, resourceId: old?.resourceId ?? '', frozen: freeze && (keep ?? !renamed)}, snapshot: snapshot ? state.snapshot : null, loss,
    lost: {rows, uncounted, atLeast, unknown: rows === null ? lossUnknown ?? 'it could not be counted' : null, uncountedDatabases}, outageMs, findings, run, journal,
  }
}

/** What is said when it has ended. */
export async function cutoverReport({instance, mode, live, switched, replaced, snapshot, outageMs, run}: CutoverResult): Promise<string[]> {
  const [{duration}, {shellQuote}] = await Promise.all([import('../ui/format.ts'), import('../ui/shell.ts')])
  const where = `${live.host}:${live.port}`
  return [
    mode === 'rename' ? `${instance} is now ${live.resourceId}, at ${where} as before${outageMs === null ? '' : `; there was no ${instance} for ${duration(outageMs)}`}.` : switched ? `Clients reach ${live.instance} at ${where} now.`
        : `Clients do NOT reach ${live.instance} yet: point the application at ${where} (DATABASE_URL; user, password and database stay), and restart it.${replaced.frozen ? ` Until then it cannot write.` : ` Until then it writes to ${replaced.instance}, and that stays there.`}`,
    ...(mode === 'rename' ? [] : [`Set rds.instance to ${live.instance}, or DR_RDS_INSTANCE: that is the production instance from now on.`]),
    `The old instance is ${replaced.instance}${replaced.frozen ? ', read-only' : ''}${snapshot === null ? '' : `; its snapshot is ${snapshot}`}. Keep it as long as backups are kept: the new one has none from before its first.`,
    `To go back: dr pitr rollback ${shellQuote(run)}.`,
  ]
}

/** What `dr pitr rollback --json` prints. */
export interface RollbackResult {
  instance: string
  mode: CutoverMode | null
  /** The run of the cut-over. */
  undone: string
  /** Where the old one is reached. */
  live: {instance: string; resourceId: string; host: string; port: number}
  /** Whether clients are led there; false: there is no rds.switchCommand, and somebody must point the application at it. */
  switched: boolean
  /** What holds what was written since. */
  kept: {instance: string; resourceId: string}
  /** Rows of each table of the new instance and of the old one, and those that were written since the cut-over. */
  loss: Loss[]
  /** Other databases of the new instance: they are not in `loss`. */
  uncountedDatabases: string[]
  run: string
  journal: string
}

export const rollbackResult = ({state: {name, mode, cutoverRun = '', old, copy, loss = [], uncountedDatabases = [], byHand = false}, run, journal}: RunResult<RollbackState>): RollbackResult =>
  ({instance: name, mode: mode ?? null, undone: cutoverRun, live: {instance: name, resourceId: old?.resourceId ?? '', host: old?.host ?? '', port: old?.port ?? 0}, switched: !byHand, kept: {instance: copy?.id ?? '', resourceId: copy?.resourceId ?? ''}, loss, uncountedDatabases, run, journal})

export const rollbackReport = ({instance, mode, live, switched, kept}: RollbackResult): string[] => [
  switched ? `${instance} is the old instance again.` : `Clients do NOT reach ${instance} again yet: point the application at ${live.host}:${live.port} (DATABASE_URL; user, password and database stay), and restart it. Until then it writes to ${kept.instance}, and that stays there.`,
  ...(mode === 'rename' ? [] : [`rds.instance is to be ${instance} again, where it was changed.`]),
  `What was written on the new one is kept in ${kept.instance}${switched ? `; when it is not needed: dr pitr cleanup ${kept.instance} --unprotect` : '.'}`,
]
