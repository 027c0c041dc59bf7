import {FaultRules, type Rule} from '../fault-rules.ts'
import {RdsError} from './rds-error.ts'

/** Every given field must agree. */
export interface RdsFaultMatch {
  /** The API's name, as `ModifyDBInstance`. */
  action?: string
  /** Of the instance that the request is about. */
  instance?: string
}

/**
 * What goes wrong. The request is authenticated first.
 * - `code`, `status`: an error reply; nothing is done.
 * - `endsAs`: the request is taken, and what it begins ends in this status.
 * - `cutAfter`: it is carried out, and the connection is cut in place of the reply.
 */
export type RdsFaultAction = {code: string; message?: string; status?: number} | {endsAs: string} | {cutAfter: true}

/** Of a rule that came over the wire. */
export function isRdsFaultAction(value: unknown): value is RdsFaultAction {
  if (typeof value !== 'object' || value === null) return false
  const {code, endsAs, cutAfter} = value as Record<string, unknown>
  return typeof code === 'string' || typeof endsAs === 'string' || cutAfter === true
}

export type RdsFaultRule = Rule<RdsFaultMatch, RdsFaultAction>

interface RdsFaultSubject {
  action: string
  instance: string | undefined
}

/** Faults of RDS by switch. */
export class RdsFaults extends FaultRules<RdsFaultMatch, RdsFaultAction, RdsFaultSubject> {
  constructor() {
    super((match, {action, instance}) => (match.action ?? action) === action && (match.instance ?? instance) === instance)
  }
}

/** What AWS says where nothing else is wanted. */
const MESSAGES: Readonly<Record<string, (action: string, arn: string) => string>> = {
  AccessDenied: (action, arn) => `User: arn:aws:iam::123456789012:user/operator is not authorized to perform: rds:${action} on resource: ${arn} because no identity-based policy allows the rds:${action} action`,
  ExpiredToken: () => 'The security token included in the request is expired',
  Throttling: () => 'Rate exceeded',
}

/** The error reply of a fault by its code. */
export function refusalBy({code, message, status}: {code: string; message?: string; status?: number}, action: string, arn: string): RdsError {
  const usual = /^(?:AccessDenied|ExpiredToken|InvalidClientTokenId|UnrecognizedClient)/.test(code) ? 403 : /^(?:Internal|ServiceUnavailable)/.test(code) ? 503 : /NotFound/.test(code) ? 404 : 400
  return new RdsError(code, message ?? MESSAGES[code]?.(action, arn) ?? 'A fault by switch.', status ?? usual)
}
