import {expect} from 'chai'
import {CopyText} from '../../../../src/lib/procedures/verify/copy-text.ts'

function rowsOf(text: string, size = text.length): number | undefined {
  const copy = new CopyText()
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += Math.max(1, size)) copy.add(bytes.subarray(at, at + Math.max(1, size)))
  return copy.rows()
}

describe('CopyText', () => {
  it('counts rows, in chunks of any size', () => {
    for (let size = 1; size < 30; size += 1) {
      expect(rowsOf('1\ta\n2\tb\n3\tc\\n\n\\.\n\n\n', size), `chunks of ${size}`).to.equal(3)
      expect(rowsOf('\\.\n\n\n', size)).to.equal(0)
      expect(rowsOf('\n\n\\.\n\n\n', size), 'rows of a table without columns').to.equal(2)
    }
  })

  it('misses the end of what is cut off, at a row end too', () => {
    for (const text of ['', '1\ta\n2\tb\n', '1\ta\n2', '1\ta\n\\.\n\n', '1\ta\n\\.', 'a\\.\n\n\n', '1\ta\n\\.\n\n\nmore\n']) {
      for (const size of [1, 3, 100]) expect(rowsOf(text, size), JSON.stringify(text)).to.equal(undefined)
    }
  })
})
