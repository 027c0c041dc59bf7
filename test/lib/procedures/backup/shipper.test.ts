import {expect} from 'chai'
import {mkdir, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {unreachableError} from '../../../../src/lib/errors.ts'
import {Shipper} from '../../../../src/lib/procedures/backup/shipper.ts'
import {LocalStorage} from '../../../../src/lib/repository/storage/local.ts'
import type {PutOptions, PutResult} from '../../../../src/lib/repository/storage/storage.ts'
import {temporaryFolder} from '../../../support/temporary.ts'
import {until} from '../../../support/until.ts'

const rejection = (promise: Promise<unknown>) => promise.then(() => undefined, (error: unknown) => error)

describe('Shipper', () => {
  const folder = temporaryFolder()

  /** Its storage's putFile is what the test makes of it. */
  async function shipperOf(putFile: (key: string, options: PutOptions | undefined) => Promise<PutResult>, files: Record<string, number>) {
    const directory = join(folder.path, 'archive')
    await mkdir(directory)
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(directory, name), Buffer.alloc(bytes))
    const storage = new LocalStorage(join(folder.path, 'backups'))
    storage.putFile = (key, _path, options) => putFile(key, options)
    return new Shipper({destinations: [{storage, proofs: new Set()}], prefix: 'e/l/', directory, suffix: '', signal: new AbortController().signal})
  }
  const stored: PutResult = {bytes: 1, sha256: 'a'.repeat(64), proof: 'reread'}

  it('ends when an upload fails late, whatever is still to be shipped', async () => {
    const gate = Promise.withResolvers<PutResult>()
    let sending = false
    const shipper = await shipperOf(() => {
      sending = true
      return gate.promise
    }, {'1.dat': 1, '2.dat': 1, 'toc.dat': 1})
    shipper.finished({dumpId: 1, kind: 'TABLE DATA'})
    await until(() => sending)
    gate.reject(unreachableError('storage.unreachable', 'late'))
    await until(() => shipper.failed.aborted)
    shipper.finished({dumpId: 2, kind: 'TABLE DATA'})
    expect(await rejection(shipper.drain())).to.have.property('message', 'late')
  })

  it('tells by drain what goes wrong with a finished item', async () => {
    const shipper = await shipperOf(() => Promise.resolve(stored), {'blobs_7.toc': 1})
    await mkdir(join(folder.path, 'archive', 'blobs_8.toc'))
    shipper.finished({dumpId: 8, kind: 'BLOBS'})
    expect(await rejection(shipper.drain())).to.have.property('code', 'EISDIR')
  })

  it('has nothing on its way once it is stopped', async () => {
    let running = 0
    const shipper = await shipperOf(async (_key, options) => {
      running++
      await new Promise((resolve) => { options?.signal?.addEventListener('abort', () => setImmediate(resolve), {once: true}) })
      running--
      throw options?.signal?.reason as Error
    }, {'1.dat': 1, '2.dat': 1})
    shipper.ship(['1.dat', '2.dat'])
    await until(() => running === 2)
    await shipper.stop()
    expect(running).to.equal(0)
    expect(shipper.members.size).to.equal(0)
  })

  it('sends eight small members at once, two large ones', async () => {
    const names = Array.from({length: 12}, (_, index) => `${index}.dat`)
    for (const [bytes, expected] of [[10, 8], [1024 * 1024, 2]] as const) {
      const waiting: (() => void)[] = []
      let most = 0
      let running = 0
      const shipper = await shipperOf(async () => {
        most = Math.max(most, ++running)
        await new Promise<void>((resolve) => waiting.push(resolve))
        running--
        return stored
      }, Object.fromEntries(names.map((name) => [name, bytes])))
      const drained = shipper.drain()
      await until(() => {
        if (waiting.length >= Math.min(expected, names.length - shipper.members.size)) for (const release of waiting.splice(0)) release()
        return shipper.members.size === names.length
      })
      await drained
      expect(most).to.equal(expected)
      await rm(join(folder.path, 'archive'), {recursive: true})
    }
  })
})
