import {ExitCode} from '../errors.ts'
import type {Finding} from '../checks/finding.ts'
import type {Comparison, MergeResult, RowsSince, Selection, StagedTable} from '../postgres/partial/contract.ts'
import type {FeatureOutcome} from '../procedures/partial/features.ts'
import type {PartialState} from '../procedures/partial/run-options.ts'
import type {Way} from '../report/partial-lines.ts'
import type {Context} from './context.ts'
import type {ComposedPartial} from './partial.ts'
import type {RunResult} from './run-procedure.ts'

/** What `dr partial --json` prints. */
export interface PartialResult {
  database: string
  environment: string
  /** Where the rows are from. */
  source: PartialState['source']
  /** How they were put back; null when nothing was. */
  merge: Way | null
  /** Why nothing was put back. */
  nothing: string | null
  selection: Selection | null
  notes: string[]
  /** Bytes that were fetched or read, of all that the archive has. */
  fetched: PartialState['fetched'] | null
  comparison: Comparison | null
  /** Rows that differ and were edited after the backup, by their updatedAt; null where no table has it. */
  editedSince: number | null
  /** Those rows, table by table, of each no more than `limit`; null when another process than this one has compared them. */
  since: {limit: number; tables: RowsSince[]} | null
  merged: MergeResult | null
  /** With --merge side: the tables that hold the rows of the backup. */
  staged: StagedTable[]
  /** The database where they are with --stage database; null: in the live one. */
  stageDatabase: string | null
  findings: Finding[]
  features: FeatureOutcome[]
  /** With --watch: every time that an outcome changed. */
  watched: {at: string; features: FeatureOutcome[]}[]
  timings: {phase: string; ms: number}[]
  run: string
  journal: string
}

export interface Speaker {
  talk: (line: string) => void
  print: (line: string) => void
}

/** Says what was done, watches when that was wanted, and gives the result with its exit code. */
export async function reportPartial(context: Context, composed: ComposedPartial, performed: RunResult<PartialState>, {talk, print}: Speaker): Promise<{result: PartialResult; exitCode: ExitCode}> {
  const {state, run, journal} = performed
  const [lines, {redact}] = await Promise.all([reportLines(state, run), import('../system/redact.ts')])
  if (!context.json) for (const line of lines) talk(redact(line))
  for (const {stage} of kept(state)) print(`${state.stageDatabase === undefined ? '' : `${state.stageDatabase}.`}${stage.schema}.${stage.name}`)
  if (state.way !== 'side') for (const {schema, name, inserted, updated, deleted} of state.merged?.tables ?? []) if (inserted + updated + deleted > 0) print(`${schema}.${name}\t${inserted}\t${updated}\t${deleted}`)
  const watched = composed.watchMs === undefined || state.nothing !== undefined || state.way === 'side' ? [] : await watch(context, composed, state, composed.watchMs, talk)
  const result: PartialResult = {
    database: state.live, environment: state.environment, source: state.source, merge: state.nothing === undefined ? state.way ?? null : null, nothing: state.nothing ?? null, selection: state.selection ?? null, notes: state.notes,
    fetched: state.fetched ?? null, comparison: state.comparison ?? null, editedSince: state.editedSince ?? null, since: composed.since(), merged: state.merged ?? null, staged: kept(state), stageDatabase: kept(state).length > 0 ? state.stageDatabase ?? null : null, findings: state.findings, features: state.features, watched, timings: state.timings, run, journal,
  }
  return {result, exitCode: exitOf(state, watched)}
}

const kept = ({way, nothing, staged}: PartialState): StagedTable[] => (way === 'side' && nothing === undefined ? staged ?? [] : [])

/** What is wrong counts more than what could not be looked at. */
function exitOf({findings, nothing, declined}: PartialState, watched: PartialResult['watched']): ExitCode {
  if (nothing !== undefined) return declined ? ExitCode.declined : ExitCode.ok
  const last = watched.at(-1)?.features ?? []
  if (findings.some(({severity}) => severity === 'error') || last.some(({outcome}) => outcome === 'bad')) return ExitCode.verification
  const incomplete = findings.some(({severity, code}) => severity === 'warning' && ['partial.feature', 'partial.view'].includes(code))
  return incomplete ? ExitCode.incomplete : ExitCode.ok
}

async function reportLines(state: PartialState, run: string): Promise<string[]> {
  const [{closureLines, mergedLines, rowsText}, {aboutComparison}, {findingLines}, {talkTheme}, {bytes, duration}, {columnsOf}, {wrapped}, {shellQuote}] = await Promise.all([
    import('../report/partial-lines.ts'), import('../procedures/partial/gates.ts'), import('../ui/findings.ts'), import('../ui/theme.ts'), import('../ui/format.ts'), import('../ui/text.ts'), import('../ui/wrap.ts'), import('../ui/shell.ts'),
  ])
  const width = process.stderr.isTTY ? columnsOf(process.stderr) : undefined
  const wrap = (texts: readonly string[]) => texts.flatMap((text) => [...wrapped(text, width)])
  const {fetched, timings, nothing, notes, way, merged, comparison} = state
  const how = timings.map(({phase, ms}) => `${phase} ${duration(ms)}`).join(', ')
  const read = fetched === undefined ? '' : `${bytes(fetched.bytes)} read${fetched.archiveBytes === 0 ? '' : ` of ${bytes(fetched.archiveBytes)}`}; `
  const tail = wrap([`${read}${how}`])
  if (nothing !== undefined) return [...wrap(notes), ...wrap([`Nothing was changed: ${nothing}.`]), ...tail]
  if (way === 'side') {
    return [...wrap(notes), ...(comparison ? aboutComparison(state) : []), ...wrap(whereKept(state)), ...tail]
  }
  const rows = merged?.tables.reduce((sum, {inserted, updated, deleted}) => sum + inserted + updated + deleted, 0) ?? 0
  return [
    ...wrap(notes), ...findingLines(state.findings, {theme: talkTheme, all: true}), ...(merged ? mergedLines(merged) : []), ...(comparison ? wrap(closureLines(comparison.closure.filter(({kind}) => kind !== 'parent-missing'))) : []),
    ...tail, ...wrap([`${rowsText(rows)} of ${state.live} changed. To take it back: dr undo ${shellQuote(run)}`]),
  ]
}

function whereKept({stageDatabase, stageSchema = '', staged = []}: PartialState): string[] {
  const [place, statement] = stageDatabase === undefined ? [stageSchema, `DROP SCHEMA "${stageSchema}" CASCADE`] : [`the database ${stageDatabase}, schema ${staged[0]?.stage.schema ?? ''}`, `DROP DATABASE "${stageDatabase}"`]
  return [`The rows of the backup are in ${place}; only this role may read them. When they are no longer needed: dr restore clean-up`, `  ${statement}`]
}

const BETWEEN_MS = 15_000

/** Looks at the features until the time is over, and says what changes. */
async function watch(context: Context, {options}: ComposedPartial, state: PartialState, ms: number, talk: (line: string) => void): Promise<PartialResult['watched']> {
  const [{featuresOf, lookAtFeatures}, {setTimeout: wait}, {duration}] = await Promise.all([import('../procedures/partial/features.ts'), import('node:timers/promises'), import('../ui/format.ts')])
  const signal = await context.signal()
  const features = featuresOf(options.config.checks.features, state.selection?.tables.map(({table}) => table) ?? [])
  const watched: PartialResult['watched'] = []
  const until = Date.now() + ms
  let before = JSON.stringify(state.features.map(({name, outcome}) => [name, outcome]))
  if (!context.json) talk(`Watching ${features.length} ${features.length === 1 ? 'check' : 'checks'} for ${duration(ms)}; Ctrl-C ends it, and what came back stays.`)
  for (;;) {
    const left = until - Date.now()
    if (left <= 0 && watched.length > 0) return watched
    await wait(Math.max(0, Math.min(left, Math.min(BETWEEN_MS, ms / 4))), undefined, {signal}).catch(() => undefined)
    if (signal.aborted) throw signal.reason
    const looked = await lookAtFeatures(features, {target: options.target, applicationName: 'dr partial watch', signal})
    const now = JSON.stringify(looked.map(({name, outcome}) => [name, outcome]))
    if (now !== before || watched.length === 0) {
      watched.push({at: new Date().toISOString(), features: looked})
      if (!context.json) for (const {name, outcome, found} of looked) talk(`${new Date().toISOString().slice(11, 19)}  ${outcome === 'good' ? 'OK   ' : 'ERROR'}  ${name}: ${found}`)
    }
    before = now
    if (until - Date.now() <= 0) return watched
  }
}
