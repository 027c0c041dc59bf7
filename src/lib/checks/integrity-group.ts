import type {Manifest} from '../repository/manifest.ts'
import type {Finding} from './finding.ts'

/** What a database is compared with: a manifest, or another database read in the same way. */
export type Expected = Pick<Manifest, 'tables' | 'sequences' | 'indexes' | 'constraints' | 'objects' | 'rowSecurity' | 'policies' | 'grants' | 'extensions' | 'materializedViews' | 'largeObjects' | 'collation' | 'encoding' | 'digests'> & {server: Pick<Manifest['server'], 'major'>}

export type Deviation = Omit<Finding, 'code'>

/** The deviations of a group; where there are none that count, one `ok` with its figures. */
export function group(code: string, deviations: readonly Deviation[], figures: string): Finding[] {
  const found = deviations.map((deviation) => ({code, ...deviation}))
  return found.some(({severity}) => severity === 'error' || severity === 'warning') ? found : [{code, severity: 'ok', subject: '', message: figures}, ...found]
}

export const deviates = (subject: string, message: string, hint?: string): Deviation => ({severity: 'error', subject, message, ...(hint !== undefined && {hint})})
export const warns = (subject: string, message: string, hint?: string): Deviation => ({severity: 'warning', subject, message, ...(hint !== undefined && {hint})})
export const informs = (subject: string, message: string): Deviation => ({severity: 'info', subject, message})

export const plural = (count: number, one: string, many = `${one}s`): string => `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`

export const nameOf = ({schema, name}: {schema: string; name: string}): string => `${schema}.${name}`

/** What is in one list and not in the other, by a key. */
export function difference<A, B>(expected: readonly A[], found: readonly B[], keyOf: (item: A | B) => string): {missing: A[]; extra: B[]; both: [A, B][]} {
  const known = new Map(found.map((item) => [keyOf(item), item]))
  const wanted = new Set(expected.map(keyOf))
  return {
    missing: expected.filter((item) => !known.has(keyOf(item))),
    extra: found.filter((item) => !wanted.has(keyOf(item))),
    both: expected.flatMap((item): [A, B][] => {
      const other = known.get(keyOf(item))
      return other === undefined ? [] : [[item, other]]
    }),
  }
}
