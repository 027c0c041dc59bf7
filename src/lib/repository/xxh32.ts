const PRIME_1 = 0x9e3779b1
const PRIME_2 = 0x85ebca77
const PRIME_3 = 0xc2b2ae3d
const PRIME_4 = 0x27d4eb2f
const PRIME_5 = 0x165667b1
const STRIPE = 16

const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by))
const round = (sum: number, lane: number): number => Math.imul(rotate((sum + Math.imul(lane, PRIME_2)) | 0, 13), PRIME_1)
const laneOf = (bytes: Buffer, at: number): number => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)

/** xxHash with 32 bits and seed 0, which LZ4 frames carry; Node has none. */
export class Xxh32 {
  #one = (PRIME_1 + PRIME_2) | 0
  #two = PRIME_2 | 0
  #three = 0
  #four = -PRIME_1 | 0
  #length = 0
  #held: Buffer = Buffer.alloc(0)

  update(chunk: Buffer): this {
    this.#length += chunk.length
    let rest = chunk
    if (this.#held.length > 0) {
      const missing = STRIPE - this.#held.length
      this.#held = Buffer.concat([this.#held, rest.subarray(0, missing)])
      rest = rest.subarray(missing)
      if (this.#held.length < STRIPE) return this
      this.#stripes(this.#held)
    }
    this.#stripes(rest)
    this.#held = Buffer.from(rest.subarray(rest.length - (rest.length % STRIPE)))
    return this
  }

  /** From 0 up to 2³² - 1. */
  digest(): number {
    let sum = this.#length >= STRIPE ? (rotate(this.#one, 1) + rotate(this.#two, 7) + rotate(this.#three, 12) + rotate(this.#four, 18)) | 0 : PRIME_5
    sum = (sum + this.#length) | 0
    let at = 0
    for (; at + 4 <= this.#held.length; at += 4) sum = Math.imul(rotate((sum + Math.imul(laneOf(this.#held, at), PRIME_3)) | 0, 17), PRIME_4)
    for (; at < this.#held.length; at += 1) sum = Math.imul(rotate((sum + Math.imul(this.#held[at] ?? 0, PRIME_5)) | 0, 11), PRIME_1)
    sum = Math.imul(sum ^ (sum >>> 15), PRIME_2)
    sum = Math.imul(sum ^ (sum >>> 13), PRIME_3)
    return (sum ^ (sum >>> 16)) >>> 0
  }

  #stripes(bytes: Buffer): void {
    let [one, two, three, four] = [this.#one, this.#two, this.#three, this.#four]
    for (let at = 0; at + STRIPE <= bytes.length; at += STRIPE) {
      one = round(one, laneOf(bytes, at))
      two = round(two, laneOf(bytes, at + 4))
      three = round(three, laneOf(bytes, at + 8))
      four = round(four, laneOf(bytes, at + 12))
    }
    this.#one = one
    this.#two = two
    this.#three = three
    this.#four = four
  }
}

export const xxh32 = (bytes: Buffer): number => new Xxh32().update(bytes).digest()
