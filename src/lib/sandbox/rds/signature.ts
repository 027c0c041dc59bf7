import type {IncomingMessage} from 'node:http'
import {canonicalRequest, hmac, parseAuthorization, sameText, sha256Hex, signingKeyFor, type Credentials} from '../s3/signature.ts'
import {RdsError} from './rds-error.ts'

const ALLOWED_SKEW_MS = 15 * 60 * 1000

/** Checks a request's header signature (version 4, service `rds`); throws the error that AWS gives. */
export function authenticate(request: IncomingMessage, body: string, credentials: Credentials, region: string): void {
  const {accessKeyId, scope, signedHeaders, signature} = authorizationOf(request)
  if (accessKeyId !== credentials.accessKeyId) throw new RdsError('InvalidClientTokenId', 'The security token included in the request is invalid.', 403)
  const [, inRegion, service, end] = scope
  if (inRegion !== region || service !== 'rds' || end !== 'aws4_request') throw new RdsError('SignatureDoesNotMatch', `Credential should be scoped to region '${region}' and service 'rds'.`, 403)
  const date = request.headers['x-amz-date']
  if (typeof date !== 'string') throw new RdsError('IncompleteSignature', 'Authorization header requires existence of either a X-Amz-Date or a Date header.')
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date)?.map(Number) ?? []
  const [year = 0, month = 1, ...rest] = parts
  if (Math.abs(Date.now() - Date.UTC(year, month - 1, ...rest)) > ALLOWED_SKEW_MS) throw new RdsError('SignatureDoesNotMatch', `Signature expired: ${date} is too far from the present.`, 403)
  const canonical = canonicalRequest(request, {path: '/', query: []}, signedHeaders, sha256Hex(body))
  const text = ['AWS4-HMAC-SHA256', date, scope.join('/'), sha256Hex(canonical)].join('\n')
  if (sameText(hmac(signingKeyFor(credentials.secretAccessKey, scope), text).toString('hex'), signature)) return
  throw new RdsError('SignatureDoesNotMatch', 'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.', 403)
}

function authorizationOf({headers}: IncomingMessage): ReturnType<typeof parseAuthorization> {
  if (headers.authorization === undefined) throw new RdsError('MissingAuthenticationToken', 'Request is missing Authentication Token', 403)
  try {
    return parseAuthorization(headers.authorization)
  } catch {
    throw new RdsError('IncompleteSignature', 'The Authorization header is malformed.')
  }
}
