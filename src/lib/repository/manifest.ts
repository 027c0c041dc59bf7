import {z} from 'zod'
import {verificationError} from '../errors.ts'
import {sealed, sealOf} from './seal.ts'

export const MANIFEST_VERSION = 1
export const MANIFEST = 'manifest.json'

const sha256 = z.string().regex(/^[\da-f]{64}$/)
const time = z.iso.datetime({offset: true})
const count = z.number().int().nonnegative()
const named = {schema: z.string(), name: z.string()}

const table = z.looseObject({
  ...named,
  /** `table`, `partitioned`, `foreign`, … */
  kind: z.string(),
  /** Exact, in the snapshot. Null where nothing was counted. */
  rows: count.nullable(),
  /** Rows per tenant id; rows without a tenant under the empty name. */
  tenants: z.record(z.string(), count).optional(),
  /** Order-free sum over the rows, decimal. */
  digest: z.string().optional(),
  /** In order, without dropped and generated ones: what the digest covers. */
  columns: z.array(z.string()),
  bytes: count,
  /** The entry of its data in the archive; the member is named after it. */
  dumpId: count.optional(),
})

/** Unknown keys are kept everywhere: a newer dr may add some without a new schema version. */
export const manifestSchema = z.looseObject({
  schemaVersion: z.literal(MANIFEST_VERSION),
  label: z.string(),
  environment: z.string(),
  /** Of the snapshot: what the backup holds is what was committed then. */
  createdAt: time,
  finishedAt: time,
  status: z.enum(['good', 'suspect']),
  /** `safety`: of a state that was about to be replaced; never taken for the latest. Absent in an ordinary one. */
  purpose: z.enum(['safety']).optional(),
  suspicions: z.array(z.string()),
  tool: z.looseObject({dr: z.string(), pgDump: z.string(), archiveVersion: z.string().optional(), /** The least major that reads the archive. */ pgRestoreMajor: count}),
  server: z.looseObject({version: z.string(), versionNum: count, major: count}),
  source: z.looseObject({
    database: z.string(),
    systemIdentifier: z.string().optional(),
    databaseOid: z.number().int().optional(),
    host: z.string().optional(),
    rds: z.looseObject({instance: z.string().optional(), resourceId: z.string().optional()}).optional(),
  }),
  /** `current` is pg_current_snapshot(): a row with a later xmin is known to be newer than the backup. */
  snapshot: z.looseObject({id: z.string().optional(), at: time, lsn: z.string(), /** Of the WAL: the numbers of transactions go on in it. Absent where an older dr made the backup. */ timeline: count.optional(), xmin: z.string(), xmax: z.string(), current: z.string()}),
  encoding: z.string(),
  collation: z.looseObject({provider: z.string(), collate: z.string(), ctype: z.string(), locale: z.string().optional(), version: z.string().optional()}),
  sizes: z.looseObject({databaseBytes: count, archiveBytes: count}),
  /** `zstd:1`, `gzip:1`, `none`. */
  compression: z.string(),
  jobs: count,
  /** Everything in the folder but this manifest, the lease and later evidence. */
  members: z.array(z.looseObject({name: z.string(), bytes: count, sha256})),
  tables: z.array(table),
  sequences: z.array(z.looseObject({...named, lastValue: z.string(), isCalled: z.boolean()})),
  materializedViews: z.array(z.looseObject({...named, populated: z.boolean()})),
  largeObjects: count,
  extensions: z.array(z.looseObject({name: z.string(), version: z.string(), schema: z.string()})),
  roles: z.array(z.looseObject({name: z.string()})),
  rowSecurity: z.array(z.looseObject({schema: z.string(), table: z.string(), enabled: z.boolean(), forced: z.boolean()})),
  policies: z.array(z.looseObject({schema: z.string(), table: z.string(), name: z.string(), definition: z.string()})),
  /** `object` with its kind: `table public.leads`. */
  grants: z.array(z.looseObject({object: z.string(), grantee: z.string(), grantor: z.string().optional(), privileges: z.array(z.string())})),
  indexes: z.looseObject({count, invalid: z.array(z.string())}),
  constraints: z.looseObject({count, notValidated: z.array(z.string())}),
  /** How many of each kind: `triggers`, `column defaults`, …; absent where an older dr made the backup. */
  objects: z.record(z.string(), count).optional(),
  databaseSettings: z.array(z.string()),
  /** What belongs to the database itself, for the swap. */
  database: z.looseObject({
    owner: z.string(),
    comment: z.string().optional(),
    connectionLimit: z.number().int(),
    settings: z.array(z.looseObject({role: z.string().optional(), name: z.string(), value: z.string()})),
    grants: z.array(z.looseObject({grantee: z.string(), privileges: z.array(z.string())})),
  }).optional(),
  migrations: z.looseObject({head: z.string().nullable(), finishedAt: z.string().optional()}).optional(),
  application: z.looseObject({release: z.string().optional(), /** A keyed hash, never the key. */ encryptionKeyFingerprint: z.string().optional()}),
  encryption: z.null(),
  timings: z.array(z.looseObject({phase: z.string(), ms: z.number().nonnegative()})),
  proofs: z.array(z.looseObject({destination: z.string(), proof: z.enum(['store-sha256', 'reread'])})),
  digests: z.boolean(),
})

export type Manifest = z.infer<typeof manifestSchema>
export type ManifestTable = Manifest['tables'][number]
export type ManifestMember = Manifest['members'][number]

/** Throws `manifest.newer` (this dr is too old), `manifest.damaged` (not the text that was sealed) or `manifest.invalid`, exit 4. `what` names the file in the message. */
export function parseManifest(text: string, what = MANIFEST): Manifest {
  const value = json(text, what)
  refuseNewer(value, what)
  const parsed = manifestSchema.safeParse(value)
  const hints = ['The file is damaged or was edited: use another copy of this backup.']
  if (!parsed.success) throw verificationError('manifest.invalid', `${what} is not a manifest: ${firstIssue(parsed.error)}.`, {hints, cause: parsed.error})
  if (sealOf(text) !== 'whole') throw verificationError('manifest.damaged', `${what} is not the text that was sealed when the backup was made.`, {hints})
  return withoutSeal(parsed.data)
}

/** Sealed: its last property is the SHA-256 of the text without it, because nothing else in a backup speaks for the manifest. */
export const serializeManifest = (manifest: Manifest): string => sealed(`${JSON.stringify(withoutSeal(manifestSchema.parse(manifest)), undefined, 2)}\n`)

function withoutSeal(manifest: Manifest): Manifest {
  const copy = {...manifest}
  delete copy['seal']
  return copy
}

function json(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw verificationError('manifest.invalid', `${what} is not JSON.`, {hints: ['The file is damaged or cut off: use another copy of this backup.'], cause: error})
  }
}

function refuseNewer(value: unknown, what: string): void {
  const version = (value as {schemaVersion?: unknown} | null)?.schemaVersion
  if (typeof version !== 'number' || version <= MANIFEST_VERSION) return
  throw verificationError('manifest.newer', `${what} has schema version ${version}; this dr reads up to ${MANIFEST_VERSION}.`, {
    hints: ['Update dr (npm install -g dashboarduz-dr), or restore with the recover.sh that lies beside the manifest.'],
  })
}

function firstIssue({issues: [issue]}: z.ZodError): string {
  if (issue === undefined) return 'it does not fit'
  return `${issue.path.join('.') || 'the whole'}: ${issue.message}`
}
