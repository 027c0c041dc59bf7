import {availableParallelism} from 'node:os'
import {fileURLToPath} from 'node:url'
import {parseArgs} from 'node:util'

/** `restore-s3`: of the restores those from S3 alone, to see them over another link. */
export type Part = 'backup' | 'restore' | 'restore-s3' | 'swap' | 'startup'
/** What is measured when nothing is said. */
export const PARTS: readonly Part[] = ['backup', 'restore', 'swap', 'startup']

export interface BenchOptions {
  /** Of the five heavy tables together. */
  rows: number
  rounds: number
  jobs: number
  /** Of the link to S3 in the restores. */
  linkBytesPerSecond: number
  parts: readonly Part[]
  /** Undefined: the report is only printed. */
  output: string | undefined
  /** Where data and archives lie while it runs. */
  directory: string | undefined
}

export const USAGE = `npm run bench -- [--rows N] [--rounds N] [--jobs N] [--link MB_PER_SECOND] [--only backup|restore|restore-s3|swap|startup]… [--directory DIR] [--output FILE]`

const LATEST = fileURLToPath(new URL('results/latest.md', import.meta.url))

/** A run of some parts only does not replace the report of a whole one unless told where to write. */
export function benchOptions(argv: readonly string[]): BenchOptions {
  const {values} = parseArgs({
    args: [...argv],
    options: {
      rows: {type: 'string', default: '1000000'}, rounds: {type: 'string', default: '3'}, jobs: {type: 'string', default: String(Math.max(2, availableParallelism()))},
      link: {type: 'string', default: '10'}, only: {type: 'string', multiple: true}, directory: {type: 'string'}, output: {type: 'string'},
    },
  })
  const parts = (values.only ?? []).map(partOf)
  return {
    rows: positive('rows', values.rows), rounds: positive('rounds', values.rounds), jobs: Math.max(2, positive('jobs', values.jobs)), linkBytesPerSecond: positive('link', values.link) * 1e6,
    parts: parts.length === 0 ? PARTS : parts,
    output: values.output ?? (parts.length === 0 ? LATEST : undefined),
    directory: values.directory,
  }
}

export function positive(name: string, text: string, usage = USAGE): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes a whole number from 1 on, not ${text}.\n${usage}`)
  return value
}

function partOf(text: string): Part {
  const known: readonly Part[] = [...PARTS, 'restore-s3']
  const part = known.find((one) => one === text)
  if (!part) throw new Error(`--only takes ${known.join(', ')}, not ${text}.\n${USAGE}`)
  return part
}
