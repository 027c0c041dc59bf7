import type {Bucket, ObjectTraits, ObjectVersion, Retention} from './bucket.ts'
import {hasBodyDigest, receiveText} from './body.ts'
import type {Exchange, Headers, Reply} from './exchange.ts'
import {s3Error} from './s3-error.ts'
import {findVersion} from './find-version.ts'
import {parseXml, tag, textOf, xmlDocument} from './xml.ts'

const dayMs = 86_400_000
const root = 'ObjectLockConfiguration'

/** What holds a new object: its own headers, else the bucket's default retention. */
export function lockOfNewObject(exchange: Exchange): Pick<ObjectTraits, 'retention' | 'legalHold'> {
  const [mode, until, hold] = ['mode', 'retain-until-date', 'legal-hold'].map((name) => exchange.header(`x-amz-object-lock-${name}`))
  if (!exchange.bucket.settings.objectLock) {
    if (mode ?? until ?? hold) throw missingConfiguration()
    return {}
  }
  if ((mode === undefined) !== (until === undefined)) throw s3Error('InvalidArgument', 'x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied')
  const retention = mode === undefined ? defaultRetention(exchange.bucket) : toRetention(mode, until)
  if ((retention ?? hold) && exchange.request.method === 'PUT' && exchange.header('x-amz-copy-source') === undefined && !hasBodyDigest(exchange)) {
    throw s3Error('InvalidRequest', 'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters')
  }
  return {...(retention ? {retention} : {}), ...(hold === undefined ? {} : {legalHold: toHold(hold)})}
}

const missingConfiguration = () => s3Error('InvalidRequest', 'Bucket is missing Object Lock Configuration')

function defaultRetention(bucket: Bucket): Retention | undefined {
  const document = bucket.settings.documents['object-lock']
  if (document === undefined) return undefined
  const [mode, days, years] = ['Mode', 'Days', 'Years'].map((name) => textOf(parseXml(document, root), 'Rule', 'DefaultRetention', name))
  if (mode === undefined) return undefined
  return toRetention(mode, new Date(Date.now() + (Number(days ?? 0) + Number(years ?? 0) * 365) * dayMs).toISOString())
}

function toRetention(mode: string | undefined, until: string | undefined): Retention {
  const time = Date.parse(until ?? '')
  if ((mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') || Number.isNaN(time)) throw s3Error('MalformedXML', 'Unknown wormMode directive, or a date that is none.')
  if (time <= Date.now()) throw s3Error('InvalidArgument', 'The retain until date must be in the future!')
  return {mode, until: new Date(time).toISOString()}
}

function toHold(status: string | undefined): boolean {
  if (status !== 'ON' && status !== 'OFF') throw s3Error('InvalidArgument', 'Legal hold status must be either of ON or OFF')
  return status === 'ON'
}

const bypasses = (exchange: Exchange) => exchange.header('x-amz-bypass-governance-retention')?.toLowerCase() === 'true'

/** Throws when the version may not be deleted for good. */
export function checkNotLocked(exchange: Exchange, {retention, legalHold}: ObjectVersion): void {
  const held = retention && Date.parse(retention.until) > Date.now() && !(retention.mode === 'GOVERNANCE' && bypasses(exchange))
  if (held === true || legalHold === true) throw s3Error('AccessDenied', 'Access Denied because object protected by object lock.')
}

export function lockHeaders({retention, legalHold}: ObjectTraits): Headers {
  return {
    'x-amz-object-lock-mode': retention?.mode,
    'x-amz-object-lock-retain-until-date': retention?.until,
    'x-amz-object-lock-legal-hold': legalHold === undefined ? undefined : legalHold ? 'ON' : 'OFF',
  }
}

function lockable(exchange: Exchange): ObjectVersion {
  if (!exchange.bucket.settings.objectLock) throw missingConfiguration()
  return findVersion(exchange)
}

export async function putRetention(exchange: Exchange): Promise<Reply> {
  const version = lockable(exchange)
  const document = parseXml(await receiveText(exchange), 'Retention')
  const mode = textOf(document, 'Mode')
  const fresh = mode === undefined ? undefined : toRetention(mode, textOf(document, 'RetainUntilDate'))
  checkChange(exchange, version.retention, fresh)
  if (fresh) version.retention = fresh
  else delete version.retention
  exchange.bucket.save(version)
  return {}
}

/** Longer is always allowed; shorter, weaker or none only for GOVERNANCE with the bypass header. */
function checkChange(exchange: Exchange, old: Retention | undefined, fresh: Retention | undefined): void {
  if (!old || Date.parse(old.until) <= Date.now()) return
  const stronger = fresh && fresh.until >= old.until && (fresh.mode === old.mode || fresh.mode === 'COMPLIANCE')
  if (stronger === true || (old.mode === 'GOVERNANCE' && bypasses(exchange))) return
  throw s3Error('AccessDenied', 'Access Denied because object protected by object lock.')
}

export function getRetention(exchange: Exchange): Reply {
  const {retention} = lockable(exchange)
  if (!retention) throw s3Error('NoSuchObjectLockConfiguration', 'The specified object does not have a ObjectLock configuration')
  return {xml: xmlDocument('Retention', tag('Mode', retention.mode), tag('RetainUntilDate', retention.until))}
}

export async function putLegalHold(exchange: Exchange): Promise<Reply> {
  const version = lockable(exchange)
  version.legalHold = toHold(textOf(parseXml(await receiveText(exchange), 'LegalHold'), 'Status'))
  exchange.bucket.save(version)
  return {}
}

export function getLegalHold(exchange: Exchange): Reply {
  const {legalHold} = lockable(exchange)
  if (legalHold === undefined) throw s3Error('NoSuchObjectLockConfiguration', 'The specified object does not have a ObjectLock configuration')
  return {xml: xmlDocument('LegalHold', tag('Status', legalHold ? 'ON' : 'OFF'))}
}

export async function putLockConfiguration(exchange: Exchange): Promise<Reply> {
  const {bucket} = exchange
  const text = await receiveText(exchange)
  if (textOf(parseXml(text, root), 'ObjectLockEnabled') !== 'Enabled') throw s3Error('MalformedXML', 'ObjectLockEnabled must be Enabled')
  if (bucket.settings.versioning !== 'Enabled') throw s3Error('InvalidBucketState', "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
  bucket.settings.objectLock = true
  bucket.settings.documents['object-lock'] = text
  bucket.saveSettings()
  return {}
}

export function getLockConfiguration({bucket}: Exchange): Reply {
  if (!bucket.settings.objectLock) throw s3Error('ObjectLockConfigurationNotFoundError', 'Object Lock configuration does not exist for this bucket')
  return {xml: bucket.settings.documents['object-lock'] ?? xmlDocument(root, tag('ObjectLockEnabled', 'Enabled'))}
}
