import {ExitCode} from '../errors.ts'
import type {Finding} from '../checks/finding.ts'
import type {ProofReference, RecoveryState} from '../procedures/pitr/recover-options.ts'
import type {RestoreWindow} from '../rds/window.ts'
import type {Purpose} from '../rds/tags.ts'
import type {RunResult} from './run-procedure.ts'

/** What `dr pitr --json` prints. Times are ISO, UTC. */
export interface RecoveryResult {
  environment: string
  source: string
  /** The new instance. */
  target: string
  purpose: Purpose
  /** null: the latest restorable time. */
  to: string | null
  window: RestoreWindow | null
  /** It was there already, with the marks of this run. */
  adopted: boolean
  host: string | null
  port: number | null
  /** What a restore takes no input for, and was set afterwards. */
  settled: {modified: string[]; roles: string[]; rebooted: boolean}
  /** What it was compared with; null when nothing was. */
  reference: ProofReference | null
  /** Name of the source, where no instance has it any more; else null. There is nothing to cut over then: the copy can be given the name. */
  vacantName: string | null
  findings: Finding[]
  /** `unproven`: no database is configured. */
  outcome: 'proven' | 'failed' | 'unproven'
  /** `hydrated`: when dr pitr warm had read the whole of it, as the copy's tag says. */
  marks: {asked: string | null; available: string | null; verified: string | null; hydrated: string | null}
  /** Milliseconds since it was asked for. */
  rto: {seconds: number; availableMs: number | null; verifiedMs: number | null; met: boolean | null}
  warnings: string[]
  run: string
  journal: string
}

export function recoveryResult({state, run, journal}: RunResult<RecoveryState>): RecoveryResult {
  const {environment, source, target = '', purpose, to, plan, asked, copy, settled, reference, vacantName, findings, marks, rtoSeconds} = state
  const since = (at: string | undefined): number | null => (at === undefined || asked === undefined ? null : Math.max(0, Date.parse(at) - Date.parse(asked.at)))
  const [availableMs, verifiedMs] = [since(marks.available), since(marks.verified)]
  const last = verifiedMs ?? availableMs
  return {
    environment, source, target, purpose, to, window: plan?.window ?? null, adopted: asked?.adopted ?? false, host: copy?.host ?? null, port: copy?.port ?? null,
    settled: settled ?? {modified: [], roles: [], rebooted: false}, reference: reference ?? null, vacantName: vacantName ?? null, findings, outcome: outcomeOf(state),
    marks: {asked: asked?.at ?? null, available: marks.available ?? null, verified: marks.verified ?? null, hydrated: marks.hydrated ?? null},
    rto: {seconds: rtoSeconds, availableMs, verifiedMs, met: last === null ? null : last <= rtoSeconds * 1000}, warnings: plan?.warnings ?? [], run, journal,
  }
}

const outcomeOf = ({findings, marks}: RecoveryState): RecoveryResult['outcome'] => (marks.verified === undefined ? 'unproven' : findings.some(({severity}) => severity === 'error') ? 'failed' : 'proven')

export const exitOf = ({outcome}: RecoveryResult): ExitCode => ({proven: ExitCode.ok, failed: ExitCode.verification, unproven: ExitCode.incomplete})[outcome]

/** Every finding, the three marks of time, and what can be done next. */
export async function recoveryReport(result: RecoveryResult): Promise<string[]> {
  const [{findingLines}, {talkTheme}, {columnsOf}, {wrapped}, {marksLine}, {redact}] = await Promise.all([import('../ui/findings.ts'), import('../ui/theme.ts'), import('../ui/text.ts'), import('../ui/wrap.ts'), import('../report/recovery-lines.ts'), import('../system/redact.ts')])
  const width = process.stderr.isTTY ? columnsOf(process.stderr) : undefined
  const {rto, findings, target} = result
  const lines = [
    ...findingLines(findings, {theme: talkTheme, all: true}), marksLine({...rto, rtoMs: rto.seconds * 1000}), ...endOf(result),
    `Look into it: ${result.host ?? ''}:${result.port ?? ''}. ${result.purpose === 'primary' ? await inPlace(result) : `To take rows from it: dr partial --from postgres://${result.host ?? ''}:${result.port ?? ''}.`} When it is not needed: dr pitr cleanup ${target}${result.purpose === 'primary' ? ' --unprotect' : ''}.`,
  ]
  return lines.flatMap((line) => [...wrapped(line, width)]).map(redact)
}

async function inPlace({target, source, vacantName}: RecoveryResult): Promise<string> {
  if (vacantName === null) return `To put it in the place of ${source}: dr pitr warm ${target}, so that it is fast, then dr pitr cutover ${target}.`
  const {takeName} = await import('../procedures/pitr/vacant.ts')
  return `There is no ${vacantName} any more, so nothing to cut over. To put it in that place: dr pitr warm ${target}, so that it is fast, then ${takeName(target, vacantName)} (about 10 minutes; the address comes with the name).`
}

function endOf({outcome, target, source, findings}: RecoveryResult): string[] {
  const wrong = findings.filter(({severity}) => severity === 'error').length
  if (outcome === 'failed') return [`${target} is not proven: ${wrong} ${wrong === 1 ? 'thing is' : 'things are'} not as it should be. It stays, to be looked into; dr pitr resume ${target} proves it again.`]
  return [outcome === 'proven' ? `${target} is proven. ${source} was not touched.` : `${target} is available, and was not looked into.`]
}
