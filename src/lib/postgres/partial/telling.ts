import {quoteLiteral} from '../quote.ts'
import type {Plan} from './plan.ts'

/** Of a row's key, as text, by column. */
export const keyJson = (key: readonly string[], value: (name: string) => string): string =>
  `jsonb_object(ARRAY[${key.map(quoteLiteral).join(', ')}]::text[], ARRAY[${key.map((name) => `${value(name)}::text`).join(', ')}]::text[])`

/** What tells a row to the operator; without a key all columns. */
export const tellingOf = (plan: Plan): readonly string[] => plan.key ?? plan.relation.columns.map(({name}) => name)
