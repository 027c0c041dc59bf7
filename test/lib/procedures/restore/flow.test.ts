import {expect} from 'chai'
import {setTimeout as wait} from 'node:timers/promises'
import {Flow, type FlowOptions, type Job} from '../../../../src/lib/procedures/restore/flow.ts'
import type {ArchiveEntry} from '../../../../src/lib/postgres/archive.ts'
import type {LoadUnit} from '../../../../src/lib/procedures/restore/units.ts'
import {until} from '../../../support/until.ts'

const member = (name: string, bytes = 1) => ({name, bytes, sha256: ''})
const unit = (name: string, bytes: number, indexes: LoadUnit['indexes'] = []): LoadUnit => ({entries: [], members: [member(name, bytes)], bytes, keys: [], indexes})
const nameOf = ({unit: {members}, indexes}: Job) => `${members.map(({name}) => name).join()}${indexes === undefined ? '' : ` ${indexes.map(({tag}) => tag).join()}`}`

function flowOf(options: Partial<FlowOptions>) {
  const controller = new AbortController()
  return {controller, flow: new Flow({units: [unit('c', 3), unit('b', 2), unit('a', 1)], others: [], fetch: () => Promise.resolve(), lanes: 2, ahead: 4, signal: controller.signal, ...options})}
}

/** A fetch that ends when it is told to. */
function gated() {
  const open = new Map<string, PromiseWithResolvers<undefined>>()
  const begun: string[] = []
  return {
    begun,
    gate: (name: string) => {
      const known = open.get(name) ?? Promise.withResolvers<undefined>()
      open.set(name, known)
      return known
    },
    fetch: ({name}: {name: string}, signal: AbortSignal): Promise<void> => {
      begun.push(name)
      const gate = open.get(name) ?? Promise.withResolvers<undefined>()
      open.set(name, gate)
      signal.addEventListener('abort', () => { gate.reject(signal.reason as Error) })
      return gate.promise
    },
  }
}

const tick = () => wait(5)

describe('the flow of members', () => {
  it('loads what is there, without waiting for what is not', async () => {
    const {begun, gate, fetch} = gated()
    const loaded: string[] = []
    const {flow} = flowOf({fetch})
    const done = flow.load(2, (one) => {
      loaded.push(nameOf(one))
      return Promise.resolve()
    })
    await tick()
    expect(begun).to.deep.equal(['c', 'b'])
    gate('b').resolve(undefined)
    await tick()
    expect(loaded).to.deep.equal(['b'])
    for (const name of ['c', 'a']) gate(name).resolve(undefined)
    await done
    expect(loaded.toSorted()).to.deep.equal(['a', 'b', 'c'])
  })

  it('takes the largest of those that wait', async () => {
    const loaded: string[] = []
    const {flow} = flowOf({})
    await flow.start()
    await flow.load(1, (one) => {
      loaded.push(nameOf(one))
      return Promise.resolve()
    })
    expect(loaded).to.deep.equal(['c', 'b', 'a'])
  })

  it('builds the indexes of a table when it is loaded, those of the largest before smaller tables', async () => {
    const index = (tag: string) => ({tag}) as ArchiveEntry
    const begun: string[] = []
    const {flow} = flowOf({units: [unit('b', 2, [[index('b1'), index('b2')], [index('b3')]]), unit('a', 1, [[index('a1')]])]})
    await flow.start()
    await flow.load(1, (one) => {
      begun.push(nameOf(one))
      return Promise.resolve()
    })
    expect(begun).to.deep.equal(['b', 'b b1,b2', 'b b3', 'a', 'a a1'])
  })

  it('builds while others are still fetched and loaded', async () => {
    const {gate, fetch} = gated()
    const begun: string[] = []
    const {flow} = flowOf({units: [unit('b', 2, [[{tag: 'b1'} as ArchiveEntry]]), unit('a', 1)], fetch})
    const done = flow.load(2, (one) => {
      begun.push(nameOf(one))
      return Promise.resolve()
    })
    gate('b').resolve(undefined)
    await until(() => begun.length === 2)
    expect(begun).to.deep.equal(['b', 'b b1'])
    gate('a').resolve(undefined)
    await done
    expect(begun).to.deep.equal(['b', 'b b1', 'a'])
  })

  it('fetches no more than it may keep, and the others last', async () => {
    const units = Array.from({length: 10}, (_, index) => unit(`u${index}`, 10 - index))
    const fetched: string[] = []
    let kept = 0
    let most = 0
    const fetch = ({name}: {name: string}) => {
      fetched.push(name)
      if (name.startsWith('u')) most = Math.max(most, ++kept)
      return Promise.resolve()
    }
    const {flow} = flowOf({units, others: [member('x'), member('y')], fetch, lanes: 3, ahead: 4})
    await flow.load(1, async () => {
      await tick()
      kept--
    })
    expect(most).to.equal(4)
    expect(fetched.slice(10).toSorted()).to.deep.equal(['x', 'y'])
  })

  it('never loads at once more than it is told', async () => {
    let now = 0
    let most = 0
    const {flow} = flowOf({units: Array.from({length: 9}, (_, index) => unit(`u${index}`, 1)), ahead: 9})
    await flow.load(3, async () => {
      most = Math.max(most, ++now)
      await tick()
      now--
    })
    expect(most).to.equal(3)
  })

  it('ends everything at a fetch that fails, and loads nothing of it', async () => {
    const loaded: string[] = []
    const {gate, fetch} = gated()
    const {flow} = flowOf({fetch})
    const done = flow.load(2, (one, signal) => {
      loaded.push(nameOf(one))
      return new Promise((resolve, reject) => { signal.addEventListener('abort', () => { reject(new Error('ended')) }) })
    }).catch((error: unknown) => error)
    gate('c').resolve(undefined)
    await tick()
    gate('b').reject(new Error('damaged'))
    expect(await done).to.have.property('message', 'damaged')
    expect(loaded).to.deep.equal(['c'])
  })

  it('ends the fetches at a load that fails', async () => {
    const {begun, gate, fetch} = gated()
    const {flow} = flowOf({fetch})
    const done = flow.load(1, () => Promise.reject(new Error('refused'))).catch((error: unknown) => error)
    gate('c').resolve(undefined)
    expect(await done).to.have.property('message', 'refused')
    expect(begun).to.include('b')
  })

  it('stops at an abort, with its reason', async () => {
    const {controller, flow} = flowOf({fetch: gated().fetch})
    const done = flow.load(2, () => Promise.resolve()).catch((error: unknown) => error)
    controller.abort(new Error('Ctrl-C'))
    expect(await done).to.have.property('message', 'Ctrl-C')
  })

  it('has nothing to do for a backup without data', async () => {
    const {flow} = flowOf({units: []})
    await flow.load(2, () => Promise.reject(new Error('nothing to load')))
  })
})
