import {writtenWords} from '../../report/written.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import {countParty, lossOf} from './cutover-facts.ts'
import {APPLICATION} from './cutover-look.ts'
import {partyOf, type CutoverOptions, type CutoverState} from './cutover-options.ts'
import {targetAt} from './target.ts'

/** When a cut-over is taken back that clients could have felt: says what they wrote on the copy. It stays there. */
export async function tellWritten(options: CutoverOptions, state: CutoverState, io: StepIo): Promise<void> {
  if (state.reached !== true) return
  const {id, host, port, facts} = partyOf(state.copy)
  try {
    const {counts} = await countParty(options, targetAt(options.target, {host, port}, options), {applicationName: APPLICATION, sinceXid: facts?.nextXid}, io)
    const words = writtenWords(lossOf(counts, counts), `were inserted or changed on ${id} while clients could reach it`)
    io.notice(words === undefined ? notKnown(id) : `${words}; what was written there stays there.`)
  } catch (error) {
    io.signal.throwIfAborted()
    io.notice(`${notKnown(id)} (${error instanceof Error ? error.message : String(error)})`)
  }
}

const notKnown = (id: string): string => `How much was written on ${id} while clients could reach it is not known; it stays there.`
