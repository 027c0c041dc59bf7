export interface Rule<Match, Action> {
  match: Match
  /** How many requests it meets. */
  times: number
  action: Action
}

/** Faults by switch. Of several rules that match a request, the first that has times left acts. */
export class FaultRules<Match, Action, Subject> {
  readonly #matches: (match: Match, subject: Subject) => boolean
  #rules: Rule<Match, Action>[] = []

  constructor(matches: (match: Match, subject: Subject) => boolean) {
    this.#matches = matches
  }

  /** The rules with the times that each has left. */
  get rules(): readonly Rule<Match, Action>[] {
    return this.#rules.map((rule) => ({...rule}))
  }

  add(...rules: readonly Rule<Match, Action>[]): void {
    this.#rules.push(...rules.map((rule) => ({...rule})))
  }

  clear(): void {
    this.#rules = []
  }

  /** The action for this request, if any; it counts as used. */
  take(subject: Subject): Action | undefined {
    const rule = this.#rules.find(({match, times}) => times > 0 && this.#matches(match, subject))
    if (!rule) return undefined
    rule.times--
    return rule.action
  }
}
