import {badKey} from './failures.ts'

const MAX_BYTES = 1024

/** Why this cannot be a key, or undefined. The rule is the same for every driver, so that a backup can move between them. */
export function keyTrouble(key: string): string | undefined {
  if (key === '') return 'it is empty'
  if (Buffer.byteLength(key) > MAX_BYTES) return `it is longer than ${MAX_BYTES} bytes`
  if (key.includes('\\') || hasControlCharacter(key)) return 'it holds a backslash or a control character'
  if (key.split('/').some((name) => name === '' || name === '.' || name === '..')) return 'it must be a relative path without empty names, "." and ".."'
  return undefined
}

export function checkKey(key: string): void {
  const trouble = keyTrouble(key)
  if (trouble !== undefined) throw badKey(key, trouble)
}

/** A prefix may be empty and may end in the middle of a name. */
export function checkPrefix(prefix: string): void {
  if (prefix === '') return
  checkKey(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix)
}

/** `a < b` in JavaScript compares code units, which is the order that `list` promises. */
export const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

function hasControlCharacter(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index)
    if (code < 0x20 || code === 0x7f) return true
  }
  return false
}
