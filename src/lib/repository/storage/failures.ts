import {DrError, preflightError, unreachableError, verificationError, type DrErrorOptions} from '../../errors.ts'

/** The failures that every driver tells in the same words. */
type Rest = Omit<DrErrorOptions, 'exitCode'>

export const notFound = (what: string, rest?: Rest) => preflightError('storage.not-found', `${what} does not exist.`, rest)

export const alreadyExists = (what: string, rest?: Rest) =>
  new DrError('storage.exists', `${what} exists already and is never overwritten.`, rest)

export const badKey = (key: string, why: string) => new DrError('storage.bad-key', `"${key}" cannot be a key: ${why}.`)

export const full = (message: string, rest?: Rest) => new DrError('storage.full', message, rest)

export const denied = (message: string, rest?: Rest) => unreachableError('storage.denied', message, rest)

export const noBucket = (message: string, rest?: Rest) => unreachableError('storage.no-bucket', message, rest)

export const unreachable = (message: string, rest?: Rest) => unreachableError('storage.unreachable', message, rest)

export const corrupt = (message: string, rest?: Rest) => verificationError('storage.corrupt', message, rest)

export const otherBytes = (what: string, expected: string, found: string) =>
  corrupt(`${what} does not hold the bytes that were sent: SHA-256 ${found} instead of ${expected}.`, {hints: ['Check the disk and the memory of both sides, then run the backup again.']})

export const fileChanged = (what: string) => corrupt(`The file for ${what} changed while it was sent.`, {hints: ['Leave the staging folder alone while a backup runs.']})

/** The reason of an abort as an error that callers can rethrow. */
export function abortReason(signal: AbortSignal): Error {
  const reason: unknown = signal.reason
  return reason instanceof Error ? reason : new Error('Aborted.', {cause: reason})
}
