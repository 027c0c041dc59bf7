import type {Manifest} from '../repository/manifest.ts'
import type {Finding} from './finding.ts'
import type {RestoredFacts} from './integrity.ts'
import {deviates, difference, group, informs, nameOf, plural, warns, type Deviation, type Expected} from './integrity-group.ts'

/** pg_dump leaves out an index that is not valid in the source (a failed CREATE INDEX CONCURRENTLY). */
export function indexFindings(manifest: Expected, {indexes}: RestoredFacts): Finding[] {
  const broken = indexes.invalid.filter((name) => !manifest.indexes.invalid.includes(name))
  const lost = manifest.indexes.count - indexes.count
  const explained = lost > 0 && lost <= manifest.indexes.invalid.length
  return group('integrity.indexes', [
    ...(explained ? [informs('', `${plural(lost, 'index', 'indexes')} that ${lost === 1 ? 'was' : 'were'} not valid in the source ${lost === 1 ? 'is' : 'are'} not restored: ${manifest.indexes.invalid.join(', ')}`)] : counted('indexes', manifest.indexes.count, indexes.count)),
    ...broken.map((name) => deviates(name, 'the index is not valid', 'REINDEX it')),
  ], `${plural(indexes.count, 'index', 'indexes')}, ${indexes.invalid.length === 0 ? 'all valid' : `${indexes.invalid.length} not valid as in the source`}`)
}

/** NOT VALID in the source stays so. */
export function constraintFindings(manifest: Expected, {constraints}: RestoredFacts): Finding[] {
  const expected = manifest.constraints.notValidated
  return group('integrity.constraints', [
    ...counted('constraints', manifest.constraints.count, constraints.count),
    ...constraints.notValidated.filter((name) => !expected.includes(name)).map((name) => deviates(name, 'the constraint is not validated')),
    ...expected.filter((name) => !constraints.notValidated.includes(name)).map((name) => deviates(name, 'the constraint is validated; in the source it is NOT VALID')),
  ], `${plural(constraints.count, 'constraint')}, ${expected.length === 0 ? 'all validated' : `${expected.length} NOT VALID as in the source`}`)
}

const counted = (what: string, expected: number, found: number): Deviation[] => (expected === found ? [] : [deviates('', `${found} ${what}; the source had ${expected}`)])

/** What another dr counted, and this one does not know, is passed over. */
export function objectFindings({objects}: Expected, restored: RestoredFacts): Finding[] {
  if (objects === undefined) return []
  const compared = Object.entries(objects).flatMap(([kind, expected]) => {
    const found = restored.objects[kind]
    return found === undefined ? [] : [{kind, expected, found}]
  })
  return group('integrity.objects', compared.filter(({expected, found}) => found !== expected).map(({kind, expected, found}) => deviates('', `${found} ${kind}; the source had ${expected}`, 'Compare the schemas: pg_dump --schema-only')),
    `${plural(compared.reduce((sum, {found}) => sum + found, 0), 'object')} of ${plural(compared.length, 'kind')}`)
}

type Extension = Manifest['extensions'][number]

export function extensionFindings(manifest: Expected, restored: RestoredFacts): Finding[] {
  const {missing, both} = difference<Extension, Extension>(manifest.extensions, restored.extensions, ({name}) => name)
  return group('integrity.extensions', [
    ...missing.map(({name}) => deviates(name, 'the extension is missing')),
    ...both.filter(([one, other]) => one.schema !== other.schema).map(([one, other]) => deviates(one.name, `the extension is in schema ${other.schema}; in the source in ${one.schema}`)),
    ...both.filter(([one, other]) => one.version !== other.version).map(([one, other]) => warns(one.name, `version ${other.version}; the source had ${one.version}`)),
  ], plural(manifest.extensions.length, 'extension'))
}

type View = Manifest['materializedViews'][number]

export function viewFindings(manifest: Expected, restored: RestoredFacts): Finding[] {
  const {missing, extra, both} = difference<View, View>(manifest.materializedViews, restored.materializedViews, nameOf)
  return group('integrity.materialized-views', [
    ...missing.map((view) => deviates(nameOf(view), 'the materialized view is missing')),
    ...extra.map((view) => deviates(nameOf(view), 'the materialized view is not in the backup')),
    ...both.filter(([one, other]) => one.populated !== other.populated).map(([one, other]) => deviates(nameOf(one), other.populated ? 'is populated; in the source it is not' : 'is not populated', other.populated ? undefined : `REFRESH MATERIALIZED VIEW ${nameOf(one)}`)),
  ], plural(manifest.materializedViews.length, 'materialized view'))
}

export const largeObjectFindings = (manifest: Expected, {largeObjects}: RestoredFacts): Finding[] =>
  group('integrity.large-objects', largeObjects === manifest.largeObjects ? [] : [deviates('', `${plural(largeObjects, 'large object')}; the backup has ${manifest.largeObjects}`)], plural(largeObjects, 'large object'))

/** Another version may sort otherwise than the application is used to; the indexes themselves were built with the new one. */
export function collationFindings(manifest: Expected, restored: RestoredFacts): Finding[] {
  const {collation: one} = manifest
  const {collation: other} = restored
  const text = ({provider, collate, ctype, locale}: typeof one) => [provider, locale ?? collate, ctype].join(' ')
  return group('integrity.collation', [
    ...(manifest.encoding === restored.encoding ? [] : [deviates('', `the encoding is ${restored.encoding}; the source had ${manifest.encoding}`)]),
    ...(text(one) === text(other) ? [] : [deviates('', `the collation is ${text(other)}; the source had ${text(one)}`)]),
    ...(one.version === other.version ? [] : [warns('', `the collation has version ${other.version ?? 'none'}; the source had ${one.version ?? 'none'}: texts may sort otherwise`)]),
  ], `${restored.encoding}, ${text(other)}`)
}
