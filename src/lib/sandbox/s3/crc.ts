import {crc32} from 'node:zlib'

/** Reflected CRCs with every bit of the start value and of the final mask set, as S3 uses them. */
const shapes = {
  CRC32: {width: 32n, polynomial: 0xed_b8_83_20n},
  CRC32C: {width: 32n, polynomial: 0x82_f6_3b_78n},
  CRC64NVME: {width: 64n, polynomial: 0x9a_6c_93_29_ac_4b_c9_b5n},
} as const

export type CrcName = keyof typeof shapes

export interface RunningDigest {
  update(chunk: Uint8Array): void
  /** The final value, big endian. */
  digest(): Buffer
}

export function createCrc(name: CrcName): RunningDigest {
  return name === 'CRC32' ? new NativeCrc32() : new TableCrc(name)
}

class NativeCrc32 implements RunningDigest {
  #value = 0

  update(chunk: Uint8Array): void {
    this.#value = crc32(chunk, this.#value)
  }

  digest(): Buffer {
    return toBuffer(BigInt(this.#value), 32n)
  }
}

/** Eight bytes a turn from eight tables of 256 entries; the low and the high half of 64 bits apart (a 32 bit CRC has a high half of 0). */
interface Tables {
  low: Uint32Array
  high: Uint32Array
}

const built = new Map<CrcName, Tables>()

function tablesOf(name: CrcName): Tables {
  const known = built.get(name)
  if (known) return known
  const {polynomial} = shapes[name]
  const tables = {low: new Uint32Array(2048), high: new Uint32Array(2048)}
  const first: bigint[] = []
  for (let byte = 0n; byte < 256n; byte++) {
    let value = byte
    for (let bit = 0; bit < 8; bit++) value = value & 1n ? (value >> 1n) ^ polynomial : value >> 1n
    first.push(value)
  }
  first.forEach((start, byte) => {
    fillColumn(tables, first, start, byte)
  })
  built.set(name, tables)
  return tables
}

function fillColumn(tables: Tables, first: readonly bigint[], start: bigint, byte: number): void {
  let value = start
  for (let slice = 0; slice < 8; slice++) {
    tables.low[slice * 256 + byte] = Number(value & 0xff_ff_ff_ffn)
    tables.high[slice * 256 + byte] = Number(value >> 32n)
    value = (value >> 8n) ^ (first[Number(value & 255n)] ?? 0n)
  }
}

class TableCrc implements RunningDigest {
  readonly #width: bigint
  readonly #tables: Tables
  #low = -1
  #high: number

  constructor(name: CrcName) {
    this.#width = shapes[name].width
    this.#tables = tablesOf(name)
    this.#high = this.#width === 64n ? -1 : 0
  }

  update(chunk: Uint8Array): void {
    const {low: lows, high: highs} = this.#tables
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const whole = chunk.byteLength - (chunk.byteLength % 8)
    let low = this.#low
    let high = this.#high
    for (let at = 0; at < whole; at += 8) {
      const a = low ^ view.getInt32(at, true)
      const b = high ^ view.getInt32(at + 4, true)
      low = eightEntries(lows, a, b)
      high = eightEntries(highs, a, b)
    }
    for (let at = whole; at < chunk.byteLength; at++) {
      const index = (low ^ view.getUint8(at)) & 255
      low = ((low >>> 8) | (high << 24)) ^ entry(lows, index)
      high = (high >>> 8) ^ entry(highs, index)
    }
    this.#low = low
    this.#high = high
  }

  digest(): Buffer {
    const low = BigInt(~this.#low >>> 0)
    return toBuffer(this.#width === 64n ? (BigInt(~this.#high >>> 0) << 32n) | low : low, this.#width)
  }
}

/** An index that is always inside the table. */
const entry = (table: Uint32Array, index: number) => table[index] as number

/** The first byte has the farthest way to go, so it takes the last table. */
function eightEntries(table: Uint32Array, a: number, b: number): number {
  const front = entry(table, 1792 + (a & 255)) ^ entry(table, 1536 + ((a >>> 8) & 255)) ^ entry(table, 1280 + ((a >>> 16) & 255)) ^ entry(table, 1024 + (a >>> 24))
  const back = entry(table, 768 + (b & 255)) ^ entry(table, 512 + ((b >>> 8) & 255)) ^ entry(table, 256 + ((b >>> 16) & 255)) ^ entry(table, b >>> 24)
  return front ^ back
}

function toBuffer(value: bigint, width: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(Number(width / 4n), '0'), 'hex')
}

/** The CRC of two byte strings in a row, from the CRC of each and the length of the second. */
export function combineCrc(name: CrcName, first: Buffer, second: Buffer, secondBytes: number): Buffer {
  const {width} = shapes[name]
  const [a, b] = [BigInt(`0x${first.toString('hex')}`), BigInt(`0x${second.toString('hex')}`)]
  return toBuffer(multiply(name, shiftBy(name, secondBytes), a) ^ b, width)
}

const shifts = new Map<string, bigint>()

/** x to the power of 8 × bytes, modulo the polynomial. Parts mostly have one length, so it is remembered. */
function shiftBy(name: CrcName, bytes: number): bigint {
  const id = `${name} ${bytes}`
  const known = shifts.get(id)
  if (known !== undefined) return known
  const {width} = shapes[name]
  let result = 1n << (width - 1n)
  let square = 1n << (width - 2n)
  for (let power = BigInt(bytes) * 8n; power > 0n; power >>= 1n) {
    if (power & 1n) result = multiply(name, result, square)
    square = multiply(name, square, square)
  }
  shifts.set(id, result)
  return result
}

/** The product of two polynomials in reflected bits, modulo the CRC's own. */
function multiply(name: CrcName, a: bigint, b: bigint): bigint {
  const {width, polynomial} = shapes[name]
  let product = 0n
  let factor = b
  for (let bit = 1n << (width - 1n); bit > 0n; bit >>= 1n) {
    if (a & bit) product ^= factor
    factor = factor & 1n ? (factor >> 1n) ^ polynomial : factor >> 1n
  }
  return product
}
