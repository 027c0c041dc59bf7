import {redact} from '../system/redact.ts'
import type {LoadedConfig, Origin} from './load.ts'
import {isSecret, settingPaths} from './schema.ts'

export interface ShownSetting {
  path: string
  /** As it is written in the file; secrets masked; null when nothing set it. */
  value: unknown
  source: Origin['source'] | 'unset'
  from?: string
}

/** Every setting with its source, in the order of the schema, fit to be printed. */
export function shownSettings({sources, values}: LoadedConfig): ShownSetting[] {
  return ['environment', ...settingPaths, 'dataDirectory'].map((path) => {
    const origin = sources[path]
    return {path, value: shownValue(path, values[path] ?? null), source: origin?.source ?? 'unset', ...(origin?.from !== undefined && {from: origin.from})}
  })
}

/** A URL keeps its host and database, without user and password; any other secret is only a mask. */
export function shownValue(path: string, value: unknown): unknown {
  if (typeof value !== 'string') return value
  if (isSecret(path) && !URL.canParse(value)) return '***'
  return redact(value)
}
