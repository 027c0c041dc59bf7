import {core} from './core.ts'
import {more} from './more.ts'
import type {Table} from './notation.ts'

/** Every table of the sample that is described by columns; by name, because a tenant's rows go in the order of its foreign keys. */
export const sampleTables: readonly Table[] = [...core, ...more].sort((a, b) => (a.name < b.name ? -1 : 1))
