import {expect} from 'chai'
import {createHash} from 'node:crypto'
import {DrError} from '../../src/lib/errors.ts'
import {drErrorOf} from './rejection.ts'
import {contentOf, keysOf, sha256, type ContractRun} from './storage-contract-run.ts'

export function readingContract(run: ContractRun): void {
  describe('stat and read', () => {
    it('knows size, time and (where the store keeps it) the hash', async () => {
      const before = Date.now()
      await run.storage.put('known', 'twelve bytes')
      const found = await run.storage.stat('known')
      expect(found?.bytes).to.equal(12)
      expect(found?.modifiedAt.getTime()).to.be.within(before - 2000, Date.now() + 2000)
      expect(found?.sha256 ?? sha256('twelve bytes')).to.equal(sha256('twelve bytes'))
      await run.storage.putFile('large', await run.file(run.large))
      expect((await run.storage.stat('large'))?.sha256 ?? sha256(run.large)).to.equal(sha256(run.large))
    })

    it('has no stat for what is not there, not even for a folder', async () => {
      await run.storage.put('folder/inside', 'x')
      expect(await run.storage.stat('nothing')).to.equal(undefined)
      expect(await run.storage.stat('folder')).to.equal(undefined)
      expect(await run.storage.stat('folder/inside/deeper')).to.equal(undefined)
    })

    it('reads from an offset', async () => {
      await run.storage.put('digits', '0123456789')
      expect((await contentOf(run.storage, 'digits', 4)).toString()).to.equal('456789')
      expect((await contentOf(run.storage, 'digits', 10)).toString()).to.equal('')
    })

    it('reads under back-pressure, and can be left early', async () => {
      await run.storage.putFile('large', await run.file(run.large))
      const digest = createHash('sha256')
      for await (const chunk of await run.storage.read('large')) {
        digest.update(chunk as Buffer)
        await new Promise(setImmediate)
      }
      expect(digest.digest('hex')).to.equal(sha256(run.large))
      for await (const chunk of await run.storage.read('large')) {
        expect((chunk as Buffer).length).to.be.greaterThan(0)
        break
      }
    })

    it('ends a read with the reason of an abort', async () => {
      await run.storage.putFile('large', await run.file(run.large))
      const controller = new AbortController()
      const reason = new DrError('interrupted', 'Interrupted.')
      const stream = await run.storage.read('large', {signal: controller.signal})
      const reading = (async () => {
        for await (const chunk of stream) if ((chunk as Buffer).length > 0) controller.abort(reason)
      })()
      expect(await drErrorOf(reading)).to.equal(reason)
    })

    it('throws not-found for a key that is not there', async () => {
      await run.storage.put('other', 'x')
      const error = await drErrorOf(run.storage.read('nothing/here'))
      expect(error.code).to.equal('storage.not-found')
      expect(error.message).to.contain('nothing/here')
    })
  })

  describe('list and folders', () => {
    const keys = ['a', 'a!', 'a-b/1', 'a/b', 'a/c/d', 'a0', 'b/x.dat.zst', 'prod/20260101T000000Z-aaaa/toc.dat', 'prod/20260101T000000Z-aaaa2/toc.dat', 'z z/ü+&=']

    beforeEach(async () => {
      for (const key of ['z z/ü+&=', 'b/x.dat.zst', 'a0', 'a/c/d', 'a-b/1', 'a!', 'prod/20260101T000000Z-aaaa2/toc.dat', 'a/b', 'prod/20260101T000000Z-aaaa/toc.dat', 'top']) await run.storage.put(key, key)
    })

    it('lists every object in key order, with its size', async () => {
      const expected = [...keys.filter((key) => key !== 'a'), 'top'].sort()
      expect(await keysOf(run.storage)).to.deep.equal(expected)
      for await (const {key, bytes, modifiedAt} of run.storage.list('')) {
        expect(bytes).to.equal(Buffer.byteLength(key))
        expect(modifiedAt).to.be.instanceOf(Date)
      }
    })

    it('takes a prefix that ends in the middle of a name', async () => {
      expect(await keysOf(run.storage, 'a/')).to.deep.equal(['a/b', 'a/c/d'])
      expect(await keysOf(run.storage, 'prod/20260101T000000Z-aaaa')).to.have.length(2)
      expect(await keysOf(run.storage, 'prod/20260101T000000Z-aaaa/')).to.deep.equal(['prod/20260101T000000Z-aaaa/toc.dat'])
      expect(await keysOf(run.storage, 'nothing')).to.deep.equal([])
    })

    it('names the folders directly below, in order', async () => {
      expect(await run.storage.folders('')).to.deep.equal(['a', 'a-b', 'b', 'prod', 'z z'].sort((x, y) => (`${x}/` < `${y}/` ? -1 : 1)))
      expect(await run.storage.folders('prod/')).to.deep.equal(['20260101T000000Z-aaaa', '20260101T000000Z-aaaa2'])
      expect(await run.storage.folders('b/')).to.deep.equal([])
      expect(await run.storage.folders('nothing/')).to.deep.equal([])
    })

    it('stops when it is aborted', async () => {
      const reason = new DrError('interrupted', 'Interrupted.')
      const listing = (async () => {
        for await (const {key} of run.storage.list('', {signal: AbortSignal.abort(reason)})) expect(key).to.equal(undefined)
      })()
      expect(await drErrorOf(listing)).to.equal(reason)
    })
  })

}
