import {backupVariants} from './backups.ts'
import {bars, type Results} from './bars.ts'
import {databaseFacts, machineFacts, type Fact} from './facts.ts'
import {openLab} from './lab.ts'
import {benchOptions, type BenchOptions} from './options.ts'
import {conclude, run, say, signal} from './program.ts'
import {report} from './report.ts'
import {makeArchive, restoreVariants} from './restores.ts'
import {swapVariants} from './swaps.ts'
import {measureStartup} from './startup.ts'
import {interleave} from './variants.ts'

/* npm run bench: dr beside stock PostgreSQL, in one run on one machine. The report says how it was measured. */

async function main(argv: readonly string[]): Promise<void> {
  const options = benchOptions(argv)
  const facts = machineFacts()
  const results: Results = {jobs: options.jobs}
  if (options.parts.includes('startup')) results.startup = await measureStartup()
  if (options.parts.some((part) => part !== 'startup')) facts.push(...(await measureInLab(options, results)))
  const text = report({...results, ...options, facts, date: new Date().toISOString().slice(0, 10)})
  await conclude(text, options.output, bars(results))
}

async function measureInLab(options: BenchOptions, results: Results): Promise<Fact[]> {
  const lab = await openLab({...options, say, signal})
  try {
    const facts = await databaseFacts(lab)
    say('Making the archive that is restored.')
    const archive = await makeArchive(lab)
    results.members = archive.manifest.members
    if (options.parts.includes('backup')) results.backups = await inRounds('Backups', await backupVariants(lab), options)
    if (options.parts.includes('restore')) results.restores = await inRounds('Restores', await restoreVariants(lab, archive, options.linkBytesPerSecond), options)
    if (options.parts.includes('restore-s3')) results.s3Restores = await inRounds('Restores from S3', (await restoreVariants(lab, archive, options.linkBytesPerSecond)).filter(({id}) => id === 't' || id === 'u'), options)
    if (options.parts.includes('swap')) results.swaps = await inRounds('Swaps', await swapVariants(lab, archive), options)
    return [...facts, ['archive', `${(archive.manifest.sizes.archiveBytes / 1e6).toFixed(1)} MB, ${archive.manifest.compression}`]]
  } finally {
    await lab.close()
  }
}

function inRounds(title: string, variants: Parameters<typeof interleave>[0], {rounds}: BenchOptions): ReturnType<typeof interleave> {
  say(`${title}:`)
  return interleave(variants, {rounds, say, signal})
}

run(main)
