import {expect} from 'chai'
import {InterruptedError} from '../../../src/lib/errors.ts'
import {interrupt} from '../../../src/lib/system/interrupt.ts'

describe('interrupt', () => {
  const before = () => ['SIGINT', 'SIGTERM', 'SIGHUP'].map((name) => process.listenerCount(name))

  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    it(`aborts at the first ${name}, and takes an echo of it for the same`, () => {
      const stop = interrupt()
      try {
        expect(stop.signal.aborted).to.equal(false)
        process.emit(name, name)
        expect(stop.signal.reason).to.be.instanceOf(InterruptedError)
        process.emit(name, name)
      } finally {
        stop.release()
      }
    })
  }

  it('puts the signals back', () => {
    const counts = before()
    interrupt().release()
    expect(before()).to.deep.equal(counts)
  })
})
