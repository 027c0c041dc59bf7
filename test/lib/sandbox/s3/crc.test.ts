import {randomBytes} from 'node:crypto'
import {crc32} from 'node:zlib'
import {expect} from 'chai'
import {combineCrc, createCrc, type CrcName} from '../../../../src/lib/sandbox/s3/crc.ts'

/** The check values of the catalogue of parametrised CRC algorithms: of the text 123456789. */
const known: Readonly<Record<CrcName, string>> = {CRC32: 'cbf43926', CRC32C: 'e3069283', CRC64NVME: 'ae8b14860a799888'}
const names = Object.keys(known) as CrcName[]

function crcOf(name: CrcName, ...pieces: readonly Buffer[]): string {
  const crc = createCrc(name)
  for (const piece of pieces) crc.update(piece)
  return crc.digest().toString('hex')
}

describe('CRCs', () => {
  for (const name of names) {
    it(`${name} has its known value`, () => {
      expect(crcOf(name, Buffer.from('123456789'))).to.equal(known[name])
      expect(crcOf(name)).to.match(/^0+$/)
    })

    it(`${name} does not depend on how the bytes are cut`, () => {
      const data = randomBytes(1003)
      expect(crcOf(name, data.subarray(0, 5), data.subarray(5, 500), data.subarray(500))).to.equal(crcOf(name, data))
    })

    it(`${name} of two strings comes from the CRC of each`, () => {
      const [a, b] = [randomBytes(701), randomBytes(5000)]
      const combined = combineCrc(name, Buffer.from(crcOf(name, a), 'hex'), Buffer.from(crcOf(name, b), 'hex'), b.length)
      expect(combined.toString('hex')).to.equal(crcOf(name, a, b))
    })
  }

  it('CRC32 agrees with zlib', () => {
    const data = randomBytes(10_000)
    expect(crcOf('CRC32', data)).to.equal(crc32(data).toString(16).padStart(8, '0'))
  })
})
