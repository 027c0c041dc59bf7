import type {Finding, Severity} from '../checks/finding.ts'
import {count} from './format.ts'
import {oneLine} from './text.ts'
import type {Theme} from './theme.ts'

const order: readonly Severity[] = ['error', 'warning', 'info', 'ok']
const label: Readonly<Record<Severity, string>> = {error: 'ERROR', warning: 'WARN', info: 'INFO', ok: 'OK'}

export interface FindingOptions {
  theme: Theme
  /** The good ones too, instead of only their number. */
  all?: boolean
}

/** Findings as lines, worst first, and a line of totals. */
export function* findingLines(findings: readonly Finding[], {theme, all = false}: FindingOptions): Generator<string> {
  for (const severity of order) {
    if (severity === 'ok' && !all) continue
    for (const finding of findings.filter((one) => one.severity === severity)) {
      const subject = finding.subject === '' ? '' : `${oneLine(finding.subject)}: `
      yield `${theme.severity[severity](label[severity].padEnd(5))}  ${subject}${oneLine(finding.message)} ${theme.faint(`[${finding.code}]`)}`
      if (finding.hint !== undefined) yield `       Hint: ${oneLine(finding.hint)}`
    }
  }
  yield totals(findings)
}

function totals(findings: readonly Finding[]): string {
  const of = (severity: Severity) => findings.filter((finding) => finding.severity === severity).length
  const parts = [count(of('error'), 'error'), count(of('warning'), 'warning'), `${of('info')} for information`, `${of('ok')} as they should be`]
  return `${count(findings.length, 'finding')}: ${parts.filter((part) => !part.startsWith('0 ')).join(', ') || 'nothing was looked at'}`
}
