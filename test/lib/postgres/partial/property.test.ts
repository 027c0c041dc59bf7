import {expect} from 'chai'
import {DrError} from '../../../../src/lib/errors.ts'
import {connect, endQuietly, rowsOf, type Client} from '../../../../src/lib/postgres/connection.ts'
import {proveLinks} from '../../../../src/lib/postgres/partial/aftermath.ts'
import {compareSelection} from '../../../../src/lib/postgres/partial/compare.ts'
import type {Catalog, MergeMode, Predicate, Selection} from '../../../../src/lib/postgres/partial/contract.ts'
import {mergeSelection} from '../../../../src/lib/postgres/partial/merge.ts'
import {revertMerge} from '../../../../src/lib/postgres/partial/revert.ts'
import {testCluster} from '../../../support/cluster.ts'
import {cascaded, damage, isSound} from '../../../support/partial-damage.ts'
import {catalogOf, createPartial, digestOf, keyOf, learnColumns, readState, relinkCalls, requestOf, resetPartial, tableNames, tableSelection, tenantSelection, TENANTS, type State} from '../../../support/partial.ts'
import {Random} from '../../../support/random.ts'

const CASES = 55

type Row = Record<string, string>

/** What is meant, in JavaScript: by table, the rows of a state. */
interface Choice {
  words: string
  selection: Selection
  tables: Record<string, (row: Row, state: State) => boolean>
  /** Only these columns of rows that are there. */
  columns?: string[]
  /** Tables whose links come back: where this column is NULL, and which rows of the backup are meant. */
  links: {table: string; column: string; parent: string; meant: (row: Row) => boolean}[]
}

const ofTenant = (tenant: string) => (row: Row) => row.tenantId === tenant

function tenantChoice(tenant: string): Choice {
  const usersOf = (state: State) => new Set((state.users ?? []).filter(ofTenant(tenant)).map(({id}) => id))
  return {
    words: `tenant ${tenant}`, selection: tenantSelection(tenant),
    tables: Object.fromEntries(tableNames.map((name) => [name, name === 'tenants' ? (row: Row) => row.id === tenant : name === 'user_auth_links' ? (row: Row, state: State) => usersOf(state).has(row.userId) : ofTenant(tenant)])),
    links: [{table: 'webhook_events', column: 'tenantId', parent: 'tenants', meant: ofTenant(tenant)}],
  }
}

function tableChoice(random: Random, tenant: string): Choice {
  const name = random.pick(['leads', 'leads', 'leads', 'contacts', 'users', 'calls', 'incomes', 'notes', 'events', 'Team Members'])
  const [words, where, meant] = random.pick<[string, Predicate, (row: Row) => boolean]>([
    ['all', {kind: 'all'}, () => true],
    [`of ${tenant}`, {kind: 'equals', column: 'tenantId', value: tenant}, ofTenant(tenant)],
    [`like ${tenant}`, {kind: 'sql', text: `"tenantId" LIKE '%${tenant.slice(1)}' -- of it`}, ofTenant(tenant)],
    [`open in ${tenant}`, {kind: 'every', of: [{kind: 'equals', column: 'tenantId', value: tenant}, {kind: 'sql', text: name === 'leads' ? "status = 'open'" : 'true'}]}, (row: Row) => row.tenantId === tenant && (name !== 'leads' || row.status === 'open')],
  ])
  const columns = name === 'leads' && random.chance(0.3) ? ['status', 'updatedAt'] : undefined
  const relink = name === 'leads' && columns === undefined && random.chance(0.5)
  return {
    words: `${name} ${words}${columns ? ' columns' : ''}${relink ? ' relink' : ''}`,
    selection: {tables: [tableSelection(name, where, columns && {columns}), ...(relink ? [relinkCalls(where)] : [])]},
    tables: {[name]: meant}, ...(columns && {columns}),
    links: relink ? [{table: 'calls', column: 'leadId', parent: 'leads', meant: () => true}] : [],
  }
}

const told = (name: string, row: Row): string => JSON.stringify((keyOf(name) ?? Object.keys(row).toSorted()).map((column) => row[column]))
const text = (row: Row): string => JSON.stringify(Object.entries(row).toSorted(([a], [b]) => (a < b ? -1 : 1)))

/** The state that the merge has to make. */
function expected(choice: Choice, mode: MergeMode, live: State, base: State): {state: State; touched: boolean} {
  const state: State = structuredClone(live)
  const removed: Record<string, Row[]> = {}
  for (const [name, meant] of Object.entries(choice.tables)) {
    const result = keyOf(name) ? keyed(name, {live, base, mode, choice}, meant) : whole(live[name]?.filter((row) => meant(row, live)) ?? [], base[name]?.filter((row) => meant(row, base)) ?? [], live[name]?.filter((row) => !meant(row, live)) ?? [], mode)
    state[name] = result.rows
    removed[name] = result.removed
  }
  for (const {table, column, parent, meant} of choice.links) {
    for (const row of state[table] ?? []) {
      const was = base[table]?.find((one) => told(table, one) === told(table, row))
      const link = was?.[column]
      if (!was || (row[column] ?? null) !== null || (link ?? null) === null || !meant(was)) continue
      const selected = choice.tables[parent]
      if (live[parent]?.some(({id}) => id === link) === false && state[parent]?.some(({id}) => id === link) && base[parent]?.some((one) => one.id === link && selected?.(one, base) === true)) row[column] = link ?? ''
    }
  }
  const after = cascaded(state, removed)
  return {state: after, touched: JSON.stringify(canonical(after)) !== JSON.stringify(canonical(live))}
}

function keyed(name: string, {live, base, mode, choice}: {live: State; base: State; mode: MergeMode; choice: Choice}, meant: (row: Row, state: State) => boolean): {rows: Row[]; removed: Row[]} {
  const [now, then] = [new Map((live[name] ?? []).map((row) => [told(name, row), row])), new Map((base[name] ?? []).map((row) => [told(name, row), row]))]
  const rows: Row[] = []
  const removed: Row[] = []
  for (const key of new Set([...now.keys(), ...then.keys()])) {
    const [here, there] = [now.get(key), then.get(key)]
    const isMeant = (here !== undefined && meant(here, live)) || (there !== undefined && meant(there, base))
    if (!isMeant) rows.push(...(here ? [here] : []))
    else if (here && there) rows.push({...(mode === 'missing' || choice.columns ? here : there), ...only(there, choice.columns ?? [])})
    else if (there) rows.push(...(choice.columns ? [] : [structuredClone(there)]))
    else if (here) (mode === 'exact' && !choice.columns ? removed : rows).push(structuredClone(here))
  }
  return {rows, removed}
}

const only = (row: Row, columns: readonly string[]): Row => Object.fromEntries(Object.entries(row).filter(([column]) => columns.includes(column)))

function whole(now: Row[], then: Row[], others: Row[], mode: MergeMode): {rows: Row[]; removed: Row[]} {
  const missing = [...then]
  const extra = now.filter((row) => {
    const index = missing.findIndex((one) => text(one) === text(row))
    if (index >= 0) missing.splice(index, 1)
    return index < 0
  })
  return {rows: [...others, ...missing, ...now.filter((row) => mode !== 'exact' || !extra.includes(row))], removed: mode === 'exact' ? extra : []}
}

const canonical = (state: State): Record<string, string[]> => Object.fromEntries(tableNames.map((name) => [name, (state[name] ?? []).map(text).toSorted()]))

for (const [major, seeds] of [[15, [1, 2]], [18, [3, 4]]] as const) {
  describe(`a merge of random damage, on PostgreSQL ${major}`, function () {
    this.timeout(600_000)
    const options = {signal: new AbortController().signal}
    let client: Client
    let live: Catalog
    let drop: () => Promise<void>

    before(async () => {
      const cluster = await testCluster({major})
      client = await connect(await cluster.createDatabase('partial_property'))
      drop = () => cluster.drop('partial_property')
      await createPartial(client)
      await learnColumns(client)
      live = await catalogOf(client)
    })
    after(async () => {
      await endQuietly(client)
      await drop()
    })

    for (const seed of seeds) {
      it(`leaves the selection as in the backup and everything else as it was, and can be reverted (${CASES} cases, seed ${seed})`, async () => {
        const random = new Random(seed)
        const outcomes: Record<string, number> = {}
        await resetPartial(client)
        const base = await readState(client, 'base')
        for (let index = 0; index < CASES; index++) {
          await resetPartial(client)
          const tenant = random.pick(TENANTS)
          await damage(client, random, random.chance(0.7) ? [tenant] : TENANTS)
          const choice = random.chance(0.5) ? tenantChoice(tenant) : tableChoice(random, tenant)
          const mode = choice.columns ? 'changed' : random.pick(['missing', 'changed', 'exact'] as const)
          const words = `seed ${seed}, case ${index}: ${choice.words}, ${mode}`
          const before = await readState(client)
          const digest = await digestOf(client)
          const wanted = expected(choice, mode, before, base)
          // Of more rows there are indexes.
          const request = requestOf(live, choice.selection, mode, index % 3 === 0 ? {largeFrom: 0} : {})
          const compared = await compareSelection(client, request)
          let outcome: string
          try {
            const result = await mergeSelection(client, request, {...options, expected: compared})
            outcome = result.nothing ? 'nothing' : mode
            expect(canonical(await readState(client)), words).to.deep.equal(canonical(wanted.state))
            expect(result.nothing !== true, words).to.equal(wanted.touched)
            expect((await proveLinks(client, live, tableNames.map((name) => ({schema: 'public', name})))).filter(({orphans}) => orphans > 0), words).to.deep.equal([])
            if (!result.nothing) {
              if (index % 5 === 0) expect(await mergeSelection(client, {...request, undoSchema: 'dr_undo_again'}, options), `${words}, again`).to.include({nothing: true})
              await revertMerge(client, 'dr_undo_test', {...options, lockTimeoutMs: 2000})
            }
          } catch (error) {
            if (!(error instanceof DrError)) throw new Error(`${words}: ${String(error)}`, {cause: error})
            outcome = error.code
            expect(isSound(wanted.state), `${words}: ${error.message}`).to.equal(false)
          }
          expect(await digestOf(client), `${words}: ${outcome}, reverted`).to.deep.equal(digest)
          outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
        }
        // The cases are worth something: every mode repairs, and some are refused.
        for (const one of ['missing', 'changed', 'exact', 'nothing']) expect(outcomes[one] ?? 0, JSON.stringify(outcomes)).to.be.above(0)
        expect(await rowsOf(client, "SELECT FROM pg_namespace WHERE nspname LIKE 'dr_%'")).to.deep.equal([])
      })
    }
  })
}
