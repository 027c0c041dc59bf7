import {preflightError, usageError, type DrError} from '../errors.ts'
import {isSecret, settingOf, type SettingPath} from './schema.ts'

/** `place` says where the value stands: `--jobs`, `DR_BACKUP_JOBS` or `dr.config.yaml:12`. */
export function badValue(path: SettingPath, value: unknown, place: string, source: 'flag' | 'environment' | 'file'): DrError {
  const shown = isSecret(path) ? 'not right' : JSON.stringify(value)
  const message = `${path} is ${shown} (${place}), but must be ${settingOf(path).allowed}.`
  return source === 'flag' ? usageError('config.value', message) : preflightError('config.value', message, {hints: ['See each setting and its source: dr config show']})
}

export function unknownKey(key: string, section: string, place: string, known: readonly string[]): DrError {
  const near = closest(key, known)
  const name = section === '' ? key : `${section}.${key}`
  const hint = near === undefined ? `Known here: ${known.join(', ')}` : `Did you mean ${section === '' ? near : `${section}.${near}`}?`
  return preflightError('config.unknown-key', `${name} (${place}) is not a setting.`, {hints: [hint]})
}

/** The candidate that few typing errors separate from `word`, if any. */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates.map((name) => ({name, distance: distance(word.toLowerCase(), name.toLowerCase())})).sort((a, b) => a.distance - b.distance)
  const [best] = ranked
  return best && best.distance <= Math.max(2, Math.floor(word.length / 3)) ? best.name : undefined
}

/** Levenshtein's. */
function distance(from: string, to: string): number {
  let row = Array.from({length: to.length + 1}, (_, index) => index)
  for (const [i, char] of Array.from(from).entries()) {
    const next = [i + 1]
    for (const [j, other] of Array.from(to).entries()) {
      next.push(Math.min((row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1, (row[j] ?? 0) + (char === other ? 0 : 1)))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
