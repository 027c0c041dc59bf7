import {expect} from 'chai'
import {BufferPool} from '../../../../src/lib/repository/storage/buffer-pool.ts'

const never = new AbortController().signal
const settled = async (promise: Promise<unknown>) => Promise.race([promise.then(() => true), new Promise((resolve) => { setImmediate(resolve, false) })])

describe('BufferPool', () => {
  it('lends no more than its capacity, in order, and lends buffers again', async () => {
    const pool = new BufferPool(20, 10)
    const first = await pool.take(10, never)
    const second = await pool.take(3, never)
    const third = pool.take(10, never)
    const fourth = pool.take(10, never)
    expect(await settled(third)).to.equal(false)
    first.release()
    first.release()
    expect((await third).bytes).to.equal(first.bytes)
    expect(await settled(fourth)).to.equal(false)
    second.release()
    expect((await fourth).bytes).to.equal(second.bytes)
  })

  it('lends one that is larger than all of it alone', async () => {
    const pool = new BufferPool(20, 10)
    const small = await pool.take(10, never)
    const huge = pool.take(50, never)
    const after = pool.take(10, never)
    expect(await settled(huge)).to.equal(false)
    small.release()
    expect((await huge).bytes.length).to.equal(50)
    expect(await settled(after)).to.equal(false)
    ;(await huge).release()
    expect((await after).bytes.length).to.equal(10)
  })

  it('lets an aborted one go, and serves those behind it', async () => {
    const pool = new BufferPool(20, 10)
    const held = await pool.take(10, never)
    const controller = new AbortController()
    const reason = new Error('stop')
    const huge = pool.take(50, controller.signal).catch((error: unknown) => error)
    const small = pool.take(10, never)
    expect(await settled(small)).to.equal(false)
    controller.abort(reason)
    expect(await huge).to.equal(reason)
    expect((await small).bytes.length).to.equal(10)
    held.release()
  })
})
