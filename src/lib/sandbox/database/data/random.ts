const DIGITS = Buffer.from(Array.from({length: 256}, (_, byte) => byte.toString(16).padStart(2, '0')).join(''), 'latin1')
const scratch = Buffer.alloc(36, '-')

/** Writes digits into the scratch buffer: joining short strings is much slower, and a sample holds millions of uuids. */
function writeHalf(at: number, half: number): void {
  const [first, second] = [(half >>> 8) * 2, (half & 255) * 2]
  scratch[at] = DIGITS[first] ?? 0
  scratch[at + 1] = DIGITS[first + 1] ?? 0
  scratch[at + 2] = DIGITS[second] ?? 0
  scratch[at + 3] = DIGITS[second + 1] ?? 0
}

function writeWord(at: number, word: number): void {
  writeHalf(at, word >>> 16)
  writeHalf(at + 4, word & 0xff_ff)
}

/** A well mixed unsigned 32-bit number for two numbers: the same for ever. */
export function mix(a: number, b: number): number {
  let h = Math.imul(a ^ (b >>> 16), 0x9e_37_79_b1) ^ Math.imul(b + 0x7f_4a_7c_15, 0x85_eb_ca_6b)
  h = Math.imul(h ^ (h >>> 16), 0x21_f0_aa_ad)
  h = Math.imul(h ^ (h >>> 15), 0x73_5a_2d_97)
  return (h ^ (h >>> 15)) >>> 0
}

export function saltOf(seed: number, name: string): number {
  let salt = seed
  for (const letter of name) salt = mix(salt, letter.codePointAt(0) ?? 0)
  return salt
}

/** Row `index`'s uuid (version 4 in shape) under a salt. */
export function uuid(salt: number, index: number): string {
  const [low, high] = [mix(salt + 1, index), mix(salt + 2, index)]
  writeWord(0, mix(salt, index))
  writeHalf(9, low >>> 16)
  writeHalf(14, (low & 0x0f_ff) | 0x40_00)
  writeHalf(19, ((high >>> 16) & 0x3f_ff) | 0x80_00)
  writeHalf(24, high & 0xff_ff)
  writeWord(28, mix(salt + 3, index))
  return scratch.toString('latin1')
}

/** `length` hexadecimal digits. */
export function hexDigits(salt: number, index: number, length: number): string {
  let text = ''
  for (let part = 0; text.length < length; part += 1) text += mix(salt + part, index).toString(16).padStart(8, '0')
  return text.slice(0, length)
}

export function of<T>(pool: readonly T[], number: number): T {
  const value = pool[number % pool.length]
  if (value === undefined) throw new RangeError('An empty pool.')
  return value
}
