import {StopError, ExitCode} from '../../errors.ts'
import {liveLines, lossLines, targetLines} from '../../report/swap-lines.ts'
import type {Gate} from '../../runbook/procedure.ts'
import {shellQuote} from '../../system/shell.ts'
import type {SwapOptions, SwapSubject} from './options.ts'

/** Before anything is made: the operator sees whose data goes, and what of it. */
export function replaceGate(options: SwapOptions, headers: readonly [string, string]): Gate<SwapSubject> {
  const {source, target} = options
  return {
    again: true,
    skip: ({swap}) => (swap?.swapped ? 'it is swapped in already' : undefined),
    question: ({live, environment}) => `Replace ${live} (${environment}) at ${target.host}:${target.port} by ${source.title}?`,
    mustType: ({live}) => live,
    details: (state) => [...aboutTarget(options, state), ...aboutSource(options), aboutSafety(state), ...aboutLoss(options, state, headers)],
  }
}

function aboutTarget({target: {host, port}}: SwapOptions, {live, environment, swap}: SwapSubject): string[] {
  if (swap?.target !== undefined) return targetLines(swap.target, environment)
  return [`Server      ${host}:${port}`, `Database    ${live} (${environment})`]
}

function aboutSource({source: {title, at}}: SwapOptions): string[] {
  return [`Comes in    ${title}${at === undefined ? '' : `, data of ${at.slice(0, 19).replace('T', ' ')} UTC`}`]
}

function aboutSafety({swap}: SwapSubject): string {
  const kept = 'the old database is kept, and dr undo brings it back'
  if (swap?.safety === 'backup' && swap.unreadable === undefined) return `Safety      the present state is backed up first; ${kept}`
  return `Safety      no backup of the present state${swap?.unreadable === undefined ? '' : `, because it cannot be read: ${swap.unreadable}`}; ${kept}`
}

function aboutLoss({source}: SwapOptions, {swap}: SwapSubject, headers: readonly [string, string]): string[] {
  if (swap?.loss === undefined) return []
  if (source.tables === undefined && !source.standing) return liveLines(swap.loss)
  return ['What is written until the swap stays in the old database only.', ...lossLines(swap.loss, headers)]
}

/** After the comparison: only when something is not as it should be. */
export function findingsGate({accept = false, again}: SwapOptions): Gate<SwapSubject> {
  const errors = ({findings}: SwapSubject) => findings.filter(({severity}) => severity === 'error')
  const wrong = (state: SwapSubject) => (errors(state).length === 0 ? 'Something is' : errors(state).length === 1 ? 'One thing is' : `${errors(state).length} things are`)
  const howTo = (state: SwapSubject) => [`${state.database} stays, to be looked into: psql -d ${shellQuote(state.database)}`, `To swap it in all the same: ${again(state)} --accept`, 'When it is not needed: dr restore clean-up']
  return {
    skip(state) {
      if (accept) return 'accepted beforehand'
      return errors(state).length === 0 ? 'everything is as it should be' : undefined
    },
    question: (state) => `${wrong(state)} not as in the backup, or could not be carried over. Swap ${state.database} in for ${state.live} all the same?`,
    mustType: ({live}) => live,
    details: (state) => errors(state).slice(0, 12).map(({subject, message, code}) => `ERROR  ${subject === '' ? '' : `${subject}: `}${message} [${code}]`),
    strict: true,
    declined: howTo,
    unasked: (state) => new StopError('swap.not-clean', `${wrong(state)} not as in the backup, or could not be carried over, so ${state.live} was not replaced: ${errors(state).slice(0, 3).map(({subject, message}) => `${subject === '' ? '' : `${subject}: `}${message}`).join('; ')}.`, {exitCode: ExitCode.verification, hints: howTo(state)}),
  }
}
