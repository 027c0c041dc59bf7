import {invalidValue, RdsError} from './rds-error.ts'

/** The parameters of a request in the query protocol: `Tags.Tag.1.Key=a&Tags.Tag.1.Value=b&MultiAZ=true`. */
export class Form {
  readonly #values: ReadonlyMap<string, string>
  readonly #read = new Set<string>()

  constructor(values: ReadonlyMap<string, string>) {
    this.#values = values
  }

  static parse(body: string): Form {
    return new Form(new Map(new URLSearchParams(body)))
  }

  text(name: string): string | undefined {
    this.#read.add(name)
    return this.#values.get(name)
  }

  required(name: string): string {
    const value = this.text(name)
    if (value === undefined || value === '') throw invalidValue(`The parameter ${name} must be provided and must not be blank.`)
    return value
  }

  boolean(name: string): boolean | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    if (value !== 'true' && value !== 'false') throw invalidValue(`${name} must be true or false.`)
    return value === 'true'
  }

  integer(name: string): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    if (!/^\d+$/.test(value)) throw invalidValue(`${name} must be a whole number.`)
    return Number(value)
  }

  date(name: string): Date | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    const at = new Date(value)
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value) || Number.isNaN(at.getTime())) throw invalidValue(`${name} must be a time in UTC, as 2026-11-22T07:11:19Z.`)
    return at
  }

  /** `VpcSecurityGroupIds.VpcSecurityGroupId.1`; undefined when there is none. */
  texts(name: string, member: string): string[] | undefined {
    const found = this.#numbered(name, member, '').map((path) => this.required(path))
    return found.length === 0 ? undefined : found
  }

  /** `Tags.Tag.1.Key`; undefined when there is none. */
  objects(name: string, member: string): Form[] | undefined {
    const found = this.#numbered(name, member, '.').map((path) => this.#below(path))
    return found.length === 0 ? undefined : found
  }

  /** Throws when there are parameters that nobody asked for: a client that sends one expects something that is not done here. */
  assertAllRead(): void {
    const unread = [...this.#values.keys()].filter((name) => !this.#read.has(name))
    if (unread.length > 0) throw new RdsError('NotImplemented', `The sandbox does not know these parameters: ${unread.join(', ')}.`, 501)
  }

  #numbered(name: string, member: string, end: string): string[] {
    const prefix = `${name}.${member}.`
    const numbers = [...this.#values.keys()].filter((key) => key.startsWith(prefix)).map((key) => Number.parseInt(key.slice(prefix.length), 10))
    return [...new Set(numbers)].toSorted((a, b) => a - b).map((number) => `${prefix}${number}${end}`)
  }

  #below(path: string): Form {
    const within = [...this.#values].filter(([key]) => key.startsWith(path))
    for (const [key] of within) this.#read.add(key)
    return new Form(new Map(within.map(([key, value]) => [key.slice(path.length), value])))
  }
}
