import type {RestoreWindow} from '../rds/window.ts'
import {duration} from '../system/time-words.ts'
import {shownInstant} from './instant.ts'
import {valueText, type PlainPlan} from './recovery-plan.ts'

export interface ToldPlan extends PlainPlan {
  source: string
  target: string
  purpose: 'primary' | 'side'
  to: string | null
  window: RestoreWindow
}

const PURPOSE = {primary: 'primary: is to take the place of its source', side: 'side: to be looked at and taken from'} as const

/** What is about to be asked of AWS, for the eye: which instant, from where, with which settings. */
export function recoveryLines(plan: ToldPlan, now: Date): string[] {
  const {source, target, purpose, to, window, warnings, roles, afterwards} = plan
  const later = [...Object.keys(afterwards), ...roles.map(({FeatureName}) => `role for ${FeatureName}`)]
  return [
    `Source      ${source}`,
    `New         ${target} (${PURPOSE[purpose]})`,
    `Instant     ${to === null ? `the latest: ${shownInstant(new Date(window.latest), now)}` : shownInstant(new Date(to), now)}`,
    `Window      ${shownInstant(new Date(window.earliest), now)}, to ${shownInstant(new Date(window.latest), now)}`,
    `Settings    ${settings(plan).join('; ')}`,
    ...(later.length === 0 ? [] : [`Afterwards  ${later.join(', ')}`]),
    ...warnings.map((text) => `Warning     ${text}`),
  ]
}

/** What is sent besides the names and the time. */
const settings = ({inputs}: PlainPlan): string[] => inputs.filter(({deals, sent}) => deals !== 'given' && sent !== undefined).map(({input, sent}) => `${input} ${valueText(sent)}`)

/** When the new instance was ready and proven, against the RTO. Milliseconds since it was asked for; null: not yet. */
export interface RecoveryMarks {
  availableMs: number | null
  verifiedMs: number | null
  rtoMs: number
}

export function marksLine({availableMs, verifiedMs, rtoMs}: RecoveryMarks): string {
  const parts = [...(availableMs === null ? [] : [`available after ${duration(availableMs)}`]), ...(verifiedMs === null ? [] : [`proven after ${duration(verifiedMs)}`])]
  const last = verifiedMs ?? availableMs
  return `${parts.join(', ')}; RTO ${duration(rtoMs)}${last === null ? '' : last <= rtoMs ? ': met so far' : ': passed'}.`
}
