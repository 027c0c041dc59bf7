import {expect} from 'chai'
import {noRows, rowsOfCopy, type DigestRows} from '../../../../src/lib/postgres/digest-rows.ts'
import {mergeRows, type RowDiff} from '../../../../src/lib/procedures/diff/merge.ts'
import {drErrorOf} from '../../../support/rejection.ts'

type Value = bigint | string | null
type Row = [...Value[], bigint]

const field = (value: Value): Buffer => {
  if (value === null) return Buffer.from([255, 255, 255, 255])
  const bytes = typeof value === 'string' ? Buffer.from(value) : Buffer.alloc(8)
  if (typeof value === 'bigint') bytes.writeBigInt64BE(value)
  const length = Buffer.alloc(4)
  length.writeInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
const int16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

/** What the server sends for these rows, in pieces of so many bytes. */
function copied(rows: readonly Row[], fields: number, piece: number): DigestRows {
  const bytes = Buffer.concat([Buffer.from('PGCOPY\n\xFF\r\n\0', 'latin1'), Buffer.alloc(8), ...rows.map((row) => Buffer.concat([int16(fields), ...row.map(field)])), int16(-1)])
  const pieces = Array.from({length: Math.ceil(bytes.length / piece)}, (_, index) => Buffer.from(bytes.subarray(index * piece, (index + 1) * piece)))
  return rowsOfCopy(pieces[Symbol.iterator]() as unknown as AsyncIterator<Buffer>, fields)
}

const options = (key: ('integer' | 'uuid' | 'text')[], sample = 10) => ({key, sample, signal: new AbortController().signal})

describe('two sorted streams of rows', () => {
  const live: Row[] = [['a', 1n], ['b', 2n], ['d', 4n], ['e', -5n], ['ä', 6n]]
  const backup: Row[] = [['a', 1n], ['c', 3n], ['d', 40n], ['e', -5n], ['ä', 6n], ['😀', 7n]]
  const expected: RowDiff = {onlyLive: 1, onlyBackup: 2, changed: 1, sample: [{change: 'only-live', key: ['b']}, {change: 'only-backup', key: ['c']}, {change: 'changed', key: ['d']}, {change: 'only-backup', key: ['😀']}]}

  for (const piece of [1, 2, 3, 7, 19, 20, 64, 4096]) {
    it(`are compared in pieces of ${piece} bytes`, async () => {
      expect(await mergeRows(copied(live, 2, piece), copied(backup, 2, piece === 1 ? 5 : piece), options(['text']))).to.deep.equal(expected)
    })
  }

  it('are compared by integers of every size, as the server sorts them', async () => {
    const keys = [-(2n ** 63n), -(2n ** 32n) - 1n, -1n, 0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n - 1n]
    const rows = keys.map((key): Row => [key, 1n])
    for (const [index, key] of keys.entries()) {
      expect(await mergeRows(copied(rows, 2, 64), copied(rows.toSpliced(index, 1), 2, 64), options(['integer']))).to.deep.equal({onlyLive: 1, onlyBackup: 0, changed: 0, sample: [{change: 'only-live', key: [String(key)]}]})
    }
  })

  it('pair rows of one key one for one, and never those whose key is NULL', async () => {
    const one: Row[] = [['k', 1n], ['k', 2n], ['k', 3n], [null, 1n], [null, 5n]]
    const other: Row[] = [['k', 2n], ['k', 9n], [null, 5n], [null, 7n], [null, 7n]]
    expect(await mergeRows(copied(one, 2, 64), copied(other, 2, 64), options(['text']))).to.deep.include({onlyLive: 2, onlyBackup: 2, changed: 1})
  })

  it('are compared as wholes without a key, as often as each is there', async () => {
    expect(await mergeRows(copied([[-9n], [1n], [1n], [1n]], 1, 64), copied([[1n], [2n], [2n]], 1, 64), options([]))).to.deep.equal({onlyLive: 3, onlyBackup: 2, changed: 0, sample: []})
  })

  it('are all on one side where the other has none', async () => {
    expect(await mergeRows(copied(live, 2, 64), noRows(2), options(['text'], 1))).to.deep.equal({onlyLive: 5, onlyBackup: 0, changed: 0, sample: [{change: 'only-live', key: ['a']}]})
    expect(await mergeRows(noRows(2), copied([], 2, 3), options(['text']))).to.deep.include({onlyLive: 0, onlyBackup: 0})
  })

  it('are refused when one is not sorted: what is compared then is not what differs', async () => {
    const error = await drErrorOf(mergeRows(copied([['b', 1n], ['a', 1n], ['c', 1n]], 2, 64), copied(backup, 2, 64), options(['text'])))
    expect(error).to.include({code: 'diff.order', exitCode: 4})
  })

  it('fail when a stream ends before its end', async () => {
    const cut = rowsOfCopy([Buffer.concat([Buffer.alloc(19), int16(2), field('a')])][Symbol.iterator]() as unknown as AsyncIterator<Buffer>, 2)
    expect(await mergeRows(cut, noRows(2), options(['text'])).catch((error: unknown) => error)).to.be.an('error').with.property('message', 'A COPY ended before its end.')
  })
})
