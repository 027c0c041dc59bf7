import {DrError, ExitCode} from '../errors.ts'
import type {RdsPlace} from './client.ts'

/** What was asked of the API when it refused. */
export interface Asked {
  /** Of the API: `ModifyDBInstance`; the permission is `rds:` and this. */
  action: string
  /** The instance, or whatever else it is about. */
  instance?: string | undefined
  /** The input, to name a field that was refused. */
  sent?: object
}

interface Told {
  code: string
  exitCode: ExitCode
  message: string
  hints: readonly string[]
}

type Teller = (asked: Asked, said: string, place: RdsPlace) => Told

/**
 * Whether the API asked to slow down: then to ask again later is right. Of the error that the SDK throws, and of what
 * `rdsError` made of it.
 */
export const isThrottled = (error: unknown): boolean => error instanceof Error && (THROTTLED.includes(error.name) || (error instanceof DrError && error.code === 'rds.throttled'))

/** What the SDK throws, as something that an operator can act on. Its own object holds requests and key ids: only its words go on. */
export function rdsError(error: unknown, asked: Asked, place: RdsPlace): Error {
  if (error instanceof DrError || !(error instanceof Error) || error.name === 'AbortError') return error as Error
  const {name, message} = error
  const {code, exitCode, message: told, hints} = tellerOf(error)(asked, saidBy(error), place)
  return new DrError(code, told, {exitCode, hints, cause: new Error(`${name}: ${message}`)})
}

/** The words for a fault that is known without asking: by its name. */
export const refusalOf = (name: string, asked: Asked, place: RdsPlace): Error => rdsError(Object.assign(new Error(''), {name}), asked, place)

function tellerOf(error: Error): Teller {
  const {name, message} = error
  if (isClock(name, message)) return clock
  if (name in FAULTS) return FAULTS[name] ?? unknown(name)
  if (/^AccessDenied|^UnauthorizedOperation|^NotAuthorized/.test(name)) return denied
  if (/^ExpiredToken|^InvalidClientTokenId|^UnrecognizedClient|^SignatureDoesNotMatch|^InvalidSignature|^InvalidAccessKeyId|^MissingAuthentication|^IncompleteSignature|^OptInRequired/.test(name)) return credentials(name)
  if (/^CredentialsProviderError|^TokenProviderError/.test(name)) return noCredentials
  if (THROTTLED.includes(name)) return throttled
  if (/Region is missing/.test(message)) return noRegion
  return isNetwork(error) ? unreachable : unknown(name)
}

const THROTTLED = ['Throttling', 'ThrottlingException', 'RequestLimitExceeded', 'TooManyRequestsException', 'RequestThrottled', 'RequestThrottledException', 'SlowDown']

/** Of a reply that did not come from RDS. */
export const NOT_RDS = 'NotRds'

/** The SDK's reader names itself and asks for its own debugging in more lines. */
function saidBy(error: Error): string {
  const {httpStatusCode: status} = (error as SdkError).$metadata ?? {}
  const isForeign = isUnreadable(error) && status !== undefined && status >= 300
  return isForeign ? `it answered ${status}, not as RDS does` : (error.message.split('\n', 1)[0] ?? '').replace('@aws-sdk XML parse error', 'its reply is no whole XML')
}

type SdkError = Error & {code?: string; $metadata?: {httpStatusCode?: number}}

/** What a proxy answers, or what is left of a reply that was cut off. */
const isUnreadable = ({name, message}: Error): boolean => name === NOT_RDS || name === 'Unknown' || /XML parse error/.test(message)

/** Query services tell it as a signature that has expired, or that is not valid yet. */
const isClock = (name: string, message: string): boolean => /^Request(Expired|InTheFuture|TimeTooSkewed)/.test(name) || /^Signature (expired|not yet current)/.test(message)

const isNetwork = (error: Error): boolean => {
  const {code = '', $metadata} = error as SdkError
  return isUnreadable(error) || /^(ECONN|ENOTFOUND|EAI_|EHOST|ENET|EPIPE|ETIMEDOUT|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/.test(code) || ['TimeoutError', 'NetworkingError'].includes(error.name) || ($metadata?.httpStatusCode ?? 0) >= 500 || /socket hang up|stream ended|Unexpected end|^aborted$/i.test(error.message)
}

const whereOf = ({region, endpoint}: RdsPlace): string => endpoint ?? (region === undefined ? 'RDS' : `RDS in ${region}`)

/** AWS names both in its message: `User: ARN is not authorized to perform: rds:X on resource: ARN`. */
const denied: Teller = ({action}, said) => {
  const [, caller] = /User: (\S+)/.exec(said) ?? []
  const [, permission = `rds:${action}`] = /perform: ([\w-]+:\w+)/.exec(said) ?? []
  const [, resource] = /resource: (\S+)/.exec(said) ?? []
  return {
    code: 'rds.denied', exitCode: ExitCode.unreachable, message: `AWS denies ${permission}${resource === undefined ? '' : ` on ${resource}`}${caller === undefined ? '' : ` to ${caller}`}.`,
    hints: [`Allow ${permission} to the role in use: docs/iam holds the policies.`, 'aws sts get-caller-identity shows whose credentials these are.'],
  }
}

const credentials = (name: string): Teller => () => ({
  code: 'rds.credentials', exitCode: ExitCode.unreachable, message: /Expired/.test(name) ? 'The session of the AWS credentials has expired.' : `AWS does not take the credentials (${name}).`,
  hints: ['Sign in again (aws sso login), or set AWS_PROFILE or the keys anew.', 'What was begun at AWS goes on: dr pitr resume takes it up.'],
})

const clock: Teller = () => ({
  code: 'rds.credentials', exitCode: ExitCode.unreachable, message: 'This machine’s clock differs too much from that of AWS.',
  hints: ['Set the clock (timedatectl set-ntp true).', 'What was begun at AWS goes on: dr pitr resume takes it up.'],
})

const noCredentials: Teller = (_asked, said) => ({
  code: 'rds.credentials', exitCode: ExitCode.unreachable, message: /profile/i.test(said) ? said.replace(/\.?$/, '.') : 'No AWS credentials were found.',
  hints: ['Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role.', 'What was begun at AWS goes on: dr pitr resume takes it up.'],
})

const noRegion: Teller = () => ({code: 'rds.region', exitCode: ExitCode.preflight, message: 'No AWS region is known.', hints: ['Set rds.region or AWS_REGION; of a profile that does not exist (AWS_PROFILE) there is none either.']})

const throttled: Teller = (_asked, _said, place) => ({code: 'rds.throttled', exitCode: ExitCode.unreachable, message: `${whereOf(place)} asks to slow down.`, hints: ['Wait a minute, then run the command again; dr pitr resume takes up what was begun.']})

const unreachable: Teller = (_asked, said, place) => ({
  code: 'rds.unreachable', exitCode: ExitCode.unreachable, message: `${whereOf(place)} cannot be reached: ${said}`,
  hints: ['Check the network, a proxy, rds.region and rds.endpoint (AWS_ENDPOINT_URL_RDS).', 'What was begun at AWS goes on: dr pitr resume takes it up.'],
})

const unknown = (name: string): Teller => ({action}, said) => ({code: 'rds.refused', exitCode: ExitCode.preflight, message: `RDS refuses ${action} (${name}): ${said}`, hints: ['dr pitr plan shows what is sent.']})

/** A field of the request that names something which is not there or does not fit, and the flag that puts another in its place. */
const field = (what: string, names: readonly string[], hint: string): Teller => ({sent = {}}, said) => {
  const values = names.flatMap((name) => (name in sent ? [`${name} ${JSON.stringify((sent as Record<string, unknown>)[name])}`] : []))
  return {code: 'rds.setting', exitCode: ExitCode.preflight, message: `${what}${values.length === 0 ? '' : ` (${values.join(', ')})`}: ${said}`, hints: [hint]}
}

const refused = (code: string, exitCode: ExitCode, message: (asked: Asked, place: RdsPlace) => string, ...hints: string[]): Teller => (asked, said, place) => ({code, exitCode, message: `${message(asked, place)} ${said}`.trim(), hints})

const noInstance = refused('rds.no-instance', ExitCode.preflight, ({instance = 'the instance'}, place) => `There is no instance ${instance} in ${whereOf(place)}.`, 'Check rds.instance, rds.region and the profile; aws sts get-caller-identity shows the account.', 'If it was deleted: dr pitr list shows the backups that AWS retained, and --source-resource-id restores from one.')
const quota = refused('rds.quota', ExitCode.preflight, () => 'A quota of the account is used up:', 'dr pitr list shows copies that dr made; dr pitr cleanup removes those that are not needed.', 'Or have the quota raised: aws service-quotas list-service-quotas --service-code rds')
const otherClass = 'Restore again with another --class, or wait.'
const state = refused('rds.state', ExitCode.preflight, ({instance = 'the instance', action}) => `${instance} is not in a state for ${action}:`, 'Wait until it is available, then run the command again; dr pitr list shows its status.')
const groups = 'Name another one with --subnet-group, or make it anew (aws rds describe-db-subnet-groups).'

/** Every fault that the SDK's model names for the actions of `api.ts`, and those that the service gives besides. By the error's `name`. */
export const FAULTS: Readonly<Record<string, Teller>> = {
  DBInstanceNotFoundFault: noInstance,
  DBInstanceAlreadyExistsFault: refused('rds.exists', ExitCode.preflight, ({sent, instance = ''}) => `There is an instance of that name already: ${(sent as {TargetDBInstanceIdentifier?: string; NewDBInstanceIdentifier?: string} | undefined)?.TargetDBInstanceIdentifier ?? (sent as {NewDBInstanceIdentifier?: string} | undefined)?.NewDBInstanceIdentifier ?? instance}.`, 'Choose another name with --target; dr pitr resume goes on with one that dr made.'),
  DBInstanceRoleAlreadyExistsFault: refused('rds.exists', ExitCode.preflight, ({instance = ''}) => `${instance} has that role already.`, 'aws rds describe-db-instances shows its roles.'),
  PointInTimeRestoreNotEnabledFault: refused('rds.no-pitr', ExitCode.preflight, ({instance = 'the instance'}) => `${instance} has no automated backups (its retention is 0 days): there is no point-in-time recovery.`, 'dr restore takes the newest logical backup; aws rds restore-db-instance-from-db-snapshot takes a snapshot.'),
  DBInstanceAutomatedBackupNotFoundFault: refused('rds.no-backup', ExitCode.preflight, ({instance = 'this source'}) => `There is no automated backup of ${instance}.`, 'dr pitr list shows those that there are.'),
  DBInstanceAutomatedBackupQuotaExceededFault: quota,
  InvalidParameterValue: field('RDS does not take a value', ['RestoreTime', 'TargetDBInstanceIdentifier', 'NewDBInstanceIdentifier'], 'A time must lie in the window that dr pitr list shows.'),
  InvalidRestoreFault: field('RDS cannot restore so', ['RestoreTime', 'DBSubnetGroupName', 'VpcSecurityGroupIds'], 'A time must lie in the window that dr pitr list shows, and the groups in one VPC (--subnet-group, --security-group).'),
  InvalidParameterCombination: field('RDS does not take these values together', ['Iops', 'StorageThroughput', 'MultiAZ', 'SkipFinalSnapshot'], 'If it is protected against deletion: aws rds modify-db-instance --no-deletion-protection, when you are sure.'),
  InvalidDBInstanceStateFault: state, InvalidDBInstanceState: state, InvalidDBClusterStateFault: state, InvalidDBProxyStateFault: state, InvalidDBSecurityGroupStateFault: state,
  DBSubnetGroupNotFoundFault: field('The subnet group is gone', ['DBSubnetGroupName'], groups),
  DBSubnetGroupDoesNotCoverEnoughAZs: field('The subnet group covers too few zones', ['DBSubnetGroupName'], groups),
  InvalidSubnet: field('The subnet group does not fit', ['DBSubnetGroupName'], groups),
  InvalidVPCNetworkStateFault: field('The network does not fit', ['DBSubnetGroupName', 'VpcSecurityGroupIds'], groups),
  DBParameterGroupNotFoundFault: field('The parameter group is gone', ['DBParameterGroupName'], 'Name another one with --parameter-group; a saved configuration (dr config snapshot) holds what was set in it.'),
  OptionGroupNotFoundFault: field('The option group is gone', ['OptionGroupName'], 'Name another one with --option-group.'),
  DBSecurityGroupNotFoundFault: field('A security group is gone', ['VpcSecurityGroupIds'], 'Name others with --security-group.'),
  AuthorizationNotFoundFault: field('A security group is not authorized', ['VpcSecurityGroupIds'], 'Name others with --security-group.'),
  InstanceQuotaExceededFault: quota, StorageQuotaExceededFault: quota, SnapshotQuotaExceededFault: quota, TenantDatabaseQuotaExceededFault: quota, DBInstanceRoleQuotaExceededFault: quota,
  InsufficientDBInstanceCapacityFault: field('AWS has no capacity for this class now', ['DBInstanceClass'], otherClass),
  ProvisionedIopsNotAvailableInAZFault: field('These Iops are not to be had here', ['StorageType', 'Iops'], otherClass),
  StorageTypeNotSupportedFault: field('The storage type does not fit', ['StorageType', 'DBInstanceClass'], otherClass),
  NetworkTypeNotSupported: field('The network type does not fit', ['NetworkType', 'DBSubnetGroupName'], groups),
  KMSKeyNotAccessibleFault: refused('rds.key', ExitCode.unreachable, ({instance = 'the instance'}) => `The KMS key of ${instance} cannot be used:`, 'Enable it or grant it to the role in use: aws kms describe-key, aws kms list-grants'),
  CertificateNotFoundFault: field('The certificate authority is gone', ['CACertificateIdentifier'], 'aws rds describe-certificates shows those that there are; set one of them at the source, then plan again.'),
  DomainNotFoundFault: field('The domain is gone', ['Domain', 'DomainFqdn'], 'The source names a domain that is not there any more: take it from the source, then plan again.'),
  BackupPolicyNotFoundFault: field('The backup policy is gone', ['BackupRetentionPeriod'], 'Take the source out of that policy of AWS Backup, then plan again.'),
  VpcEncryptionControlViolationException: field('The VPC demands encryption in transit', ['DBInstanceClass', 'DBSubnetGroupName'], 'Restore with a --class or --subnet-group that the VPC’s encryption control allows.'),
  DBCapacityReservationNotFoundFault: field('The capacity reservation is gone', ['DBInstanceClass'], otherClass),
  InvalidDBCapacityReservationStateFault: field('The capacity reservation cannot be used', ['DBInstanceClass'], otherClass),
  DBUpgradeDependencyFailureFault: state,
  DBSnapshotAlreadyExistsFault: refused('rds.exists', ExitCode.preflight, ({instance = ''}) => `There is a snapshot of that name already (of ${instance}).`, 'Run the command again: a new run takes a new name.'),
  DBSnapshotNotFoundFault: refused('rds.no-snapshot', ExitCode.preflight, ({instance = ''}) => `There is no snapshot ${instance}.`, 'aws rds describe-db-snapshots shows those that there are.'),
  DBProxyNotFoundFault: refused('rds.no-proxy', ExitCode.preflight, ({instance = ''}) => `There is no proxy ${instance}.`, 'Check rds.proxy; aws rds describe-db-proxies shows those that there are.'),
  DBProxyTargetGroupNotFoundFault: refused('rds.no-proxy', ExitCode.preflight, ({instance = ''}) => `The proxy ${instance} has no default target group.`, 'aws rds describe-db-proxy-target-groups'),
  DBProxyTargetNotFoundFault: refused('rds.no-proxy', ExitCode.preflight, ({instance = ''}) => `${instance} is no target of the proxy.`, 'aws rds describe-db-proxy-targets shows what is.'),
  DBProxyTargetAlreadyRegisteredFault: refused('rds.exists', ExitCode.preflight, ({instance = ''}) => `${instance} is a target of the proxy already.`, 'aws rds describe-db-proxy-targets shows what is.'),
  InsufficientAvailableIPsInSubnetFault: field('The subnets have no free addresses', ['DBSubnetGroupName'], groups),
}
