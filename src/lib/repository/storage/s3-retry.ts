import type {S3ClientConfig} from '@aws-sdk/client-s3'
import {setTimeout as sleep} from 'node:timers/promises'

type RetryStrategy = Extract<NonNullable<S3ClientConfig['retryStrategy']>, {acquireInitialRetryToken: unknown}>
type RetryToken = Awaited<ReturnType<RetryStrategy['acquireInitialRetryToken']>>
type RetryErrorInfo = Parameters<RetryStrategy['refreshRetryTokenForRetry']>[1]

const MAX_DELAY = 20_000
const ATTEMPTS_BEFORE_FIRST_ANSWER = 5
/** Damage on the way, and losers of a race between writers: the SDK takes these for final. */
const ALSO_TEMPORARY = new Set(['BadDigest', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch', 'IncompleteBody', 'ConditionalRequestConflict', 'OperationAborted'])

/**
 * Waits longer than the SDK's own strategy (8 attempts of which last some 3 s): a nightly backup rides out an outage of about half a minute.
 * But a store that has never answered, such as a mistyped endpoint, is given up after some 3 s.
 */
export class PatientRetry implements RetryStrategy {
  readonly #maxAttempts: number
  readonly #delay: number
  readonly #stopping = new AbortController()
  #answered = false

  constructor(maxAttempts: number, delay: number) {
    this.#maxAttempts = maxAttempts
    this.#delay = delay
  }

  acquireInitialRetryToken(): Promise<RetryToken> {
    return Promise.resolve(token(0))
  }

  async refreshRetryTokenForRetry(last: RetryToken, info: RetryErrorInfo): Promise<RetryToken> {
    const answered = (info.error as {$metadata?: {httpStatusCode?: number}} | undefined)?.$metadata?.httpStatusCode !== undefined
    this.#answered ||= answered
    const most = this.#answered ? this.#maxAttempts : Math.min(this.#maxAttempts, ATTEMPTS_BEFORE_FIRST_ANSWER)
    const count = last.getRetryCount() + 1
    if (!isTemporary(info) || count >= most) throw new Error('No attempt is left.')
    await sleep(this.#wait(count, info), undefined, {signal: this.#stopping.signal})
    return token(count)
  }

  /** No attempt follows any more: a wait must not keep the process alive. */
  stop(): void {
    this.#stopping.abort()
  }

  recordSuccess(): void {
    this.#answered = true
  }

  #wait(count: number, {errorType, retryAfterHint}: RetryErrorInfo): number {
    const base = errorType === 'THROTTLING' ? this.#delay * 2 : this.#delay
    const backoff = Math.min(MAX_DELAY, base * 2 ** (count - 1)) * (0.5 + Math.random() / 2)
    const asked = retryAfterHint === undefined ? 0 : retryAfterHint.getTime() - Date.now()
    return Math.max(backoff, Math.min(asked, MAX_DELAY))
  }
}

const token = (count: number): RetryToken => ({getRetryCount: () => count, getRetryDelay: () => 0})

const isTemporary = ({errorType, error}: RetryErrorInfo) =>
  errorType === 'TRANSIENT' || errorType === 'THROTTLING' || ALSO_TEMPORARY.has((error as Error | undefined)?.name ?? '')
