/** A live database before something takes its place: for the operator's eye. */
export interface SwapTarget {
  host: string
  port: number
  serverVersion: string
  systemIdentifier?: string | undefined
  database: string
  owner: string
  bytes?: number | undefined
  tables?: number
  rows?: number
  tenants?: number | undefined
  newest?: {table: string; column: string; at: string} | undefined
  /** Sessions in it by application, most first. */
  sessions: {application: string; count: number}[]
}

export interface Loss {
  table: string
  /** Null: unknown, or not there. */
  live: number | null
  estimated: boolean
  coming: number | null
  /** Rows written since the coming one was put aside. */
  written?: number
  /** There may be more than these. */
  atLeast?: boolean
}

const plain = new Intl.NumberFormat('en-US')
const number = (value: number): string => plain.format(value)
const SHOWN = 12
const NAME_WIDTH = 34

/** `1.2 GB` */
export function size(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let [rest, unit] = [value, 0]
  for (; rest >= 999.5 && unit < units.length - 1; unit++) rest /= 1000
  return `${unit === 0 || rest >= 99.95 ? rest.toFixed(0) : rest.toFixed(1)} ${units[unit] ?? ''}`
}

/** Who the target is. */
export function targetLines(target: SwapTarget, environment: string, becomes = ': ended at the swap'): string[] {
  const {host, port, serverVersion, systemIdentifier, database, bytes, tables, rows, tenants, newest, sessions} = target
  const figures = [
    environment, ...(bytes === undefined ? [] : [size(bytes)]), ...(tables === undefined ? [] : [`${number(tables)} tables`]),
    ...(rows === undefined ? [] : [`${number(rows)} rows`]), ...(tenants === undefined ? [] : [`${number(tenants)} tenants`]),
  ]
  const count = sessions.reduce((sum, one) => sum + one.count, 0)
  const who = sessions.slice(0, 4).map((one) => `${one.application === '' ? 'unnamed' : one.application} ${one.count}`)
  return [
    `Server      ${host}:${port}, PostgreSQL ${serverVersion.replace(/ .*/, '')}${systemIdentifier === undefined ? '' : `, system ${systemIdentifier}`}`,
    `Database    ${database}: ${figures.join(', ')}`,
    `Newest row  ${newest === undefined ? 'not known' : `${newest.at.replace('T', ' ').replace('Z', ' UTC')} (${newest.table}, ${newest.column})`}`,
    `Connected   ${count === 0 ? 'nobody' : `${number(count)} ${count === 1 ? 'session' : 'sessions'} (${who.join(', ')}${sessions.length > 4 ? ', …' : ''})${becomes}`}`,
  ]
}

const differenceOf = ({live, coming}: Loss): number => (coming ?? 0) - (live ?? 0)

/** What changes in each table, largest change first; the rest in one line, so that it fits a screen. */
export function lossLines(loss: readonly Loss[], headers: readonly [string, string]): string[] {
  const counted = loss.some(({written}) => written !== undefined)
  const changed = loss.filter((one) => one.live !== one.coming || (one.written ?? 0) > 0).toSorted((a, b) => (b.written ?? 0) - (a.written ?? 0) || Math.abs(differenceOf(b)) - Math.abs(differenceOf(a)) || (a.table < b.table ? -1 : 1))
  const [shown, rest] = [changed.slice(0, SHOWN), changed.slice(SHOWN)]
  const same = loss.length - changed.length
  if (changed.length === 0 && counted && !loss.some(({atLeast}) => atLeast)) return [`Nothing was written since, in any of ${number(loss.length)} ${loss.length === 1 ? 'table' : 'tables'}.`]
  if (changed.length === 0) return [loss.length === 0 ? 'There is nothing to compare table by table.' : `All ${number(loss.length)} tables have as many rows as they would have afterwards; changed rows do not show in that.`]
  const rows = shown.map((one) => [cut(one.table), cell(one.live, one.estimated), cell(one.coming, false), signed(one), ...(counted ? [number(one.written ?? 0)] : [])])
  const sum = (which: readonly Loss[]) => which.reduce((total, one) => total + differenceOf(one), 0)
  return [
    ...columns([['TABLE', ...headers, 'CHANGE', ...(counted ? ['WRITTEN SINCE'] : [])], ...rows]),
    ...(rest.length === 0 ? [] : [`and ${number(rest.length)} more tables that differ, ${signedNumber(sum(rest))} rows in all`]),
    ...(same === 0 ? [] : [`${number(same)} ${same === 1 ? 'table has' : 'tables have'} as many rows as they would have afterwards${counted ? ', and nothing was written there' : '; changed rows do not show in that'}.`]),
  ]
}

/** The fullest tables, where it is not known what comes in. */
export function liveLines(loss: readonly Loss[]): string[] {
  const fullest = loss.toSorted((a, b) => (b.live ?? 0) - (a.live ?? 0)).slice(0, SHOWN)
  return ['What comes in is known only when it is restored. There are now:', ...columns([['TABLE', 'ROWS'], ...fullest.map((one) => [cut(one.table), cell(one.live, one.estimated)])]), ...(loss.length > SHOWN ? [`and ${number(loss.length - SHOWN)} more tables`] : [])]
}

const cut = (name: string): string => (name.length <= NAME_WIDTH ? name : `${name.slice(0, NAME_WIDTH - 1)}…`)
const cell = (value: number | null, estimated: boolean): string => (value === null ? '-' : `${estimated ? '~' : ''}${number(value)}`)
const signedNumber = (value: number): string => (value > 0 ? `+${number(value)}` : value < 0 ? `−${number(-value)}` : '0')

function signed(one: Loss): string {
  if (one.live === null) return 'not live'
  if (one.coming === null) return 'goes'
  return signedNumber(differenceOf(one))
}

/** The first column to the left, figures to the right. */
function columns(rows: readonly string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => (row[index] ?? '').length)))
  return rows.map((row) => row.map((text, index) => (index === 0 ? text.padEnd(widths[index] ?? 0) : text.padStart(widths[index] ?? 0))).join('  ').trimEnd())
}
