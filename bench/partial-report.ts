import {bar, median, of, wall, worst, type Bar} from './bars.ts'
import type {Fact} from './facts.ts'
import type {PartialBenchOptions} from './partial-options.ts'
import {barTable, outcomeTable, table} from './report.ts'
import {ACCIDENTS, variantId, type Place} from './small-tables.ts'
import type {TenantRestore} from './tenant.ts'
import type {Outcome} from './variants.ts'

export interface PartialResults {
  /** The small archive, then the large one. */
  places: readonly [Pick<Place, 'archiveBytes'>, Pick<Place, 'archiveBytes'>]
  outcomes: readonly Outcome[]
}

const MOST_SHARE = 2
const MOST_RATIO = 1.5

/** Of each accident: what the S3 server sent of the large archive in the worst run, and how the medians of the time compare. */
export function partialBars({places: [, {archiveBytes}], outcomes}: PartialResults): Bar[] {
  return ACCIDENTS.flatMap(({args}, index) => {
    const [small, large] = [variantId(index, 0), variantId(index, 1)]
    const what = args.slice(0, 2).join(' ')
    return [
      bar(`${what}: sent by S3, of the large archive, worst run`, (worst(of(outcomes, large), ({sentBytes}) => sentBytes) / archiveBytes) * 100, MOST_SHARE, '%'),
      bar(`${what}: time with the large archive ÷ with the small one`, median(outcomes, large, wall) / median(outcomes, small, wall), MOST_RATIO, '×'),
    ]
  })
}

export interface PartialReportInput extends PartialResults {
  options: PartialBenchOptions
  date: string
  facts: readonly Fact[]
  tenant: TenantRestore
}

const mb = (bytes: number, digits = 1): string => `${(bytes / 1e6).toFixed(digits)} MB`
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
const plain = new Intl.NumberFormat('en-US')

/** The report as Markdown. */
export function partialReport(input: PartialReportInput): string {
  const {options, date, facts, outcomes, tenant} = input
  const link = options.linkBytesPerSecond / 1e6
  return `${[
    '# Partial restore from S3',
    `${date}. \`dr partial --from LABEL\` of backups that \`dr backup --s3\` made, by turns in each of ${options.rounds} rounds, over a link of ${link} MB/s; seconds of the whole process, median (least–most). What S3 sent was counted by the S3 server: all replies to this run with their headers, manifests and listings among them. After every run the damaged tables were as before, by digest.`,
    table(['', ''], facts.map((fact) => [...fact])),
    `The large database has ten times the rows of the small one, and tables of random bytes, which no compression makes smaller and no other table refers to, until its archive has ${mb(options.archiveBytes, 0)}.`,
    '## What was promised', barTable(partialBars(input)),
    '## A small table', outcomeTable(outcomes),
    '## A tenant', tenantText(tenant, input.places[1].archiveBytes), tenantTable(tenant),
    '## To repeat it', `\`\`\`sh\n${command(options)}\n\`\`\``,
  ].join('\n\n')}\n`
}

const tenantText = ({tenants, rows, tables, sampleBytes}: TenantRestore, archiveBytes: number): string =>
  `The largest of ${tenants} tenants was deleted from the large database of ${plain.format(rows)} rows (those of random bytes not counted), with its rows in ${tables} tables, and restored: \`dr partial --tenant ID --merge missing\`, once. Afterwards every table was as before, by digest: the rows of this tenant and of all others. Of the archive's ${mb(archiveBytes)} the sample itself has ${mb(sampleBytes)}: rows of one tenant stand among those of others, so that the members of all tables with tenants are read.`

const tenantTable = ({back, wallMs, timings, sentBytes, fetchedBytes, members, peakRssBytes}: TenantRestore): string => table(['', ''], [
  ['rows back, detached ones linked again among them', plain.format(back)],
  ['time', seconds(wallMs)],
  ['of it', timings.map(({phase, ms}) => `${phase} ${seconds(ms)}`).join(', ')],
  ['read, as dr says', `${mb(fetchedBytes)} of ${members} members`],
  ['sent by S3', mb(sentBytes)],
  ["dr's peak memory", mb(peakRssBytes, 0)],
])

const command = ({rows, tenants, archiveBytes, rounds, jobs, linkBytesPerSecond}: PartialBenchOptions): string =>
  `npm ci && npm run bench:partial -- --rows ${rows} --tenants ${tenants} --archive ${archiveBytes / 1e6} --rounds ${rounds} --jobs ${jobs} --link ${linkBytesPerSecond / 1e6}`
