import {expect} from 'chai'
import {randomBytes} from 'node:crypto'
import {readFile, stat, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import type {Storage} from '../../src/lib/repository/storage/storage.ts'
import {drErrorOf} from './rejection.ts'
import {readingContract} from './storage-contract-read.ts'
import {contentOf, keysOf, sha256, type ContractRun} from './storage-contract-run.ts'
import {writingContract} from './storage-contract-write.ts'
import {temporaryFolder} from './temporary.ts'

export interface OpenStorage {
  storage: Storage
  /** Ends what `open` began; the storage itself is closed before. */
  close(): Promise<void>
}

export interface ContractOptions {
  /** Larger than what the driver sends in one request. 12 MiB and a bit. */
  largeBytes?: number
  /** False for a store that cannot keep two writers of one key apart. */
  races?: boolean
}

/** What `storage.ts` promises, for any driver. `open` gives an empty storage each time. */
export function storageContract(name: string, open: () => Promise<OpenStorage>, options: ContractOptions = {}): void {
  describe(`${name} keeps the storage contract`, () => {
    const folder = temporaryFolder()
    let opened: OpenStorage | undefined
    const run: ContractRun = {
      large: randomBytes(options.largeBytes ?? 12 * 1024 * 1024 + 12_345),
      races: options.races ?? true,
      get storage() {
        if (opened === undefined) throw new Error('Only inside a test.')
        return opened.storage
      },
      async file(bytes) {
        const path = join(folder.path, randomBytes(6).toString('hex'))
        await writeFile(path, bytes)
        return path
      },
    }

    beforeEach(async () => {
      opened = await open()
    })

    afterEach(async () => {
      await opened?.storage.close()
      await opened?.close()
      opened = undefined
    })

    it('is usable, and empty at first', async () => {
      await run.storage.check()
      expect(await keysOf(run.storage)).to.deep.equal([])
      expect(await run.storage.folders('')).to.deep.equal([])
      expect(run.storage.location).to.match(/^(s3:\/\/|\/)/)
    })

    writingContract(run)
    readingContract(run)

    describe('remove', () => {
      it('removes one object, and its folder when that is empty', async () => {
        await run.storage.put('a/b/1', 'x')
        await run.storage.put('a/2', 'x')
        await run.storage.remove('a/b/1')
        expect(await keysOf(run.storage)).to.deep.equal(['a/2'])
        expect(await run.storage.folders('a/')).to.deep.equal([])
        await run.storage.remove('a/2')
        expect(await run.storage.folders('')).to.deep.equal([])
        await run.storage.put('a/b/1', 'again')
        expect(await keysOf(run.storage)).to.deep.equal(['a/b/1'])
      })

      it('is no error for what is not there', async () => {
        await run.storage.remove('nothing/here')
      })
    })

    it('refuses keys that are no relative path of names', async () => {
      for (const key of ['', '/absolute', 'a/../b', '..', './a', 'a//b', 'a/', 'a\\b', 'a\nb', 'x'.repeat(1025)]) {
        expect((await drErrorOf(run.storage.put(key, 'x'))).code, key).to.equal('storage.bad-key')
        expect((await drErrorOf(run.storage.read(key))).code, key).to.equal('storage.bad-key')
        expect((await drErrorOf(run.storage.remove(key))).code, key).to.equal('storage.bad-key')
      }
      expect((await drErrorOf(keysOf(run.storage, '../'))).code).to.equal('storage.bad-key')
    })

    it('carries many puts at once', async () => {
      const bodies = Array.from({length: 40}, (_, index) => randomBytes(1000 + index))
      await Promise.all(bodies.map(async (body, index) => (index % 2 === 0 ? run.storage.put(`many/${index}/x`, body) : run.storage.putFile(`many/${index}/x`, await run.file(body)))))
      expect(await keysOf(run.storage, 'many/')).to.have.length(40)
      for (const [index, body] of bodies.entries()) expect((await contentOf(run.storage, `many/${index}/x`)).equals(body)).to.equal(true)
    })

    it('leaves the file that was put as it was', async () => {
      const path = await run.file(run.large)
      await run.storage.putFile('large', path)
      expect(sha256(await readFile(path))).to.equal(sha256(run.large))
      expect((await stat(path)).size).to.equal(run.large.length)
    })
  })
}
