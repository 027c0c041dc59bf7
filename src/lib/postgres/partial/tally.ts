import {rowsOf, type Client} from '../connection.ts'
import type {Comparison} from './contract.ts'
import {ACTING, type Act, type Plan, type Planned, type Spared} from './plan.ts'

interface Row {
  plan: number
  entry: number
  act: Act | Spared
  rows: number
  updates: number
  since: number
}

/** How many rows the plans hold, at one moment. */
export class Tally {
  readonly #rows: readonly Row[]
  readonly #plans: readonly Plan[]

  constructor(rows: readonly Row[], plans: readonly Plan[]) {
    this.#rows = rows
    this.#plans = plans
  }

  /** Rows of these acts; of one entry of the selection when it is given. */
  of(plan: Plan, acts: readonly (Act | Spared)[], entry?: number): number {
    return this.#sum(plan, acts, ({rows}) => rows, entry)
  }

  /** How often rows of these acts are updated. */
  updates(plan: Plan, acts: readonly Act[]): number {
    return this.#sum(plan, acts, ({updates}) => updates)
  }

  /** Rows of these acts that others wrote after the backup. */
  since(plan: Plan, acts: readonly (Act | Spared)[], entry: number): number {
    return this.#sum(plan, acts, ({since}) => since, entry)
  }

  touches(plan: Plan): boolean {
    return this.of(plan, ACTING) > 0
  }

  get isNothing(): boolean {
    return !this.#plans.some((plan) => this.touches(plan))
  }

  /** What is taken and changed by foreign keys. */
  get cascades(): Comparison['cascades'] {
    return this.#plans.map((plan) => ({table: plan.relation.table, deleted: this.of(plan, ['cascade-delete']), updated: this.of(plan, ['cascade-null'])})).filter(({deleted, updated}) => deleted + updated > 0)
  }

  #sum(plan: Plan, acts: readonly (Act | Spared)[], value: (row: Row) => number, entry?: number): number {
    const index = this.#plans.indexOf(plan)
    return this.#rows.filter((row) => row.plan === index && acts.includes(row.act) && (entry === undefined || row.entry === entry)).reduce((sum, row) => sum + value(row), 0)
  }
}

export async function tally(client: Client, {plans}: Planned): Promise<Tally> {
  const rows = plans.length === 0 ? [] : await rowsOf<Row>(client, plans.map(({sql}, index) =>
    `SELECT ${index} AS plan, entry, act, count(*)::float8 AS rows, sum(n)::float8 AS updates, count(*) FILTER (WHERE since)::float8 AS since FROM ${sql} GROUP BY entry, act`).join(' UNION ALL '))
  return new Tally(rows, plans)
}
