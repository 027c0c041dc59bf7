import type {ManifestMember} from '../src/lib/repository/manifest.ts'
import type {Startup} from './startup.ts'
import {spread} from './stats.ts'
import type {Outcome, Sample} from './variants.ts'

/** One thing that `dr` has promised, and how it stands to it. */
export interface Bar {
  what: string
  measured: number
  limit: number
  unit: '×' | '%' | 'MB' | 'ms'
  passed: boolean
}

export interface Results {
  backups?: readonly Outcome[]
  restores?: readonly Outcome[]
  /** Those from S3 alone. */
  s3Restores?: readonly Outcome[]
  swaps?: readonly Outcome[]
  startup?: Startup
  /** Of the backup, for the bound of staging. */
  members?: readonly ManifestMember[]
  jobs: number
}

const MB = 1e6
const MOST_RSS_MB = 200
const STARTUP_MS = 120
const MOST_OUTAGE_MS = 500

/** Every bar that the results tell of. Ratios are of medians; memory and staging of the worst run. */
export const bars = (results: Results): Bar[] => [...backupBars(results), ...restoreBars(results), ...s3RestoreBars(results), ...swapBars(results), ...startupBars(results)]

function backupBars({backups, members, jobs}: Results): Bar[] {
  if (!backups) return []
  const ratio = (a: string, b: string): number => median(backups, a, wall) / median(backups, b, wall)
  return [
    bar('dr backup --local ÷ best stock line (d)', ratio('f', 'd'), 1.15, '×'),
    bar('dr backup --local ÷ pg_dump -Fc (b)', ratio('f', 'b'), 0.5, '×'),
    bar('dr backup --s3 ÷ dr backup --local', ratio('g', 'f'), 1.25, '×'),
    bar('memory of dr backup, worst run', worst([...of(backups, 'f'), ...of(backups, 'g')], ({peakRssBytes}) => peakRssBytes) / MB, MOST_RSS_MB, 'MB'),
    ...(members ? [bar(`staging of dr backup --s3, worst run; bound: ${jobs} largest members + 10 % of the archive`, worst(of(backups, 'g'), ({stagingBytes}) => stagingBytes) / MB, stagingBound(members, jobs) / MB, 'MB')] : []),
  ]
}

function restoreBars({restores}: Results): Bar[] {
  if (!restores) return []
  return [
    bar('dr restore, local ÷ pg_restore -j with the same settings (r); integrity and ANALYZE apart', apartRatio(restores, 's', 'r'), 1.1, '×'),
    ...s3RestoreBars({s3Restores: restores}),
    bar('memory of dr restore, worst run', worst([...of(restores, 's'), ...of(restores, 'u')], ({peakRssBytes}) => peakRssBytes) / MB, MOST_RSS_MB, 'MB'),
  ]
}

const s3RestoreBars = ({s3Restores}: Pick<Results, 's3Restores'>): Bar[] =>
  s3Restores ? [bar('dr restore --s3 ÷ download, then pg_restore -j (t); integrity and ANALYZE apart', apartRatio(s3Restores, 'u', 't'), 0.85, '×')] : []

const apartRatio = (restores: readonly Outcome[], a: string, b: string): number => median(restores, a, ({apartMs}) => apartMs) / median(restores, b, wall)

const swapBars = ({swaps}: Results): Bar[] => (swaps ? [
  bar('outage of dr restore --swap as clients see it, worst run', worst(of(swaps, 'v'), ({outageMs}) => outageMs), MOST_OUTAGE_MS, 'ms'),
  bar('outage of dr undo as clients see it, worst run', worst(of(swaps, 'w'), ({outageMs}) => outageMs), MOST_OUTAGE_MS, 'ms'),
] : [])

const startupBars = ({startup}: Results): Bar[] =>
  startup ? [bar('dr --version − bare node', startup.versionMs.median - startup.bareMs.median, STARTUP_MS, 'ms')] : []

export const bar = (what: string, measured: number, limit: number, unit: Bar['unit']): Bar => ({what, measured, limit, unit, passed: measured <= limit})

/** What may lie in staging at once: the members in flight, and some backlog. */
export function stagingBound(members: readonly ManifestMember[], jobs: number): number {
  const sizes = members.map(({bytes}) => bytes).toSorted((a, b) => b - a)
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)
  return sum(sizes.slice(0, jobs)) + sum(sizes) / 10
}

export const wall = ({wallMs}: Sample): number => wallMs

export function of(outcomes: readonly Outcome[], id: string): readonly Sample[] {
  const samples = outcomes.find((outcome) => outcome.id === id)?.samples ?? []
  if (samples.length === 0) throw new Error(`There is no run of (${id}).`)
  return samples
}

export const median = (outcomes: readonly Outcome[], id: string, figure: (sample: Sample) => number | undefined): number => spread(values(of(outcomes, id), figure)).median
export const worst = (samples: readonly Sample[], figure: (sample: Sample) => number | undefined): number => spread(values(samples, figure)).max

function values(samples: readonly Sample[], figure: (sample: Sample) => number | undefined): number[] {
  return samples.map((sample) => {
    const value = figure(sample)
    if (value === undefined) throw new Error('A run lacks a figure.')
    return value
  })
}
