import {expect} from 'chai'
import {text} from 'node:stream/consumers'
import {isAbandoned, isDead, Lease, parseLease} from '../../../src/lib/repository/lease.ts'
import {LocalStorage} from '../../../src/lib/repository/storage/local.ts'
import {ownIdentity} from '../../../src/lib/system/process-identity.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {temporaryFolder} from '../../support/temporary.ts'

const holder = {run: 'r', host: 'h', pid: 1}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('It did not happen in time.')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

describe('Lease', () => {
  const folder = temporaryFolder()
  const record = async (storage: LocalStorage) => parseLease(await text(await storage.read('a/lease.json')))

  it('is written, renewed while it is held, and removed', async () => {
    const storage = new LocalStorage(folder.path)
    const lease = await Lease.take(storage, 'a/', {...holder, termMs: 200})
    const first = await record(storage)
    expect(first).to.include(holder)
    expect(Date.parse(first?.expiresAt ?? '') - Date.parse(first?.renewedAt ?? '')).to.equal(200)
    expect(lease.held).to.equal(true)
    await until(async () => (await record(storage))?.renewedAt !== first?.renewedAt)
    await lease.release()
    expect(lease.held).to.equal(false)
    expect(await storage.stat('a/lease.json')).to.equal(undefined)
  })

  it('lapses when it cannot be renewed, and says so', async () => {
    const storage = new LocalStorage(folder.path)
    const troubles: unknown[] = []
    const lease = await Lease.take(storage, 'a/', {...holder, termMs: 60, onTrouble: (error) => troubles.push(error)})
    storage.put = async () => Promise.reject(new Error('unplugged'))
    await until(() => !lease.held && troubles.length > 0)
    expect(troubles[0]).to.have.property('message', 'unplugged')
    await lease.release()
  })

  it('is not taken where another run holds one', async () => {
    const storage = new LocalStorage(folder.path)
    const lease = await Lease.take(storage, 'a/', holder)
    expect(await drErrorOf(Lease.take(storage, 'a/', {...holder, run: 'other'}))).to.have.property('code', 'storage.exists')
    expect(await record(storage)).to.include({run: 'r'})
    await lease.release()
  })

  it('is abandoned when its process is proven to have ended, or it expired an hour ago', () => {
    const now = new Date()
    const lease = (holds: object, expiredMs = 0) => ({run: 'r', ...ownIdentity(), ...holds, renewedAt: now.toISOString(), expiresAt: new Date(now.getTime() - expiredMs).toISOString()})
    expect(isAbandoned(lease({}), now), 'this process').to.equal(false)
    expect(isAbandoned(lease({ticks: '1'}), now), 'its number was given out again').to.equal(true)
    expect(isAbandoned(lease({ticks: '1', pidNamespace: 'pid:[1]'}), now), 'another container of this host').to.equal(false)
    expect(isAbandoned(lease({ticks: '1', boot: 'b'}), now), 'another machine of this name').to.equal(false)
    expect(isAbandoned(lease({ticks: '1', boot: undefined}), now), 'of an older dr').to.equal(false)
    expect(isAbandoned(lease({boot: 'b'}, 3_600_001), now)).to.equal(true)
  })

  it('is dead when it has expired, or is none', () => {
    const now = new Date('2026-11-22T02:00:00Z')
    expect(isDead({expiresAt: '2026-11-22T01:59:59.999Z'}, now)).to.equal(true)
    expect(isDead({expiresAt: '2026-11-22T02:00:00.000Z'}, now)).to.equal(false)
    expect(isDead(undefined, now)).to.equal(true)
    expect(parseLease('{"run":1}')).to.equal(undefined)
    expect(parseLease('half a li')).to.equal(undefined)
  })
})
