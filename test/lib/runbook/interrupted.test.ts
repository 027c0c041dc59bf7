import {setTimeout as pause} from 'node:timers/promises'
import {expect} from 'chai'
import {InterruptedError} from '../../../src/lib/errors.ts'
import {perform} from '../../../src/lib/runbook/perform.ts'
import {errorOf, events, logStep, procedureOf, testStage, type LogState} from '../../support/stage.ts'

describe('a procedure that is interrupted', () => {
  it('gives the step the signal, undoes with another one, and throws the interruption', async () => {
    const {stage, controller, entries, seen} = testStage()
    const undoSignals: boolean[] = []
    const state: LogState = {log: []}
    const waits = logStep('a', {
      run: (_, {signal}) => new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => { reject(new Error('the step was stopped')) })
        controller.abort(new InterruptedError())
      }),
      undo: (_, {signal}) => {
        undoSignals.push(signal.aborted)
        return Promise.resolve()
      },
    })
    const error = await errorOf(perform(procedureOf([waits, logStep('b')]), state, stage))
    expect(error).to.be.instanceOf(InterruptedError)
    expect(undoSignals).to.deep.equal([false])
    expect(state.log).to.deep.equal([])
    expect(events(entries).at(-1)).to.equal('interrupted')
    expect(seen.some((line) => line.includes('Ctrl-C again'))).to.equal(true)
  })

  it('says so of the step, which itself knows only that its wait was aborted', async () => {
    const {stage, controller, entries} = testStage()
    const waits = logStep('a', {
      run(_, {signal}) {
        setImmediate(() => { controller.abort(new InterruptedError()) })
        return pause(60_000, undefined, {signal})
      },
    })
    await errorOf(perform(procedureOf([waits]), {log: []}, stage))
    expect(entries.find(({event}) => event === 'failed')).to.include({detail: 'Interrupted.'})
  })

  it('undoes also when the last step ends well all the same', async () => {
    const {stage, controller} = testStage()
    const state: LogState = {log: []}
    const error = await errorOf(perform(procedureOf([logStep('a', {
      run() {
        controller.abort(new InterruptedError())
        return Promise.resolve()
      },
    })]), state, stage))
    expect(error).to.be.instanceOf(InterruptedError)
    expect(state.log).to.deep.equal(['undo a'])
  })

  it('does nothing when it is aborted before the first step', async () => {
    const {stage, controller} = testStage()
    controller.abort(new InterruptedError())
    const state: LogState = {log: []}
    expect(await errorOf(perform(procedureOf([logStep('a')]), state, stage))).to.be.instanceOf(InterruptedError)
    expect(state.log).to.deep.equal([])
  })
})
