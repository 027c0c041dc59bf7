import {expect} from 'chai'
import {randomBytes} from 'node:crypto'
import {createReadStream} from 'node:fs'
import {open, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {sha256Of, sha256OfFile, sha256OfHandle, sha256OfStream} from '../../../src/lib/repository/checksum.ts'
import {sha256} from '../../support/storage-contract-run.ts'
import {temporaryFolder} from '../../support/temporary.ts'

describe('checksum', () => {
  const folder = temporaryFolder()

  it('is the same of data, a stream, a file and an open file', async () => {
    for (const size of [0, 1, 1024 * 1024, 3_000_001]) {
      const data = randomBytes(size)
      const path = join(folder.path, String(size))
      await writeFile(path, data)
      const expected = {sha256: sha256(data), bytes: size}
      const seen: number[] = []
      expect(sha256Of(data)).to.equal(expected.sha256)
      expect(await sha256OfStream(createReadStream(path))).to.deep.equal(expected)
      expect(await sha256OfFile(path, {progress: (bytes) => seen.push(bytes)})).to.deep.equal(expected)
      expect(seen.at(-1) ?? 0).to.equal(size)
      const handle = await open(path)
      await handle.read(Buffer.alloc(1), 0, 1)
      expect(await sha256OfHandle(handle)).to.deep.equal(expected)
      await handle.close()
    }
  })

  it('stops when it is aborted', async () => {
    const path = join(folder.path, 'file')
    await writeFile(path, 'x')
    const reason = new Error('stop')
    const error = await sha256OfFile(path, {signal: AbortSignal.abort(reason)}).catch((thrown: unknown) => thrown)
    expect(error).to.equal(reason)
  })
})
