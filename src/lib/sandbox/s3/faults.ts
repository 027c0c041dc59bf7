import {FaultRules, type Rule} from '../fault-rules.ts'

/** Every given field must agree. `operation` is S3's name, as `UploadPart`. */
export interface FaultMatch {
  method?: string
  keyContains?: string
  operation?: string
}

/**
 * What goes wrong. The request is authenticated first.
 * - `status`, `code`: an error reply; nothing is done.
 * - `cutAfterBytes`: the connection is destroyed after so many bytes of the request's body. A request whose whole body is shorter
 *   is carried out, and cut in place of the reply. Without a body in the request: after so many bytes of the reply's body.
 * - `hangMs`: nothing happens for so long, then the request goes on as usual.
 * - `corrupt`: one byte is flipped in what is stored (after the checksums were found right), or in what is returned.
 * - `truncate`: the reply has its full Content-Length, but the connection is destroyed after so many bytes.
 */
export type FaultAction =
  | {status: number; code: string; message?: string}
  | {cutAfterBytes: number}
  | {hangMs: number}
  | {corrupt: 'flip-byte'}
  | {truncate: number}

export type FaultRule = Rule<FaultMatch, FaultAction>

export interface FaultSubject {
  method: string
  key: string
  operation: string
}

/** Faults of S3 by switch. */
export class Faults extends FaultRules<FaultMatch, FaultAction, FaultSubject> {
  constructor() {
    super(matches)
  }
}

function matches({method, keyContains, operation}: FaultMatch, subject: FaultSubject): boolean {
  return (method === undefined || method === subject.method) && (keyContains === undefined || subject.key.includes(keyContains)) && (operation === undefined || operation === subject.operation)
}

/** Of a rule that came over the wire. */
export function isFaultAction(value: unknown): value is FaultAction {
  if (typeof value !== 'object' || value === null) return false
  const action = value as Record<string, unknown>
  if (action.corrupt === 'flip-byte') return true
  if (typeof action.status === 'number') return typeof action.code === 'string'
  return ['cutAfterBytes', 'hangMs', 'truncate'].some((name) => typeof action[name] === 'number')
}
