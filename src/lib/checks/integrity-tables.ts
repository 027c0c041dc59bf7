import type {SequenceState} from '../postgres/restore-facts.ts'
import type {Manifest, ManifestTable} from '../repository/manifest.ts'
import type {Finding} from './finding.ts'
import type {RestoredFacts, RestoredTable} from './integrity.ts'
import {deviates, difference, group, informs, nameOf, plural, warns, type Deviation, type Expected} from './integrity-group.ts'

const VERIFY = 'dr verify --level full'

const pairs = (manifest: Expected, restored: RestoredFacts) => difference<ManifestTable, RestoredTable>(manifest.tables, restored.tables, nameOf)

export function tableFindings(manifest: Expected, restored: RestoredFacts): Finding[] {
  const {missing, extra, both} = pairs(manifest, restored)
  return group('integrity.tables', [
    ...missing.map((table) => deviates(nameOf(table), 'the table is missing', VERIFY)),
    ...extra.map((table) => deviates(nameOf(table), 'the table is not in the backup')),
    ...both.filter(([, {trouble}]) => trouble !== undefined).map(([table, {trouble = ''}]) => deviates(nameOf(table), `the table cannot be read: ${trouble}`)),
    ...both.filter(([one, other]) => !sameColumns(one.columns, other.columns)).map(([one, other]) => deviates(nameOf(one), `the columns are ${other.columns.join(', ')}; the backup has ${one.columns.join(', ')}`)),
  ], `${plural(manifest.tables.length, 'table')} with their columns`)
}

/** Their order may differ where tables inherit. */
const sameColumns = (one: readonly string[], other: readonly string[]) => one.length === other.length && one.every((column) => other.includes(column))

export function rowFindings(manifest: Expected, restored: RestoredFacts): Finding[] {
  const wrong = pairs(manifest, restored).both.filter(([one, other]) => one.rows !== null && other.trouble === undefined && one.rows !== other.rows)
  const total = manifest.tables.reduce((sum, {rows}) => sum + (rows ?? 0), 0)
  return group('integrity.rows', wrong.map(([one, other]) => deviates(nameOf(one), `${plural(other.rows ?? 0, 'row')}; the backup has ${(one.rows ?? 0).toLocaleString('en-US')}`, VERIFY)), `${plural(total, 'row')} in ${plural(manifest.tables.length, 'table')}`)
}

export function tenantFindings(manifest: Expected, restored: RestoredFacts): Finding[] {
  const counted = pairs(manifest, restored).both.filter(([{tenants}]) => tenants !== undefined)
  if (counted.length === 0) return []
  const tenants = new Set(counted.flatMap(([{tenants: counts = {}}]) => Object.keys(counts)))
  tenants.delete('')
  const deviations = counted.flatMap(([one, other]) => (other.trouble === undefined ? tenantDeviations(one, other) : []))
  return group('integrity.tenants', deviations, `${plural(tenants.size, 'tenant')} in ${plural(counted.length, 'table')}`)
}

/** A tenant may be called `__proto__`. */
const counts = ({tenants = {}}: {tenants?: Record<string, number> | undefined}): Record<string, number> => Object.assign(Object.create(null) as Record<string, number>, tenants)

function tenantDeviations(one: ManifestTable, other: RestoredTable): Deviation[] {
  const [expected, found] = [counts(one), counts(other)]
  const wrong = [...new Set([...Object.keys(expected), ...Object.keys(found)])].filter((tenant) => expected[tenant] !== found[tenant])
  const [first] = wrong
  if (first === undefined) return []
  const more = wrong.length === 1 ? '' : `, and ${plural(wrong.length - 1, 'other tenant')} differ`
  return [deviates(nameOf(one), `tenant ${first === '' ? '(none)' : first} has ${plural(found[first] ?? 0, 'row')}; the backup has ${(expected[first] ?? 0).toLocaleString('en-US')}${more}`, VERIFY)]
}

export function digestFindings(manifest: Expected, restored: RestoredFacts): Finding[] {
  if (!manifest.digests) return []
  if (!restored.digests) return [{code: 'integrity.digests', severity: 'info', subject: '', message: 'the digests of the backup were not compared'}]
  if (manifest.encoding !== restored.encoding) return [{code: 'integrity.digests', severity: 'info', subject: '', message: 'digests cannot be compared across encodings'}]
  const data = pairs(manifest, restored).both.filter(([{rows}, {trouble}]) => rows !== null && trouble === undefined)
  const compared = data.filter(([one, other]) => one.digest !== undefined && other.digest !== undefined)
  return group('integrity.digests', [
    ...compared.filter(([one, other]) => one.digest !== other.digest).map(([one]) => deviates(nameOf(one), 'the rows are not those of the backup: the digest differs', VERIFY)),
    ...data.filter(([one, other]) => one.digest === undefined || other.digest === undefined).map(([one]) => informs(nameOf(one), 'no digest could be taken')),
  ], `the digests of ${plural(compared.length, 'table')} are equal`)
}

export function sequenceFindings(manifest: Expected, restored: RestoredFacts): Finding[] {
  const {missing, both} = difference<Manifest['sequences'][number], SequenceState>(manifest.sequences, restored.sequences, nameOf)
  return group('integrity.sequences', [
    ...missing.map((sequence) => deviates(nameOf(sequence), 'the sequence is missing')),
    ...both.filter(([, {trouble}]) => trouble !== undefined).map(([one, {trouble = ''}]) => deviates(nameOf(one), `could not be compared: ${trouble}`)),
    ...both.filter(([one, other]) => other.trouble === undefined && (one.lastValue !== other.lastValue || one.isCalled !== other.isCalled))
      .map(([one, other]) => deviates(nameOf(one), `stands at ${standing(other)}; the backup has ${standing(one)}`)),
    ...both.filter(([, other]) => isBehind(other)).map(([one, {owned}]) => warns(nameOf(one), `is behind ${owned?.table ?? ''}.${owned?.column ?? ''}, which holds ${owned?.furthest ?? ''}: the next insert fails`, 'It was so in the source too, or rows were added by hand: SELECT setval(…)')),
  ], plural(manifest.sequences.length, 'sequence'))
}

/** What is wrong with sequences by themselves, where there is nothing to compare them with. */
export const sequenceTrouble = (all: readonly SequenceState[]): Deviation[] => [
  ...all.flatMap((one) => (one.trouble === undefined ? [] : [deviates(nameOf(one), `could not be read: ${one.trouble}`)])),
  ...all.filter((one) => one.trouble === undefined && isBehind(one)).map((one) => warns(nameOf(one), `is behind ${one.owned?.table ?? ''}.${one.owned?.column ?? ''}, which holds ${one.owned?.furthest ?? ''}: the next insert fails`, 'It was so in the source too, or the dump lacks its value: SELECT setval(…)')),
]

const standing = ({lastValue, isCalled}: {lastValue: string; isCalled: boolean}) => (isCalled ? lastValue : `${lastValue} (not used yet)`)

/** Whether the next value has already been given out. */
export function isBehind({lastValue, isCalled, increment, owned}: SequenceState): boolean {
  const furthest = owned?.furthest
  if (furthest === null || furthest === undefined || !/^-?\d+$/.test(furthest)) return false
  const step = BigInt(increment)
  const next = BigInt(lastValue) + (isCalled ? step : 0n)
  return step > 0n ? next <= BigInt(furthest) : next >= BigInt(furthest)
}
