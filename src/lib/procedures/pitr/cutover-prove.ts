import {DrError, StopError, verificationError} from '../../errors.ts'
import {withClient} from '../../postgres/connection.ts'
import {isReadOnly} from '../../postgres/freeze.ts'
import {readMarker, type InstanceMarker} from '../../postgres/instance-marker.ts'
import {targetUrl, type Target} from '../../postgres/target.ts'
import type {DBInstance} from '../../rds/api.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import {APPLICATION} from './cutover-look.ts'
import type {Party} from './cutover-options.ts'
import type {RdsOptions} from './options.ts'
import {systemPollClock} from './wait.ts'

/** Clients may know a former address for so long: AWS keeps names for 5 s, resolvers longer. */
const PATIENCE_MS = 120_000

/** AWS itself must say that the name is that instance’s, at the address that it had. */
export function assertHolds(found: DBInstance | undefined, {name, resourceId, host, port}: {name: string; resourceId: string; host: string; port: number}): void {
  if (found?.DbiResourceId !== resourceId) throw verificationError('pitr.not-cut-over', `${name} is ${found?.DbiResourceId ?? 'nobody'}, not ${resourceId}.`, {hints: ['dr pitr list shows what is called what.']})
  if (found.Endpoint?.Address !== host || found.Endpoint.Port !== port) throw verificationError('pitr.not-cut-over', `${name} has the address ${found.Endpoint?.Address ?? '?'}:${found.Endpoint?.Port ?? '?'}, not ${host}:${port} as before.`, {hints: ['Clients that know the former address do not reach it.']})
}

/** Who answers, and whether its sessions are read-only. */
export type Answer = InstanceMarker & {readOnly: boolean}

/**
 * Connects as clients do, and looks whose server answers: by its timeline, where the two are on different ones. Throws
 * `pitr.not-cut-over` (exit 4) when the wrong one answers to the end, and stops the run when none does: that may be the network here.
 */
export async function proveAnswer(options: RdsOptions, target: Target, {expected, other}: {expected: Party; other: Party}, io: StepIo): Promise<Answer> {
  const {clock = systemPollClock, config} = options
  for (const begun = clock.now(); ;) {
    const found = await withClient(target, {applicationName: APPLICATION}, async (client) => ({...await readMarker(client), readOnly: await isReadOnly(client)})).catch((error: unknown) => error as Error)
    io.signal.throwIfAborted()
    if (!(found instanceof Error) && !isOther(found, expected, other)) {
      io.notice(`${targetUrl(target)} answers on timeline ${found.timeline}${sameTimeline(expected, other) ? ', which is that of both: only AWS can say which one it is' : `, that of ${expected.resourceId}`}.`)
      return found
    }
    if (clock.now() - begun >= PATIENCE_MS) throw found instanceof Error ? unreached(found, io) : wrongOne(target, found, expected)
    io.progress(found instanceof Error ? found.message : `timeline ${found.timeline} answers still`)
    await clock.pause(config.rds.pollSeconds * 1000, io.signal)
  }
}

const sameTimeline = ({facts: one}: Party, {facts: two}: Party): boolean => one === undefined || two === undefined || one.timeline === two.timeline

function isOther({timeline, systemIdentifier}: InstanceMarker, expected: Party, other: Party): boolean {
  const {facts} = expected
  if (facts === undefined) return false
  if (systemIdentifier !== undefined && facts.systemIdentifier !== undefined && systemIdentifier !== facts.systemIdentifier) return true
  return !sameTimeline(expected, other) && timeline === other.facts?.timeline
}

const unreached = (error: Error, {run}: StepIo): Error =>
  error instanceof DrError ? new StopError(error.code, error.message, {cause: error, exitCode: error.exitCode, hints: [...error.hints, `When it can be reached: dr resume ${run}`, `To go back: dr pitr rollback ${run}`]}) : error

const wrongOne = (target: Target, {timeline}: InstanceMarker, {resourceId}: Party) =>
  verificationError('pitr.not-cut-over', `${target.host}:${target.port} is answered by a server on timeline ${timeline}, which is not ${resourceId}.`, {hints: ['Something between keeps the former address: a resolver, a pooler, a proxy.']})
