import {wrapped} from '../ui/wrap.ts'
import type {Failure} from './failure.ts'

/** For the terminal: lines of at most `width` columns, broken between words; undefined breaks nothing. A path is never broken. */
export function* failureLines(failure: Failure, width?: number): Generator<string> {
  for (const [index, line] of `Error: ${failure.message}`.split('\n').entries()) yield* wrapped(line, width, index === 0 ? '  ' : '    ')
  for (const detail of failure.details ?? []) yield* wrapped(`  ${detail}`, width, '    ')
  for (const hint of failure.hints) yield* wrapped(`  Hint: ${hint}`, width, '    ')
  if (failure.journal !== undefined) yield `  Journal: ${failure.journal}`
}
