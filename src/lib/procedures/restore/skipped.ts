import type {Finding} from '../../checks/finding.ts'
import type {RestoreState} from './options.ts'

type Skipped = Pick<RestoreState, 'skipped' | 'findings'>

export const isSkipped = ({skipped = []}: Pick<RestoreState, 'skipped'>, kind: string, name: string): boolean => skipped.some((one) => one.kind === kind && one.name === name)

/** What is left out is said for each object; what hangs on one (comments, privileges) goes with it. */
export function tellSkipped(state: Skipped): void {
  const told = (state.skipped ?? []).filter(({kind}) => !['COMMENT', 'ACL', 'SECURITY LABEL'].includes(kind))
  state.findings.push(...told.map(({kind, name}): Finding => ({code: 'restore.skipped', severity: 'warning', subject: `${kind} ${name}`, message: 'left out, as --skip says'})))
}

/** Kinds of entries by the words that the integrity check counts them under. */
const COUNTED: Readonly<Record<string, string>> = {
  PUBLICATION: 'publications', 'EVENT TRIGGER': 'event triggers', 'FOREIGN TABLE': 'foreign tables', VIEW: 'views', 'MATERIALIZED VIEW': 'materialized views', FUNCTION: 'functions', PROCEDURE: 'procedures',
  AGGREGATE: 'aggregates', TYPE: 'types', DOMAIN: 'domains', TRIGGER: 'triggers', RULE: 'rules', POLICY: 'policies', SCHEMA: 'schemas', SEQUENCE: 'sequences', DEFAULT: 'column defaults', STATISTICS: 'extended statistics',
}

/** A difference to the manifest that is only what was left out is no error: it becomes a warning that says so. */
export function explained(findings: readonly Finding[], state: Skipped): Finding[] {
  const {skipped = []} = state
  if (skipped.length === 0) return [...findings]
  return findings.map((finding) => (finding.severity === 'error' && isExplained(finding, skipped) ? {...finding, severity: 'warning', message: `${finding.message}: left out, as --skip says`} : finding))
}

function isExplained({code, subject, message}: Finding, skipped: NonNullable<Skipped['skipped']>): boolean {
  const [, found, kind, expected] = /^(\d+) (.+); the source had (\d+)$/.exec(message) ?? []
  const lost = Number(expected) - Number(found)
  // Not every comment is counted.
  if (code === 'integrity.objects' && kind === 'comments') return lost > 0 && lost <= skipped.filter((one) => one.kind === 'COMMENT').length
  if (code === 'integrity.objects') return lost === skipped.filter((one) => COUNTED[one.kind] === kind).length
  if (code === 'integrity.extensions') return skipped.some((one) => one.kind === 'EXTENSION' && one.name === subject)
  if (code === 'integrity.grants') return skipped.some(({name}) => subject.endsWith(` ${name}`) || subject.includes(` ${name}(`))
  return code === 'integrity.tables' && skipped.some(({name}) => name === subject)
}
