export type Severity = 'ok' | 'info' | 'warning' | 'error'

/** One thing that was looked at, and what was found. `error` means: this is not what it should be. */
export interface Finding {
  /** Stable and dotted (`integrity.rows`); scripts may match it. */
  code: string
  severity: Severity
  /** What it speaks of: a table, a role, a member; empty for the whole. */
  subject: string
  message: string
  hint?: string
}

/** The worst severity among findings; `ok` when there are none. */
export function worst(findings: readonly Finding[]): Severity {
  const order: readonly Severity[] = ['ok', 'info', 'warning', 'error']
  return order[Math.max(0, ...findings.map(({severity}) => order.indexOf(severity)))] ?? 'ok'
}
