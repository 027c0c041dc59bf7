import {z} from 'zod'
import {verificationError} from '../errors.ts'
import type {Manifest} from './manifest.ts'

export const EVIDENCE_FOLDER = 'evidence/'

const evidenceSchema = z.looseObject({
  kind: z.enum(['verified', 'drilled']),
  at: z.iso.datetime({offset: true}),
  /** How far it went: `quick`, `full`, or what the drill was. */
  level: z.string(),
  ok: z.boolean(),
  /** Who says so: user and host, and the version of dr. */
  by: z.string(),
  details: z.unknown().optional(),
})

/** What a later look at a backup has shown. Written once beside it, never changed. */
export type Evidence = z.infer<typeof evidenceSchema>

/** `suspect`: the backup itself or the newest look at it gives reason not to rely on it. */
export type Level = 'suspect' | 'stored' | 'verified' | 'drilled'

const rank: readonly Level[] = ['suspect', 'stored', 'verified', 'drilled']

export const isAtLeast = (level: Level, wanted: Level): boolean => rank.indexOf(level) >= rank.indexOf(wanted)

/** `evidence/20261122T031500Z-verified.json`: sorts by time. Milliseconds keep two of one second apart. */
export const evidenceName = ({kind, at}: Pick<Evidence, 'kind' | 'at'>): string =>
  `${EVIDENCE_FOLDER}${new Date(at).toISOString().replaceAll(/[-:.]/g, '')}-${kind}.json`

/** Knows by its name alone whether a key of the backup's folder is evidence. */
export const isEvidence = (name: string): boolean => /^evidence\/[^/]+-(verified|drilled)\.json$/.test(name)

export const serializeEvidence = (evidence: Evidence): string => `${JSON.stringify(evidenceSchema.parse(evidence), undefined, 2)}\n`

export function parseEvidence(text: string, what: string): Evidence {
  try {
    return evidenceSchema.parse(JSON.parse(text))
  } catch (error) {
    throw verificationError('evidence.invalid', `${what} is not evidence.`, {cause: error, hints: ['Remove the file: the backup itself is not touched by it. dr verify writes new evidence.']})
  }
}

/**
 * Damage does not heal, but a look can go wrong: a failed check is answered only by a later good one that went at least as far.
 * A `quick` check reads no bytes, so it neither makes a backup `verified` nor answers for a full one.
 */
export function levelOf(manifest: Pick<Manifest, 'status'>, evidence: readonly Evidence[]): Level {
  if (manifest.status === 'suspect') return 'suspect'
  const inOrder = evidence.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at))
  const failure = inOrder.findLastIndex(({ok}) => !ok)
  const failed = inOrder[failure]
  const after = inOrder.slice(failure + 1)
  if (failed !== undefined && !after.some((later) => depth(later) >= depth(failed))) return 'suspect'
  const deepest = Math.max(0, ...inOrder.filter(({ok}) => ok).map(depth))
  return deepest === DRILL ? 'drilled' : deepest === FULL ? 'verified' : 'stored'
}

const DRILL = 3
const FULL = 2
const depth = ({kind, level}: Evidence): number => (kind === 'drilled' ? DRILL : level === 'quick' ? 1 : FULL)
