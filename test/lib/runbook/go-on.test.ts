import {expect} from 'chai'
import {ExitCode, InterruptedError, usageError} from '../../../src/lib/errors.ts'
import {perform, undoEarlier, type Earlier} from '../../../src/lib/runbook/perform.ts'
import type {Procedure} from '../../../src/lib/runbook/procedure.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {errorOf, events, failing, gated, logStep, procedureOf, testStage, type LogState} from '../../support/stage.ts'

describe('perform', () => {
  describe('going on with an earlier run', () => {
    it('leaves out what is done, and keeps its times', async () => {
      const {stage, entries, seen} = testStage()
      const {state, timings} = await perform(procedureOf([logStep('a'), logStep('b')]), {log: ['a']}, stage, {done: new Map([['a', 77]]), begun: ['a'], confirmed: new Set()})
      expect(state.log).to.deep.equal(['a', 'b'])
      expect(events(entries)).to.deep.equal(['resumed', 'started b', 'done b', 'finished'])
      expect(seen).to.include('a: skip done before')
      expect(timings.phases[0]?.steps).to.deep.equal([{id: 'a', ms: 77, earlier: true}, {id: 'b', ms: 10}])
    })

    it('undoes what the earlier process had begun, too', async () => {
      const {stage} = testStage()
      const state: LogState = {log: []}
      await errorOf(perform(procedureOf([logStep('a'), logStep('b'), logStep('c', failing('no'))]), state, stage, {done: new Map([['a', 1]]), begun: ['a', 'b'], confirmed: new Set()}))
      expect(state.log).to.deep.equal(['b', 'undo c', 'undo b', 'undo a'])
    })

    const stopped = (done: Record<string, number>, begun: string[], more: Partial<Earlier> = {}): Earlier => ({done: new Map(Object.entries(done)), begun, confirmed: new Set(), ...more})

    describe('asks a step that was begun, and not done, whether its work is in place', () => {
      const settling = (verdict: 'done' | 'not done', log: string[]) => ({settle: () => { log.push('asked'); return Promise.resolve(verdict) }})

      it('and leaves it out when it is', async () => {
        const {stage, entries, seen} = testStage()
        const asked: string[] = []
        const {state} = await perform(procedureOf([logStep('a'), logStep('b', settling('done', asked)), logStep('c')]), {log: ['a']}, stage, stopped({a: 1}, ['a', 'b']))
        expect(asked).to.deep.equal(['asked'])
        expect(state.log).to.deep.equal(['a', 'c'])
        expect(events(entries)).to.deep.equal(['resumed', 'done b', 'started c', 'done c', 'finished'])
        expect(seen).to.include('b: skip its work is in place')
      })

      it('and runs it when it is not', async () => {
        const {state} = await perform(procedureOf([logStep('a', settling('not done', []))]), {log: []}, testStage().stage, stopped({}, ['a']))
        expect(state.log).to.deep.equal(['a'])
      })

      it('and keeps what it learns', async () => {
        const {stage, entries} = testStage()
        await perform(procedureOf([logStep('a', {settle: (state) => { state.log.push('learnt'); return Promise.resolve('done') }})]), {log: []}, stage, stopped({}, ['a']))
        expect(entries.find(({event}) => event === 'done')).to.deep.include({state: {log: ['learnt']}})
      })

      it('and no other step', async () => {
        const asked: string[] = []
        const step = logStep('a', settling('done', asked))
        await perform(procedureOf([step]), {log: []}, testStage().stage)
        await perform(procedureOf([step]), {log: []}, testStage().stage, stopped({a: 1}, ['a']))
        await perform(procedureOf([step]), {log: []}, testStage().stage, stopped({}, []))
        await perform(procedureOf([step]), {log: []}, testStage().stage, stopped({}, ['a'], {anew: 'gone'}))
        expect(asked).to.deep.equal([])
      })

      it('and undoes it with the rest when a later one fails', async () => {
        const {state, error} = await failed(procedureOf([logStep('a', settling('done', [])), logStep('b', failing('no'))]), stopped({}, ['a']))
        expect(error.message).to.equal('no')
        expect(state.log).to.deep.equal(['undo b', 'undo a'])
      })
    })

    const failed = async (procedure: Procedure<LogState>, earlier: Earlier) => {
      const test = testStage()
      const state: LogState = {log: []}
      return {...test, state, error: await errorOf(perform(procedure, state, test.stage, earlier))}
    }

    /** The first phase is done again by each process. */
    const checking = (check: Parameters<typeof logStep>[1] = {}, work: Parameters<typeof logStep>[1] = {}): Procedure<LogState> => {
      const procedure = procedureOf([logStep('check', {effect: 'read', ...check})], [logStep('made'), logStep('work', work)])
      return {...procedure, phases: procedure.phases.map((phase, index) => (index === 0 ? {...phase, again: true} : phase))}
    }

    it('does a phase again that lasts only as long as the process', async () => {
      const {stage, entries} = testStage()
      const {state} = await perform(checking(), {log: []}, stage, stopped({check: 1, made: 1}, ['check', 'made']))
      expect(state.log).to.deep.equal(['check', 'work'])
      expect(events(entries)).to.deep.equal(['resumed', 'started check', 'done check', 'started work', 'done work', 'finished'])
    })

    it('leaves the run where it was when it fails before it has begun a step of its own', async () => {
      const refused = usageError('x.y', 'Not now.', {hints: ['Wait']})
      const {state, error, entries} = await failed(checking({run: () => Promise.reject(refused)}), stopped({check: 1, made: 1}, ['check', 'made', 'work']))
      expect(error).to.deep.include({code: 'x.y', exitCode: ExitCode.usage, hints: ['Wait', 'The run is where it was: dr resume run-1']})
      expect(state.log).to.deep.equal([])
      expect(events(entries)).to.deep.equal(['resumed', 'started check', 'failed check', 'left'])
    })

    it('leaves the run where it was at Ctrl-C there, too', async () => {
      const test = testStage()
      const state: LogState = {log: []}
      const procedure = checking({run: () => { test.controller.abort(new InterruptedError()); return Promise.resolve() }})
      expect(await drErrorOf(perform(procedure, state, test.stage, stopped({check: 1, made: 1}, ['check', 'made'])))).to.include({code: 'interrupted', exitCode: ExitCode.interrupted})
      expect(state.log).to.deep.equal([])
    })

    it('undoes all when it fails in a step of its own', async () => {
      const {state} = await failed(checking({}, failing('no')), stopped({check: 1, made: 1}, ['check', 'made']))
      expect(state.log).to.deep.equal(['check', 'undo work', 'undo made', 'undo check'])
    })

    describe('when nothing holds of what was done', () => {
      it('runs everything again, from the state that it was given, and says why in the journal', async () => {
        const {stage, entries} = testStage()
        const {state} = await perform(procedureOf([logStep('a'), logStep('b')]), {log: ['new']}, stage, stopped({}, ['a', 'b'], {anew: 'it is gone'}))
        expect(state.log).to.deep.equal(['new', 'a', 'b'])
        expect(entries[0]).to.deep.include({event: 'resumed', anew: 'it is gone', state: {log: ['new']}})
      })

      it('undoes what the earlier process had begun, too, when it fails', async () => {
        const {state} = await failed(procedureOf([logStep('a', failing('no')), logStep('b')]), stopped({}, ['a', 'b'], {anew: 'it is gone'}))
        expect(state.log).to.deep.equal(['undo b', 'undo a'])
      })
    })

    const passes = (asked: string[]) => ({pass: () => { asked.push('asked'); return Promise.resolve('crm') }})

    it('asks again before something is destroyed', async () => {
      const asked: string[] = []
      const [procedure, {stage}] = gated(passes(asked))
      await perform(procedure, {log: []}, stage, {done: new Map([['a', 1]]), begun: ['a'], confirmed: new Set(['Phase 2'])})
      expect(asked).to.have.length(1)
    })

    it('does not ask again about a phase that is over', async () => {
      const asked: string[] = []
      const [procedure, {stage}] = gated(passes(asked))
      for (const confirmed of [new Set<string>(), new Set(['Phase 2'])]) await perform(procedure, {log: []}, stage, {done: new Map([['a', 1], ['b', 1]]), begun: ['a', 'b'], confirmed})
      expect(asked).to.deep.equal([])
    })
  })

  describe('undoing an earlier run', () => {
    const earlier: Earlier = {done: new Map([['a', 1]]), begun: ['a', 'b'], confirmed: new Set()}

    it('undoes what was begun, last first, and nothing else', async () => {
      const {stage, entries} = testStage()
      const state: LogState = {log: ['a']}
      await undoEarlier(procedureOf([logStep('a')], [logStep('b'), logStep('c')]), state, stage, earlier)
      expect(state.log).to.deep.equal(['a', 'undo b', 'undo a'])
      expect(events(entries)).to.deep.equal(['resumed', 'undo-started b', 'undone b', 'undo-started a', 'undone a', 'ended'])
    })

    it('says what could not be undone, and how to try again', async () => {
      const {stage, entries} = testStage()
      const error = await drErrorOf(undoEarlier(procedureOf([logStep('a'), logStep('b', {undo: () => Promise.reject(usageError('u.v', 'Stuck.', {hints: ['DROP DATABASE x']}))})]), {log: []}, stage, earlier))
      expect(error).to.deep.include({code: 'run.not-undone', exitCode: ExitCode.failed, hints: ['Try again: dr resume run-1 --undo', 'DROP DATABASE x']})
      expect(error.message).to.include('Not undone: Title of b: Stuck.')
      expect(events(entries)).to.include.members(['undo-failed b', 'undone a', 'ended'])
    })
  })
})
