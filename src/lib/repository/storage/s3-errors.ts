import {DrError, unreachableError} from '../../errors.ts'
import {alreadyExists, corrupt, denied, full, noBucket, notFound, unreachable} from './failures.ts'

/** Where the storage is, for messages. */
export interface S3Place {
  bucket: string
  root: string
  region: string
  endpoint: string | undefined
  profile: string | undefined
}

/** What the SDK throws, as far as it is used. */
interface SdkError extends Error {
  code?: string
  Code?: string
  Region?: string
  Endpoint?: string
  $metadata?: {httpStatusCode?: number; requestId?: string; attempts?: number}
  $response?: {headers?: Record<string, string>}
}

interface Trouble {
  code: string
  status: number | undefined
  error: SdkError
  place: S3Place
  action: string
  /** `s3://bucket/key`, or the bucket. */
  what: string
  key: string | undefined
  rest: {cause: Error}
}

type Told = (trouble: Trouble) => DrError

export function s3Error(error: unknown, place: S3Place, action: string, key?: string): Error {
  if (error instanceof DrError || !(error instanceof Error)) return error as Error
  const trouble = troubleOf(error, place, action, key)
  return (elsewhere(trouble) ?? byCode[trouble.code] ?? byStatus[trouble.status ?? 0] ?? networkTold(trouble) ?? untold)(trouble)
}

/** The code that the store (or the connection) gave, kept on the translated error's cause. */
export const storeCode = (error: unknown): string => causeOf(error)?.storeCode ?? ''
/** Of the store's answer; undefined when there was none. */
export const statusOf = (error: unknown): number | undefined => causeOf(error)?.status
/** How often the request was sent. */
export const attemptsOf = (error: unknown): number => causeOf(error)?.attempts ?? 1

class StoreAnswer extends Error {
  readonly storeCode: string
  readonly status: number | undefined
  readonly attempts: number

  constructor(message: string, storeCode: string, status: number | undefined, attempts: number) {
    super(message)
    this.name = 'StoreAnswer'
    this.storeCode = storeCode
    this.status = status
    this.attempts = attempts
  }
}

function causeOf(error: unknown): StoreAnswer | undefined {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof StoreAnswer ? cause : undefined
}

/** The SDK's error object holds requests, signatures and key ids: only its words go on. */
function troubleOf(error: SdkError, place: S3Place, action: string, key: string | undefined): Trouble {
  const status = error.$metadata?.httpStatusCode
  const code = error.code ?? (error.name === 'Error' || error.name === 'UnknownError' ? (error.Code ?? '') : error.name)
  const request = error.$metadata?.requestId
  const message = [code, status, error.message, request && `request ${request}`].filter(Boolean).join(', ')
  const what = key === undefined ? `s3://${place.bucket}/${place.root}` : `s3://${place.bucket}/${place.root}${key}`
  return {code, status, error, place, action, what, key, rest: {cause: new StoreAnswer(message, code, status, error.$metadata?.attempts ?? 1)}}
}

const storeOf = ({place}: Trouble) => place.endpoint ?? `S3 in ${place.region}`

const accessDenied: Told = ({what, action, key, rest}) =>
  key === undefined || action.startsWith('s3:Put') || action.startsWith('s3:Delete') || action.startsWith('s3:Abort')
    ? denied(`Access denied: ${action} on ${what}.`, {...rest, hints: [`Allow ${action} to the credentials in use, or choose others (AWS_PROFILE).`]})
    : denied(`${what} is missing or not permitted (${action}).`, {...rest, hints: [`Allow ${action} and s3:ListBucket: without s3:ListBucket a missing key is answered with 403.`]})

const signInAgain: Told = ({rest}) =>
  denied('The session token of the AWS credentials is expired or not valid.', {...rest, hints: ['Sign in again (aws sso login), or renew AWS_SESSION_TOKEN with its key pair.']})

const wrongRegion: Told = ({place, error, rest}) => {
  const region = error.$response?.headers?.['x-amz-bucket-region'] ?? error.Region ?? /expecting '([^']+)'/.exec(error.message)?.[1]
  const where = region === undefined ? 'another region' : region
  return unreachableError('storage.wrong-region', `The bucket ${place.bucket} is in ${where}, not in ${place.region}.`, {...rest, hints: [`Set the region of the storage (AWS_REGION) to ${where}.`]})
}

/** A HEAD has no body that could say it. */
const elsewhere = ({status, error, place}: Trouble): Told | undefined => {
  const region = error.$response?.headers?.['x-amz-bucket-region']
  return (status === 301 || status === 400) && region !== undefined && region !== place.region ? wrongRegion : undefined
}

const noSuchBucket: Told = (trouble) =>
  noBucket(`The bucket ${trouble.place.bucket} does not exist (${storeOf(trouble)}).`, {...trouble.rest, hints: ['Check the bucket (AWS_S3_BUCKET), the endpoint and the profile, or create the bucket.']})

const missing: Told = (trouble) => (trouble.key === undefined ? noSuchBucket(trouble) : notFound(trouble.what, trouble.rest))

const otherDigest: Told = ({what, rest}) => corrupt(`The store received other bytes than were sent for ${what}.`, {...rest, hints: ['Something on the way changes data: check proxies and the memory of this machine.']})

const busy: Told = (trouble) =>
  unreachable(`${storeOf(trouble)} kept answering ${trouble.code} (${trouble.error.$metadata?.attempts ?? 1} attempts).`, {...trouble.rest, hints: ['Try again later; lower the number of jobs when the store throttles.']})

const noCredentials: Told = ({place, rest}) => {
  const profile = place.profile ?? process.env['AWS_PROFILE']
  return profile === undefined || profile === ''
    ? denied('No AWS credentials were found.', {...rest, hints: ['Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role.']})
    : denied(`The AWS profile "${profile}" does not exist or gives no credentials.`, {...rest, hints: ['aws configure list-profiles shows the profiles; aws sso login renews one of single sign-on.']})
}

const byCode: Readonly<Record<string, Told>> = {
  AccessDenied: accessDenied,
  AllAccessDisabled: accessDenied,
  AccountProblem: accessDenied,
  InvalidAccessKeyId: ({rest}) => denied('The store does not know the access key id.', {...rest, hints: ['Check AWS_ACCESS_KEY_ID or the profile (AWS_PROFILE), and that they belong to this endpoint.']}),
  SignatureDoesNotMatch: ({rest}) => denied('The secret access key does not fit the access key id.', {...rest, hints: ['Check AWS_SECRET_ACCESS_KEY or the profile (AWS_PROFILE).']}),
  ExpiredToken: signInAgain,
  ExpiredTokenException: signInAgain,
  InvalidToken: signInAgain,
  TokenRefreshRequired: signInAgain,
  RequestTimeTooSkewed: ({rest}) => denied("This machine's clock differs too much from the store's.", {...rest, hints: ['Set the clock (timedatectl set-ntp true).']}),
  NoSuchBucket: noSuchBucket,
  NoSuchKey: missing,
  NotFound: missing,
  NoSuchUpload: ({what, rest}) => unreachable(`The upload of ${what} is gone from the store.`, {...rest, hints: ['A lifecycle rule or another run has aborted it: run the backup again.']}),
  PermanentRedirect: wrongRegion,
  AuthorizationHeaderMalformed: wrongRegion,
  IllegalLocationConstraintException: wrongRegion,
  PreconditionFailed: ({what, rest}) => alreadyExists(what, rest),
  BadDigest: otherDigest,
  XAmzContentSHA256Mismatch: otherDigest,
  XAmzContentChecksumMismatch: otherDigest,
  InvalidObjectState: ({what, rest}) => unreachable(`${what} lies in an archive storage class.`, {...rest, hints: ['Bring it back first: aws s3api restore-object.']}),
  QuotaExceeded: ({what, rest}) => full(`The store's quota is used up: ${what}.`, {...rest, hints: ['Raise the quota, or remove backups that are no longer needed.']}),
  CredentialsProviderError: noCredentials,
  TokenProviderError: signInAgain,
}

const byStatus: Readonly<Record<number, Told>> = {
  301: wrongRegion,
  403: accessDenied,
  404: missing,
  412: ({what, rest}) => alreadyExists(what, rest),
  429: busy,
  500: busy,
  502: busy,
  503: busy,
  504: busy,
}

const network: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refused the connection',
  ENOTFOUND: 'has no address (DNS)',
  EAI_AGAIN: 'has no address (DNS is not answering)',
  ECONNRESET: 'cut the connection',
  EPIPE: 'cut the connection',
  ETIMEDOUT: 'did not answer in time',
  TimeoutError: 'did not answer in time',
  EHOSTUNREACH: 'cannot be reached from this machine',
  ENETUNREACH: 'cannot be reached from this machine',
}

function networkTold({code, error}: Trouble): Told | undefined {
  const certificate = /CERT|SIGNATURE|TLS|SSL|EPROTO/.test(code)
  const verb = network[code] ?? (certificate ? `has a certificate or TLS setup that is not accepted (${error.message})` : undefined)
  if (verb === undefined) return undefined
  const hint = certificate ? 'Name the certificate authority in NODE_EXTRA_CA_CERTS, or correct the endpoint.' : 'Check the endpoint (AWS_ENDPOINT_URL_S3), the region and the network.'
  return (trouble) => unreachable(`${storeOf(trouble)} ${verb} (${trouble.error.$metadata?.attempts ?? 1} attempts).`, {...trouble.rest, hints: [hint]})
}

const untold: Told = (trouble) =>
  trouble.error.message.includes('Region is missing')
    ? noCredentials(trouble)
    : unreachable(`${storeOf(trouble)} answered ${trouble.code || 'something'}${trouble.status === undefined ? '' : ` (${trouble.status})`} to ${trouble.action} on ${trouble.what}: ${firstLine(trouble.error.message)}`, {
        ...trouble.rest,
        hints: ['Check that the endpoint speaks the S3 API and that the bucket, region and path style fit it.'],
      })

const firstLine = (text: string) => text.split('\n', 1)[0] ?? ''
