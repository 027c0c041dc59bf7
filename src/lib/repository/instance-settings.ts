import {text} from 'node:stream/consumers'
import {z} from 'zod'
import {sha256Of} from './checksum.ts'
import {DrError, verificationError} from '../errors.ts'
import {isLabel} from './label.ts'
import {sealed, sealOf} from './seal.ts'
import type {PutResult, Storage} from './storage/storage.ts'

/** Beside the folders of the environments, so that no walk of their backups meets it. */
const FOLDER = 'instances/'

const documentSchema = z.looseObject({
  schemaVersion: z.literal(1),
  kind: z.literal('rds-instance'),
  /** Identifier, in lower case. */
  instance: z.string(),
  environment: z.string(),
  savedAt: z.iso.datetime(),
  /** Version of dr. */
  by: z.string(),
  /** What could not be read, and why. */
  missing: z.array(z.object({what: z.string(), why: z.string()})),
  /** As the API describes the instance; times are text. */
  settings: z.record(z.string(), z.unknown()),
  /** With what was set in each by a person. */
  parameterGroups: z.array(z.looseObject({name: z.string(), family: z.string().optional(), description: z.string().optional(), parameters: z.array(z.record(z.string(), z.unknown()))})),
  proxy: z.looseObject({name: z.string(), targets: z.array(z.record(z.string(), z.unknown()))}).optional(),
})

/** The settings of a database instance, saved so that it can be made anew when it is gone. */
export type InstanceDocument = z.infer<typeof documentSchema>

export interface StoredSettings {
  key: string
  label: string
  environment: string
}

/** Of one snapshot: `instances/crm-prod/20261122T020000Z-7f3a/production.json`. */
export const settingsKey = ({instance, environment}: Pick<InstanceDocument, 'instance' | 'environment'>, label: string): string => `${FOLDER}${instance.toLowerCase()}/${label}/${environment}.json`

/** Sealed, as a manifest is. A property that is named as a password is left out, whatever it holds. */
export function serializeSettings(document: InstanceDocument): string {
  return sealed(`${JSON.stringify(documentSchema.parse(document), (name, value: unknown) => (/password$/i.test(name) && typeof value === 'string' ? undefined : value), 2)}\n`)
}

/** Written once, as everything in a repository. */
export async function putSettings(storage: Storage, document: InstanceDocument, label: string, signal: AbortSignal): Promise<PutResult & {location: string}> {
  const body = serializeSettings(document)
  const key = settingsKey(document, label)
  return {location: `${storage.location}/${key}`, ...(await storage.put(key, body, {sha256: sha256Of(body), signal}))}
}

/** Of one instance, newest first; with `environment` only those that were saved for it. */
export async function listSettings(storage: Storage, instance: string, {environment, signal}: {environment?: string | undefined; signal?: AbortSignal | undefined} = {}): Promise<StoredSettings[]> {
  const found: StoredSettings[] = []
  const prefix = `${FOLDER}${instance.toLowerCase()}/`
  for await (const {key} of storage.list(prefix, signal && {signal})) {
    const [label = '', name = '', ...rest] = key.slice(prefix.length).split('/')
    const own = name.replace(/\.json$/, '')
    if (isLabel(label) && rest.length === 0 && own !== name && (environment === undefined || environment === own)) found.push({key, label, environment: own})
  }
  return found.toSorted((a, b) => (a.label < b.label ? 1 : -1))
}

/** Throws `instance-settings.invalid` (exit 4) for what was changed since it was written, or is something else. */
export async function readSettings(storage: Storage, key: string, signal?: AbortSignal): Promise<InstanceDocument> {
  const what = `${storage.location}/${key}`
  const content = await text(await storage.read(key, signal && {signal}))
  const invalid = (why: string, cause?: unknown) => verificationError('instance-settings.invalid', `${what} ${why}.`, {cause, hints: ['dr config snapshot saves them anew; dr config snapshot --show LABEL shows an older one.']})
  if (sealOf(content) !== 'whole') throw invalid('is not what was written: its seal does not fit')
  try {
    return documentSchema.parse(JSON.parse(content))
  } catch (error) {
    throw invalid('holds no settings of an instance that this dr can read', error)
  }
}

/** Whether one place or one file is to be passed over for another; an abort is not. */
export const isPassedOver = (error: unknown): error is DrError => error instanceof DrError && error.code !== 'interrupted'
