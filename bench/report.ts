import {bars, type Bar, type Results} from './bars.ts'
import type {Fact} from './facts.ts'
import {PARTS, type Part} from './options.ts'
import {spread} from './stats.ts'
import type {Outcome, Sample} from './variants.ts'

export interface ReportInput extends Results {
  date: string
  facts: readonly Fact[]
  rows: number
  rounds: number
  parts: readonly Part[]
  linkBytesPerSecond: number
}

type Column = readonly [title: string, figure: (sample: Sample) => number | undefined, digits: number, unit: number]

const COLUMNS: readonly Column[] = [
  ['client CPU s', ({clientMs}) => clientMs, 2, 1000],
  ['server CPU s', ({serverMs}) => serverMs, 2, 1000],
  ['S3 server CPU s', ({s3Ms}) => s3Ms, 2, 1000],
  ['MB written', ({bytes}) => bytes, 1, 1e6],
  ['sent by S3 MB', ({sentBytes}) => sentBytes, 2, 1e6],
  ['fetched as dr says MB', ({fetchedBytes}) => fetchedBytes, 2, 1e6],
  ['ANALYZE s', ({analyzeMs}) => analyzeMs, 2, 1000],
  ['integrity s', ({integrityMs}) => integrityMs, 2, 1000],
  ['without these two', ({apartMs}) => apartMs, 2, 1000],
  ["dr's own CPU s", ({ownCpuMs}) => ownCpuMs, 2, 1000],
  ["dr's peak memory MB", ({peakRssBytes}) => peakRssBytes, 0, 1e6],
  ['outage ms, clients', ({outageMs}) => outageMs, 0, 1],
  ['longest without a right answer, ms', ({gapMs}) => gapMs, 0, 1],
  ['staging MB', ({stagingBytes}) => stagingBytes, 1, 1e6],
]

/** The report as Markdown. */
export function report(input: ReportInput): string {
  const {backups, restores, s3Restores, swaps, startup, facts, date, rounds, linkBytesPerSecond, jobs} = input
  const blocks = [
    '# Benchmark',
    `${date}. Every variant once in each of ${rounds} rounds; seconds of the whole process, median (least–most). ${jobs} jobs throughout. Client CPU is that of all processes of the command, server CPU that of PostgreSQL meanwhile.`,
    table(['', ''], facts.map((fact) => [...fact])),
    '## What was promised', barTable(bars(input)),
    ...(backups ? ['## Backups', outcomeTable(backups)] : []),
    ...(restores ? ['## Restores', `Of the archive that \`dr backup\` wrote, into a new database. From S3 over a link of ${linkBytesPerSecond / 1e6} MB/s.`, outcomeTable(restores)] : []),
    ...(s3Restores ? ['## Restores from S3', `Of the archive that \`dr backup\` wrote, into a new database, over a link of ${linkBytesPerSecond / 1e6} MB/s.`, outcomeTable(s3Restores)] : []),
    ...(swaps ? ['## Swaps', 'Clients read, write and reconnect all the while; the outage is from the last answer of the old database to the first of the new one, of the client that it took longest.', outcomeTable(swaps)] : []),
    ...(startup ? ['## Start', table(['', 'ms, median (least–most)'], [['node -e 0', spreadText(startup.bareMs, 0, 1)], ['dr --version', spreadText(startup.versionMs, 0, 1)]])] : []),
    '## To repeat it', `\`\`\`sh\n${command(input)}\n\`\`\``,
  ]
  return `${blocks.join('\n\n')}\n`
}

/** What repeats it; where its files lay is of no interest. */
const command = ({rows, rounds, jobs, linkBytesPerSecond, parts}: ReportInput): string =>
  ['npm ci && npm run bench --', `--rows ${rows}`, `--rounds ${rounds}`, `--jobs ${jobs}`, `--link ${linkBytesPerSecond / 1e6}`, ...(parts.length === PARTS.length ? [] : parts.map((part) => `--only ${part}`))].join(' ')

export const barTable = (all: readonly Bar[]): string =>
  table(['', 'measured', 'at most', ''], all.map(({what, measured, limit, unit, passed}) => [what, figureOf(measured, unit), figureOf(limit, unit), passed ? 'pass' : '**fail**']))

const figureOf = (value: number, unit: Bar['unit']): string => (unit === '×' || unit === '%' ? `${value.toFixed(2)} ${unit}` : `${value.toFixed(unit === 'MB' ? 1 : 0)} ${unit}`)

/** Columns that no variant has a figure for are left out. */
export function outcomeTable(outcomes: readonly Outcome[]): string {
  const columns = COLUMNS.filter(([, figure]) => outcomes.some(({samples}) => samples.some((sample) => figure(sample) !== undefined)))
  const rows = outcomes.map(({id, title, samples}) => [`(${id}) ${title}`, spreadText(spread(samples.map(({wallMs}) => wallMs)), 2, 1000), ...columns.map((column) => cell(samples, column))])
  return table(['', 'wall s', ...columns.map(([title]) => title)], rows)
}

function cell(samples: readonly Sample[], [, figure, digits, unit]: Column): string {
  const values = samples.map(figure).filter((value) => value !== undefined)
  return values.length === 0 ? '' : (spread(values).median / unit).toFixed(digits)
}

function spreadText({median, min, max}: ReturnType<typeof spread>, digits: number, unit: number): string {
  const [middle = '', least = '', most = ''] = [median, min, max].map((value) => (value / unit).toFixed(digits))
  return `${middle} (${least}–${most})`
}

export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
