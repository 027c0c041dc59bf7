import {expect} from 'chai'
import {randomBytes} from 'node:crypto'
import {rm} from 'node:fs/promises'
import {DrError} from '../../src/lib/errors.ts'
import type {PutResult} from '../../src/lib/repository/storage/storage.ts'
import {drErrorOf} from './rejection.ts'
import {contentOf, keysOf, sha256, type ContractRun} from './storage-contract-run.ts'

function proven(result: PutResult, bytes: Buffer): void {
  expect(result.bytes).to.equal(bytes.length)
  expect(result.sha256).to.equal(sha256(bytes))
  expect(result.proof).to.be.oneOf(['store-sha256', 'reread'])
}

export function writingContract(run: ContractRun): void {
  describe('put', () => {
    it('stores text and bytes, and says the hash of what it holds', async () => {
      proven(await run.storage.put('a/text', 'grüße\n'), Buffer.from('grüße\n'))
      const bytes = randomBytes(70_000)
      proven(await run.storage.put('a/bytes', bytes), bytes)
      expect((await contentOf(run.storage, 'a/text')).toString()).to.equal('grüße\n')
      expect((await contentOf(run.storage, 'a/bytes')).equals(bytes)).to.equal(true)
    })

    it('stores an empty object', async () => {
      proven(await run.storage.put('empty', ''), Buffer.alloc(0))
      expect((await run.storage.stat('empty'))?.bytes).to.equal(0)
      expect((await contentOf(run.storage, 'empty')).length).to.equal(0)
    })

    it('refuses an existing key and leaves it as it is', async () => {
      await run.storage.put('once', 'first')
      for (const body of ['second', 'first']) {
        const error = await drErrorOf(run.storage.put('once', body))
        expect(error.code).to.equal('storage.exists')
        expect(error.exitCode).to.equal(1)
      }
      expect((await contentOf(run.storage, 'once')).toString()).to.equal('first')
    })

    if (run.races) it('lets one of several writers of a key win, and only one', async () => {
      const results = await Promise.allSettled(Array.from({length: 6}, async (_, index) => run.storage.put('race/key', `writer ${index}`)))
      const winners = results.flatMap((result, index) => (result.status === 'fulfilled' ? [index] : []))
      expect(winners).to.have.length(1)
      expect((await contentOf(run.storage, 'race/key')).toString()).to.equal(`writer ${winners[0] ?? -1}`)
      for (const result of results) if (result.status === 'rejected') expect((result.reason as DrError).code).to.equal('storage.exists')
    })

    it('replaces a lease', async () => {
      await run.storage.put('lease.json', '1', {overwrite: true})
      await run.storage.put('lease.json', '22', {overwrite: true})
      expect((await contentOf(run.storage, 'lease.json')).toString()).to.equal('22')
      expect(await keysOf(run.storage)).to.deep.equal(['lease.json'])
    })

    it('refuses bytes that are not those the caller hashed', async () => {
      const error = await drErrorOf(run.storage.put('wrong', 'these', {sha256: sha256('others')}))
      expect(error.code).to.equal('storage.corrupt')
      expect(error.exitCode).to.equal(4)
      expect(await run.storage.stat('wrong')).to.equal(undefined)
      proven(await run.storage.put('right', 'these', {sha256: sha256('these')}), Buffer.from('these'))
    })

    it('does nothing when it was aborted before, and throws the reason', async () => {
      const reason = new DrError('interrupted', 'Interrupted.')
      expect(await drErrorOf(run.storage.put('never', 'x', {signal: AbortSignal.abort(reason)}))).to.equal(reason)
      expect(await keysOf(run.storage)).to.deep.equal([])
    })
  })

  describe('putFile', () => {
    it('stores small, empty and large files, and tells progress up to the size', async () => {
      for (const [key, bytes] of Object.entries({'f/small': Buffer.from('small'), 'f/empty': Buffer.alloc(0), 'f/large': run.large})) {
        const seen: number[] = []
        proven(await run.storage.putFile(key, await run.file(bytes), {progress: (count) => seen.push(count)}), bytes)
        expect(seen.at(-1) ?? 0).to.equal(bytes.length)
        expect(seen).to.deep.equal(seen.toSorted((a, b) => a - b))
        expect(sha256(await contentOf(run.storage, key))).to.equal(sha256(bytes))
      }
    })

    it('outlives the file that it came from', async () => {
      const path = await run.file(Buffer.from('kept'))
      await run.storage.putFile('kept', path)
      await rm(path)
      expect((await contentOf(run.storage, 'kept')).toString()).to.equal('kept')
    })

    it('refuses an existing key, small or large, and leaves it as it is', async () => {
      await run.storage.put('once', 'first')
      for (const bytes of [Buffer.from('first'), run.large]) expect((await drErrorOf(run.storage.putFile('once', await run.file(bytes)))).code).to.equal('storage.exists')
      expect((await contentOf(run.storage, 'once')).toString()).to.equal('first')
      expect(await run.storage.abandonedUploads(0)).to.deep.equal([])
    })

    it('refuses a file that does not hash to what the caller said, and leaves nothing', async () => {
      for (const bytes of [Buffer.from('small'), run.large]) {
        expect((await drErrorOf(run.storage.putFile('wrong', await run.file(bytes), {sha256: sha256('others')}))).code).to.equal('storage.corrupt')
      }
      expect(await keysOf(run.storage)).to.deep.equal([])
      expect(await run.storage.abandonedUploads(0)).to.deep.equal([])
    })

    it('leaves nothing when it is aborted in the middle', async () => {
      const controller = new AbortController()
      const reason = new DrError('interrupted', 'Interrupted.')
      const work = run.storage.putFile('aborted', await run.file(run.large), {
        signal: controller.signal,
        progress: () => {
          controller.abort(reason)
        },
      })
      expect(await drErrorOf(work)).to.equal(reason)
      expect(await keysOf(run.storage)).to.deep.equal([])
      expect(await run.storage.folders('')).to.deep.equal([])
      expect(await run.storage.abandonedUploads(0)).to.deep.equal([])
    })

    it('says which file is missing', async () => {
      const error = await drErrorOf(run.storage.putFile('x', '/no-such-file'))
      expect(error.code).to.equal('storage.not-found')
      expect(error.message).to.contain('no-such-file')
    })
  })

}
