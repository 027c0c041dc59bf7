import {Flags} from '@oclif/core'
import {appendFile} from 'node:fs/promises'
import {BaseCommand} from '../../../../src/lib/cli/base-command.ts'
import {procedureFlags} from '../../../../src/lib/cli/flags.ts'
import type {ProcedureResult} from '../../../../src/lib/cli/run-procedure.ts'
import {usageError} from '../../../../src/lib/errors.ts'
import type {Procedure, Step, StepIo} from '../../../../src/lib/runbook/procedure.ts'

interface TrialState {
  /** Steps that were run, over all processes of the run. */
  ran: string[]
  /** Where each step writes what it did. */
  log: string
  /** The step that stays at work until it is stopped. */
  hold?: string
  /** The step whose undo stays at work. */
  stick?: string
  fail?: string
  bug?: string
  rounds: number
}

/** A procedure of three steps that changes nothing but a log file. */
export default class Trial extends BaseCommand {
  static override summary = 'Run a procedure that does nothing'
  static override examples = ['<%= config.bin %> <%= command.id %> --log FILE']
  static override flags = {
    ...procedureFlags,
    log: Flags.string({required: true}),
    hold: Flags.string(),
    stick: Flags.string(),
    fail: Flags.string(),
    bug: Flags.string(),
    rounds: Flags.integer({default: 1}),
  }

  async run(): Promise<ProcedureResult<TrialState>> {
    const {flags} = await this.parse(Trial)
    const {hold, stick, fail, bug} = flags
    const state = {ran: [], log: flags.log, rounds: flags.rounds, ...(hold && {hold}), ...(stick && {stick}), ...(fail && {fail}), ...(bug && {bug})}
    const result = await this.runProcedure(procedure, state, flags, this.context(flags))
    this.log('a result')
    return result
  }
}

const procedure: Procedure<TrialState> = {
  id: 'trial',
  title: 'Trial',
  later: 'go-on',
  phases: [
    {title: 'First phase', steps: [step('one'), step('two')]},
    {title: 'Second phase', gate: {question: () => 'Go on?', mustType: () => 'crm'}, steps: [{...step('three'), effect: 'destroy'}]},
  ],
}

function step(name: string): Step<TrialState> {
  return {
    id: `trial.${name}`,
    title: `Step ${name}`,
    effect: 'write',
    byHand: ({log}) => [{argv: ['sh', '-c', `echo ${name} >> ${log}`], note: 'writes a line'}],
    async run(state, io) {
      await appendFile(state.log, `${name} begins\n`)
      await work(io, state.rounds)
      if (state.fail === name) throw usageError('trial.failed', `Step ${name} failed as it was told.`, {hints: ['Do not pass --fail']})
      if (state.bug === name) throw new TypeError('step is not a function, password=hunter22')
      if (state.hold === name) await until(io.signal)
      state.ran.push(name)
      await appendFile(state.log, `${name} ends\n`)
    },
    async undo(state) {
      await appendFile(state.log, `undo ${name}\n`)
      if (state.stick === name) await until(new AbortController().signal)
    },
  }
}

async function work(io: StepIo, rounds: number): Promise<void> {
  for (let done = 1; done <= rounds; done += 1) {
    const share = done / rounds
    io.progress({
      unit: 'bytes', done: share * 3.4e9, total: 3.4e9, rate: 48e6, secondsLeft: rounds - done, note: `${done} of ${rounds} tables`,
      items: ['leads', 'messages_of_a_long_name_2026_11', 'deals'].map((name) => ({name, done: share * 1e8, total: 1e8})),
    })
    if (done === 2) io.notice('This stays on the screen.')
    if (rounds > 1) await new Promise((resolve) => setTimeout(resolve, 200))
    io.signal.throwIfAborted()
  }
}

function until(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const busy = setInterval(() => undefined, 1000)
    signal.addEventListener('abort', () => {
      clearInterval(busy)
      reject(new Error('stopped'))
    })
  })
}
