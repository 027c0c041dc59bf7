import type {Finding} from '../../checks/finding.ts'
import {messageOf, preflightError} from '../../errors.ts'
import {withClient, type Client} from '../../postgres/connection.ts'
import type {RevertResult} from '../../postgres/partial/contract.ts'
import {assertNewest} from '../../postgres/partial/newer-merges.ts'
import {revertMerge} from '../../postgres/partial/revert.ts'
import {ownSession} from '../../postgres/partial/session.ts'
import {undoSchemas, type UndoSchema} from '../../postgres/partial/undo-schema.ts'
import {statementError} from '../../postgres/errors.ts'
import {readServer} from '../../postgres/server.ts'
import {occupants} from '../../postgres/swap-sessions.ts'
import {targetName, targetUrl, type Target} from '../../postgres/target.ts'
import type {Config} from '../../config/config.ts'
import {rowsText, tableText, timeText} from '../../report/partial-lines.ts'
import {targetLines, type SwapTarget} from '../../report/swap-lines.ts'
import type {Gate, Procedure, Step} from '../../runbook/procedure.ts'
import {byApplication} from '../swap/preflight.ts'
import {afterRevert} from './aftermath.ts'
import {needed, runNamed, undoSchemaOf} from './run-options.ts'

const APPLICATION = 'dr undo'

export interface RevertOptions {
  config: Config
  target: Target
}

/** Plain data: it stands in the journal and in --json. */
export interface RevertState {
  environment: string
  live: string
  /** The merge that is taken back. */
  merge: UndoSchema
  target?: SwapTarget
  reverted?: RevertResult
  findings: Finding[]
}

/** The merge that this run has made, or the schema of that name; undefined: none of it. */
export const mergeOf = (found: readonly UndoSchema[], run: string): UndoSchema | undefined => found.find((one) => !one.undone && (one.run === run || one.schema === run || one.schema === undoSchemaOf(run)))

/** Takes a partial restore back: every row that it touched is as it was before, as long as nobody has changed it since. */
export function revertProcedure(options: RevertOptions, merge: UndoSchema): Procedure<RevertState> {
  const {target} = options
  return {
    id: 'undo',
    title: `Take back the partial restore ${runNamed(merge.schema)} in ${target.database} (${options.config.environment})`,
    target: targetName(target),
    once: 'it is one transaction, so nothing is half done; run the command again',
    phases: [
      {title: 'Check', steps: [lookStep(options)]},
      {title: 'Undo', gate: revertGate(options), steps: [revertStep(options), afterStep(options)]},
    ],
  }
}

export const revertState = ({config, target}: RevertOptions, merge: UndoSchema): RevertState => ({environment: config.environment, live: target.database, merge, findings: []})

function lookStep({target}: RevertOptions): Step<RevertState> {
  return {
    id: 'undo.look',
    title: `Look at the live database ${target.database}`,
    effect: 'read',
    byHand: ({merge}) => [{argv: ['psql', targetUrl(target), '-c', String.raw`\dt ${merge.schema}.*`]}],
    run: (state) => inLive(target, async (client) => {
      const {version, systemIdentifier, databaseBytes} = await readServer(client)
      const [present] = (await undoSchemas(client)).filter(({schema}) => schema === state.merge.schema)
      if (present === undefined) throw preflightError('undo.nothing', `${state.merge.schema} is gone: the partial restore cannot be taken back.`, {hints: ['dr list shows the backups.']})
      await assertNewest(client, present.schema, runNamed).catch((error: unknown) => { throw statementError(error, 'Looking for newer partial restores') })
      state.target = {host: target.host, port: target.port, serverVersion: version, systemIdentifier, database: state.live, owner: '', bytes: databaseBytes, sessions: byApplication(await occupants(client, [state.live]))}
    }),
  }
}

const inLive = <T>(target: Target, work: (client: Client) => Promise<T>): Promise<T> => withClient(target, {applicationName: APPLICATION}, async (client) => {
  await ownSession(client)
  return work(client)
})

function revertGate({target}: RevertOptions): Gate<RevertState> {
  return {
    question: ({live, environment, merge}) => `Take ${rowsText(merge.rows)} of ${live} (${environment}) at ${target.host}:${target.port} back to before ${timeText(merge.at)}?`,
    mustType: ({live}) => live,
    details: ({target: found, environment, merge, live}) => [
      ...(found === undefined ? [`Database    ${live} (${environment})`] : targetLines(found, environment, ': go on working').filter((line) => !line.startsWith('Newest row'))),
      `Taken back  ${runNamed(merge.schema)}, --merge ${merge.mode}, ${timeText(merge.at)}: ${rowsText(merge.rows)} in ${merge.tables.length === 1 ? tableText(merge.tables[0] ?? {schema: '', name: ''}) : `${merge.tables.length} tables`}`,
      ...merge.made.map((table) => `DROP        ${table.schema}.${table.name}, which this run has made anew`),
      'When somebody has changed one of these rows since, nothing is done, and the row is named.',
    ],
    declined: () => ['Nothing was changed.'],
  }
}

function revertStep({target, config}: RevertOptions): Step<RevertState> {
  return {
    id: 'undo.revert',
    title: 'Put the rows back as they were, in one transaction',
    effect: 'destroy',
    byHand: ({merge}) => [{argv: ['psql', targetUrl(target), '-v', 'ON_ERROR_STOP=1', '-c', 'BEGIN', '-c', `DELETE FROM TABLE WHERE KEY IN (SELECT KEY FROM ${merge.schema}.…)`, '-c', `INSERT INTO TABLE OVERRIDING SYSTEM VALUE SELECT … FROM ${merge.schema}.…`, '-c', 'COMMIT'], note: 'for each table, in the order of the foreign keys'}],
    run: (state, io) => inLive(target, async (client) => {
      state.reverted = await revertMerge(client, state.merge.schema, {lockTimeoutMs: config.partial.lockTimeoutMs, signal: io.signal, onWaiting: (why) => { io.progress(why) }})
    }),
  }
}

function afterStep({target, config}: RevertOptions): Step<RevertState> {
  return {
    id: 'undo.after',
    title: 'Materialized views and statistics',
    effect: 'write',
    byHand: ({merge}) => [{argv: ['psql', targetUrl(target), '-c', 'REFRESH MATERIALIZED VIEW …', ...merge.tables.slice(0, 3).flatMap((table) => ['-c', `ANALYZE ${tableText(table)}`])]}],
    run: (state, io) => inLive(target, async (client) => {
      state.findings = await afterRevert(client, needed(state.reverted, 'revert'), {lockTimeoutMs: config.partial.lockTimeoutMs, signal: io.signal})
    }).catch((error: unknown) => {
      io.signal.throwIfAborted()
      // The rows are back whatever becomes of this.
      state.findings = [{code: 'partial.view', severity: 'warning', subject: state.live, message: `materialized views were not looked at: ${messageOf(error)}`}]
    }),
  }
}
