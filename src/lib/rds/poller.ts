import type {DBInstance} from '@aws-sdk/client-rds'
import {DrError, lockedError} from '../errors.ts'
import {isThrottled} from './faults.ts'
import {kindOf, remedyOf} from './status.ts'

export interface Clock {
  /** Milliseconds. */
  now(): number
  /** Rejects when the signal is aborted. */
  pause(ms: number, signal: AbortSignal): Promise<void>
  /** From 0 to 1. */
  random(): number
}

export interface PollOptions {
  /** Undefined while there is no such instance. What it throws ends the wait, unless AWS asked to slow down, or cannot be reached for a moment. */
  look: (signal: AbortSignal) => Promise<DBInstance | undefined>
  signal: AbortSignal
  clock: Clock
  /** Told at each look that brought something new: another status, another endpoint, more of the volume initialized. */
  onChange: (instance: DBInstance | undefined, elapsedMs: number) => void
  /** Told at each look that failed and ends nothing: AWS asks to slow down, or cannot be reached. The next one is in a minute. */
  onTrouble?: (error: Error) => void
  /** After so long it gives up, and what was begun goes on at AWS. */
  budgetMs: number
  /** Milliseconds between two looks, to which up to a fifth is added or taken away. 12.5 s when absent. */
  everyMs?: number
  /** Whether the name must be gone instead: after a rename, and after a deletion. */
  gone?: boolean
  /** `ignored`: changes that wait for the maintenance window do not matter; but for a new name. */
  pending?: 'ignored'
  /** What else must hold of it to count as ready. */
  settled?: (instance: DBInstance) => boolean
}

const EVERY_MS = 12_500
const JITTER = 0.2
const SLOW_MS = 60_000
/** `available` may go back to `modifying` or `backing-up`, and stands for a moment after a change was asked for. */
const LOOKS_IN_A_ROW = 3
/** A network that is gone for a moment ends no recovery of an hour. */
const UNREACHED_MS = 300_000
/** A new name is not known everywhere at once. */
export const UNKNOWN_MS = 120_000

/**
 * Waits until an instance is ready, three looks in a row, with nothing pending. Not the SDK's waiter: that one looks every half
 * hour in the end, spins on most statuses that are the end, and takes a denied call for a reason to look again. Throws
 * `pitr.ended` (exit 1) for a status that is the end, with its remedy; `pitr.budget` (exit 6) when time is up.
 */
export async function untilReady(options: PollOptions): Promise<DBInstance | undefined> {
  const {clock, signal, budgetMs, everyMs = EVERY_MS, gone = false, settled = () => true, pending} = options
  const begun = clock.now()
  const seen = new Seen(options, begun)
  let heard = begun
  for (let inARow = 0; ;) {
    signal.throwIfAborted()
    const found = await lookOnce(options, clock.now() - heard < UNREACHED_MS)
    if (found === 'slow') seen.forget()
    else {
      heard = clock.now()
      seen.note(found)
      inARow = (gone ? found === undefined : found !== undefined && isReady(found, pending) && settled(found)) ? inARow + 1 : 0
      if (inARow >= LOOKS_IN_A_ROW) return found
      assertGoesOn(found, {gone, elapsedMs: clock.now() - begun})
    }
    if (clock.now() - begun >= budgetMs) throw lockedError('pitr.budget', `It was not ${gone ? 'gone' : 'ready'} within ${Math.round(budgetMs / 60_000)} minutes.`, {hints: ['AWS goes on with it: dr pitr resume waits on.']})
    await clock.pause((found === 'slow' ? SLOW_MS / EVERY_MS : 1 + (clock.random() * 2 - 1) * JITTER) * everyMs, signal)
  }
}

/** `mayBeAway`: that the API cannot be reached is no end yet. */
async function lookOnce({look, signal, onTrouble}: PollOptions, mayBeAway: boolean): Promise<DBInstance | undefined | 'slow'> {
  try {
    return await look(signal)
  } catch (error) {
    if (!isThrottled(error) && !(mayBeAway && error instanceof DrError && error.code === 'rds.unreachable')) throw error
    onTrouble?.(error as Error)
    return 'slow'
  }
}

const isReady = (found: DBInstance, pending: PollOptions['pending']): boolean =>
  kindOf(found.DBInstanceStatus ?? '') === 'ready' && found.Endpoint?.Address !== undefined && pendingOf(found).every((setting) => pending === 'ignored' && setting !== 'DBInstanceIdentifier')

/** Names of the settings that wait to be changed. */
export const pendingOf = ({PendingModifiedValues = {}}: Pick<DBInstance, 'PendingModifiedValues'>): string[] => Object.entries(PendingModifiedValues).filter(([, value]) => value !== undefined).map(([setting]) => setting)

function assertGoesOn(found: DBInstance | undefined, {gone, elapsedMs}: {gone: boolean; elapsedMs: number}): void {
  if (gone) return
  if (found === undefined && elapsedMs >= UNKNOWN_MS) throw new DrError('pitr.ended', 'The instance is not there: AWS does not know its name.', {hints: ['dr pitr list shows the copies that there are.']})
  assertNotEnded(found)
}

/** Throws `pitr.ended` (exit 1) for a status that is the end, with its remedy. */
export function assertNotEnded(found: DBInstance | undefined): void {
  const status = found?.DBInstanceStatus ?? ''
  if (kindOf(status) === 'terminal') throw new DrError('pitr.ended', `${found?.DBInstanceIdentifier ?? 'The instance'} is ${status}, and does not come back from that by itself.`, {hints: [remedyOf(status) ?? '']})
}

class Seen {
  #last = ''
  readonly #options: PollOptions
  readonly #begun: number

  constructor(options: PollOptions, begun: number) {
    this.#options = options
    this.#begun = begun
  }

  /** Something else was told since. */
  forget(): void {
    this.#last = ''
  }

  note(found: DBInstance | undefined): void {
    const shown = JSON.stringify([found?.DBInstanceStatus, found?.Endpoint, found?.StorageOperationPercentProgress, found && pendingOf(found)])
    if (shown === this.#last) return
    this.#last = shown
    this.#options.onChange(found, this.#options.clock.now() - this.#begun)
  }
}
