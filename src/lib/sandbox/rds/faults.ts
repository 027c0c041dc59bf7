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

export interface RdsFaultRule {
  match: RdsFaultMatch
  /** How many requests it meets. */
  times: number
  action: RdsFaultAction
}

/** Faults by switch. Of several rules that match, the first that has times left acts. */
export class RdsFaults {
  #rules: RdsFaultRule[] = []

  add(...rules: readonly RdsFaultRule[]): void {
    this.#rules.push(...rules.map((rule) => ({...rule})))
  }

  clear(): void {
    this.#rules = []
  }

  /** The action for this request, if any; it counts as used. */
  take(action: string, instance: string | undefined): RdsFaultAction | undefined {
    const rule = this.#rules.find(({match, times}) => times > 0 && (match.action ?? action) === action && (match.instance ?? instance) === instance)
    if (!rule) return undefined
    rule.times--
    return rule.action
  }
}
