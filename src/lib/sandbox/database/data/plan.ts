import type {Table} from '../schema/notation.ts'
import {of, saltOf, uuid} from './random.ts'

export interface SampleSize {
  /** Rows of the five heavy tables together. */
  rows: number
  tenants: number
  /** The same seed gives the same rows. */
  seed: number
}

/** The heavy tables and their parts of the rows, as measured on the application's database. */
export const HEAVY: Readonly<Record<string, number>> = {calls: 1.2, audit_logs: 0.8, leads: 0.6, webhook_events: 0.3, contacts: 0.3}
const HEAVY_TOTAL = Object.values(HEAVY).reduce((sum, part) => sum + part, 0)

/**
 * Who owns which row. Every table repeats one pattern of tenants, larger tenants holding more places in it, so that a row
 * can point at a row of its own tenant in any other table without looking it up.
 */
export class SamplePlan {
  readonly size: SampleSize
  readonly counts: ReadonlyMap<string, number>
  readonly #pattern: readonly number[]
  readonly #places: readonly (readonly number[])[]
  readonly #salts = new Map<string, number>()

  constructor(size: SampleSize, tables: readonly Table[]) {
    this.size = size
    this.#pattern = patternOf(size.tenants)
    this.#places = Array.from({length: size.tenants}, (_, tenant) => this.#pattern.flatMap((owner, place) => (owner === tenant ? [place] : [])))
    this.counts = new Map(tables.map((table) => [table.name, this.#count(table)]))
  }

  count(table: string): number {
    return this.counts.get(table) ?? 0
  }

  tenantOf(index: number): number {
    return of(this.#pattern, index)
  }

  salt(name: string): number {
    const known = this.#salts.get(name)
    if (known !== undefined) return known
    const salt = saltOf(this.size.seed, name)
    this.#salts.set(name, salt)
    return salt
  }

  id(table: string, index: number): string {
    return uuid(this.salt(table), index)
  }

  /** A row of the table that belongs to the tenant, chosen by `number`. */
  pick(table: string, tenant: number, number: number): number {
    const places = this.#places[tenant] ?? []
    const rounds = Math.floor(this.count(table) / this.#pattern.length)
    return (number % rounds) * this.#pattern.length + of(places, number >>> 7)
  }

  /** A row of the same table and tenant that comes earlier, or undefined. */
  earlier(index: number): number | undefined {
    return index >= this.#pattern.length ? index - this.#pattern.length : undefined
  }

  #count({name, perTenant, key, columns}: Table): number {
    if (name === 'tenants') return this.size.tenants
    if (HEAVY[name] !== undefined) return this.#heavyCount(name)
    const count = Math.ceil((perTenant * this.size.tenants) / this.#pattern.length) * this.#pattern.length
    // A link table has one row for each row that its key begins with.
    const linked = key.length > 1 ? columns.find((column) => column.name === key[0])?.references?.table : undefined
    return linked !== undefined && HEAVY[linked] !== undefined ? Math.min(count, this.#heavyCount(linked)) : count
  }

  #heavyCount(name: string): number {
    return Math.max(Math.round((this.size.rows * (HEAVY[name] ?? 0)) / HEAVY_TOTAL), this.#pattern.length)
  }
}

/** Tenant 0 is by far the largest; each has at least one place. */
function patternOf(tenants: number): number[] {
  const shares = Array.from({length: tenants}, (_, tenant) => Math.max(1, Math.round((tenants * 1.2) / (tenant + 2))))
  const left = [...shares]
  const pattern: number[] = []
  while (left.some((places) => places > 0)) {
    for (const [tenant, places] of left.entries()) {
      if (places === 0) continue
      pattern.push(tenant)
      left[tenant] = places - 1
    }
  }
  return pattern
}
