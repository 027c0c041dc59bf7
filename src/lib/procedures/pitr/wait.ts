import {setTimeout as pause} from 'node:timers/promises'
import {DrError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {assertNotEnded, pendingOf, untilReady, type Clock, type PollOptions} from '../../rds/poller.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import {duration} from '../../system/time-words.ts'
import type {RdsOptions} from './options.ts'

export const systemPollClock: Clock = {now: () => performance.now(), pause: (ms, signal) => pause(ms, undefined, {signal}), random: () => Math.random()}

export interface Waited extends Pick<PollOptions, 'settled' | 'pending'> {
  /** Its identifier. */
  instance: string
  /** After so long dr gives up; AWS goes on. */
  budgetMs: number
  /** The name must be gone instead. */
  gone?: boolean
  /** Its resource id, where the name goes because the instance gets another one: a status that is the end ends this wait, too. */
  renamed?: string
  /** What the elapsed time is shown against, milliseconds: the RTO. When it is passed, that is told. */
  objectiveMs?: number
  /** What of it had gone by before the waiting began. */
  earlierMs?: number
}

const EVENT_MINUTES = 120
const SHOWN_EVENTS = 5

/** Waits until an instance is ready (or its name gone), says each new status, and with a failure what AWS noted of it. */
export async function waitFor({api, config, clock = systemPollClock}: RdsOptions, {instance, budgetMs, gone = false, renamed, objectiveMs, earlierMs = 0, settled, pending}: Waited, io: StepIo): Promise<DBInstance | undefined> {
  const passed = objectiveMs === undefined ? undefined : passing(objectiveMs, earlierMs, clock.now())
  try {
    return await untilReady({
      look: async (signal) => {
        const found = await api.instance(instance, signal)
        if (renamed !== undefined) assertNotEnded((await api.instances(signal)).find(({DbiResourceId}) => DbiResourceId === renamed))
        if (passed?.(clock.now())) io.notice(`The RTO of ${duration(objectiveMs ?? 0)} is passed; AWS goes on, and so does the waiting.`)
        return found
      },
      signal: io.signal, clock, budgetMs, gone, everyMs: config.rds.pollSeconds * 1000, ...(settled && {settled}), ...(pending && {pending}),
      onChange: (found, elapsedMs) => { io.progress(shownStatus(found, earlierMs + elapsedMs, objectiveMs, pending)) },
      onTrouble: troubles(io),
    })
  } catch (error) {
    if (error instanceof DrError && error.code === 'pitr.ended') for (const line of await eventsOf(api, instance, io.signal)) io.notice(line)
    throw error
  }
}

/** Each kind is told once; how it is now stands under the step. */
function troubles(io: StepIo): (error: Error) => void {
  const told = new Set<string>()
  return (error) => {
    const kind = error instanceof DrError ? error.code : error.name
    if (!told.has(kind)) io.notice(`${error.message} AWS goes on all the same, and so does the waiting.`)
    told.add(kind)
    io.progress(error.message)
  }
}

/** True once: at the first look after the objective. Never when it was passed before: then it was told then. */
function passing(objectiveMs: number, earlierMs: number, begun: number): (now: number) => boolean {
  let told = earlierMs > objectiveMs
  return (now) => {
    const isNew = !told && earlierMs + now - begun > objectiveMs
    told ||= isNew
    return isNew
  }
}

/** `creating, 3 min of 60 min`; with how far its volume is filled. */
function shownStatus(found: DBInstance | undefined, elapsedMs: number, objectiveMs: number | undefined, pending: Waited['pending']): string {
  const {DBInstanceStatus = 'not known yet', StorageOperationPercentProgress: percent} = found ?? {}
  const initialized = percent === undefined || percent >= 100 ? '' : `, volume initialized to ${percent} %`
  const waiting = found && pending !== 'ignored' ? pendingOf(found) : []
  return `${DBInstanceStatus}${initialized}${waiting.length === 0 ? '' : `, pending: ${waiting.join(', ')}`}, ${Math.floor(elapsedMs / 60_000)} min${objectiveMs === undefined ? '' : ` of ${Math.round(objectiveMs / 60_000)} min`}`
}

/** What is told besides: that it cannot be had takes nothing from the failure. */
async function eventsOf(api: RdsOptions['api'], instance: string, signal: AbortSignal): Promise<string[]> {
  const events = await api.events(instance, EVENT_MINUTES, signal).catch(() => [])
  return events.slice(-SHOWN_EVENTS).map(({Date: at, Message = ''}) => `${at?.toISOString() ?? ''} ${Message}`)
}
