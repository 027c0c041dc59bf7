import {quoteIdent, quoteLiteral} from '../quote.ts'
import type {Predicate} from './contract.ts'

/** Rows that lead to somebody else by what this predicate looks at; of rows that lead to nobody it does not hold. */
export function strangersOf(predicate: Predicate): Predicate {
  switch (predicate.kind) {
    case 'equals': return {kind: 'sql', text: `r.${quoteIdent(predicate.column)}::text <> ${quoteLiteral(predicate.value)}`}
    case 'refers': return {...predicate, where: strangersOf(predicate.where)}
    case 'any': case 'every': return {kind: 'any', of: predicate.of.map(strangersOf)}
    default: return {kind: 'any', of: []}
  }
}

/** Rows that lead to anybody: for a side where those that they lead to are not all there. */
export function linkedBy(predicate: Predicate): Predicate {
  switch (predicate.kind) {
    case 'refers': return {kind: 'sql', text: predicate.columns.map((column) => `r.${quoteIdent(column)} IS NOT NULL`).join(' AND ')}
    case 'any': case 'every': return {kind: 'any', of: predicate.of.map(linkedBy)}
    default: return strangersOf(predicate)
  }
}
