import {S3Client, type S3ClientConfig} from '@aws-sdk/client-s3'
import {PatientRetry} from './s3-retry.ts'

export interface S3StorageOptions {
  bucket: string
  /** Where the storage's root lies in the bucket; without slashes at its ends. Empty: the bucket itself. */
  prefix?: string
  region: string
  /** Else AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's endpoint_url, or AWS itself. */
  endpoint?: string
  /** Else AWS_PROFILE or the default chain. */
  profile?: string
  /** `https://endpoint/bucket` instead of `https://bucket.endpoint`. Else: for localhost and IP addresses. */
  forcePathStyle?: boolean
  /**
   * `auto`: SHA-256 goes along with every upload; a store that does not know it is noticed, and what it holds is read back instead.
   * `when-required`: no checksum headers at all (everything is read back). `when-supported`: the SDK's own CRC32 too, even on a custom endpoint.
   */
  checksums?: 'auto' | 'when-supported' | 'when-required'
  /** Size of a part, and the largest object that is sent in one request. 16 MiB. Raised for very large files (9,000 parts at most). */
  partBytes?: number
  /** Parts in flight, over all uploads of this storage. 3; so its buffers take 3 × 16 MiB. */
  concurrency?: number
  /** A connection on which nothing moves for so long is cut, and the request is tried again. 60 s. */
  idleTimeoutMs?: number
  /** First wait between attempts; it doubles up to 20 s. 250 ms. */
  retryDelayMs?: number
  /** Attempts at one request. 8. */
  maxAttempts?: number
  /** For tests: wins over everything above. */
  clientConfig?: S3ClientConfig
}

export interface OpenClient {
  client: S3Client
  /** Ends connections and waits between attempts. */
  close(): void
}

export function createClient(options: S3StorageOptions): OpenClient {
  const {endpoint, profile, idleTimeoutMs = 60_000} = options
  const retryStrategy = new PatientRetry(options.maxAttempts ?? 8, options.retryDelayMs ?? 250)
  const client = new S3Client({
    region: options.region,
    ...(endpoint !== undefined && {endpoint}),
    ...(profile !== undefined && {profile}),
    forcePathStyle: options.forcePathStyle ?? isLocalEndpoint(endpointOf(options)),
    ...checksumSettings(options),
    retryStrategy,
    // No requestTimeout: it counts from the first byte, would kill slow links, and stretches the wait for «100 Continue».
    requestHandler: {connectionTimeout: Math.min(10_000, idleTimeoutMs), socketTimeout: idleTimeoutMs},
    ...options.clientConfig,
  })
  reusePayloadHash(client)
  return {
    client,
    close() {
      retryStrategy.stop()
      client.destroy()
    },
  }
}

/** As far as it is known before the SDK reads profiles. */
export function endpointOf({endpoint}: Pick<S3StorageOptions, 'endpoint'>): string | undefined {
  if (endpoint !== undefined) return endpoint
  const {AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: ignore, AWS_ENDPOINT_URL_S3: own, AWS_ENDPOINT_URL: general} = process.env
  return ignore === 'true' ? undefined : own || general || undefined
}

/** The region of an AWS profile (else of AWS_PROFILE, else of the default one), as the SDK finds it. */
export async function profileRegion(profile?: string): Promise<string | undefined> {
  const client = new S3Client(profile === undefined ? {} : {profile})
  try {
    return await client.config.region()
  } catch {
    return undefined
  } finally {
    client.destroy()
  }
}

export const isAws = (endpoint: string | undefined) => endpoint === undefined || /\.amazonaws\.com(\.cn)?$/.test(hostOf(endpoint))

const isLocalEndpoint = (endpoint: string | undefined) =>
  endpoint !== undefined && /^(localhost|.*\.localhost|\d+\.\d+\.\d+\.\d+|\[.*\])$/.test(hostOf(endpoint))

const hostOf = (endpoint: string) => URL.parse(endpoint)?.hostname ?? ''

/**
 * The SDK's own CRC32 breaks stores that do not know it, and our SHA-256 makes it needless. Downloads are hashed by whoever reads them,
 * against the manifest; a second hash in the SDK would only cost time.
 */
function checksumSettings({checksums = 'auto', ...options}: S3StorageOptions): S3ClientConfig {
  if (checksums === 'when-supported') return {requestChecksumCalculation: 'WHEN_SUPPORTED', responseChecksumValidation: 'WHEN_REQUIRED'}
  const required = {requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED'} as const
  if (checksums === 'when-required') return required
  const configured = process.env['AWS_REQUEST_CHECKSUM_CALCULATION'] !== undefined || isAws(endpointOf(options))
  return configured ? {responseChecksumValidation: 'WHEN_REQUIRED'} : required
}

const payloadHashes = new WeakMap<object, string>()

/** The signer then takes this hash (hex SHA-256 of exactly this body) instead of computing it again for every attempt. */
export function rememberPayloadHash(body: Buffer, sha256: string): Buffer {
  payloadHashes.set(body, sha256)
  return body
}

function reusePayloadHash(client: S3Client): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const {body, headers} = args.request as {body?: unknown; headers: Record<string, string>}
      const sha256 = Buffer.isBuffer(body) ? payloadHashes.get(body) : undefined
      if (sha256 !== undefined) headers['x-amz-content-sha256'] = sha256
      return next(args)
    },
    {name: 'reusePayloadHash', step: 'build', priority: 'low'},
  )
}
