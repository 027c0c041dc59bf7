import {stageDatabaseName} from '../postgres/create-database.ts'
import {finishedLater, knownRuns, OPEN, type KnownRun} from '../runbook/runs.ts'
import type {ListedRun} from '../report/listed-run.ts'
import type {BackupState} from './backup/options.ts'
import type {DiffState} from './diff/options.ts'
import type {RecoveryState} from './pitr/recover-options.ts'
import type {PartialState} from './partial/run-options.ts'
import type {RestoreState} from './restore/options.ts'
import type {InvestigateState} from './investigate/options.ts'
import {LOADED} from './restore/resume.ts'

/** What is known of the runs of one procedure beyond what every journal says. */
interface Knowledge {
  left(run: KnownRun): string[]
  /** What going on would mean. */
  continues?(run: KnownRun): string
  /** Whether a later run that is finished has removed what this one left. */
  removedBy?: (run: KnownRun, later: object, target: string | undefined) => boolean
}

/** A procedure that is not here says what was done by the titles of its steps. */
const KNOWLEDGE: Readonly<Record<string, Knowledge>> = {
  backup: {
    left: ({state, begun}) => (begun.includes('backup.copy') ? [`an unfinished backup at ${(state as BackupState).destinations.join(' and ')}`] : []),
    removedBy: ({state}, later) => {
      const [one, other] = [state as BackupState, later as BackupState]
      return one.environment === other.environment && one.destinations.every((place) => other.destinations.includes(place))
    },
  },
  diff: {
    left: ({state, begun}) => (begun.includes('diff.copy-create') ? [`database ${(state as DiffState).restore?.database ?? ''}, a copy to compare with`] : []),
    removedBy: ({state}, later) => (later as DiffState).restore !== undefined && (later as DiffState).database === (state as DiffState).database,
  },
  partial: {
    left: ({state, begun, done}) => (done.has('partial.stage-drop') ? [] : [
      ...(begun.includes('partial.merge') ? [`rows that may have been put back already: ${(state as PartialState).undoSchema ?? ''} is there when they were`] : []),
      ...(begun.includes('partial.scratch') && !done.has('partial.stage') ? [`database ${(state as PartialState).scratch ?? 'dr_scratch'}, with the schema of the backup`] : []),
      ...(begun.includes('partial.stage') ? stagedBy(state as PartialState) : []),
    ]),
    continues: ({begun}) => (begun.includes('partial.merge') ? 'goes on from what it finds: puts the rows back, or proves a merge that has happened' : 'stages the rows again, and compares'),
    removedBy: ({state, begun}, later) => !begun.includes('partial.merge') && (later as PartialState).live === (state as PartialState).live,
  },
  investigate: {
    left: ({state, begun}) => (begun.includes('investigate.preserve') ? [`autovacuum is off for ${((state as InvestigateState).former ?? []).map(({schema, name}) => `${schema}.${name}`).join(', ')}: dr investigate --release`] : []),
    removedBy: ({run}, later) => ((later as InvestigateState).released ?? []).some((one) => one.run === run),
  },
  pitr: {
    left: ({state, begun}) => (begun.includes('pitr.ask') ? [(state as RecoveryState).asked ? `instance ${(state as RecoveryState).target ?? ''} at AWS, which costs` : `instance ${(state as RecoveryState).target ?? ''} at AWS, if it came to be asked for`] : []),
    continues: ({begun}) => (begun.includes('pitr.ask') ? 'waits for the instance, sets what is missing, and proves it' : 'looks at the source again, and asks'),
    removedBy: ({state, begun}, later) => !begun.includes('pitr.ask') && (later as RecoveryState).source === (state as RecoveryState).source,
  },
  restore: {
    left: ({state, begun, done}) => (begun.includes('swap.swap') ? [swapLeft(state as RestoreState)] : begun.includes('restore.create') ? [`database ${(state as RestoreState).database}, ${done.has(LOADED) ? 'restored, not yet handed over' : 'not complete'}`] : []),
    continues: ({state, done, begun}) => (begun.includes('swap.swap') ? 'goes on from what it finds: swaps, or ends a swap that has happened' : done.has(LOADED) ? `goes on with ${(state as RestoreState).database} as it is` : `restores into ${(state as RestoreState).database} again, from the start`),
  },
}

/** What its journal does not name is named after the run. */
function stagedBy({stage, stageDatabase, stageSchema, live, runId}: PartialState): string[] {
  const schema = `schema ${stageSchema ?? 'dr_stage'} of ${live}, with rows of the backup`
  if (stage !== 'database') return [schema]
  return [`database ${stageDatabase ?? stageDatabaseName(live, runId)}, with rows of the backup and of ${live}`, ...(stageSchema === undefined ? [] : [schema])]
}

const swapLeft = ({live, database, swap}: RestoreState): string => (swap?.kept === undefined ? `${database}, or ${live} itself, holds the backup: it was at the swap` : `${live} holds the backup; the old database is ${swap.kept}`)

/** The runs that can be gone on with or undone, and those at work; all there are with `all`. Newest first. */
export async function unfinishedRuns(folder: string, {all = false}: {all?: boolean} = {}): Promise<ListedRun[]> {
  const known = await knownRuns(folder, {all})
  if (all) return known.map(listedRun)
  const listed: ListedRun[] = []
  for (const run of known) if (isOpen(run) && !(await isRemoved(folder, run))) listed.push(listedRun(run))
  return listed
}

/** The newest run that was undone, when that was not long ago: its operator may want to begin it anew. */
export async function lastUndone(folder: string, since: Date): Promise<ListedRun | undefined> {
  const run = (await knownRuns(folder)).find(({status, lastAt}) => status === 'undone' && new Date(lastAt) > since)
  return run && listedRun(run)
}

/**
 * Of a run that only reads nothing is left, and it is begun again as easily as gone on with. One that can neither be gone on
 * with nor undone, and has said what to do instead, is not repeated here.
 */
function isOpen({status, about, told}: KnownRun): boolean {
  if (status === 'running') return true
  if (!OPEN.includes(status) || about.steps?.every(({effect}) => effect === 'read') === true) return false
  return about.later !== undefined || !told || status === 'not-undone'
}

/** What can neither be gone on with nor undone was done again when a later run of its kind is finished, or is of no interest any more. */
async function isRemoved(folder: string, run: KnownRun): Promise<boolean> {
  const {status, about: {later, target}, procedure, lastAt} = run
  if (status === 'running') return false
  if (later === undefined && Date.now() - Date.parse(lastAt) > FORGOTTEN_MS) return true
  const removedBy = KNOWLEDGE[procedure]?.removedBy ?? (later === undefined ? (_run: KnownRun, _state: object, other: string | undefined) => other === target : undefined)
  return removedBy !== undefined && finishedLater(folder, run, (state, other) => removedBy(run, state, other))
}

const FORGOTTEN_MS = 7 * 24 * 60 * 60_000

function listedRun(run: KnownRun): ListedRun {
  const {path: journal, procedure, about, status, begunAt, lastAt, owner, at} = run
  const whyNot = whyNotOf(run)
  return {
    run: run.run, journal, procedure, title: about.title ?? procedure, environment: about.command?.environment ?? null, target: about.target ?? null, status, begunAt, lastAt,
    process: owner ? {pid: owner.pid, host: owner.host} : null,
    stopped: at && status !== 'running' && status !== 'finished' ? {where: at.doing === 'done' ? 'after' : at.doing === 'undo' ? 'undoing' : 'in', step: at.step, title: at.title} : null,
    left: leftBy(run), whyNot, continues: whyNot === null ? continuing(run) : null,
    undoes: ['stopped', 'declined', 'not-undone'].includes(status) && about.command !== undefined && about.later !== undefined,
  }
}

const continuing = (run: KnownRun): string => (run.status === 'undone' ? 'begins it anew, with the same options' : (KNOWLEDGE[run.procedure]?.continues?.(run) ?? 'goes on where it stopped'))

function leftBy(run: KnownRun): string[] {
  const {procedure, status, about, begun} = run
  if (status === 'finished' || status === 'undone') return []
  const own = KNOWLEDGE[procedure]
  if (own) return own.left(run)
  return (about.steps ?? []).filter(({id, effect}) => effect !== 'read' && begun.includes(id)).map(({title}) => `what was done: ${title}`)
}

function whyNotOf({status, about}: KnownRun): string | null {
  if (status === 'running') return 'it is at work'
  if (status === 'finished') return 'it is finished'
  if (about.command === undefined) return 'an older dr made it, which did not note how it was called'
  return about.later === 'go-on' ? null : whyOnce(about)
}

/** Why a run of this kind cannot be gone on with. */
export const whyOnce = ({once = 'no later process can take its place'}: Pick<KnownRun['about'], 'once'>): string => once
