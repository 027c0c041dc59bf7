import {MINUTE_MS} from './cutover-instances.ts'
import type {CutoverMode, CutoverOptions} from './cutover-options.ts'

export interface Estimate {
  /** Milliseconds from the first change to the end. */
  totalMs: number
  /** Of these, how long clients reach nothing. */
  outageMs: number
  /** What it is made of, in words. */
  parts: string[]
}

/** RDS User Guide, “Renaming a DB instance”: “about 10 minutes”. */
const RENAME_MS = 10 * MINUTE_MS
/** Assumed: a snapshot holds what has changed since the last one, and none was to be measured beforehand. */
const SNAPSHOT_MS = 5 * MINUTE_MS
/** Assumed: sessions are ended within seconds. */
const FREEZE_MS = 15_000
/** Assumed: a proxy takes a target within a minute; a command that switches an address is as quick as a deployment. */
const SWITCH_MS: Readonly<Record<Exclude<CutoverMode, 'rename'>, number>> = {proxy: MINUTE_MS, url: MINUTE_MS}

/** How long it will take, as far as that is known before: drills measure it. */
export function estimateOf({mode, freeze, snapshot}: Pick<CutoverOptions, 'mode' | 'freeze' | 'snapshot'>): Estimate {
  const switchMs = mode === 'rename' ? 2 * RENAME_MS : SWITCH_MS[mode]
  return {
    totalMs: (freeze ? FREEZE_MS : 0) + (snapshot ? SNAPSHOT_MS : 0) + switchMs, outageMs: switchMs,
    parts: [
      ...(snapshot ? ['snapshot 5 min, assumed'] : []),
      mode === 'rename' ? 'two renames of 10 min each, by the RDS User Guide' : mode === 'proxy' ? 'another target of the proxy 1 min, assumed' : 'another address for the application 1 min, assumed',
    ],
  }
}

export const minutes = (ms: number): string => `${Math.ceil(ms / MINUTE_MS)} min`
