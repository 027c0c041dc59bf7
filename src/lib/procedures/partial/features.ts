import type {FeatureCheck} from '../../config/config.ts'
import {messageOf} from '../../errors.ts'
import type {Finding} from '../../checks/finding.ts'
import {failingRows} from '../../postgres/partial/failing-rows.ts'
import type {TableName} from '../../postgres/partial/contract.ts'
import type {Target} from '../../postgres/target.ts'
import {redact} from '../../system/redact.ts'

export interface FeatureOutcome {
  name: string
  /** `untold`: it could not be looked at. */
  outcome: 'good' | 'bad' | 'untold'
  /** What was found, in words. */
  found: string
  ms: number
}

export interface FeatureSettings {
  target: Target
  applicationName: string
  signal: AbortSignal
}

const URL_LIMIT_MS = 10_000

/** The checks that these tables concern. */
export const featuresOf = (features: readonly FeatureCheck[], tables: readonly TableName[]): FeatureCheck[] =>
  features.filter(({tables: names}) => names === undefined || tables.some(({schema, name}) => names.includes(name) || names.includes(`${schema}.${name}`)))

/** Looks at every feature, one after the other. Only an abort ends it early. */
export async function lookAtFeatures(features: readonly FeatureCheck[], settings: FeatureSettings, onLook: (name: string, place: number) => void = () => {}): Promise<FeatureOutcome[]> {
  const outcomes: FeatureOutcome[] = []
  for (const [place, feature] of features.entries()) {
    settings.signal.throwIfAborted()
    onLook(feature.name, place)
    const from = performance.now()
    const outcome = await lookAt(feature, settings)
    settings.signal.throwIfAborted()
    outcomes.push({name: feature.name, ...outcome, ms: Math.round(performance.now() - from)})
  }
  return outcomes
}

type Looked = Pick<FeatureOutcome, 'outcome' | 'found'>

async function lookAt({sql, url, expect = 200}: FeatureCheck, settings: FeatureSettings): Promise<Looked> {
  try {
    return sql === undefined ? await askUrl(url ?? '', expect, settings.signal) : await askDatabase(sql, settings)
  } catch (error) {
    return {outcome: 'untold', found: redact(messageOf(error))}
  }
}

async function askDatabase(sql: string, {target, applicationName}: FeatureSettings): Promise<Looked> {
  const {rows, more, first} = await failingRows(target, applicationName, sql)
  if (rows === 0) return {outcome: 'good', found: 'no row is wrong'}
  return {outcome: 'bad', found: `${more ? `more than ${rows}` : rows} ${rows === 1 ? 'row is' : 'rows are'} wrong, the first: ${first}`}
}

/** What does not answer is broken, as one that answers otherwise. */
async function askUrl(url: string, expect: number, signal: AbortSignal): Promise<Looked> {
  try {
    const {status, body} = await fetch(url, {redirect: 'manual', signal: AbortSignal.any([signal, AbortSignal.timeout(URL_LIMIT_MS)])})
    await body?.cancel()
    return status === expect ? {outcome: 'good', found: `answers ${status}`} : {outcome: 'bad', found: `answers ${status}, not ${expect}`}
  } catch (error) {
    return {outcome: 'bad', found: `does not answer: ${whyOf(error)}`}
  }
}

function whyOf(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `nothing within ${URL_LIMIT_MS / 1000} s`
  return redact(messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error))
}

const SEVERITY = {good: 'ok', bad: 'error', untold: 'warning'} as const

export const featureFindings = (outcomes: readonly FeatureOutcome[]): Finding[] =>
  outcomes.map(({name, outcome, found}) => ({code: 'partial.feature', severity: SEVERITY[outcome], subject: name, message: outcome === 'untold' ? `could not be looked at: ${found}` : found}))
