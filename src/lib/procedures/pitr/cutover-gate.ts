import {lossLines, size} from '../../report/swap-lines.ts'
import {writtenWords} from '../../report/written.ts'
import type {Gate} from '../../runbook/procedure.ts'
import {notCounted} from './cutover-databases.ts'
import {objectiveOf} from './cutover-instances.ts'
import {estimateOf, minutes} from './cutover-estimate.ts'
import type {CutoverOptions, CutoverState, Party} from './cutover-options.ts'

/** Before anything is changed: both instances, what is lost, how it is done and how long it takes. */
export function cutoverGate(options: CutoverOptions): Gate<CutoverState> {
  return {
    question: ({name, environment, copy}) => `Have ${copy?.id ?? 'the copy'} take the place of ${name} (${environment})?`,
    mustType: ({name}) => name,
    details: (state) => [
      ...(state.old ? partyLines('Production', state.old) : []),
      ...(state.copy ? partyLines('Comes in', state.copy, state.restoredTo) : []),
      `Way         ${wayOf(state)}`,
      ...byHand(options, state),
      `Before      ${beforeOf(options, state)}`,
      estimateLine(options),
      ...lost(state, options.target.database),
      ...state.findings.map(({severity, subject, message}) => `${severity.toUpperCase().padEnd(11)} ${subject}: ${message}`),
    ],
    declined: () => ['Nothing was changed.'],
  }
}

/** Before a later process takes a cut-over back that clients have felt: dr pitr rollback does the same, and counts what was written. */
export function undoGate({cutOver, name, environment, old, copy}: CutoverState): Gate<CutoverState> | undefined {
  if (cutOver !== true) return undefined
  return {
    question: () => `Bring the old ${name} (${environment}) back?`, mustType: () => name,
    details: () => [
      ...(old ? partyLines('Comes back', old) : []), ...(copy ? partyLines('Goes', copy) : []),
      'Written     what was written on the new one since stays there; dr pitr rollback counts it, and does the same',
    ],
  }
}

/** Who it is: what must not be mistaken for another. */
export function partyLines(label: string, {id, resourceId, engine, class: size_, status, host, port, facts}: Party, restoredTo?: string): string[] {
  const where = host === '' ? 'no address' : `${host}:${port}`
  const held = facts === undefined ? ['            what it holds is not known: it cannot be connected to'] : [
    `            ${size(facts.bytes)}, ${facts.tables} tables, ${facts.rows.toLocaleString('en-US')} rows, newest ${facts.newest === undefined ? 'not known' : `${facts.newest.at.replace('T', ' ').replace('Z', ' UTC')} (${facts.newest.table})`}, timeline ${facts.timeline}`,
  ]
  return [`${label.padEnd(11)} ${id}, ${resourceId}, ${engine}, ${size_}, ${status}, ${where}${restoredTo === undefined ? '' : `, restored to ${restoredTo}`}`, ...held]
}

function wayOf({mode, name, oldName, copy}: CutoverState): string {
  const id = copy?.id ?? 'the copy'
  if (mode === 'rename') return `rename: ${name} becomes ${oldName}, then ${id} becomes ${name}; there is no ${name} in between`
  if (mode === 'proxy') return `proxy: ${name} is taken out of the proxy, and ${id} is put in`
  return `url: the application is pointed at ${copy?.host ?? 'the copy'}${copy ? `:${copy.port}` : ''}`
}

/** What nobody else does. */
function byHand({config: {rds: {switchCommand}}, freeze}: CutoverOptions, {mode, name}: CutoverState): string[] {
  if (mode !== 'url' || switchCommand !== undefined) return []
  return [`By hand     rds.switchCommand is not set: YOU point the application there, when dr says so; until then it ${freeze ? 'cannot write' : `writes to ${name}, and that stays there`}`]
}

function beforeOf({freeze, snapshot, keepFrozen}: CutoverOptions, state: CutoverState): string {
  return [
    freeze ? `writes are stopped in ${state.stops === undefined ? 'the databases of this role' : state.stops.join(', ') || 'no database'} of ${state.name} (sessions are ended; it stays readable)${keepFrozen ? ', and stay so in the old one' : ''}` : `writes are NOT stopped: what is written to ${state.name} meanwhile is lost`,
    snapshot ? `snapshot ${state.snapshot}` : 'no snapshot',
  ].join('; ')
}

function estimateLine(options: CutoverOptions): string {
  const {totalMs, outageMs, parts} = estimateOf(options)
  const objective = objectiveOf(options)
  const over = totalMs > objective ? ': MORE than that; --mode proxy or url takes less' : ''
  return `Estimate    about ${minutes(totalMs)}, of these ${minutes(outageMs)} out of reach (${parts.join('; ')}); the RTO is ${minutes(objective)}${over}`
}

function lost({loss, lossUnknown = 'it could not be counted', name, copy, uncountedDatabases}: CutoverState, database: string): string[] {
  const notKnown = `not known: ${lossUnknown}; whatever was written since stays in the old instance`
  if (loss === undefined) return [`Lost        ${notKnown}`]
  const written = writtenWords(loss)
  return [
    `Lost        ${written === undefined ? notKnown : `${written}; they stay in the old instance`}`,
    ...notCounted(uncountedDatabases, database, 'is lost as well, and stays in the old instance'),
    ...lossLines(loss, [name.toUpperCase(), (copy?.id ?? 'copy').toUpperCase()]),
  ]
}
