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

/** Where a detached server takes its faults: POST replaces all rules, GET tells them, DELETE clears them. */
export const faultsPath = '/__faults'
/** Holds the secret key of the sandbox. */
export const secretHeader = 'x-sandbox-secret'

/** What a request to `faultsPath` asks for. False when its body is no list of rules. */
export function changeRules<Match, Action, Subject>(faults: FaultRules<Match, Action, Subject>, method: string | undefined, body: string, isAction: (value: unknown) => value is Action): boolean {
  if (method === 'DELETE') faults.clear()
  if (method !== 'POST') return true
  const rules = parseRules<Match, Action>(body, isAction)
  if (!rules) return false
  faults.clear()
  faults.add(...rules)
  return true
}

function parseRules<Match, Action>(text: string, isAction: (value: unknown) => value is Action): Rule<Match, Action>[] | undefined {
  let rules: unknown
  try {
    rules = JSON.parse(text)
  } catch {
    return undefined
  }
  const isRule = (value: unknown): value is Rule<Match, Action> => {
    if (typeof value !== 'object' || value === null || !('match' in value) || !('times' in value) || !('action' in value)) return false
    return typeof value.match === 'object' && value.match !== null && typeof value.times === 'number' && isAction(value.action)
  }
  return Array.isArray(rules) && rules.every(isRule) ? rules : undefined
}
