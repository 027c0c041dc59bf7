import {availableParallelism} from 'node:os'
import {fileURLToPath} from 'node:url'
import {parseArgs} from 'node:util'
import {positive} from './options.ts'

export interface PartialBenchOptions {
  /** Of the five heavy tables of the large database together; the small one has a tenth. */
  rows: number
  tenants: number
  /** What the archive of the large database has at least. */
  archiveBytes: number
  rounds: number
  jobs: number
  /** Of the link from S3 in the restores. */
  linkBytesPerSecond: number
  output: string
  directory: string | undefined
}

export const USAGE = 'npm run bench:partial -- [--rows N] [--tenants N] [--archive MB] [--rounds N] [--jobs N] [--link MB_PER_SECOND] [--directory DIR] [--output FILE]'

const REPORT = fileURLToPath(new URL('results/partial.md', import.meta.url))

/** Medians are of five rounds at least unless said otherwise. */
export function partialBenchOptions(argv: readonly string[]): PartialBenchOptions {
  const {values} = parseArgs({
    args: [...argv],
    options: {
      rows: {type: 'string', default: '1000000'}, tenants: {type: 'string', default: '20'}, archive: {type: 'string', default: '1000'}, rounds: {type: 'string', default: '5'},
      jobs: {type: 'string', default: String(Math.max(2, availableParallelism()))}, link: {type: 'string', default: '16'}, directory: {type: 'string'}, output: {type: 'string', default: REPORT},
    },
  })
  const number = (name: 'rows' | 'tenants' | 'archive' | 'rounds' | 'jobs' | 'link'): number => positive(name, values[name], USAGE)
  return {
    rows: number('rows'), tenants: number('tenants'), archiveBytes: number('archive') * 1e6, rounds: number('rounds'), jobs: Math.max(2, number('jobs')), linkBytesPerSecond: number('link') * 1e6,
    output: values.output, directory: values.directory,
  }
}
