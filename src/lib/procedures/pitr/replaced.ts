import {preflightError} from '../../errors.ts'
import type {DBInstance} from '../../rds/api.ts'
import {TAG, tagOf} from '../../rds/tags.ts'
import type {OpenCutover} from './cutover-claim.ts'
import {cutoverMarkOf, type CutoverMark} from './cutover-marks.ts'

/** The copy that has its place by a cut-over; undefined: it was not replaced, or that one is not there any more. */
export function replacementOf(all: readonly DBInstance[], old: DBInstance): OpenCutover | undefined {
  if (tagOf(old, TAG.replaced) === undefined) return undefined
  return all.flatMap((copy) => {
    const mark = cutoverMarkOf(copy)
    if (mark === undefined || mark.resourceId !== old.DbiResourceId) return []
    // Where the name makes it live, somebody has given it back by hand.
    return mark.mode === 'rename' && old.DBInstanceIdentifier === mark.name ? [] : [{copy, mark}]
  })[0]
}

/** Whose place it has by a cut-over that came to its end; undefined for every other instance. */
export function finishedMarkOf(all: readonly DBInstance[], copy: DBInstance): CutoverMark | undefined {
  const mark = cutoverMarkOf(copy)
  const old = mark && all.find(({DbiResourceId}) => DbiResourceId === mark.resourceId)
  return old !== undefined && tagOf(old, TAG.replaced) === undefined ? undefined : mark
}

/** Throws `pitr.replaced` (exit 3) for an instance whose place another one has: what was written since is not in it. */
export function assertNotReplaced(all: readonly DBInstance[], old: DBInstance, otherwise: (by: string) => string): void {
  const found = replacementOf(all, old)
  if (found === undefined) return
  const {copy: {DBInstanceIdentifier: by = ''}, mark: {mode, run}} = found
  throw preflightError('pitr.replaced', `${old.DBInstanceIdentifier ?? ''} is not the production instance any more: ${by} has taken its place (by ${mode}, run ${run}).`, {
    hints: [`Set rds.instance to ${by}, or DR_RDS_INSTANCE.`, otherwise(by), `To go back: dr pitr rollback ${run}`],
  })
}
