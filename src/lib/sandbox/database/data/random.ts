const HEX = Array.from({length: 65_536}, (_, value) => value.toString(16).padStart(4, '0'))
const hex = (value: number): string => HEX[value & 0xff_ff] ?? ''

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
  const [a, b, c, d] = [mix(salt, index), mix(salt + 1, index), mix(salt + 2, index), mix(salt + 3, index)]
  return `${hex(a >>> 16)}${hex(a)}-${hex(b >>> 16)}-${hex((b & 0x0f_ff) | 0x40_00)}-${hex((c >>> 16 & 0x3f_ff) | 0x80_00)}-${hex(c)}${hex(d >>> 16)}${hex(d)}`
}

/** `length` hexadecimal digits. */
export const hexDigits = (salt: number, index: number, length: number): string =>
  Array.from({length: Math.ceil(length / 8)}, (_, part) => mix(salt + part, index).toString(16).padStart(8, '0')).join('').slice(0, length)

export function of<T>(pool: readonly T[], number: number): T {
  const value = pool[number % pool.length]
  if (value === undefined) throw new RangeError('An empty pool.')
  return value
}
