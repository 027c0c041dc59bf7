import {databaseFacts, machineFacts, type Fact} from './facts.ts'
import {DATABASE, openLab, type Lab} from './lab.ts'
import {partialBenchOptions, type PartialBenchOptions} from './partial-options.ts'
import {partialBars, partialReport, type PartialReportInput} from './partial-report.ts'
import {conclude, run, say, signal} from './program.ts'
import {addRecordings} from './recordings.ts'
import {backedUp, smallTableVariants, type Place} from './small-tables.ts'
import {restoreTenant} from './tenant.ts'
import {interleave} from './variants.ts'

/* npm run bench:partial: what a partial restore from S3 fetches and how long it takes, with a small and a large archive. */

const SMALL = 'dashboarduz_small'

async function main(argv: readonly string[]): Promise<void> {
  const options = partialBenchOptions(argv)
  const facts = machineFacts()
  const lab = await openLab({...options, say, signal})
  const input = await measured(lab, options, facts).finally(() => lab.close())
  const text = partialReport(input)
  await conclude(text, options.output, partialBars(input))
}

async function measured(lab: Lab, options: PartialBenchOptions, facts: readonly Fact[]): Promise<PartialReportInput> {
  const {rows, tenants, archiveBytes, linkBytesPerSecond, rounds} = options
  const sampleBytes = (await backedUp(lab, {name: 'sample', database: DATABASE, rows})).archiveBytes
  say('Making the large archive.')
  await addRecordings(lab, DATABASE, archiveBytes, signal)
  const large = await backedUp(lab, {name: 'large', database: DATABASE, rows})
  if (large.archiveBytes < archiveBytes) throw new Error(`The archive has only ${large.archiveBytes} bytes.`)
  say('Making the small archive.')
  const small = await backedUp(lab, {name: 'small', database: SMALL, rows: await lab.createSample(SMALL, {rows: Math.ceil(rows / 10), tenants, signal})})
  const described = [...facts, ...(await databaseFacts(lab)).filter(([name]) => name !== 'database'), ...[small, large].map(placeFact)]
  say('A small table:')
  const outcomes = await interleave(smallTableVariants(lab, [small, large], linkBytesPerSecond), {rounds, say, signal})
  say('A tenant.')
  const tenant = await restoreTenant(lab, large, sampleBytes, linkBytesPerSecond)
  return {places: [small, large], outcomes, tenant, options, facts: described, date: new Date().toISOString().slice(0, 10)}
}

const placeFact = ({name, databaseBytes, archiveBytes}: Place): Fact => [`${name} archive`, `${(archiveBytes / 1e6).toFixed(1)} MB, of a database of ${(databaseBytes / 1e6).toFixed(0)} MB`]

run(main)
