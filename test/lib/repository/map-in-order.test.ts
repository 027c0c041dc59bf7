import {expect} from 'chai'
import {mapInOrder} from '../../../src/lib/repository/map-in-order.ts'

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

describe('mapInOrder', () => {
  it('keeps the order, and runs no more than it may at once', async () => {
    let running = 0
    let most = 0
    const results = mapInOrder([5, 1, 4, 2, 3], 2, async (item) => {
      running += 1
      most = Math.max(most, running)
      for (let turn = 0; turn < item; turn += 1) await new Promise(setImmediate)
      running -= 1
      return item * 10
    })
    expect(await collect(results)).to.deep.equal([50, 10, 40, 20, 30])
    expect(most).to.equal(2)
  })

  it('starts no more once nobody listens', async () => {
    const started: number[] = []
    for await (const item of mapInOrder([1, 2, 3, 4, 5, 6], 2, async (one) => {
      started.push(one)
      return one
    })) if (item === 2) break
    expect(started).to.deep.equal([1, 2, 3, 4])
  })

  it('throws what fails in its turn, and nothing that nobody waits for', async () => {
    const results = mapInOrder([1, 2, 3], 3, async (item) => (item > 1 ? Promise.reject(new Error(`no ${item}`)) : item))
    expect(await results.next()).to.deep.equal({done: false, value: 1})
    const error = await results.next().catch((thrown: unknown) => thrown)
    expect(error).to.have.property('message', 'no 2')
  })
})
