import {FaultRules} from '../fault-rules.ts'

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
