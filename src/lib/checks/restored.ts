import type {Finding} from './finding.ts'
import type {RestoredFacts} from './integrity.ts'
import {deviates, group, informs, nameOf, plural} from './integrity-group.ts'
import {sequenceTrouble} from './integrity-tables.ts'

const MOST_NAMES = 8

const some = (names: readonly string[]): string => (names.length <= MOST_NAMES ? names.join(', ') : `${names.slice(0, MOST_NAMES).join(', ')} and ${names.length - MOST_NAMES} more`)

/**
 * What a restored database holds, where there is no manifest to compare it with: figures, and what is wrong by itself. `live`: the
 * tables of the live database, when it could be asked. Pure.
 */
export function describeRestored(restored: RestoredFacts, live?: readonly {schema: string; name: string}[]): Finding[] {
  return [
    {code: 'integrity.manifest', severity: 'info', subject: '', message: 'there is no manifest to compare with: what follows was counted in the new database, and says nothing of what the source held'},
    ...tables(restored), ...sequences(restored), ...validity(restored), ...access(restored), ...rest(restored), ...(live ? besideLive(restored, live) : []),
    ...Object.entries(restored.unread ?? {}).map(([fact, why]): Finding => ({code: 'integrity.unread', severity: 'error', subject: fact, message: `could not be read: ${why}`})),
  ]
}

function tables({tables: all}: RestoredFacts): Finding[] {
  const rows = all.reduce((sum, one) => sum + (one.rows ?? 0), 0)
  const empty = all.filter((one) => one.rows === 0).map(nameOf)
  return [
    ...group('integrity.tables', all.flatMap((table) => (table.trouble === undefined ? [] : [deviates(nameOf(table), `the table cannot be read: ${table.trouble}`)])), plural(all.length, 'table')),
    {code: 'integrity.rows', severity: 'ok', subject: '', message: `${plural(rows, 'row')} in ${plural(all.length, 'table')}`},
    ...(empty.length === 0 ? [] : [{code: 'integrity.rows', severity: 'info', subject: '', message: `without rows: ${some(empty)}`} satisfies Finding]),
    ...(all.length === 0 ? [{code: 'integrity.tables', severity: 'warning', subject: '', message: 'the dump holds no table'} satisfies Finding] : []),
  ]
}

const sequences = ({sequences: all}: RestoredFacts): Finding[] => group('integrity.sequences', sequenceTrouble(all), `${plural(all.length, 'sequence')}, none behind its column`)

/** NOT VALID may have been so in the source. */
function validity({indexes, constraints}: RestoredFacts): Finding[] {
  return [
    ...group('integrity.indexes', indexes.invalid.map((name) => deviates(name, 'the index is not valid', 'REINDEX it')), `${plural(indexes.count, 'index', 'indexes')}, all valid`),
    ...group('integrity.constraints', constraints.notValidated.map((name) => informs(name, 'the constraint is NOT VALID')), `${plural(constraints.count, 'constraint')}${constraints.notValidated.length === 0 ? ', all validated' : ''}`),
  ]
}

function access({rowSecurity, policies, grants}: RestoredFacts): Finding[] {
  const names = rowSecurity.map(({schema, table}) => `${schema}.${table}`)
  const without = rowSecurity.filter(({schema, table}) => !policies.some((policy) => policy.schema === schema && policy.table === table))
  return [
    {code: 'integrity.row-security', severity: 'ok', subject: '', message: names.length === 0 ? 'row-level security is on for no table' : `row-level security on ${plural(names.length, 'table')}: ${some(names)}; ${plural(policies.length, 'policy', 'policies')}`},
    ...without.map(({schema, table}): Finding => ({code: 'integrity.policies', severity: 'warning', subject: `${schema}.${table}`, message: 'row-level security is on, and there is no policy: only its owner sees rows'})),
    {code: 'integrity.grants', severity: 'ok', subject: '', message: `${plural(grants.length, 'grant')} on ${plural(new Set(grants.map(({object}) => object)).size, 'object')}`},
  ]
}

function rest({extensions, materializedViews, largeObjects, objects}: RestoredFacts): Finding[] {
  const empty = materializedViews.filter(({populated}) => !populated)
  return [
    {code: 'integrity.extensions', severity: 'ok', subject: '', message: `${plural(extensions.length, 'extension')}${extensions.length === 0 ? '' : ': '}${some(extensions.map(({name, version}) => `${name} ${version}`))}`},
    ...group('integrity.materialized-views', empty.map((view) => informs(nameOf(view), 'the materialized view is not populated')), plural(materializedViews.length, 'materialized view')),
    {code: 'integrity.large-objects', severity: 'ok', subject: '', message: plural(largeObjects, 'large object')},
    {code: 'integrity.objects', severity: 'ok', subject: '', message: `${plural(Object.values(objects).reduce((sum, count) => sum + count, 0), 'object')} of ${plural(Object.values(objects).filter((count) => count > 0).length, 'kind')}`},
  ]
}

function besideLive({tables: all}: RestoredFacts, live: readonly {schema: string; name: string}[]): Finding[] {
  const here = new Set(all.map(nameOf))
  const there = new Set(live.map(nameOf))
  const missing = [...there].filter((name) => !here.has(name))
  const extra = [...here].filter((name) => !there.has(name))
  const message = missing.length === 0 && extra.length === 0 ? `the same ${plural(here.size, 'table')} as in the live database` : [
    ...(missing.length === 0 ? [] : [`${plural(missing.length, 'table')} only in the live database: ${some(missing)}`]), ...(extra.length === 0 ? [] : [`${plural(extra.length, 'table')} only in the new one: ${some(extra)}`]),
  ].join('; ')
  return [{code: 'integrity.live', severity: 'info', subject: '', message}]
}
