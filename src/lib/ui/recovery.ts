import type {KeptBackup, RecoveryList} from '../report/recovery-list.ts'
import {shownInputs, valueText, type PlainPlan, type ShownInput} from '../report/recovery-plan.ts'
import {cutoverLines, frozenLines} from './cutovers.ts'
import {age} from './format.ts'
import {tableLines, type Column} from './table.ts'
import {outTheme as theme} from './theme.ts'
import {wrapped} from './wrap.ts'

const NOTHING = valueText(undefined)
/** As `RESTORE_INPUTS` says of what is simply copied. */
const AS_IT_IS = 'as the source has it'

/** Every input of the API: what the source has, what AWS would do by itself, what is sent; in one line for each reason those that concern nothing here. Then what is set afterwards. */
export function* recoveryPlanLines({inputs, afterwards, roles}: PlainPlan, width: number | undefined): Generator<string> {
  const columns: Column<ShownInput>[] = [
    {header: 'INPUT', value: ({input}) => input},
    {header: 'SOURCE', value: ({source}) => source, min: 10, priority: 3},
    {header: 'AWS WOULD', value: ({awsDefault}) => awsDefault, min: 14, priority: 4},
    {header: 'DR SENDS', value: ({sends}) => sends, min: 14, priority: 1},
    {header: 'WHY', value: ({why}) => (why === AS_IT_IS ? '' : why), min: 10, priority: 5},
  ]
  const shown = shownInputs(inputs)
  const isInert = ({source, sends}: ShownInput) => source === NOTHING && sends === NOTHING
  yield* tableLines(shown.filter((one) => !isInert(one)), columns, {width, headerStyle: theme.title})
  const inert = Map.groupBy(shown.filter(isInert), ({why}) => (why === AS_IT_IS ? 'the source has none' : why))
  yield ''
  for (const [why, all] of inert) yield* wrapped(`Not sent    ${all.map(({input}) => input).join(', ')}: ${why}`, width, ' '.repeat(12))
  const later = [...Object.entries(afterwards).map(([input, value]) => ({input, value: valueText(value)})), ...roles.map(({RoleArn, FeatureName}) => ({input: `role for ${FeatureName}`, value: RoleArn}))]
  if (later.length === 0) return
  yield ''
  yield* tableLines(later, [{header: 'SET AFTERWARDS', value: ({input}) => input}, {header: 'VALUE', value: ({value}) => value, min: 14, priority: 1}], {width, headerStyle: theme.title})
}

/** `dr pitr list` as lines of at most `width` columns, where no name alone is longer: what is to be pasted is never cut. Undefined cuts nothing. */
export function* recoveryListLines(list: RecoveryList, now: Date, width: number | undefined): Generator<string> {
  const ago = (at: string | null) => (at === null ? '' : age(new Date(at), now))
  const options = {width, headerStyle: theme.title}
  const sections = [
    ...list.cutovers.map((one) => cutoverLines(one, width)), ...list.frozen.map((one) => frozenLines(one, width)),
    tableLines(list.sources, [
      {header: 'INSTANCE', value: ({instance}) => instance},
      {header: 'STATUS', value: ({status}) => status, min: 8, priority: 2},
      {header: 'FROM', value: ({earliest, retentionDays}) => (retentionDays === 0 ? 'no automated backups' : shownTime(earliest)), min: 10, priority: 1},
      {header: 'TO', value: ({latest}) => shownTime(latest), priority: 4},
      {header: 'LATEST', value: ({latest}) => ago(latest)},
      {header: 'DAYS', value: ({retentionDays}) => String(retentionDays), align: 'right', priority: 5},
    ], options),
    backupLines('Retained backups of deleted instances', list.retained, ({resourceId}) => `--source-resource-id ${resourceId}`, ago, width),
    backupLines('Backups of other regions', list.replicated, ({arn}) => `--source-backup-arn ${arn ?? ''}`, ago, width),
    tableLines(list.copies, [
      {header: 'COPY', value: ({instance}) => instance},
      {header: 'STATUS', value: ({status, live}) => (live ? `${status}, live` : status), priority: 1},
      {header: 'PURPOSE', value: ({purpose}) => purpose, priority: 2},
      {header: 'OF', value: ({source}) => source ?? '', min: 8, priority: 3},
      {header: 'AS OF', value: ({restoredTo}) => shownTime(restoredTo), priority: 4},
      {header: 'READ', value: ({hydrated}) => (hydrated === null ? 'no' : 'whole'), priority: 2},
      {header: 'AGE', value: ({createdAt}) => ago(createdAt), align: 'right'},
      {header: 'RUN', value: ({run}) => run, min: 10, priority: 5},
    ], options),
    tableLines(list.replaced, [
      {header: 'REPLACED', value: ({instance}) => instance},
      {header: 'STATUS', value: ({status}) => status, priority: 2},
      {header: 'WAS', value: ({was}) => was, priority: 3},
      {header: 'NOW LIVE', value: ({by}) => by ?? ''},
      {header: 'AGE', value: ({createdAt}) => ago(createdAt), align: 'right', priority: 4},
    ], options),
  ]
  const filled = sections.map((section) => [...section]).filter((lines) => lines.length > 0)
  if (filled.length === 0) yield 'There is no instance.'
  for (const [index, lines] of filled.entries()) yield* index === 0 ? lines : ['', ...lines]
}

const shownTime = (at: string | null): string => (at === null ? '' : at === 'latest' ? at : at.slice(0, 19).replace('T', ' '))

function* backupLines(title: string, backups: readonly KeptBackup[], flag: (one: KeptBackup) => string, ago: (at: string | null) => string, width: number | undefined): Generator<string> {
  if (backups.length === 0) return
  yield theme.title(title)
  yield* tableLines(backups, [
    {header: 'INSTANCE', value: ({instance}) => instance, priority: 1},
    {header: 'FROM', value: ({earliest}) => shownTime(earliest), priority: 3},
    {header: 'TO', value: ({latest}) => shownTime(latest), priority: 2},
    {header: 'LATEST', value: ({latest}) => ago(latest), priority: 4},
    {header: 'RESTORE WITH', value: flag},
  ], {width, headerStyle: theme.title})
}
