import {targetUrl} from '../../postgres/target.ts'
import {writeProbe} from '../../postgres/write-probe.ts'
import type {Step} from '../../runbook/procedure.ts'
import type {SwapOptions, SwapSubject} from './options.ts'

/** One that cannot be written to must not stay: the failure of this step swaps back. */
export function probeStep({target, applicationName}: SwapOptions): Step<SwapSubject> {
  return {
    id: 'swap.probe',
    title: 'Write into it, and take that back',
    effect: 'write',
    byHand: ({live}) => [{argv: ['psql', targetUrl(target, live), '-v', 'ON_ERROR_STOP=1', '-c', 'BEGIN', '-c', 'SELECT txid_current()', '-c', 'SELECT FROM LARGEST_TABLE LIMIT 1 FOR UPDATE', '-c', 'ROLLBACK']}],
    async run(state, io) {
      const {written, remark} = await writeProbe(target, state.live, applicationName, io.signal)
      if (remark !== undefined) state.findings.push({code: 'swap.probe', severity: 'warning', subject: state.live, message: `that it can be written was not shown: ${remark}`})
      else state.findings.push({code: 'swap.probe', severity: 'ok', subject: '', message: `${state.live} accepts sessions and writes${written === 0 ? '' : `, tried in ${written} ${written === 1 ? 'table' : 'tables'}`}`})
    },
  }
}
